"""`netsim timing`: train under schedules that miss their times more and more, and measure what is left of learning."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import Annotated

import typer

from netsim.errors import OptionError

#: Help of --stream.
STREAMS = (
    "Order of the images: random (default); blocked:RUN, so many of a class in a row; similar:RUN, the same with "
    "similar classes in turn; one-at-a-time[:REFRESH[:EPOCHS]], class after class, with a share of images of the "
    "classes before (0), so many epochs each (0: all in every epoch)."
)


def _option(name: str, metavar: str, help: str):
    return typer.Option(name, metavar=metavar, help=help, show_default=False)


def timing(
    net: Annotated[str, typer.Argument(metavar="NET", help="A net by name, or notation.")] = "simpnet",
    data: Annotated[str, _option("--data", "NAME", "digits (default), cifar10, ..., npz:PATH.")] = "digits",
    data_dir: Annotated[str | None, _option("--data-dir", "DIR", "Where the data files lie.")] = None,
    sweep: Annotated[
        list[str] | None,
        _option(
            "--sweep",
            "Q=A:B:STEP",
            "One of jitter (τ), lag (presentations), tag (τ), p (probability of a signal), delay (τ), skew (τ), as "
            "jitter=0:2:0.25 or lag=0,1,4. Given again, every combination: the first goes across, each of the others "
            "has panels of its own. Default jitter=0:1:0.25, or with --schedule or --jitter that one point.",
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        _option(
            "--schedule",
            "FILE|PRESET",
            "Start from a .toml file, nominal (default), guerguiev2017[:PHASE], desynchronised:P.",
        ),
    ] = None,
    stream: Annotated[str, _option("--stream", "S", STREAMS)] = "random",
    jitter: Annotated[
        float | None, _option("--jitter", "J", "A fixed jitter, in τ; of a schedule's own, the factor.")
    ] = None,
    distribution: Annotated[
        str | None, _option("--distribution", "D", "Of the jitter: normal (default), uniform, exponential, wald.")
    ] = None,
    lag: Annotated[float | None, _option("--lag", "Q", "A fixed plasticity lag, in presentations.")] = None,
    tag: Annotated[float | None, _option("--tag", "TAU", "A synaptic tag with this time constant, in τ.")] = None,
    sign: Annotated[
        str | None,
        _option(
            "--sign",
            "S",
            "plus: units carry minus the derivative, and add (the paper); minus: the derivative, subtract.",
        ),
    ] = None,
    engine: Annotated[str, _option("--engine", "E", "exact (default) or batched.")] = "exact",
    streams: Annotated[
        int | None,
        _option("--streams", "N", "Sequences of images that the exact engine learns side by side (default 4)."),
    ] = None,
    protocols: Annotated[str, _option("--protocols", "P,P", "urfb (default), frfb, bp.")] = "urfb",
    loss: Annotated[str, _option("--loss", "L", "hinge (default) or softmax.")] = "hinge",
    epochs: Annotated[int, _option("--epochs", "N", "Epochs at each point (default 5).")] = 5,
    batch: Annotated[int | None, _option("--batch", "N", "Images a batch (default 500; digits 50).")] = None,
    step_size: Annotated[float, _option("--step-size", "ETA", "Step size (default 0.1).")] = 0.1,
    drop: Annotated[
        str, _option("--drop", "D", "Dropout masks: one a sample (default), one a batch, or off.")
    ] = "sample",
    train_images: Annotated[
        int | None, _option("--train-images", "N", "Learn from at most N images (default all).")
    ] = None,
    validation: Annotated[
        int | None,
        _option(
            "--validation",
            "N",
            "Images set aside to validate on (default 5000 or a tenth, whichever is less; digits 360).",
        ),
    ] = None,
    measured: Annotated[
        int, _option("--measured", "N", "Presentations of which updates are compared (default 200).")
    ] = 200,
    seeds: Annotated[int, _option("--seeds", "N", "Seeds 0 to N - 1 at each point (default 1).")] = 1,
    workers: Annotated[
        int | None, _option("--workers", "N", "Points measured at once (default: as many as cores).")
    ] = None,
    device: Annotated[
        str, _option("--device", "D", "cpu (default), cuda, or auto: a GPU if usable. With --engine batched.")
    ] = "cpu",
    out: Annotated[
        Path | None, _option("--out", "DIR", "Folder of table and picture (default timing/NET-DATA).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the folder only.")] = False,
) -> None:
    """Train a net under schedules that miss their times, and measure what is left of learning.

    Each point of the sweep is saved when it is done; the same command goes on where it was stopped. The folder gets
    timing.csv, timing.png (cosine of each layer's update with the in-phase update, share of out-of-phase reads,
    validation error, alignment of W and R) and sweep.toml (all options, and the command that repeats the sweep).
    """
    given = dict(locals())
    from netsim import configuration as configurations
    from netsim import data as datasets
    from netsim import devices, geometry, notation
    from netsim.events import grid
    from netsim.events import sweep as runs
    from netsim.events.engines import compiling, on_device
    from netsim.events.streams import Stream
    from netsim.processes import INTERRUPTED, interrupt_on_signals

    fixed = {"jitter": jitter, "lag": lag, "tag": tag}
    start = grid.Start.resolve(schedule or "nominal", distribution, fixed, sign)
    if sweep is None:
        sweep = ["jitter=0:1:0.25"] if schedule is None and jitter is None else []
    axes = [grid.Axis.parse(text) for text in sweep]
    for name, number, least in (("--seeds", seeds, 1), ("--measured", measured, 8), ("--workers", workers, 1)):
        if number is not None and number < least:
            raise OptionError(f"{name} is {number}: it must be at least {least}")
    values = {
        "net": net, "data": data, "data_dir": data_dir, "loss": loss, "epochs": epochs, "batch": batch,
        "step_size": step_size, "drop": drop, "train_images": train_images, "validation": validation,
    }  # fmt: skip
    chosen = on_device(engine, devices.choose(device))
    notes = [chosen.choice] if chosen.why else []
    if chosen.name != "cpu":
        values["device"], workers = chosen.name, 1
    values = configurations.absolute_paths({key: value for key, value in values.items() if value is not None})
    checked = configurations.build(values)
    values["net"] = checked.net
    dataset = datasets.load(data, data_dir)
    layers = geometry.infer(notation.parse(checked.net), dataset.input_shape, dataset.classes)
    points = grid.points(
        axes, start, values, [name.strip() for name in protocols.split(",")], range(seeds),
        engine=engine, streams=streams, stream=str(Stream.parse(stream)), measured=measured,
        names=[layer.name for layer in layers if layer.kind != "drop"],
    )  # fmt: skip
    places = configurations.absolute_paths({"data": data, "data_dir": data_dir})
    facts = _facts({**given, **places, "sweep": sweep}, start)
    if out is None:
        name = f"{checked.label}-{data.replace(':', '-').replace('/', '-')}"
        path = runs.place(Path("timing") / name, facts, _schedule_text(start))
    else:
        path = out
        runs.check_free(path, facts, _schedule_text(start))
    _refuse_early(points, dataset)
    runs.folder(path)
    if outdated := runs.outdated(path, points):
        notes.append(f"{outdated} points in {path} are of another version of netsim: they are measured anew")
    if not quiet and chosen.name == "cpu" and (notice := compiling(engine)):
        notes.append(notice)
    for note in (*notes, *start.notes(axes)):
        typer.echo(f"netsim: note: {note}", err=True)
    _describe(path, {**given, **places, "sweep": sweep}, facts, start)
    try:
        with interrupt_on_signals():
            rows = _run(path, points, axes, workers, quiet)
    except KeyboardInterrupt:
        there = sum(runs.saved(path, point) is not None for point in points)
        typer.echo(f"stopped; {there} of {len(points)} points are saved; the same command goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _write(path, rows, axes, start, f"{net} on {data}")
    if quiet:
        typer.echo(path)
    else:
        typer.echo(f"wrote {path / 'timing.csv'} and {path / 'timing.png'}")


def _refuse_early(points, dataset) -> None:
    """Build each kind of trainer once, so that what cannot be is refused before anything is trained."""
    import netsim
    from netsim import configuration as configurations
    from netsim.events.engines import check_length, trainer
    from netsim.events.schedule import Schedule

    seen = set()
    for point in points:
        values = dict(point.configuration)
        key = (point.schedule, values["protocol"])
        if key not in seen:
            seen.add(key)
            configuration = configurations.build(values)
            if len(seen) == 1:
                net = netsim.Network(configuration.net, dataset.input_shape, dataset.classes)
                resolved = configurations.resolve(configuration, images=len(dataset.train), facts={}).resolved
            schedule, options = Schedule.from_toml(point.schedule), configuration.trainer_options()
            made = trainer(net, schedule, point.engine, streams=point.streams, **options)
            check_length(schedule, resolved["train"], made.streams or 1)


def _schedule_text(start) -> str | None:
    """The text of a schedule that is from a file."""
    return start.base.to_toml() if start.name.endswith(".toml") else None


def _facts(given: dict, start) -> dict[str, object]:
    """Every option that decides what a sweep is."""
    facts = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in given.items()
        if value is not None and name not in ("quiet", "workers", "out")
    }
    return {**facts, "schedule": start.name}


def _describe(path: Path, given: dict, facts: dict[str, object], start) -> None:
    """Write sweep.toml: every option, and the command that repeats the sweep."""
    from netsim.events import sweep as runs

    text = _schedule_text(start)
    if text is not None:
        given["schedule"] = str((path / "schedule.toml").absolute())
    words = ["netsim", "timing", given["net"]]
    for name, parameter in inspect.signature(timing).parameters.items():
        value = given[name]
        if name in ("net", "quiet", "workers") or value == parameter.default:
            continue
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}", str(one)]
    runs.describe(path, shlex.join(words), facts, text)


def _run(path: Path, points, axes, workers: int | None, quiet: bool) -> list[dict]:
    from netsim.events import sweep as runs

    def line(row: dict) -> str:
        swept = "".join(f"{axis.quantity} {row[axis.quantity]:g}, " for axis in axes)
        error = row.get("validation_error")
        what = ", diverged" if row["diverged"] else "" if error is None else f", validation error {100 * error:.1f} %"
        return f"{swept}{row['protocol']}, seed {row['seed']}{what}"

    if quiet:
        return runs.run(path, points, workers)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("points", total=len(points))

        def done(row: dict) -> None:
            progress.advance(task)
            progress.console.print(line(row), highlight=False)

        return runs.run(path, points, workers, done)


def _write(path: Path, rows: list[dict], axes, start, what: str) -> None:
    from netsim.events import plots
    from netsim.events.sweep import table
    from netsim.runs import durable

    quantities = [axis.quantity for axis in axes]
    fixed = {"schedule": start.name, **dict(start.fixed)}
    if "jitter" in (*quantities, *fixed):
        fixed["distribution"] = start.jitter
    durable.write(path / "timing.csv", table([{**row, **fixed} for row in rows]).encode())
    labels, title = [start.label(quantity) for quantity in quantities], _title(rows, start, what)
    durable.write(path / "timing.png", plots.sweep(rows, quantities, labels, title))


def _title(rows: list[dict], start, what: str) -> str:
    """All that the points of a sweep share."""
    row, seeds = rows[0], len({row["seed"] for row in rows})
    epochs = "1 epoch" if row["epochs"] == 1 else f"{row['epochs']} epochs"
    facts = [what, start.text, f"{row['stream']} stream", f"{row['engine']} engine"]
    facts += [f"{row['streams']} streams"] if row["streams"] else []
    facts += [f"{epochs} of {row['images']:,} images", f"batches of {row['batch']}", f"step {row['step_size']:g}"]
    facts += [f"{row['loss']} loss"] if row["loss"] != "hinge" else []
    return ", ".join([*facts, "1 seed" if seeds == 1 else f"{seeds} seeds"])
