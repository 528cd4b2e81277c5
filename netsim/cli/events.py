"""`netsim events`: one presentation, event by event: who has its events when, and in which phase each read fell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netsim.cli.pictures import check_picture
from netsim.cli.timing import STREAMS
from netsim.errors import OptionError


def _option(name: str, metavar: str, help: str):
    return typer.Option(name, metavar=metavar, help=help, show_default=False)


def events(
    net: Annotated[str, typer.Argument(metavar="NET", help="A net by name, or notation.")] = "simpnet",
    data: Annotated[str, _option("--data", "NAME", "digits (default), cifar10, ..., npz:PATH.")] = "digits",
    data_dir: Annotated[str | None, _option("--data-dir", "DIR", "Where the data files lie.")] = None,
    schedule: Annotated[
        str, _option("--schedule", "FILE|PRESET", "A .toml file, nominal, guerguiev2017[:PHASE], desynchronised:P.")
    ] = "nominal",
    jitter: Annotated[
        float | None, _option("--jitter", "J", "A jitter of every event, in τ; of a schedule's own, the factor.")
    ] = None,
    distribution: Annotated[
        str | None, _option("--distribution", "D", "Of the jitter: normal (default), uniform, exponential, wald.")
    ] = None,
    lag: Annotated[float | None, _option("--lag", "Q", "A plasticity lag, in presentations.")] = None,
    stream: Annotated[str, _option("--stream", "S", STREAMS)] = "random",
    presentation: Annotated[int, _option("--presentation", "N", "Which presentation of the stream: 0.")] = 0,
    protocol: Annotated[str, _option("--protocol", "P", "urfb (default), frfb or bp.")] = "urfb",
    seed: Annotated[int, _option("--seed", "N", "Seed of weights, order and times: 0.")] = 0,
    out: Annotated[Path, _option("--out", "FILE", "The picture, a .png: events.png.")] = Path("events.png"),
) -> None:
    """Draw one presentation: who has its events when, layer by layer, and in which phase each read fell.

    The stream is replayed from the first presentation on whose events can still matter.
    """
    import netsim
    from netsim import data as datasets
    from netsim.events import raster
    from netsim.events.engines import compiling
    from netsim.events.exact import EventTrainer
    from netsim.events.grid import Start
    from netsim.events.presets import check_fit
    from netsim.events.streams import Stream
    from netsim.runs import durable

    check_picture(out, ("png",))
    start = Start.resolve(schedule, distribution, {"jitter": jitter, "lag": lag})
    start.check_distribution()
    order_of = Stream.parse(stream)
    dataset = datasets.load(data, data_dir)
    split = dataset.train
    if not 0 <= presentation < len(split):
        raise OptionError(f"--presentation is {presentation}: the stream has presentations 0 to {len(split) - 1}")
    network = netsim.Network(net, dataset.input_shape, dataset.classes, seed)
    check_fit(schedule, [layer.name for layer in network.layers if layer.kind != "drop"])
    if notice := compiling("exact"):
        typer.echo(f"netsim: note: {notice}", err=True)
    trainer = EventTrainer(
        network, start.schedule.changed(weights="batch"), protocol, streams=1, logged=presentation, seed=seed
    )
    order = order_of.of(split).order(split.labels, seed, 0)
    entries, starts = _play(trainer, split, order, presentation)
    title = f"{net} on {data}: presentation {presentation} of the {order_of} stream, {start.text}, seed {seed}"
    picture = raster.raster(entries, start.schedule.unit, starts, title)
    durable.write(out, picture)
    _show(entries, starts[0], start.schedule.unit)
    typer.echo(f"wrote {out}")


def _play(trainer, split, order, presentation: int) -> tuple[list[dict], list[float]]:
    """All events of the presentation; when it starts, and those after it as long as it has events."""
    from netsim.console import console
    from netsim.events.record import record

    replayed: list[int] = []
    with console().status("") as status:

        def told(number: int) -> None:
            replayed.append(number)
            status.update(f"replaying presentation {number}, for all events of {presentation}")

        entries, times = record(trainer, split, order, presentation, told)
    typer.echo(f"replayed presentations {replayed[0]} to {replayed[-1]}")
    return entries, [times.start(number) for number in range(presentation, max(replayed[-1], presentation) + 2)]


def _show(entries: list[dict], start: float, unit: str) -> None:
    from rich.table import Table

    from netsim.console import console
    from netsim.events.raster import KINDS, PHASES, percent, reads

    unit = "τ" if unit == "tau" else unit
    table = Table(title="events")
    for heading in ("layer", "events", "number", f"first ({unit})", f"last ({unit})", "out of phase"):
        table.add_column(heading, justify="left" if heading in ("layer", "events") else "right")
    for entry in entries:
        if entry["times"].size:
            table.add_row(
                entry["layer"],
                KINDS[entry["kind"]],
                f"{entry['times'].size:,}",
                f"{entry['times'][0] - start:.2f}",
                f"{entry['times'][-1] - start:.2f}",
                percent(1.0 - float(entry["in_phase"].mean(dtype=float))),
            )
    console().print(table)
    table = Table(title="what the reads found (in brackets: what is meant)")
    for heading in ("layer", "reads", *(name for name, _ in PHASES)):
        table.add_column(heading, justify="left" if heading in ("layer", "reads") else "right")
    for each in reads(entries):
        shares = [percent(share) for share in each.shares]
        shares[each.meant] = f"[{shares[each.meant]}]"
        table.add_row(each.layer, each.name, *shares)
    console().print(table, markup=False)
