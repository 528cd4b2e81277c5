"""The table of the README: the paper's nets beside PyTorch, as Markdown."""

from __future__ import annotations

from typing import Any

from netsim import summary
from netsim.bench import peak, processes
from netsim.bench.comparison import PEERS, Show, check_peer, compare
from netsim.bench.job import Job, make

#: (net, every convolution untied, dropout masks)
ROWS = (
    ("simpnet", False, "sample"),
    ("simpnet", False, "batch"),
    ("deepnet", False, "sample"),
    ("deepernet", False, "sample"),
    ("deepnet_s", False, "sample"),
    ("simpnet", True, "sample"),
    ("deepnet_s", True, "sample"),
)


def jobs(**options) -> list[Job]:
    """The jobs of the table's rows; the options are those of `Job`, but for ``drop``."""
    return [make(net, untied=untied, drop=drop, **options) for net, untied, drop in ROWS]


def measure(rows: list[Job], peer: str, pairs: int, show: Show) -> dict[str, Any]:
    """Compare every row with the peer, between two measurements of the machine's sgemm.

    Beside "torch" untied nets are also compared with "torch-unfold", the usual way to write them.
    """
    check_peer(peer, rows[0].protocol)
    threads = sorted({1, rows[0].threads})
    before = sgemm(threads, show)
    comparisons = []
    for job in rows:
        both = peer == "torch" and any(spec.kind == "untied" for spec in job.specs)
        comparisons += [compare(job, one, pairs, show) for one in (["torch-unfold"] * both + [peer])]
    after = sgemm(threads, show)
    best = [max(two, key=lambda one: one["gflops"]) for two in zip(before, after, strict=True)]
    return {"machine": peak.machine(), "sgemm": best, "peer": peer, "comparisons": comparisons}


def sgemm(threads: list[int], show: Show) -> list[dict[str, float]]:
    """The machine's sgemm with each number of threads."""
    show("measuring this machine's sgemm")
    return [processes.run("sgemm", threads=number) for number in threads]


def markdown(report: dict[str, Any]) -> str:
    """A report of `measure` as a Markdown table with a line about the machine below it."""
    peer = PEERS[report["peer"]]
    gflops = {one["threads"]: one["gflops"] for one in report["sgemm"]}
    head = ["net", "dropout masks", "training", "inference", "peak memory", "images/s, training", "images/s, inference"]
    head += ["MiB", "GFLOP/s (of sgemm)"]
    lines = [_row(head), _row(["---", "---", *["---:"] * (len(head) - 2)])]
    for comparison in report["comparisons"]:
        job, figures = Job.from_json(comparison["job"]), comparison["ratios"]
        rate = step_gflops(job, figures["training"]["ours"])
        share = rate / gflops[job.threads] if job.threads in gflops else None
        lines.append(
            _row(
                [
                    _net(job, comparison, report["peer"]),
                    {"sample": "per image", "batch": "per batch", "off": "none"}[job.drop],
                    *(ratio_text(figures[figure]) for figure in ("training", "inference", "memory")),
                    *(_both(figures[figure], ",.0f") for figure in ("training", "inference")),
                    _both({key: figures["memory"][key] / 2**20 for key in ("ours", "theirs")}, ",.0f"),
                    f"{rate:.0f}" + (f" ({share:.0%})" if share is not None else ""),
                ]
            )
        )
    return "\n".join([*lines, "", _below(report, peer)])


def step_gflops(job: Job, images_per_s: float) -> float:
    """GFLOP/s of whole training steps: the products of the paper's algorithm, whatever part of them is saved."""
    counted = summary.summarize(job.architecture, job.input_shape, job.classes)
    return 2 * counted.step * images_per_s / 1e9


def ratio_text(figure: dict[str, float]) -> str:
    """A ratio with its range: 1.80 (1.75 to 1.91)."""
    return f"{figure['median']:.2f} ({figure['least']:.2f} to {figure['largest']:.2f})"


def _net(job: Job, comparison: dict[str, Any], usual: str) -> str:
    return job.name if comparison["peer"] == usual else f"{job.name} ({PEERS[comparison['peer']]})"


def _both(figure: dict[str, float], form: str) -> str:
    return f"{figure['ours']:{form}} / {figure['theirs']:{form}}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _below(report: dict[str, Any], peer: str) -> str:
    job = Job.from_json(report["comparisons"][0]["job"])
    machine = report["machine"]
    pairs = len(report["comparisons"][0]["pairs"])
    rates = ", ".join(f"{one['gflops']:.0f} GFLOP/s with {_threads(one['threads'])}" for one in report["sgemm"])
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "numpy", "numba", "torch") if machine[name])
    return (
        f"Ratios netsim / {peer}: median (range) of {pairs} alternating pairs of processes. Pairs of figures: netsim "
        f"/ {peer}. {job.protocol}, batch {job.batch}, {_threads(job.threads)}. {machine['processor']}; numpy's sgemm: "
        f"{rates}; {versions}."
    )


def _threads(number: int) -> str:
    return f"{number} thread{'s' * (number > 1)}"
