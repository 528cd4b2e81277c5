"""What the demos of figures 4 to 11 share: options, and runs that are made once.

A run is a folder as `netsim train` writes it, named after what it trains: ``simpnet-cifar10-urfb-50-seed1``. A demo
lists the runs it shows. Those that are there and long enough are read, the others are trained or gone on with, one a
core; so figures share runs, and a demo that was stopped goes on where it was. What a figure shows does not depend on
what was run before: a run that starts from another's weights has that run's epochs in its name.
"""

from __future__ import annotations

import argparse
import functools
import io
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from netsim import configuration, inheritance, notation, preparation, runs, training
from netsim import data as datasets
from netsim.configuration import Configuration
from netsim.errors import DataError, NetsimError, OptionError, nearest
from netsim.kernels.workers import available
from netsim.processes import INTERRUPTED, interrupt_on_signals, run_tasks, stop_on_signals
from netsim.runs import checkpoints, durable
from netsim.training_events import EpochDone

#: Protocols and losses of the paper (figure 5), as keys of run.toml. "50%": half of the connections, W and R apart.
METHODS = {
    "BP": {"protocol": "bp", "loss": "softmax"},
    "BP-H": {"protocol": "bp"},
    "URFB": {"protocol": "urfb"},
    "FRFB": {"protocol": "frfb"},
    "URFB 50%": {"protocol": "urfb", "connectivity": 0.5},
    "FRFB 50%": {"protocol": "frfb", "connectivity": 0.5},
}
#: Beyond the paper, for --rules: URFB with weight decay, feedback of W's signs, feedback from the output straight down.
RULES = {
    "Kolen-Pollack": {"protocol": "kolen-pollack"},
    "sign-symmetry": {"protocol": "sign-symmetry"},
    "DFA": {"protocol": "dfa"},
}

#: With --quick: images to learn for other data than the digits, the same for deep nets, and images to validate.
_QUICK_IMAGES, _QUICK_IMAGES_DEEP, _QUICK_VALIDATION = 2_000, 400, 500


@dataclass(frozen=True)
class Experiment:
    """One run: its folder's name, its net's name, its method, its seed, and its keys of run.toml.

    With a source, a run that comes first, it starts from the weights that the source has after its epochs; `inherit`
    are the arguments of `netsim.inheritance.descend` that say how.
    """

    name: str
    net: str
    method: str
    seed: int
    epochs: int
    values: dict = field(compare=False)
    source: Experiment | None = None
    inherit: dict = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Result:
    """What an experiment measured, epoch by epoch (`records`), its time, its folder, and its source's result.

    images, validation : how many it learned from, and was validated on.
    """

    experiment: Experiment
    records: list[dict]
    seconds: float
    path: Path
    images: int
    validation: int
    source: Result | None


# Options


def count(text: str) -> int:
    """A number of things, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def parser(text: str, epochs: int, methods: bool = True) -> argparse.ArgumentParser:
    """The options of every demo. text: its docstring; epochs: how many it trains if not told; methods: --methods."""
    arguments = argparse.ArgumentParser(description=text.splitlines()[0], allow_abbrev=False)
    add = arguments.add_argument
    add("--quick", action="store_true", help="handwritten digits and two epochs, unless told otherwise")
    add("--data", default=None, choices=("cifar10", "cifar100", "digits"), help="data set (cifar10)")
    add("--data-dir", metavar="DIR", help="where the data files lie")
    add("--epochs", type=count, metavar="N", help=f"epochs of each run ({epochs})")
    add("--seeds", type=count, default=1, metavar="K", help="runs of each method, seeds 1 to K (1)")
    if methods:
        add("--methods", metavar="LIST", help="only these, such as URFB,FRFB")
    add("--images", type=count, metavar="N", help="learn from N images only")
    add("--cores", type=count, default=available(), metavar="N", help="runs at a time (all cores)")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the run folders (runs)")
    add("--out", type=Path, default=Path("."), metavar="DIR", help="folder of the picture and the numbers (.)")
    add("--note", default="", metavar="TEXT", help="what the caption shall say about the data")
    arguments.set_defaults(usual_epochs=epochs)
    return arguments


def parse(arguments: argparse.ArgumentParser, given: list[str] | None) -> argparse.Namespace:
    """Read the command line, fill in what --quick means."""
    options = arguments.parse_args(given)
    options.usual_data = "digits" if options.quick else "cifar10"
    options.data = options.data or options.usual_data
    options.epochs = options.epochs or (2 if options.quick else options.usual_epochs)
    for name in ("runs", "out"):
        check_folder(f"--{name}", getattr(options, name))
    return options


def check_folder(option: str, path: Path) -> None:
    """Raise `OptionError` where no folder can be made, since a part of the path is a file."""
    there = next(part for part in (path, *path.absolute().parents) if part.exists())
    if not there.is_dir():
        raise OptionError(f"{option} {path}: {there} is no folder")


def make_folder(option: str, path: Path) -> None:
    """Make a folder before anything is computed that could not be kept. Raises `OptionError`, `RunError`."""
    check_folder(option, path)
    durable.make_folder(path)


def chosen(options, methods: dict[str, dict]) -> dict[str, dict]:
    """`methods`, or those that --methods names."""
    if options.methods is None:
        return methods
    names = [name.strip() for name in options.methods.split(",")]
    for name in names:
        if name not in methods:
            raise OptionError(f"unknown method {name!r}{nearest(name, methods)}")
    return {name: methods[name] for name in names}


# What is to be run


def plan(options, net: str, methods: dict[str, dict], architecture: str | None = None, **keys) -> list[Experiment]:
    """Each method with each seed.

    net: the name; architecture: the notation, if the name is not one of the paper's; keys: more keys of run.toml.
    """
    data, word = _data(options, net)
    planned = []
    for method, values in methods.items():
        for seed in range(1, options.seeds + 1):
            name = f"{net}-{word}-{_word(method)}-seed{seed}"
            all_keys = {"net": architecture or net, **data, **values, **keys, "seed": seed}
            planned.append(Experiment(name, net, method, seed, options.epochs, all_keys))
    return planned


def plan_from(options, net: str, sources: list[Experiment], inherit: dict, **keys) -> list[Experiment]:
    """A run from the weights that each source has after its epochs.

    inherit: untie, freeze, reinit of `netsim.inheritance.descend`; keys: more keys of run.toml.
    """
    return [
        replace(
            source, name=f"{source.name.replace(source.net, net, 1)}-after{source.epochs}", net=net,
            epochs=options.epochs, values={key: source.values[key] for key in source.values if key != "net"} | keys,
            source=source, inherit=inherit,
        )
        for source in sources
    ]  # fmt: skip


def _word(method: str) -> str:
    return method.lower().replace(" ", "-").replace("%", "")


def _data(options, net: str) -> tuple[dict, str]:
    """Keys of run.toml that say what is learned, and a word for the names of runs."""
    data: dict[str, object] = {"data": options.data}
    deep, images, word = net.startswith("deep"), options.images, options.data
    if options.data == "digits" and deep:
        data = {"data": f"npz:{_enlarged_digits(options.runs)}", "batch": 50, "validation": 360}
    if options.data_dir:
        data["data_dir"] = options.data_dir
    if options.quick and (deep or options.data != "digits"):
        images = images or (_QUICK_IMAGES_DEEP if deep else _QUICK_IMAGES)
    if images:
        data["train_images"] = images
        word = f"{word}-{images}"
    if options.quick and options.data != "digits":
        data["validation"] = _QUICK_VALIDATION
        word = f"{word}+{_QUICK_VALIDATION}"
    return data, word


def _enlarged_digits(folder: Path) -> Path:
    """The digits with every pixel doubled: the deep nets need maps of 16x16 pixels. Written once."""
    path = (folder / "digits-16x16.npz").absolute()
    try:
        datasets.load(f"npz:{path}")
    except DataError:  # not there yet, or damaged
        digits = datasets.load("digits").train
        images = np.round(255 * digits.scale * digits.images).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
        content = io.BytesIO()
        np.savez_compressed(content, images=images, labels=digits.labels)
        durable.make_folder(folder)
        durable.write(path, content.getvalue())
    return path


# Running it


def train(options, experiments: list[Experiment]) -> list[Result]:
    """Make every experiment at least as long as asked, one a core, and read what it measured.

    Raises `OptionError` before anything is trained, if a folder holds another run.
    """
    for experiment in experiments:
        _check(experiment, options.runs)
    sources = {experiment.source.name: experiment.source for experiment in experiments if experiment.source}
    if sources:
        train(options, list(sources.values()))
    missing = [experiment for experiment in experiments if _epochs_done(experiment, options.runs) < experiment.epochs]
    workers = min(options.cores, len(missing))
    if workers > 1:
        run_tasks(functools.partial(_train, folder=options.runs, threads=options.cores // workers), missing, workers)
    else:
        for experiment in missing:
            _train(experiment, options.runs, options.cores)
    return [_read(experiment, options.runs) for experiment in experiments]


def _epochs_done(experiment: Experiment, folder: Path) -> int:
    """Epochs that the run has behind it."""
    path = folder / experiment.name
    return len(runs.find(path).metrics()) if (path / "run.toml").exists() else 0


#: Keys of run.toml that say nothing of what is trained, or stand there once the data are known.
_SPARE = {"name", "data_dir", "epochs", "threads", "device", "source", "resolved", "versions"}
_BY_DATA = {"validation", "batch"}


def _check(experiment: Experiment, folder: Path) -> None:
    """Raise `OptionError` if the folder holds another run, or if the source has gone on too far to start from."""
    path = folder / experiment.name
    if not (path / "run.toml").exists():
        if experiment.source:
            check_weights(experiment.source, folder, "--tied-epochs")
        return
    stands = configuration.build(configuration.parse(runs.find(path).configuration(), str(path)), str(path))
    asked = _asked(experiment)
    for key in sorted(set(Configuration.model_fields) - _SPARE - (_BY_DATA - set(experiment.values))):
        before, now = (_moved(getattr(found, key)) for found in (stands, asked))
        if before != now:
            raise OptionError(f"{path} was trained with {key} {before!r}, not {now!r}: choose another --runs")
    before, now = _source_of(stands), _descent(experiment)
    for key in now:
        if before.get(key) != now[key]:
            was = f"{path} was trained with [source] {key} {before.get(key)!r}"
            raise OptionError(f"{was}, not {now[key]!r}: choose another --runs")
    if before and not now:
        raise OptionError(f"{path} started from {before['run']}, and not anew: choose another --runs")


def check_weights(experiment: Experiment, folder: Path, option: str) -> None:
    """Raise `OptionError` if the weights that the run had after its epochs are gone, since it went on.

    option : what asks for those epochs.
    """
    path = folder / experiment.name
    if _epochs_done(experiment, folder) < experiment.epochs or not runs.find(path).last_path.exists():
        return
    position = checkpoints.load(runs.find(path).last_path).position
    if (position["epoch"], position["batch"]) > (experiment.epochs, 0):
        raise OptionError(
            f"{path} has gone on to epoch {position['epoch']}, and its weights after epoch {experiment.epochs} are "
            f"gone: give {option} {position['epoch'] + (position['batch'] > 0)}, or another --runs"
        )


def _asked(experiment: Experiment) -> Configuration:
    """The configuration that the run should have, but for what the data decide."""
    values = dict(experiment.values)
    if experiment.source:
        plan = inheritance.descend(experiment.source.values["net"], **experiment.inherit)
        values.update(net=notation.render(plan.specs), frozen=[plan.names[name] for name in plan.frozen])
    return configuration.build(values)


def _moved(value: object) -> object:
    """A value of run.toml without the folder of the data: that may have moved."""
    return f"npz:{Path(value[4:]).name}" if isinstance(value, str) and value.startswith("npz:") else value


def _source_of(stands: Configuration) -> dict:
    """The [source] of a run, with its folder's name alone."""
    return {} if stands.source is None else {**stands.source.model_dump(), "run": Path(stands.source.run).name}


def _descent(experiment: Experiment) -> dict:
    """What the [source] of a run must say."""
    source = experiment.source
    if source is None:
        return {}
    plan = inheritance.descend(source.values["net"], **experiment.inherit)
    return {
        "run": source.name, "checkpoint": "last", "epoch": source.epochs, "untie": plan.untied, "reinit": plan.anew,
    }  # fmt: skip


def _train(experiment: Experiment, folder: Path, threads: int) -> None:
    """Begin the run, or go on with it, until it has its epochs; a line an epoch. KeyboardInterrupt if it is stopped."""
    path = folder / experiment.name
    if (path / "run.toml").exists():
        stands = configuration.parse(runs.find(path).configuration())
        values = {**stands, **experiment.values, "net": stands["net"]}
    elif experiment.source:
        check_weights(experiment.source, folder, "--tied-epochs")
        source = folder / experiment.source.name
        values = {**inheritance.settings(source, "last", **experiment.inherit), **experiment.values}
    else:
        values = experiment.values
    values = configuration.absolute_paths({**values, "epochs": experiment.epochs, "threads": threads})
    prepared = preparation.prepare(configuration.build(values))

    def show(event) -> None:
        if isinstance(event, EpochDone):
            error = 100 * event.record["validation_error"]
            print(f"{path.name}: epoch {event.record['epoch']}, validation error {error:.1f} %", flush=True)

    text = prepared.configuration.to_toml()
    with stop_on_signals() as stop, _opened(path, text) as run:
        if not training.train(prepared, run, show, stop).finished:
            raise KeyboardInterrupt


def _opened(path: Path, text: str) -> runs.Run:
    """The run's folder, locked, with `text` as its run.toml."""
    if not (path / "run.toml").exists():
        return runs.create(path, text)
    run = runs.find(path).lock()
    run.write_configuration(text)
    return run


def _read(experiment: Experiment, folder: Path) -> Result:
    path = folder / experiment.name
    run = runs.find(path)
    records, timings = run.metrics()[: experiment.epochs], run.timings()[: experiment.epochs]
    seconds = sum(timing["seconds"] + timing["evaluation_seconds"] for timing in timings)
    facts = configuration.parse(run.configuration())["resolved"]
    source = experiment.source and _read(experiment.source, folder)
    return Result(experiment, records, seconds, path, facts["train"], facts["validation"], source)


def by_method(results: list[Result]) -> dict[str, list[Result]]:
    """The results of all seeds, method by method."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.experiment.method, []).append(result)
    return groups


def run(main, stopped: str = "stopped and saved; the same command goes on") -> None:
    """Call a demo's main; what is wrong is said in one line, and `stopped` where it is interrupted."""
    name = Path(sys.argv[0]).stem
    try:
        with interrupt_on_signals():
            main()
    except NetsimError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print(f"{name}: {stopped}", file=sys.stderr)
        sys.exit(INTERRUPTED)
