"""`netsim events`: one presentation, event by event: who has its events when, and in which phase each read fell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netsim.errors import OptionError, RunError

_KINDS = ("feedforward", "feedback", "plasticity")


def _option(name: str, metavar: str, help: str):
    return typer.Option(name, metavar=metavar, help=help, show_default=False)


def events(
    net: Annotated[str, typer.Argument(metavar="NET", help="A net by name, or notation.")] = "simpnet",
    data: Annotated[str, _option("--data", "NAME", "digits (default), cifar10, ..., npz:PATH.")] = "digits",
    data_dir: Annotated[str | None, _option("--data-dir", "DIR", "Where the data files lie.")] = None,
    schedule: Annotated[
        str, _option("--schedule", "FILE|PRESET", "A .toml file, nominal, guerguiev2017, desynchronised:P.")
    ] = "nominal",
    jitter: Annotated[float | None, _option("--jitter", "J", "A jitter of every event, in τ.")] = None,
    distribution: Annotated[
        str, _option("--distribution", "D", "Of the jitter: normal (default), uniform, exponential, wald.")
    ] = "normal",
    lag: Annotated[float | None, _option("--lag", "Q", "A plasticity lag, in presentations.")] = None,
    stream: Annotated[str, _option("--stream", "S", "random (default), blocked:RUN, one-at-a-time.")] = "random",
    presentation: Annotated[int, _option("--presentation", "N", "Which presentation of the stream: 0.")] = 0,
    protocol: Annotated[str, _option("--protocol", "P", "urfb (default), frfb or bp.")] = "urfb",
    seed: Annotated[int, _option("--seed", "N", "Seed of weights, order and times: 0.")] = 0,
    out: Annotated[Path, _option("--out", "FILE", "The picture: events.png.")] = Path("events.png"),
) -> None:
    """Draw one presentation: who has its events when, layer by layer, and in which phase each read fell."""
    import netsim
    from netsim import data as datasets
    from netsim.events import grid, plots
    from netsim.events.exact import EventTrainer
    from netsim.events.presets import resolve
    from netsim.events.streams import Stream

    chosen = resolve(schedule)
    for quantity, value in (("jitter", jitter), ("lag", lag)):
        if value is not None:
            chosen = grid.altered(chosen, quantity, value, distribution)
    split = datasets.load(data, data_dir).train
    if not 0 <= presentation < len(split):
        raise OptionError(f"--presentation is {presentation}: the stream has presentations 0 to {len(split) - 1}")
    dataset = datasets.load(data, data_dir)
    network = netsim.Network(net, dataset.input_shape, dataset.classes, seed)
    trainer = EventTrainer(network, chosen.changed(weights="batch"), protocol, streams=1, logged=True)
    order = Stream.parse(stream).order(split.labels, seed, 0)
    entries, span = _play(trainer, split, order, presentation)
    title = f"{net}, {data}, presentation {presentation}, {schedule}"
    picture = plots.raster(entries, chosen.unit, *span, title)
    try:
        out.write_bytes(picture)
    except OSError as error:
        raise RunError(f"cannot write {str(out)!r}: {error.strerror or error}") from None
    _show(entries, span[0], chosen.unit)
    typer.echo(f"wrote {out}")


def _play(trainer, split, order, presentation: int) -> tuple[list[dict], tuple[float, float]]:
    """Go on until all events of the presentation are over; its events, and when it starts and ends."""
    shown = 0
    while True:
        images, labels = split.batch(order[[shown % len(order)]])
        trainer.increments(images, labels)
        shown += 1
        (log,) = trainer.event_log()
        entries = [entry for entry in log if entry["presentation"] == presentation]
        if entries:
            times = trainer._under_way[0].times
            return entries, (times.start(presentation), times.start(presentation + 1))


def _show(entries: list[dict], start: float, unit: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("layer", "events", "number", f"first ({unit})", f"last ({unit})", "in phase"):
        table.add_column(heading, justify="left" if heading in ("layer", "events") else "right")
    for entry in entries:
        if entry["times"].size:
            table.add_row(
                entry["layer"],
                _KINDS[entry["kind"]],
                f"{entry['times'].size:,}",
                f"{entry['times'][0] - start:.2f}",
                f"{entry['times'][-1] - start:.2f}",
                f"{100 * float(entry['in_phase'].mean()):.1f} %",
            )
    Console().print(table)
