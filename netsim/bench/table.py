"""The table of the README: the paper's nets beside PyTorch, as Markdown."""

from __future__ import annotations

from typing import Any

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


#: Seconds that each measurement spends on steps, so that all of them take some ten minutes.
SECONDS = 1.0


def jobs(**options) -> list[Job]:
    """The jobs of the table's rows; the options are those of `Job`, but for ``drop``."""
    return [make(net, untied=untied, drop=drop, seconds=SECONDS, **options) for net, untied, drop in ROWS]


def measure(rows: list[Job], peer: str, pairs: int, show: Show) -> dict[str, Any]:
    """Compare every row with the peer, after measuring the machine's sgemm with one thread and all of them.

    Beside "torch" untied nets are also compared with "torch-unfold", the usual way to write them.
    """
    check_peer(peer, rows[0].protocol)
    show("measuring this machine's sgemm")
    sgemm = [processes.run("sgemm", threads=threads) for threads in sorted({1, rows[0].threads})]
    comparisons = []
    for job in rows:
        both = peer == "torch" and any(spec.kind == "untied" for spec in job.specs)
        comparisons += [compare(job, one, pairs, show) for one in (["torch-unfold"] * both + [peer])]
    return {"machine": peak.machine(), "sgemm": sgemm, "peer": peer, "comparisons": comparisons}


def markdown(report: dict[str, Any]) -> str:
    """A report of `measure` as a Markdown table with a line about the machine below it."""
    peer = PEERS[report["peer"]]
    head = ["net", "dropout masks", "training", "inference", "peak memory", "images/s, training", "images/s, inference"]
    head += ["MiB", "GFLOP/s", "of sgemm"]
    lines = [_row(head), _row(["---", "---", *["---:"] * (len(head) - 2)])]
    for comparison in report["comparisons"]:
        job, figures, sgemm = Job.from_json(comparison["job"]), comparison["ratios"], comparison["sgemm"]
        cells = [
            _net(job, comparison, report["peer"]),
            {"sample": "per image", "batch": "per batch", "off": "none"}[job.drop],
            *(ratio_text(figures[figure]) for figure in ("training", "inference", "memory")),
            *(_both(figures[figure], 1) for figure in ("training", "inference")),
            _both(figures["memory"], 1 << 20),
            f"{sgemm['training_gflops']['median']:.0f}",
            f"{sgemm['share']['median']:.0%}",
        ]
        lines.append(_row(cells))
    return "\n".join([*lines, "", _below(report, peer)])


def ratio_text(figure: dict[str, float]) -> str:
    """A ratio with its range: 1.80 (1.75 to 1.91)."""
    return f"{figure['median']:.2f} ({figure['least']:.2f} to {figure['largest']:.2f})"


def _net(job: Job, comparison: dict[str, Any], usual: str) -> str:
    return job.name if comparison["peer"] == usual else f"{job.name} ({PEERS[comparison['peer']]})"


def _both(figure: dict[str, float], unit: int) -> str:
    return f"{figure['ours'] / unit:,.0f} / {figure['theirs'] / unit:,.0f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _below(report: dict[str, Any], peer: str) -> str:
    """What the ratios mean, the machine and its sgemm: before the comparisons, and in the course of them."""
    job, machine = Job.from_json(report["comparisons"][0]["job"]), report["machine"]
    number = len(report["comparisons"][0]["pairs"])
    rates = ", ".join(f"{one['gflops']:.0f} GFLOP/s with {_threads(one['threads'])}" for one in report["sgemm"])
    during = [pair["sgemm"] for comparison in report["comparisons"] for pair in comparison["pairs"]]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "numpy", "numba", "torch") if machine[name])
    return (
        f"Ratios netsim / {peer}: median (range) of {number} alternating pairs of processes. Pairs of figures: netsim "
        f"/ {peer}, medians. {job.protocol}, batch {job.batch}, {_threads(job.threads)}. {machine['processor']}; "
        f"numpy's sgemm: {rates}; in the course of the measurements {min(during):.0f} to {max(during):.0f} GFLOP/s. "
        f"{versions}."
    )


def _threads(number: int) -> str:
    return f"{number} thread{'s' * (number > 1)}"
