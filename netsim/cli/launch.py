"""What `netsim train` does with its options: a configuration, a run folder, training, and what the user sees of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.errors import OptionError

if TYPE_CHECKING:
    from netsim.configuration import Configuration
    from netsim.preparation import Prepared

#: Key of a configuration -> what the user typed.
OPTION_NAMES = {
    "net": "NET", "data": "--data", "data_dir": "--data-dir", "validation": "--validation",
    "train_images": "--train-images", "protocol": "--protocol", "loss": "--loss", "epochs": "--epochs",
    "batch": "--batch", "step_size": "--step-size", "mu": "--mu", "feedback_rate": "--feedback-rate",
    "decay": "--decay", "drop": "--drop", "connectivity": "--connectivity", "thin_output": "--thin-output",
    "feedback_through": "--feedback-through", "untied_feedback": "--untied-feedback",
    "feedback_input": "--feedback-input", "feedback_clip": "--feedback-clip", "pool_anchor": "--pool-anchor",
    "pool_ties": "--pool-ties", "untied_start": "--untied-start",
    "symmetric": "--symmetric-init", "slope": "--slope", "frozen": "--freeze", "circuits": "--circuits",
    "schedule": "--schedule", "stream": "--stream", "engine": "--engine", "streams": "--streams",
    "source": "--from", "seed": "--seed", "threads": "--threads", "device": "--device",
}  # fmt: skip


def split(names: str) -> list[str]:
    """``conv1, conv2`` as names."""
    return [name.strip() for name in names.split(",") if name.strip()]


def start(given: dict, preset: str | None, inherited: dict, out: str | None, config: Path | None, quiet: bool) -> int:
    """Begin a run and train it; the exit status.

    given : keys of a configuration that were typed. inherited : run, checkpoint, untie, reinit of --from. The options
    of --config, of a preset, of a parameter file, and those typed follow one another; a later one overrides.
    """
    from netsim import configuration, inheritance, presets, runs

    if out == "":
        raise OptionError("--out is empty: expected the folder of the run")
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
    prepared = _prepare(configuration.build(values, names=OPTION_NAMES))
    c = prepared.configuration
    if c.source is not None:  # what is wrong with it is told before a folder is made
        inheritance.inherit(prepared.network, c.source, c.protocol)
    path = runs.new_path(c.run_name) if out is None else out
    with runs.create(path, c.to_toml()) as run:
        return _train(prepared, run, quiet, notices, phase)


def _prepare(configuration: Configuration) -> Prepared:
    """What trains; an option that does not fit net or data is told by the name that a user types."""
    from netsim import preparation

    try:
        return preparation.prepare(configuration)
    except OptionError as error:
        raise error.renamed(OPTION_NAMES) from None


def _inherited(given: dict, inherited: dict, config: Path | None) -> dict:
    """Values of a run that starts from another: its options, the net with layers untied. Layers go by its names."""
    from netsim import inheritance

    for name, there in (("NET", "net" in given), ("--config", config is not None)):
        if there:
            raise OptionError(f"{name} cannot go with --from: net and options are those of that run")
    layers = {key: split(inherited[key]) for key in ("untie", "reinit") if key in inherited}
    for key, names in layers.items():
        if not names:
            raise OptionError(f"--{key} names no layer")
    values = inheritance.settings(
        inherited["run"], inherited.get("checkpoint", "best"), freeze=given.pop("frozen", ()), **layers
    )
    if "protocol" in given:  # the rate was that of the other protocol
        values.pop("feedback_rate", None)
    return values


def resume(path: Path, given: dict, unfit: list[str], out: str | None, config: Path | None, quiet: bool) -> int:
    """Go on with a run; the exit status. unfit : options typed that cannot go with --resume; `given` may hold more."""
    from netsim import configuration, runs

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
        done = run.epochs_done()
        if asked.epochs < done:
            raise OptionError(f"--epochs is {asked.epochs}, but {run.path} has done {done} epochs already")
        prepared = _prepare(asked)
        if any(getattr(asked, key) != getattr(old, key) for key in ("epochs", "device", "data_dir")):
            # The tables of information stay those that the run began with.
            kept = {"resolved": old.resolved, "versions": old.versions}
            run.write_configuration(prepared.configuration.model_copy(update=kept).to_toml())
        return _train(prepared, run, quiet)


def _train(prepared, run, quiet: bool, notices=(), phase: dict | None = None) -> int:
    from netsim import progress, training
    from netsim.processes import stop_on_signals
    from netsim.training_events import Notice

    c = prepared.configuration
    notices = (*notices, *prepared.device.notices(c, prepared.network.input_shape, prepared.network.classes))
    if c.schedule is not None and prepared.device.name == "cpu" and not quiet:
        from netsim.events.engines import compiling

        notices = (*notices, *filter(None, [compiling(c.engine)]))
    if phase:
        later = f"{_second_phase(run.path, phase)}   # the file's untied phase"
        notices = (*notices, f"then, for the untied phase: {later.partition('   #')[0]}")
    show = progress.watcher(prepared, quiet)
    with stop_on_signals() as stop, show:
        for notice in notices:
            show(Notice(notice))
        outcome = training.train(prepared, run, show, stop)
    progress.summary(prepared, run, outcome, quiet)
    if outcome.finished:
        if phase and not quiet:
            print(f"  {later}")
        return 0
    command = f"netsim train --resume {progress.quoted(run.path)}"
    print(f"stopped and saved; go on with: {command}", file=sys.stderr)
    return 130


def components(path: Path) -> dict[str, float]:
    """What a file of calibrated circuits says, as run.toml keeps it: so the run no longer needs the file."""
    from dataclasses import asdict

    from netsim.components import Components

    return asdict(Components.from_json(path))


def schedule(name: str) -> str:
    """A schedule as run.toml keeps it: the name of a preset, or the text of a file, which is then no longer needed."""
    from netsim.events.presets import as_text

    return as_text(name)


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
