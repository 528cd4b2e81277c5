"""`netsim train`: options to a configuration, a run folder, training, and what the user sees of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from netsim.errors import OptionError

Net = Annotated[
    str | None,
    typer.Argument(
        metavar="NET",
        help="simpnet, deepnet, deepernet, deepnet_s, notation such as 'conv 32 5x5; maxpool 3; output', "
        "or an author's parameter file (.txt).",
        show_default=False,
    ),
]


def _option(*names: str, help: str, metavar: str | None = None, panel: str | None = None):
    return typer.Option(*names, help=help, metavar=metavar, show_default=False, rich_help_panel=panel)


_DATA, _LEARN, _RUN, _FROM = "Data", "Learning", "Run", "From another run"
_VARIANTS = "Differences of the author's code"


def train(
    net: Net = None,
    net_option: Annotated[str | None, _option("--net", help="The same as NET.", metavar="NET")] = None,
    data: Annotated[
        str | None,
        _option(
            "--data",
            metavar="NAME",
            panel=_DATA,
            help="digits (default), cifar10, cifar100, mnist, fashion-mnist, npz:PATH.",
        ),
    ] = None,
    data_dir: Annotated[
        str | None, _option("--data-dir", metavar="DIR", panel=_DATA, help="Where the data files lie.")
    ] = None,
    validation: Annotated[
        int | None,
        _option("--validation", metavar="N", panel=_DATA, help="Images set aside: 5000, or a tenth; digits 360."),
    ] = None,
    train_images: Annotated[
        int | None, _option("--train-images", metavar="N", panel=_DATA, help="Learn from at most so many.")
    ] = None,
    protocol: Annotated[
        str | None,
        _option(
            "--protocol", metavar="P", panel=_LEARN, help="urfb (default), frfb, bp, kolen-pollack, sign-symmetry, dfa."
        ),
    ] = None,
    loss: Annotated[
        str | None, _option("--loss", metavar="L", panel=_LEARN, help="hinge (default) or softmax.")
    ] = None,
    epochs: Annotated[
        int | None, _option("--epochs", metavar="N", panel=_LEARN, help="Epochs in all: 40.")
    ] = None,
    batch: Annotated[
        int | None, _option("--batch", metavar="N", panel=_LEARN, help="Images a batch: 500; digits 50.")
    ] = None,
    step_size: Annotated[
        float | None, _option("--step-size", metavar="ETA", panel=_LEARN, help="Step size: 0.1.")
    ] = None,
    mu: Annotated[
        float | None,
        _option("--mu", metavar="MU", panel=_LEARN, help="Off-class factor: 1/(classes - 1)."),
    ] = None,
    feedback_rate: Annotated[
        float | None,
        _option(
            "--feedback-rate",
            metavar="EPS",
            panel=_LEARN,
            help="Rate of R's update under urfb, in 0..1 (equation 7): 1.",
        ),
    ] = None,
    decay: Annotated[
        float | None,
        _option("--decay", metavar="LAMBDA", panel=_LEARN, help="Weight decay on W and R: 0; kolen-pollack 0.01."),
    ] = None,
    drop: Annotated[
        str | None,
        _option("--drop", metavar="D", panel=_LEARN, help="A mask a sample (default) or batch, or off."),
    ] = None,
    connectivity: Annotated[
        float | None,
        _option("--connectivity", metavar="C", panel=_LEARN, help="Share of connections kept: 1."),
    ] = None,
    thin_output: Annotated[
        bool | None,
        _option("--thin-output/--no-thin-output", panel=_LEARN, help="Thin the output layer's connections, too."),
    ] = None,
    symmetric: Annotated[
        bool | None, _option("--symmetric-init/--no-symmetric-init", panel=_LEARN, help="Start with R = W.")
    ] = None,
    slope: Annotated[
        float | None, _option("--slope", metavar="S", panel=_LEARN, help="Slope of sigma: 1.")
    ] = None,
    preset: Annotated[
        str | None,
        _option("--preset", metavar="NAME", panel=_VARIANTS, help="All of these: paper (the text), or author."),
    ] = None,
    feedback_through: Annotated[
        str | None,
        _option("--feedback-through", metavar="R", panel=_VARIANTS, help="Signals pass R as it was (old), or updated."),
    ] = None,
    untied_feedback: Annotated[
        str | None,
        _option("--untied-feedback", metavar="R", panel=_VARIANTS, help="R of untied layers: current, or epoch."),
    ] = None,
    feedback_input: Annotated[
        str | None,
        _option("--feedback-input", metavar="X", panel=_VARIANTS, help="R learns from x, or from its positive part."),
    ] = None,
    feedback_clip: Annotated[
        float | None,
        _option("--feedback-clip", metavar="S", panel=_VARIANTS, help="Signals become clip(S u, -1, 1): none."),
    ] = None,
    pool_anchor: Annotated[
        str | None, _option("--pool-anchor", metavar="A", panel=_VARIANTS, help="Pool windows: center, or corner.")
    ] = None,
    pool_ties: Annotated[
        str | None,
        _option("--pool-ties", metavar="T", panel=_VARIANTS, help="Feedback of a pool: to the first maximum, or all."),
    ] = None,
    frozen: Annotated[
        str | None,
        _option("--freeze", metavar="LAYERS", panel=_LEARN, help="Layers that do not learn: conv1,conv2."),
    ] = None,
    circuits: Annotated[
        Path | None,
        _option(
            "--circuits", metavar="FILE", panel=_LEARN, help="Imperfect circuits: JSON that netsim circuit calibrated."
        ),
    ] = None,
    seed: Annotated[
        int | None, _option("--seed", metavar="N", panel=_RUN, help="Seed of weights, order and dropout: 0.")
    ] = None,
    threads: Annotated[
        int | None,
        _option("--threads", metavar="N", panel=_RUN, help="All cores. Changes no bit of the result."),
    ] = None,
    device: Annotated[
        str | None, _option("--device", metavar="D", panel=_RUN, help="cpu (default), cuda, or auto: a GPU if usable.")
    ] = None,
    out: Annotated[
        Path | None,
        _option("--out", metavar="DIR", panel=_RUN, help="Run folder: runs/NET-DATA-PROTOCOL-seedN."),
    ] = None,
    source: Annotated[
        Path | None,
        _option("--from", metavar="RUN", panel=_FROM, help="Start from that run's weights, with its net and options."),
    ] = None,
    checkpoint: Annotated[
        str | None, _option("--checkpoint", metavar="C", panel=_FROM, help="Its best (default) or last weights.")
    ] = None,
    untie: Annotated[
        str | None,
        _option("--untie", metavar="LAYERS", panel=_FROM, help="Tied filters become untied copies: conv2,.. or all."),
    ] = None,
    reinit: Annotated[
        str | None,
        _option("--reinit", metavar="LAYERS", panel=_FROM, help="Drawn anew: names, all, rest (not untied, frozen)."),
    ] = None,
    resume: Annotated[
        Path | None,
        _option("--resume", metavar="RUN", panel=_RUN, help="Go on with a run; --epochs makes it longer."),
    ] = None,
    config: Annotated[
        Path | None,
        _option("--config", metavar="FILE", panel=_RUN, help="Options from a run.toml; others override."),
    ] = None,
    quiet: Annotated[
        bool, _option("--quiet", "-q", panel=_RUN, help="Print the path of the run folder only.")
    ] = False,
) -> None:
    """Train a net; without arguments simpnet with URFB on handwritten digits.

    The run folder gets the configuration, the metrics of every epoch, checkpoints and curves. Ctrl-C finishes
    the batch and saves; --resume goes on, bit for bit.
    """
    given = {key: value for key, value in locals().items() if key in OPTION_NAMES and value is not None}
    if net is not None and net_option is not None:
        raise OptionError("the net is given twice: as NET and as --net")
    if net_option is not None:
        given["net"] = net_option
    given.pop("source", None)
    if frozen is not None:
        given["frozen"] = _split(frozen)
    if circuits is not None:
        given["circuits"] = _components(circuits)
    inherited = {"checkpoint": checkpoint, "untie": untie, "reinit": reinit}
    inherited = {key: value for key, value in inherited.items() if value is not None}
    if source is not None:
        inherited["run"] = source
    elif inherited:
        raise OptionError(f"--{next(iter(inherited))} goes with --from RUN, the run to start from")
    if resume is None:
        status = _start(given, preset, inherited, out, config, quiet)
    else:
        unfit = [name for name, there in (("--preset", preset), ("--from", source)) if there is not None]
        status = _resume(resume, given, unfit, out, config, quiet)
    if status:
        raise typer.Exit(status)


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _start(given: dict, preset: str | None, inherited: dict, out: Path | None, config: Path | None, quiet: bool) -> int:
    from netsim import configuration, inheritance, preparation, presets, runs

    values, notices, phase = {}, (), {}
    if inherited:
        values = _inherited(given, inherited, config)
    elif config is not None:
        values = configuration.read(config)
        for information in ("resolved", "versions"):
            values.pop(information, None)
        configuration.build(values, str(config))
    if preset is not None:
        values.update(presets.preset(preset))
    if "net" in given:
        for belongs_to_another in ("name", "source"):
            values.pop(belongs_to_another, None)
        if _is_parameter_file(given["net"]):
            options, notices, phase = _parameter_file(given["net"])
            if preset is None:
                notices = (*notices, "the paper's step, with the file's options: --preset author is that of its code")
            values, given = {**values, **options}, {k: v for k, v in given.items() if k != "net"}
    values = configuration.absolute_paths({**values, **given})
    prepared = preparation.prepare(configuration.build(values, names=OPTION_NAMES))
    if prepared.configuration.source is not None:  # what is wrong with it is told before a folder is made
        inheritance.inherit(prepared.network, prepared.configuration.source)
    path = runs.new_path(prepared.configuration.run_name) if out is None else out
    with runs.create(path, prepared.configuration.to_toml()) as run:
        return _train(prepared, run, quiet, notices, phase)


def _inherited(given: dict, inherited: dict, config: Path | None) -> dict:
    """Values of a run that starts from another: its options, the net with layers untied. Layers go by its names."""
    from netsim import inheritance

    for name, there in (("NET", "net" in given), ("--config", config is not None)):
        if there:
            raise OptionError(f"{name} cannot go with --from: net and options are those of that run")
    layers = {key: _split(inherited[key]) for key in ("untie", "reinit") if key in inherited}
    for key, names in layers.items():
        if not names:
            raise OptionError(f"--{key} names no layer")
    return inheritance.settings(
        inherited["run"], inherited.get("checkpoint", "best"), freeze=given.pop("frozen", ()), **layers
    )


def _resume(
    path: Path, given: dict, unfit: list[str], out: Path | None, config: Path | None, quiet: bool
) -> int:
    from netsim import configuration, preparation, runs

    fixed = sorted(set(given) - {"epochs", "threads", "device", "data_dir"})
    named = [*unfit, *["--out"] * (out is not None), *["--config"] * (config is not None)]
    named += [OPTION_NAMES.get(key, key) for key in fixed]
    if named:
        raise OptionError(f"{named[0]} cannot go with --resume; only --epochs, --threads, --device, --data-dir can")
    with runs.find(path).lock() as run:
        source = str(run.configuration_path)
        values = configuration.parse(run.configuration(), source)
        old = configuration.build(values, source)
        values.update(configuration.absolute_paths(given))
        asked = configuration.build(values, source, names=OPTION_NAMES)
        done = len(run.metrics())
        if asked.epochs < done:
            raise OptionError(f"--epochs is {asked.epochs}, but {run.path} has done {done} epochs already")
        prepared = preparation.prepare(asked)
        if any(getattr(asked, key) != getattr(old, key) for key in ("epochs", "device", "data_dir")):
            # The tables of information stay those that the run began with.
            kept = {"resolved": old.resolved, "versions": old.versions}
            run.write_configuration(prepared.configuration.model_copy(update=kept).to_toml())
        return _train(prepared, run, quiet)


def _train(prepared, run, quiet: bool, notices=(), phase: dict | None = None) -> int:
    from netsim import progress, training
    from netsim.training_events import Notice

    c = prepared.configuration
    notices = (*notices, *prepared.device.notices(c, prepared.network.input_shape, prepared.network.classes))
    if phase:
        later = f"{_second_phase(run.path, phase)}   # the file's untied phase"
        notices = (*notices, f"then, for the untied phase: {later.partition('   #')[0]}")
    show = progress.watcher(prepared, quiet)
    with stop_on_signals() as stop, show:
        for notice in notices:
            show(Notice(notice))
        outcome = training.train(prepared, run, show, stop)
    progress.summary(prepared.configuration, run, outcome, quiet)
    if outcome.finished:
        if phase and not quiet:
            print(f"  {later}")
        return 0
    command = f"netsim train --resume {progress.quoted(run.path)}"
    print(f"stopped and saved; go on with: {command}", file=sys.stderr)
    return 130


@contextmanager
def stop_on_signals() -> Iterator:
    """While open, Ctrl-C and SIGTERM set a flag, read by calling what is yielded; a second one interrupts at
    once.
    """
    asked = False

    def ask(number, frame):
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _components(path: Path) -> dict[str, float]:
    """What a file of calibrated circuits says, as run.toml keeps it: so the run no longer needs the file."""
    from dataclasses import asdict

    from netsim.components import Components

    return asdict(Components.from_json(path))


def _is_parameter_file(net: str) -> bool:
    return net.endswith(".txt") and "\n" not in net and "\0" not in net


def _parameter_file(path: str) -> tuple[dict, tuple[str, ...], dict]:
    """Options of an author's parameter file, what is to be said about it, and the options of its untied phase."""
    from netsim import notation, parameter_files

    content = parameter_files.load(path)
    options = dict(content.options)
    phase = options.pop("untied_phase", {})
    stem = "".join(c if c.isalnum() or c in "._+-" else "_" for c in Path(path).stem)[:60]
    options.update(net=notation.render(content.specs), name=stem or None)
    warnings = tuple(line for line in content.warnings if not (phase and line.startswith("the untied phase")))
    return {key: value for key, value in options.items() if value is not None}, warnings, phase


def _second_phase(run: Path, phase: dict) -> str:
    """The command for a parameter file's untied phase, a run that starts from the last weights of ``run``."""
    from netsim import progress

    names = {**OPTION_NAMES, "untie": "--untie", "freeze": "--freeze", "reinit": "--reinit"}
    words = []
    for key, value in phase.items():
        text = ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
        words += [names[key], text] if text else []
    return " ".join(["netsim train --from", progress.quoted(run), "--checkpoint last", *words])


#: Key of a configuration -> what the user typed.
OPTION_NAMES = {
    "net": "NET", "data": "--data", "data_dir": "--data-dir", "validation": "--validation",
    "train_images": "--train-images", "protocol": "--protocol", "loss": "--loss", "epochs": "--epochs",
    "batch": "--batch", "step_size": "--step-size", "mu": "--mu", "feedback_rate": "--feedback-rate",
    "decay": "--decay", "drop": "--drop", "connectivity": "--connectivity", "thin_output": "--thin-output",
    "feedback_through": "--feedback-through", "untied_feedback": "--untied-feedback",
    "feedback_input": "--feedback-input", "feedback_clip": "--feedback-clip", "pool_anchor": "--pool-anchor",
    "pool_ties": "--pool-ties",
    "symmetric": "--symmetric-init", "slope": "--slope", "frozen": "--freeze", "circuits": "--circuits",
    "source": "--from", "seed": "--seed", "threads": "--threads", "device": "--device",
}  # fmt: skip
