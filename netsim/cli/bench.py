"""`netsim bench`: how fast and how lean training is on this machine, layer by layer, and beside a peer."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from netsim.errors import OptionError
from netsim.runs import durable

#: Largest number of entries of a list of batch sizes or filters.
_MOST_ENTRIES = 100


def bench(
    nets: Annotated[
        list[str] | None,
        typer.Argument(metavar="NET", help="Nets of the paper by name, or notation: simpnet.", show_default=False),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option("--protocol", metavar="P", help="urfb, frfb, bp, kolen-pollack, sign-symmetry or dfa."),
    ] = "urfb",
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Images a batch.")] = 500,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="All cores.", show_default=False)
    ] = None,
    drop: Annotated[str, typer.Option("--drop", metavar="D", help="A mask a sample or a batch, or off.")] = "sample",
    untied: Annotated[bool, typer.Option("--untied", help="Make every convolution locally connected.")] = False,
    input: Annotated[
        str, typer.Option("--input", metavar="HxWxC", help="Height, width and channels of the images.")
    ] = "32x32x3",
    classes: Annotated[int, typer.Option("--classes", metavar="C", help="Number of output units.")] = 10,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", help="Timed steps: those of two seconds.", show_default=False),
    ] = None,
    cold: Annotated[bool, typer.Option("--cold", help="Also start once with an empty cache of kernels.")] = False,
    batches: Annotated[
        str | None,
        typer.Option("--batches", metavar="N,N,...", help="Images/s over batch sizes.", show_default=False),
    ] = None,
    filters: Annotated[
        str | None,
        typer.Option(
            "--filters", metavar="N,N,...", help="Images/s over filters of all convolutions.", show_default=False
        ),
    ] = None,
    vs: Annotated[
        str | None,
        typer.Option(
            "--vs", metavar="PEER", help="In turn with torch, torch-unfold or one-thread.", show_default=False
        ),
    ] = None,
    pairs: Annotated[int, typer.Option("--pairs", metavar="N", help="Pairs of processes, with --vs.")] = 5,
    table: Annotated[bool, typer.Option("--table", help="The README's nets with --vs, as Markdown.")] = False,
    device: Annotated[
        str, typer.Option("--device", metavar="D", help="cpu, cuda, or auto: a GPU where one can be used.")
    ] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the JSON to a file as well.", show_default=False),
    ] = None,
) -> None:
    """Time training and inference; without arguments simpnet, layer by layer and phase by phase.

    With --vs torch the same net in PyTorch runs in turn with ours, after one step of both was checked to be equal.
    """
    from netsim import devices, protocols
    from netsim.cli.nets import input_shape
    from netsim.kernels.workers import available

    protocols.find(protocol)
    if not 1 <= pairs <= 1000:
        raise OptionError(f"--pairs is {pairs}: it must be 1 to 1000")
    options = {
        "input_shape": input_shape(input),
        "classes": classes,
        "protocol": protocol,
        "batch": batch,
        "threads": available() if threads is None else threads,
        "steps": steps,
    }
    sweep = {"--batches": batches, "--filters": filters}
    _refuse_together(table, vs, cold, sweep)
    if table and (nets or untied or drop != "sample"):
        raise OptionError("--table has its own nets and dropout masks: NET, --untied and --drop cannot go with it")
    if out is not None:
        durable.check_place(out)
    if out is not None and not out.absolute().parent.is_dir():
        raise OptionError(f"--out is {str(out)!r}: there is no folder {str(out.absolute().parent)!r}")
    chosen = devices.choose(device)
    if chosen.why:
        print(f"netsim: device: {chosen.text} ({chosen.why})", file=sys.stderr)
    if chosen.name == "cuda":
        _refuse_on_gpu(cold, threads, sweep)
        report, show = _on_gpu(nets, untied, drop, table, vs, options)
    elif table:
        report, show = _table(options, vs or "torch", pairs)
    else:
        from netsim.bench import job

        asked = [job.make(net, untied=untied, drop=drop, **options) for net in nets or ["simpnet"]]
        if vs is not None:
            report, show = _compare(asked, vs, pairs)
        elif batches is not None or filters is not None:
            sizes = [batch] if batches is None else numbers("--batches", batches)
            report, show = _sweep(asked, sizes, [] if filters is None else numbers("--filters", filters))
        else:
            report, show = _layers(asked, cold)
    text = json.dumps(report)
    if out is not None:
        durable.write(out, (text + "\n").encode())
    if as_json:
        typer.echo(text)
    else:
        show()


#: A report of plain values, and what prints it for people.
Report = tuple[dict, Callable[[], None]]


def numbers(option: str, text: str) -> list[int]:
    """The whole numbers of text such as 1,8,50,500; OptionError where it is no such list."""
    parts = text[:1000].split(",")
    if len(text) > 1000 or len(parts) > _MOST_ENTRIES or not all(re.fullmatch(r"\s*[0-9]{1,7}\s*", p) for p in parts):
        raise OptionError(f"{option} is {text[:40]!r}: expected whole numbers with commas between, as in 1,8,50,500")
    found = [int(part) for part in parts]
    if 0 in found:
        raise OptionError(f"{option} is {text[:40]!r}: its numbers must be at least 1")
    return found


def _refuse_together(table: bool, vs: str | None, cold: bool, sweep: dict[str, str | None]) -> None:
    """OptionError where two of the kinds of report are asked for at once."""
    given = [option for option, value in sweep.items() if value is not None]
    with_cold = given + ["--vs"] * (vs is not None) + ["--table"] * table
    if cold and with_cold:
        raise OptionError(f"--cold cannot go with {with_cold[0]}")
    if given and (table or vs is not None):
        raise OptionError(f"{given[0]} cannot go with {'--table' if table else '--vs'}")


def _show(text: str) -> None:
    """What is being measured, for who waits at a terminal."""
    if sys.stderr.isatty():
        print(f"netsim: {text} ...", file=sys.stderr, flush=True)


def _layers(jobs, cold: bool) -> Report:
    import tempfile

    from netsim.bench import peak, processes, report

    nets = []
    for job in jobs:
        values = job.to_json()
        before = _sgemm(job.threads)
        _show(f"{job.name}: training and inference")
        one = {"job": values, "run": processes.run("netsim", job=values)}
        if cold:
            _show(f"{job.name}: with an empty cache")
            with tempfile.TemporaryDirectory(prefix="netsim-cache-") as folder:
                one["cold"] = processes.run("netsim", cache=folder, job=values)
        _show(f"{job.name}: layer by layer")
        one["layers"] = processes.run("layers", job=values)
        one["sgemm"] = max(before, _sgemm(job.threads), key=lambda rate: rate["gflops"])
        nets.append(one)

    def show() -> None:
        for one in nets:
            report.show_net(one)

    return {"machine": peak.machine(), "nets": nets}, show


def _sgemm(threads: int) -> dict[str, float]:
    from netsim.bench import processes

    _show("this machine's sgemm")
    return processes.run("sgemm", threads=threads)


def _compare(jobs, peer: str, pairs: int) -> Report:
    from netsim.bench import comparison, peak, report

    for job in jobs:
        comparison.check_peer(peer, job.protocol)
    found = [comparison.compare(job, peer, pairs, _show) for job in jobs]

    def show() -> None:
        for one in found:
            report.show_comparison(one)

    return {"machine": peak.machine(), "peer": peer, "comparisons": found}, show


def _refuse_on_gpu(cold: bool, threads: int | None, sweep: dict[str, str | None]) -> None:
    """OptionError where something is asked for that is measured on the CPU only."""
    given = [option for option, value in {"--threads": threads, **sweep}.items() if value is not None]
    given += ["--cold"] * cold
    if given:
        raise OptionError(f"{given[0]} goes with --device cpu")


def _on_gpu(nets: list[str] | None, untied: bool, drop: str, table: bool, vs: str | None, options: dict) -> Report:
    from netsim.bench import cuda_report, job

    if table:
        jobs, vs = cuda_report.jobs(**options), vs or "torch"
    else:
        jobs = [job.make(net, untied=untied, drop=drop, **options) for net in nets or ["simpnet"]]
    found = cuda_report.measure(jobs, vs, _show)
    return found, lambda: typer.echo(cuda_report.markdown(found))


def _sweep(jobs, batches: list[int], filters: list[int]) -> Report:
    from dataclasses import replace

    from netsim.bench import peak, report, sweep

    found = [sweep.measure(replace(job, seconds=sweep.SECONDS), batches, filters, _show) for job in jobs]

    def show() -> None:
        for one in found:
            report.show_sweep(one)

    return {"machine": peak.machine(), "sweeps": found}, show


def _table(options: dict, peer: str, pairs: int) -> Report:
    from netsim.bench import table

    found = table.measure(table.jobs(**options), peer, pairs, _show)
    return found, lambda: typer.echo(table.markdown(found))
