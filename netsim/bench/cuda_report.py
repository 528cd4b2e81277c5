"""`netsim bench --device cuda`: nets on this GPU, beside PyTorch on the same, as Markdown.

Every measurement runs in a process of its own, and begins with a step that is compared with the CPU engine's.
"""

from __future__ import annotations

from importlib import util
from typing import Any

from netsim.bench import processes
from netsim.bench.comparison import Show
from netsim.bench.job import Job, make
from netsim.bench.layer_times import PHASES
from netsim.errors import OptionError, nearest

#: (net, every convolution untied) of the table.
ROWS = (("simpnet", False), ("deepnet", False), ("deepernet", False), ("simpnet", True), ("deepnet_s", True))

#: Images of the epoch that is timed.
EPOCH = 50_000

PEERS = ("torch",)


def jobs(**options) -> list[Job]:
    """The jobs of the table's rows; the options are those of `Job`."""
    return [make(net, untied=untied, **options) for net, untied in ROWS]


def check_peer(peer: str | None) -> None:
    """Raise `OptionError` where the peer is unknown, or its PyTorch is missing or cannot use a GPU."""
    if peer is None:
        return
    if peer not in PEERS:
        raise OptionError(f"--vs is {peer[:40]!r}{nearest(peer[:40], PEERS)} (with --device cuda)")
    if util.find_spec("torch") is None:
        raise OptionError(
            "--vs torch needs PyTorch, which is not installed here: pip install '.[peers]' in netsim's checkout"
        )
    found = processes.run("cuda torch usable")
    if not found["usable"]:
        raise OptionError(f"--vs torch: the PyTorch installed here ({found['torch']}) cannot use a GPU")


def measure(rows: list[Job], peer: str | None, show: Show, images: int = EPOCH) -> dict[str, Any]:
    """Measure every job: ours and, with ``peer``, PyTorch's, without TF32 and with, eager and compiled."""
    check_peer(peer)
    show("this GPU's copies")
    report: dict[str, Any] = {"peer": peer, "bandwidth": processes.run("cuda bandwidth")["gb_per_s"], "nets": []}
    if peer is not None:
        show("this GPU's products")
        report["rates"] = processes.run("cuda torch rates")
        report["torch"] = processes.run("cuda torch usable")["torch"]
    for job in rows:
        show(f"{job.name}: a step against the CPU's, then training")
        net: dict[str, Any] = {"job": job.to_json(), "ours": processes.run("cuda", job=job.to_json(), images=images)}
        if peer is not None:
            show(f"{job.name}: a step of PyTorch against ours, on the CPU")
            net["equality"] = processes.run("torch equality", job=job.to_json())
            net["theirs"] = _theirs(job, show)
        report["nets"].append(net)
    return report


def _theirs(job: Job, show: Show) -> list[dict[str, Any]]:
    """PyTorch's times without TF32 and with, eager and compiled; untied layers in both ways to write them."""
    ways = (False, True) if any(spec.kind == "untied" for spec in job.specs) else (False,)
    found = []
    for tf32 in (False, True):
        for compiled in (False, True):
            for windows in ways:
                show(f"{job.name}: PyTorch, {'compiled' if compiled else 'eager'}, TF32 {'on' if tf32 else 'off'}")
                choice = {"compiled": compiled, "tf32": tf32, "windows": windows}
                found.append(choice | processes.run("cuda torch", job=job.to_json(), **choice))
    return found


def markdown(report: dict[str, Any]) -> str:
    """The report: whole steps beside the peer's, then each net's layers and phases."""
    lines = [*_steps(report), "", _below(report)]
    for net in report["nets"]:
        lines += ["", *_layers(net, report)]
    return "\n".join(lines)


def _steps(report: dict[str, Any]) -> list[str]:
    head = ["net", "netsim images/s", "ms a step", f"epoch of {report['nets'][0]['ours']['epoch']['images']:,} images"]
    kinds = [(tf32, compiled) for tf32 in (False, True) for compiled in (False, True)] if report["peer"] else []
    head += [f"{'compiled' if compiled else 'eager'}{', TF32' if tf32 else ''}" for tf32, compiled in kinds]
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    for net in report["nets"]:
        training, epoch = net["ours"]["training"], net["ours"]["epoch"]
        cells = [Job.from_json(net["job"]).name, f"{training['images_per_s']:,.0f}", f"{training['ms']:.2f}"]
        cells.append(f"{epoch['seconds']:.1f} s")
        cells += [_ratio(net, tf32, compiled) for tf32, compiled in kinds]
        lines.append(_row(cells))
    return lines


def _ratio(net: dict[str, Any], tf32: bool, compiled: bool) -> str:
    """Our speed in units of PyTorch's, in the fastest way that it can."""
    ways = [one for one in net["theirs"] if (one["tf32"], one["compiled"]) == (tf32, compiled)]
    speeds = [one["images_per_s"] for one in ways if "images_per_s" in one]
    return f"{net['ours']['training']['images_per_s'] / max(speeds):.2f}" if speeds else "failed"


def _below(report: dict[str, Any]) -> str:
    """The machine, and what the figures mean."""
    first = report["nets"][0]
    job, worst = Job.from_json(first["job"]), max(net["ours"]["equality"]["difference"] for net in report["nets"])
    text = (
        f"{first['ours']['device']}; copies {report['bandwidth']:,.0f} GB/s. {job.protocol}, batch {job.batch}, "
        f"float32 without TF32. Before it was timed, one step of every net was compared with the CPU engine's: weights "
        f"differ by at most {worst:.1e} of their change."
    )
    text += f" CUDA graphs of steps: {', '.join(sorted({net['ours']['graphs'] for net in report['nets']}))}."
    if first["ours"]["simulated"]:
        text += " The simulator runs kernels as Python: its times say nothing about a GPU."
    if report["peer"]:
        rates = report["rates"]
        text += (
            f" Ratios: our speed in units of PyTorch's ({report['torch']}, channels last); TF32 where said, in its "
            f"convolutions and products alike. Its products of {8192} squared: {rates['fp32']:.1f} TFLOP/s, with TF32 "
            f"{rates['tf32']:.1f}."
        )
    return text


def _layers(net: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """Milliseconds of every layer and phase; of the bandwidth, and of the rate of products where it was measured."""
    phases = (*PHASES, "update")
    lines = [_row([Job.from_json(net["job"]).name, *phases]), _row(["---", *["---:"] * len(phases)])]
    for row in net["ours"]["layers"]["rows"]:
        lines.append(_row([row["layer"], *(_phase(row.get(phase), report) for phase in phases)]))
    return lines


def _phase(one: dict[str, float] | None, report: dict[str, Any]) -> str:
    if one is None:
        return ""
    said = [f"{one['bytes'] / one['ms'] / 1e6 / report['bandwidth']:.0%} of copies"]
    if one["flops"] and "rates" in report:
        said.append(f"{one['flops'] / one['ms'] / 1e9 / report['rates']['fp32']:.0%} of fp32")
    return f"{one['ms']:.3f} ms ({', '.join(said)})"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
