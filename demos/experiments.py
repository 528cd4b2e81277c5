"""What the demos of figures 4 to 11 share: options, runs, files of results.

A run is a folder as `netsim train` writes it, named after what it trains: ``simpnet-cifar10-urfb-50-seed1``. A demo
lists the runs it shows. Those that are there and long enough are read, the others are trained or gone on with, one a
core; so figures share runs, and a demo that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from netsim import configuration, inheritance, preparation, runs, training
from netsim import data as datasets
from netsim.errors import NetsimError, OptionError, nearest
from netsim.kernels.workers import available
from netsim.processes import stop_on_signals
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


@dataclass(frozen=True)
class Experiment:
    """One run: its folder's name, its net's name, its method, its seed, and its keys of run.toml.

    With a source, a run that comes first, it starts from the source's last weights; `inherit` are the arguments of
    `netsim.inheritance.settings` that say how.
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
    """What an experiment measured, epoch by epoch (`records`), its time, and its folder."""

    experiment: Experiment
    records: list[dict]
    seconds: float
    path: Path

    def last(self, key: str) -> float:
        return self.records[-1][key]


def parser(text: str, epochs: int) -> argparse.ArgumentParser:
    """The options of every demo. text: the demo's docstring; epochs: how many it trains if not told."""
    arguments = argparse.ArgumentParser(description=text.splitlines()[0])
    add = arguments.add_argument
    add("--quick", action="store_true", help="handwritten digits and two epochs, unless told otherwise")
    add("--data", default=None, choices=("cifar10", "cifar100", "digits"), help="data set (cifar10)")
    add("--data-dir", metavar="DIR", help="where the data files lie")
    add("--epochs", type=int, metavar="N", help=f"epochs of each run ({epochs})")
    add("--seeds", type=int, default=1, metavar="K", help="runs of each method, seeds 1 to K (1)")
    add("--methods", metavar="LIST", help="only these, such as URFB,FRFB")
    add("--images", type=int, metavar="N", help="learn from N images only")
    add("--cores", type=int, default=available(), metavar="N", help="runs at a time (all cores)")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the run folders (runs)")
    add("--out", type=Path, default=Path("."), metavar="DIR", help="folder of the picture and the numbers (.)")
    add("--note", default="", metavar="TEXT", help="what the caption shall say about the data")
    arguments.set_defaults(usual_epochs=epochs)
    return arguments


def parse(arguments: argparse.ArgumentParser, given: list[str] | None) -> argparse.Namespace:
    """Read the command line, fill in what --quick means."""
    options = arguments.parse_args(given)
    for name in ("epochs", "seeds", "images", "cores"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            arguments.error(f"--{name} must be 1 or more")
    options.data = options.data or ("digits" if options.quick else "cifar10")
    if options.quick and options.data != "digits":
        options.images = options.images or 2_000
    options.epochs = options.epochs or (2 if options.quick else options.usual_epochs)
    return options


def chosen(options, methods: dict[str, dict]) -> dict[str, dict]:
    """`methods`, or those that --methods names."""
    if options.methods is None:
        return methods
    names = [name.strip() for name in options.methods.split(",")]
    for name in names:
        if name not in methods:
            raise OptionError(f"unknown method {name!r}{nearest(name, methods)}")
    return {name: methods[name] for name in names}


def plan(options, net: str, methods: dict[str, dict], architecture: str | None = None) -> list[Experiment]:
    """Each method with each seed. net: the name; architecture: the notation, if the name is not one of the paper's."""
    data = _data(options, net)
    images = f"-{data['train_images']}" if "train_images" in data else ""
    planned = []
    for method, values in methods.items():
        for seed in range(1, options.seeds + 1):
            name = f"{net}-{options.data}{images}-{_word(method)}-seed{seed}"
            keys = {"net": architecture or net, **data, **values, "seed": seed}
            planned.append(Experiment(name, net, method, seed, options.epochs, keys))
    return planned


def plan_from(options, net: str, sources: list[Experiment], **inherit) -> list[Experiment]:
    """A run from the last weights of each source. inherit: untie, freeze, reinit of `netsim.inheritance.settings`."""
    return [
        replace(
            source, name=source.name.replace(source.net, net, 1), net=net, epochs=options.epochs,
            values={key: value for key, value in source.values.items() if key != "net"},
            source=source, inherit=inherit,
        )
        for source in sources
    ]  # fmt: skip


def _word(method: str) -> str:
    return method.lower().replace(" ", "-").replace("%", "")


def _data(options, net: str) -> dict:
    """Keys of run.toml that say what is learned."""
    data: dict[str, object] = {"data": options.data}
    if options.data == "digits" and net.startswith("deep"):
        data = {"data": f"npz:{_enlarged_digits(options.runs)}", "batch": 50, "validation": 360}
    if options.data_dir:
        data["data_dir"] = options.data_dir
    images = options.images or (400 if options.quick and net.startswith("deep") else None)
    if images:
        data["train_images"] = images
    return data


def _enlarged_digits(folder: Path) -> Path:
    """The digits with every pixel doubled: the deep nets need maps of 16x16 pixels. Written once."""
    path = (folder / "digits-16x16.npz").absolute()
    if not path.exists():
        digits = datasets.load("digits").train
        folder.mkdir(parents=True, exist_ok=True)
        images = np.round(255 * digits.scale * digits.images).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
        np.savez_compressed(path, images=images, labels=digits.labels)
    return path


def train(options, experiments: list[Experiment]) -> list[Result]:
    """Make every experiment at least as long as asked, one a core, and read what it measured."""
    sources = [experiment.source for experiment in experiments if experiment.source]
    if sources:
        train(options, sources)
    missing = [experiment for experiment in experiments if _epochs_done(experiment, options) < experiment.epochs]
    workers = min(options.cores, len(missing))
    if workers <= 1:
        for experiment in missing:
            _train(experiment, options.runs, options.cores)
    else:
        # A new interpreter for each worker: the kernels' threads do not survive a fork.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            each = (missing, [options.runs] * len(missing), [options.cores // workers] * len(missing))
            list(pool.map(_train, *each))
    return [_read(experiment, options.runs) for experiment in experiments]


def _epochs_done(experiment: Experiment, options) -> int:
    """Epochs that the run has behind it. Raises `OptionError` if the folder holds another run."""
    path = options.runs / experiment.name
    if not (path / "run.toml").exists():
        return 0
    run = runs.find(path)
    stands = configuration.build(configuration.parse(run.configuration(), str(path)), str(path))
    asked = configuration.build(experiment.values)
    for key in experiment.values:
        if key != "data_dir" and getattr(stands, key) != getattr(asked, key):
            raise OptionError(
                f"{path} was trained with {key} {getattr(stands, key)!r}, not {getattr(asked, key)!r}: "
                "choose another --runs"
            )
    return len(run.metrics())


#: Whether this process was asked to stop: a worker then leaves the runs that still wait for it.
_asked_to_stop = False


def _train(experiment: Experiment, folder: Path, threads: int) -> None:
    """Begin the run, or go on with it, until it has its epochs; a line an epoch."""
    global _asked_to_stop
    if _asked_to_stop:
        raise KeyboardInterrupt
    path = folder / experiment.name
    if (path / "run.toml").exists():
        text = runs.find(path).configuration()
        values = {**configuration.parse(text), **experiment.values}
        if experiment.source:
            values["net"] = configuration.parse(text)["net"]
    elif experiment.source:
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
            _asked_to_stop = True
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
    return Result(experiment, records, seconds, path)


def whole(result: Result) -> Result:
    """The result with every epoch of its run, also those beyond what was asked: what its last weights have learned."""
    epochs = len(runs.find(result.path).metrics())
    return _read(replace(result.experiment, epochs=epochs), result.path.parent)


def by_method(results: list[Result]) -> dict[str, list[Result]]:
    """The results of all seeds, method by method."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.experiment.method, []).append(result)
    return groups


def caption(options, results: list[Result]) -> str:
    """Epochs, seeds, data and time of a figure."""
    facts = configuration.parse(runs.find(results[0].path).configuration())["resolved"]
    epochs = sorted({len(result.records) for result in results})
    seeds = "seed 1" if options.seeds == 1 else f"seeds 1 to {options.seeds}"
    data = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "digits": "Handwritten digits"}[options.data]
    note = f" ({options.note})" if options.note else ""
    seconds = sum(result.seconds for result in results)
    time = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return (
        f"{data}{note}: {facts['train']:,} images to learn, {facts['validation']:,} to validate. "
        f"{' or '.join(map(str, epochs))} epochs, {seeds}. "
        f"Training took {time} in all, summed over {len(results)} runs."
    )


def write(options, name: str, figure, results: list[Result], numbers: dict) -> None:
    """Write NAME.png and NAME.json, with the caption in both."""
    text = caption(options, results)
    wrapped = "\n".join(textwrap.wrap(text, int(13 * figure.get_figwidth())))
    figure.supxlabel(wrapped, fontsize="small")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / name
    figure.savefig(path.with_suffix(".png"), dpi=110, metadata={"Software": None})
    facts = [
        {
            "run": result.path.name,
            "method": result.experiment.method,
            "seed": result.experiment.seed,
            "epochs": len(result.records),
            "seconds": round(result.seconds, 2),
        }
        for result in results
    ]
    content = {"figure": name, "caption": text, "runs": facts, "numbers": numbers}
    path.with_suffix(".json").write_text(json.dumps(content, allow_nan=False, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}.png and {path}.json")


def run(main) -> None:
    """Call a demo's main; what is wrong is said in one line."""
    name = Path(sys.argv[0]).stem
    try:
        main()
    except NetsimError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print(f"{name}: stopped and saved; the same command goes on", file=sys.stderr)
        sys.exit(130)
