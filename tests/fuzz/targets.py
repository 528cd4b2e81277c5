"""Inputs made of valid ones by mutation, and the promise: a result or a NetsimError of one line, within a second.

Each target is a hypothesis strategy and a function that feeds one input to netsim. The suite tries some hundred
inputs of each (tests/test_promises_fuzz.py), `tests/fuzz/campaign.py` as many as one likes.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from netsim import architectures, configuration, notation, parameter_files
from netsim.cli.train import OPTION_NAMES
from netsim.errors import NetsimError

#: Longest that any input may take, in seconds of the processor, so that a busy machine breaks no promise of ours;
#: the first call, which imports and compiles, is made before.
SECONDS = 1.0


@dataclass(frozen=True)
class Target:
    """`inputs`: strategy; `feed`: gives one input to netsim, returns a result or raises NetsimError."""

    inputs: st.SearchStrategy
    feed: Callable[[object], object]


class Broken(AssertionError):
    """The promise does not hold for an input."""


def check(target: Target, value: object) -> str:
    """Feed `value`; return "result" or the name of the refusal. Raises `Broken`."""
    began = time.thread_time()
    try:
        target.feed(value)
        outcome = "result"
    except NetsimError as error:
        message = str(error)
        outcome = type(error).__name__
        if "\n" in message or not message or len(message) > 2_000:
            raise Broken(f"not one line: {message!r} for {value!r}") from error
    except Exception as error:
        raise Broken(f"{type(error).__name__}: {error} for {value!r}") from error
    took = time.thread_time() - began
    if took > SECONDS:
        raise Broken(f"{took:.2f} s for {value!r}")
    return outcome


def mutated(valid: list[str], words: list[str]) -> st.SearchStrategy[str]:
    """Valid texts with pieces cut out, doubled, swapped for words, or for any characters."""
    piece = st.one_of(st.sampled_from(words), st.text(max_size=6), st.sampled_from(["", "\0", "\n", "9" * 30, "-"]))
    edit = st.tuples(st.floats(0, 1), st.integers(0, 12), piece)

    def apply(text: str, edits: list[tuple[float, int, str]]) -> str:
        for place, length, new in edits:
            at = int(place * len(text))
            text = text[:at] + new + text[at + length :]
        return text

    changed = st.builds(apply, st.sampled_from(valid), st.lists(edit, min_size=1, max_size=4))
    return st.one_of(changed, st.text(max_size=60), st.lists(st.sampled_from(words), max_size=12).map(" ".join))


def _split(words: str) -> list[str]:
    return words.split()


# Notation

_LAYERS = _split("conv untied maxpool drop full sum output stride conn. 32 5x5 3 .8 500 ; , x 0 -1 1e9 nan")
_WHOLE_LAYERS = ["conv 3 3x3", "untied 2 2x2", "maxpool 3", "maxpool 2, stride 1", "drop .5", "full 9", "sum", "x", ""]
_NETS = st.lists(st.sampled_from(_WHOLE_LAYERS), max_size=8).map(lambda layers: "; ".join([*layers, "output"]))
NOTATION = Target(
    st.one_of(mutated(list(architectures.ARCHITECTURES.values()), _LAYERS), _NETS),
    lambda text: _round_trip(architectures.resolve(text)),
)


def _round_trip(specs: tuple) -> tuple:
    if notation.parse(notation.render(specs)) != specs:
        raise Broken(f"{specs!r} does not survive writing and reading")
    return specs


# run.toml

_RUN_TOML = """\
net = "conv 32 5x5; maxpool 3; drop .8; full 500; drop .3; output"
name = "simpnet"
data = "digits"
validation = 360
batch = 50
epochs = 40
seed = 0
protocol = "urfb"
loss = "hinge"
step_size = 0.1
feedback_rate = 0.5
decay = 0.0
drop = "sample"
connectivity = 1.0
thin_output = false
symmetric = true
slope = 1.0
frozen = ["conv1"]
threads = 2

[resolved]
train = 1437
input_shape = [8, 8, 1]

[versions]
netsim = "0.1.0"
"""
_TOML = [
    *configuration.Configuration.model_fields,
    *_split("= [ ] { } ' . # true nan -inf 1e999 0x1 1979-05-27"),
    '"""',
]


def read_run_toml(text: str) -> configuration.Configuration:
    built = configuration.build(configuration.parse(text.encode("utf-8", "surrogateescape"), "run.toml"), "run.toml")
    again = configuration.build(configuration.parse(built.to_toml()))
    if again != built:
        raise Broken(f"{text!r} does not survive writing and reading")
    return built


_LITERALS = st.one_of(
    st.sampled_from(_split("1 0 -1 0.5 1.0 2 40 true false nan inf -inf 1e400 1e-400 [] {} '' 0x1F 1979-05-27")),
    st.sampled_from(_split("'urfb' 'bp' 'softmax' 'simpnet' 'batch' ['conv1'] ['a',1] 99999999999999999999")),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8).map(repr),
)


def _table(pairs: dict[str, str]) -> str:
    return "".join(f"{key} = {literal}\n" for key, literal in pairs.items())


#: Texts that are mostly valid TOML, with known keys and any values.
_TABLES = st.dictionaries(st.sampled_from(sorted(configuration.Configuration.model_fields)), _LITERALS, max_size=4)
RUN_TOML = Target(
    st.one_of(mutated([_RUN_TOML, 'epochs = 3\nnet = "deepnet"\n'], _TOML), _TABLES.map(_table)), read_run_toml
)

_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=5),
    st.integers(min_value=10**20), st.lists(st.text(max_size=5), max_size=3), st.dates(),
)  # fmt: skip
_KNOWN = st.sampled_from(sorted(configuration.Configuration.model_fields))
_VALUES = st.one_of(
    st.dictionaries(_KNOWN, _SCALARS, max_size=3),
    st.dictionaries(_KNOWN, _SCALARS, max_size=3),
    st.dictionaries(st.one_of(_KNOWN, st.text(max_size=12)), _SCALARS, max_size=6),
)
#: Values of any type from Python.
VALUES = Target(_VALUES, configuration.build)

# The author's parameter files

_PARAMETERS = """\
seed:45239
num_epochs:1000
data_set:cifar10
batch_size:500
step_size:.1
off_class_fac:1.
hinge:True
force_global_prob:(1.,1.)
nonlin_scale:.5
name:input1
name:conv1R;num_filters:32;filter_size:(5,5);non_linearity:tanh;parent:input1
name:pool1;pool_size:(3,3);stride:(2,2);parent:conv1R
name:drop1;drop:0.8;parent:pool1
name:densp;num_units:500;non_linearity:tanh;parent:drop1
name:densf;num_units:10;parent:densp;final:final
"""
_KEYS = _split(
    "name: ; parent: seed: drop: conv1 (3,3) ( ) [a,b] # True None 1e400 final:final concatsum1 sparse:conv1R"
)
PARAMETER_FILE = Target(mutated([_PARAMETERS], _KEYS), parameter_files.read)

# Schedules of event times

_SCHEDULE = """\
unit = "ms"
layer_delay = 1.0
settling = 0.5
plasticity_delay = 0.5
forward_phase = 14.0
feedback_phase = 15.0
weights = "online"
replacement = 0.8
tag_decay = 20.0
overlap = true
[feedforward]
conv1 = 1.0
[jitter]
distribution = "normal"
scale = 0.5
[forward_extension]
distribution = "wald"
scale = 2.0
shape = 1.0
"""
_TIMES = [
    *_split("= [ ] inf nan -1 1e308 0 true conv1 output full1 jitter skew feedback unit_delay tag_decay scale shape"),
    *_split("'normal' 'uniform' 'wald' 'exponential' 'tau' 'batch' [jitter.feedback] [skew] [plasticity]"),
]


def read_schedule(text: str) -> object:
    from netsim.events.schedule import Schedule

    schedule = Schedule.from_toml(text)
    if Schedule.from_toml(schedule.to_toml()) != schedule:
        raise Broken(f"{text!r} does not survive writing and reading")
    return schedule.nominal(("conv1", "full1", "output"))


SCHEDULE = Target(mutated([_SCHEDULE, "layer_delay = 2.0\n"], _TIMES), read_schedule)

# The command line

_NUMBERS = st.one_of(
    st.integers(-3, 70).map(str), st.integers().map(str), st.floats().map(str),
    st.sampled_from(["nan", "inf", "-inf", "1e400", "0x10", "1_0", "९", "9" * 5000, "", " ", "-0", "1/3"]),
    st.text(max_size=8),
)  # fmt: skip
_WORDS = st.one_of(
    st.sampled_from(_split("urfb frfb bp hinge softmax sample batch off digits conv1 full1 simpnet sum output npz:")),
    st.text(max_size=12),
    st.sampled_from(["\0", "../..", "/", "~", "-", "--", "a" * 3000, "npz:/etc/passwd", "conv1,conv1", "\udc80"]),
)
_OPTIONS = sorted(set(OPTION_NAMES.values()) - {"NET"})
_OPTION = st.tuples(st.sampled_from(_OPTIONS), st.one_of(_NUMBERS, _WORDS), st.booleans())


def _spelled(options: list[tuple[str, str, bool]], free: list[str]) -> list[str]:
    arguments = []
    for name, value, joined in options:
        arguments += [f"{name}={value}"] if joined else [name, value]
    return arguments + free


COMMAND_LINES = st.builds(_spelled, st.lists(_OPTION, max_size=4), st.lists(st.one_of(_WORDS, _NUMBERS), max_size=1))


def command_line_target(data: str, folder: Path) -> Target:
    """Target that runs `netsim train` in-process on small data, with the training itself left out.

    Everything up to the first batch is real: options, data, net, trainer, run folder.
    """
    from netsim import training
    from netsim.cli import run

    ordinal = iter(range(10**9))

    def nothing_learned(prepared, run, on_event, stop):
        return training.Outcome(True, [], [])

    def feed(arguments: list[str]) -> str:
        out = folder / f"run{next(ordinal)}"
        # What is ours comes last, so that it wins; an option left without a value at the end takes --quiet.
        ours = ["--quiet", f"--data={data}", f"--out={out}"]
        given = ["train", "--net=full 3; output", *arguments, *ours]
        stdout, stderr = io.StringIO(), io.StringIO()
        real, training.train = training.train, nothing_learned
        try:
            with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
                status = run(given)
        finally:
            training.train = real
        message = stderr.getvalue()
        if status == 0 and not (out / "run.toml").exists() and "--help" not in arguments:
            raise Broken(f"status 0 and no run: {arguments!r}")
        if status != 0:
            if status != 2 or not message.startswith("netsim: error: ") or message.count("\n") != 1:
                raise Broken(f"status {status}, {message!r}: {arguments!r}")
            if os.path.lexists(out):
                raise Broken(f"refused, and yet a folder was made: {arguments!r}")
            raise NetsimError(message.rstrip("\n"))
        return stdout.getvalue()

    return Target(COMMAND_LINES, feed)
