"""Reports of measurements as text for people."""

from __future__ import annotations

from typing import Any

from netsim.bench.comparison import PEERS, step_gflops
from netsim.bench.job import Job
from netsim.bench.layer_times import PHASES
from netsim.bench.table import ratio_text
from netsim.console import console


def _print(text: str) -> None:
    """Print lines that are not cut or folded."""
    console(width=160).print(text, soft_wrap=True, markup=False)


def _table(*headings: str):
    """A table of numbers; the first column has the names of its rows."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    return table


def show_net(report: dict[str, Any]) -> None:
    """Print one net: its layers and phases, then its figures."""
    job, run, limit = Job.from_json(report["job"]), report["run"], report["sgemm"]["gflops"]
    _print(_title(job))
    console(width=160).print(_layer_table(report["layers"], limit))
    training, inference = run["training"], run["inference"]
    rate = step_gflops(job, training["images_per_s"])
    lines = [
        f"training   {training['images_per_s']:,.0f} images/s, {training['ms']:.1f} ms a step, {rate:.0f} GFLOP/s: "
        f"{rate / limit:.0%} of sgemm's {limit:.0f} GFLOP/s with {job.threads} threads",
        f"inference  {inference['images_per_s']:,.0f} images/s",
        f"memory     {run['peak_memory'] / 2**20:,.0f} MiB at the peak of training",
        f"start      {_start(run)}",
    ]
    if "cold" in report:
        lines.append(f"           {_start(report['cold'])}")
    _print("\n".join(lines) + "\n")


def _title(job: Job) -> str:
    masks = "no dropout" if job.drop == "off" else f"dropout masks per {job.drop}"
    return f"{job.name}: {job.protocol}, batch {job.batch}, {masks}, {job.threads} thread{'s' * (job.threads > 1)}"


def _layer_table(measured: dict[str, Any], limit: float):
    headings = ["layer"]
    for phase in ("feedforward", "feedback", "Hebbian"):
        headings += [f"{phase}\nms", "\nGFLOP/s", "of\nsgemm"]
    table = _table(*headings, "other\nms")
    for row in measured["layers"]:
        cells = [cell for phase in PHASES for cell in _cells(row[phase], limit)]
        table.add_row(row["layer"], *cells, _ms(row["other"]["ms"]))
    blank = [""] * (3 * len(PHASES))
    table.add_row("update", *blank, _ms(measured["update"]["ms"]))
    table.add_row("rest", *blank, _ms(measured["rest"]["ms"]), end_section=True)
    table.add_row("step", *blank, _ms(measured["step"]["ms"]))
    return table


def _cells(phase: dict[str, float | None], limit: float) -> list[str]:
    rate = phase["gflops"]
    return [_ms(phase["ms"]), f"{rate:.0f}" if rate else "", f"{rate / limit:.0%}" if rate else ""]


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f}" if milliseconds else ""


def _start(run: dict[str, Any]) -> str:
    kernels = run["kernels"]
    if not kernels["compiled"]:
        cache = f"warm cache, {kernels['loaded']} kernels loaded"
    elif not kernels["loaded"]:
        cache = f"empty cache, {kernels['compiled']} kernels compiled"
    else:
        cache = f"incomplete cache, {kernels['compiled']} kernels compiled and {kernels['loaded']} loaded"
    return (
        f"{run['first_batch_s']:.1f} s from the start of the process to the first batch trained, "
        f"{run['first_step_s']:.1f} s of it the first step ({cache})"
    )


def show_comparison(comparison: dict[str, Any]) -> None:
    """Print one net beside a peer."""
    job = Job.from_json(comparison["job"])
    table = _table("", "netsim", PEERS[comparison["peer"]], "ratio: median (range)")
    figures = comparison["ratios"]
    for figure, label in (("training", "training images/s"), ("inference", "inference images/s")):
        one = figures[figure]
        table.add_row(label, f"{one['ours']:,.0f}", f"{one['theirs']:,.0f}", ratio_text(one))
    one = figures["memory"]
    mib = [f"{one[key] / 2**20:,.0f}" for key in ("ours", "theirs")]
    table.add_row("peak memory, MiB", *mib, ratio_text(one))
    _print(_title(job))
    console(width=160).print(table)
    rate, share, limit = (comparison["sgemm"][key] for key in ("training_gflops", "share", "gflops"))
    lines = [
        f"medians of {len(comparison['pairs'])} alternating pairs of processes",
        f"netsim trains at {rate['median']:.0f} GFLOP/s: {share['median']:.0%} ({share['least']:.0%} to "
        f"{share['largest']:.0%}) of numpy's sgemm, {limit['median']:.0f} GFLOP/s ({limit['least']:.0f} to "
        f"{limit['largest']:.0f})",
    ]
    if "equality" in comparison:
        equality = comparison["equality"]
        lines.append(
            f"one step is the same: weights differ by at most {equality['difference']:.1e} of their change "
            f"(allowed: {equality['tolerance']:g})"
        )
        lines.append(f"PyTorch's fastest variant: {variant_text(job, comparison['variants']['fastest'])}")
    _print("\n".join(lines) + "\n")


def variant_text(job: Job, variant: dict[str, bool]) -> str:
    """What distinguishes a variant of the net in PyTorch, as far as the net has such layers."""
    kinds = {spec.kind for spec in job.specs}
    said = ["channels last" if variant["channels_last"] else "channels first"]
    if "untied" in kinds:
        said.append("untied layers by a view of windows" if variant["windows"] else "untied layers by unfold")
    if "maxpool" in kinds:
        zeros = "pools padded with 0, as in the paper"
        said.append(zeros if variant["zeros"] else "pools with PyTorch's own padding (the same work)")
    return ", ".join(said)


def show_sweep(report: dict[str, Any]) -> None:
    """Print images/s over batch sizes (columns) and filters (rows), training and inference."""
    job = Job.from_json(report["job"])
    for what in ("training", "inference"):
        table = _table("filters", *(f"batch {one['batch']}" for one in report["rows"][0]["batches"]))
        for row in report["rows"]:
            filters = "as given" if row["filters"] is None else str(row["filters"])
            table.add_row(filters, *(f"{one[what]['images_per_s']:,.0f}" for one in row["batches"]))
        _print(f"{job.name}: {what} images/s; {job.protocol}, drop {job.drop}, {job.threads} threads")
        console(width=160).print(table)
