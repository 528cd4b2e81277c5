"""Inputs made of valid ones by mutation, and the promise: a result or a NetsimError of one line, within a second.

Each target is a hypothesis strategy and a function that feeds one input to netsim. The suite tries some hundred
inputs of each (tests/test_promises_fuzz.py), `tests/fuzz/campaign.py` as many as one likes, and
`tests/fuzz/with_atheris.py` lets coverage guide them. Command lines: `tests/fuzz/command_lines.py`.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import tomli_w
from fuzz import deep
from hypothesis import strategies as st

from netsim import architectures, components, configuration, notation, parameter_files
from netsim.errors import NetsimError

#: Longest that any input may take, in seconds of the processor (all threads together), so that a busy machine breaks
#: no promise of ours; the first call, which imports and compiles, is made before.
SECONDS = 1.0


@dataclass(frozen=True)
class Target:
    """`inputs`: strategy; `feed`: gives one input to netsim, returns a result or raises NetsimError.

    `examples`: some valid inputs, for kinds that are text or bytes. `made`: for other kinds, one from a generator.
    """

    inputs: st.SearchStrategy
    feed: Callable[[object], object]
    examples: tuple[str | bytes, ...] = ()
    made: Callable[[Random], object] | None = None


class Broken(AssertionError):
    """The promise does not hold for an input."""


def check(target: Target, value: object) -> str:
    """Feed `value`; return "result" or the name of the refusal. Raises `Broken`."""
    gc.disable()  # what the fuzzer keeps of thousands of inputs is collected between them, at its own expense
    began = time.process_time()
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
    finally:
        took = time.process_time() - began
        gc.enable()
    check.longest = max(check.longest, took)
    if took > SECONDS:
        raise Broken(f"{took:.2f} s for {value!r}")
    return outcome


#: Seconds that the slowest input took, of all that were checked in this process.
check.longest = 0.0


def mutated(valid: list[str], words: list[str]) -> st.SearchStrategy[str]:
    """Valid texts with pieces cut out, moved, swapped for words or for any characters; and texts of words, and any.

    The pieces come from a generator that hypothesis seeds: so an input costs one draw, and millions can be tried.
    """

    def character(random: Random) -> str:
        code = random.choice((random.randrange(128), random.randrange(0xD800), random.randrange(0xE000, 0x110000)))
        return chr(code)

    def piece(random: Random, text: str) -> str:
        kind = random.randrange(4)
        if kind == 0:
            return random.choice(words)
        if kind == 1:
            return "".join(character(random) for _ in range(random.randrange(7)))
        if kind == 2:
            return random.choice(("", "\0", "\n", "9" * 30, "-", "\r", "\ufeff", "'", '"'))
        start = random.randrange(len(text) + 1)
        return text[start : start + random.randrange(40)]

    def edited(seed: int) -> str:
        random = Random(seed)
        text = random.choice(valid)
        if random.randrange(3) == 0:  # another number: often still valid
            return "".join(
                random.choice("0123456789.") if c.isdigit() and not random.randrange(30) else c for c in text
            )
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(text) + 1)
            text = text[:at] + piece(random, text) + text[at + random.randrange(13) :]
        return text

    changed = st.integers(0, 2**64 - 1).map(edited)
    return st.one_of(
        changed, changed, st.text(max_size=60), st.lists(st.sampled_from(words), max_size=12).map(" ".join)
    )


def drawn(made: Callable[[Random], object]) -> st.SearchStrategy:
    """What `made` makes of a generator, by the seed."""
    return st.integers(0, 2**64 - 1).map(lambda seed: made(Random(seed)))


def half(these: st.SearchStrategy, those: st.SearchStrategy) -> st.SearchStrategy:
    """As many of these as of those; `one_of` would take the parts of each as alternatives of their own."""
    return st.booleans().flatmap(lambda first: these if first else those)


def toml(made: Callable[[Random], dict]) -> Callable[[Random], str]:
    """The text of a table."""
    return lambda random: tomli_w.dumps(made(random))


def examples(made: Callable[[Random], str], many: int = 100) -> list[str]:
    """Some texts, for a fuzzer that changes bytes."""
    return [made(Random(seed)) for seed in range(many)]


def split(words: str) -> list[str]:
    """The words of a text, for lists that are easier read as one."""
    return words.split()


# Notation

_LAYERS = split("conv untied maxpool drop full sum output stride conn. 32 5x5 3 .8 500 ; , x 0 -1 1e9 nan")
_WHOLE_LAYERS = ["conv 3 3x3", "untied 2 2x2", "maxpool 3", "maxpool 2, stride 1", "drop .5", "full 9", "sum", "x", ""]
_NETS = st.lists(st.sampled_from(_WHOLE_LAYERS), max_size=8).map(lambda layers: "; ".join([*layers, "output"]))
NOTATION = Target(
    st.one_of(mutated(list(architectures.ARCHITECTURES.values()), _LAYERS), _NETS),
    lambda text: _round_trip(architectures.resolve(text)),
    tuple(architectures.ARCHITECTURES.values()),
)


def _round_trip(specs: tuple) -> tuple:
    if notation.parse(notation.render(specs)) != specs:
        raise Broken(f"{specs!r} does not survive writing and reading")
    return specs


# Files. What is fed is bytes: text, and text with bytes that are no UTF-8.


def _bytes(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    def spliced(text: str, place: float, inserted: bytes) -> bytes:
        content = text.encode()
        at = int(place * len(content))
        return content[:at] + inserted + content[at:]

    return st.one_of(
        texts.map(str.encode), texts.map(str.encode), st.builds(spliced, texts, st.floats(0, 1), st.binary())
    )


def file_target(
    read: Callable[[str], object],
    valid: list[str],
    texts: st.SearchStrategy[str],
    path: Path,
    deeper: Callable[[Random], str] | None = None,
) -> Target:
    """Target that writes its input, made of `texts`, into the file `path` and has `read` read that.

    deeper : makes texts that are mostly right; half of the inputs are of these.
    """

    def feed(content: bytes) -> object:
        path.write_bytes(content)
        return read(str(path))

    inputs = _bytes(texts)
    if deeper is not None:
        inputs, valid = half(inputs, drawn(deeper).map(str.encode)), [*valid, *examples(deeper)]
    return Target(inputs, feed, tuple(text.encode() for text in valid))


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
    *split("= [ ] { } ' . # true nan -inf 1e999 0x1 1979-05-27"),
    '"""',
]


def read_run_toml(path: str) -> configuration.Configuration:
    built = configuration.build(configuration.read(path), "run.toml")
    if configuration.build(configuration.parse(built.to_toml())) != built:
        raise Broken(f"{built!r} does not survive writing and reading")
    return built


_LITERALS = st.one_of(
    st.sampled_from(split("1 0 -1 0.5 1.0 2 40 true false nan inf -inf 1e400 1e-400 [] {} '' 0x1F 1979-05-27")),
    st.sampled_from(split("'urfb' 'bp' 'softmax' 'simpnet' 'batch' ['conv1'] ['a',1] 99999999999999999999")),
    st.sampled_from(["0x" + "f" * 5000, "[0x" + "f" * 5000 + "]", "'" + "a" * 5000 + "'", "[" * 200 + "]" * 200]),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8).map(repr),
)


def _table(pairs: dict[str, str]) -> str:
    return "".join(f"{key} = {literal}\n" for key, literal in pairs.items())


#: Texts that are mostly valid TOML, with known keys and any values.
_TABLES = st.dictionaries(st.sampled_from(sorted(configuration.Configuration.model_fields)), _LITERALS, max_size=4)
_RUN_TOMLS = [_RUN_TOML, 'epochs = 3\nnet = "deepnet"\n']


def run_toml(folder: Path) -> Target:
    deeper = toml(deep.configuration)
    texts = st.one_of(mutated(_RUN_TOMLS, _TOML), _TABLES.map(_table))
    return file_target(read_run_toml, _RUN_TOMLS, texts, folder / "run.toml", deeper)


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=5),
    st.integers(min_value=10**20), st.lists(st.text(max_size=5), max_size=3), st.dates(),
    st.dictionaries(st.text(max_size=9), st.one_of(st.floats(), st.text(max_size=5)), max_size=2),
    st.sampled_from([16**5000, [16**5000], {"gate_leak": 16**5000}, {"run": "x", "sha256": "0" * 64}, b"x" * 5000]),
)  # fmt: skip
_KNOWN = st.sampled_from(sorted(configuration.Configuration.model_fields))
_VALUES = st.one_of(
    st.dictionaries(_KNOWN, _SCALARS, max_size=3),
    st.dictionaries(_KNOWN, _SCALARS, max_size=3),
    st.dictionaries(st.one_of(_KNOWN, st.text(max_size=12)), _SCALARS, max_size=6),
)
#: Values of any type from Python.
VALUES = Target(
    half(_VALUES, drawn(deep.configuration)),
    configuration.build,
    made=deep.configuration,
)

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
sparse:conv1R
num_epochs_sparse:100
name:input1
name:conv1R;num_filters:32;filter_size:(5,5);non_linearity:tanh;parent:input1
name:pool1;pool_size:(3,3);stride:(2,2);parent:conv1R
name:drop1;drop:0.8;parent:pool1
name:densp;num_units:500;non_linearity:tanh;parent:drop1
name:densf;num_units:10;parent:densp;final:final
"""
_KEYS = split(
    "name: ; parent: seed: drop: conv1 (3,3) ( ) [a,b] # True None 1e400 final:final concatsum1 sparse:conv1R"
)


def parameter_file(folder: Path) -> Target:
    texts = mutated([_PARAMETERS], _KEYS)
    return file_target(parameter_files.load, [_PARAMETERS], texts, folder / "parameters.txt")


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
    *split("= [ ] inf nan -1 1e308 0 true conv1 output full1 jitter skew feedback unit_delay tag_decay scale shape"),
    *split("'normal' 'uniform' 'wald' 'exponential' 'tau' 'batch' [jitter.feedback] [skew] [plasticity] '\\n'"),
    "0x" + "f" * 400, "9" * 400, "[" * 300, "{a=" * 300,
]  # fmt: skip


_POPULATIONS = ("conv1", "full1", "output")


def read_schedule(path: str) -> object:
    from netsim.events.schedule import Schedule

    schedule = Schedule.load(path)
    if Schedule.from_toml(schedule.to_toml()) != schedule:
        raise Broken(f"{schedule!r} does not survive writing and reading")
    return schedule.nominal(_POPULATIONS), schedule.slack(_POPULATIONS, _POPULATIONS)


_FIELDS = split(
    "unit layer_delay settling plasticity_delay forward_phase feedback_phase weights replacement plasticity_lag"
    " tag_decay plasticity_follows feedback_first overlap feedforward feedback plasticity skew jitter unit_delay"
    " forward_extension feedback_extension"
)
_LAYERS_AND_MORE = st.one_of(st.sampled_from(split("conv1 full1 output")), st.text(max_size=6).map(json.dumps))
_TIMES_OF_LAYERS = st.dictionaries(_LAYERS_AND_MORE, _LITERALS, max_size=3)
_DRAW = st.dictionaries(
    st.sampled_from(split("distribution scale shape absolute maximum")),
    st.one_of(_LITERALS, st.sampled_from(split("'normal' 'uniform' 'wald' 'exponential' 1.0 0.5 true"))),
    max_size=5,
)


def _inline(pairs: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + "}"


#: Texts that are mostly valid TOML: known entries with numbers, names, tables of times, distributions.
_ENTRIES = st.dictionaries(
    st.sampled_from(_FIELDS), st.one_of(_LITERALS, _TIMES_OF_LAYERS.map(_inline), _DRAW.map(_inline)), max_size=4
)


def schedule(folder: Path) -> Target:
    deeper = toml(deep.schedule(_POPULATIONS))
    texts = st.one_of(mutated([_SCHEDULE, "layer_delay = 2.0\n"], _TIMES), _ENTRIES.map(_table))
    return file_target(read_schedule, [_SCHEDULE], texts, folder / "schedule.toml", deeper)


# Calibrations of circuits: JSON

_CALIBRATION = json.dumps(
    {"gate_width": 0.1, "gate_bias": -0.1, "gate_spread": 0.05, "gate_leak": 0.01, "error_noise": 0.1}
)
_JSON = [
    *split('{ } [ ] , : null true 1e400 -1 NaN Infinity "format" "version"'),
    "9" * 5000,
    "[" * 3000,
    '{"a":' * 300,
]


def read_components(path: str) -> components.Components:
    read = components.Components.from_json(path)
    if components.Components.from_json(dataclasses.asdict(read)) != read:
        raise Broken(f"{read!r} is not what run.toml gives back")
    return read


def calibration(folder: Path) -> Target:
    valid = [_CALIBRATION, json.dumps({"format": components.FORMAT, "version": components.VERSION})]
    names = st.sampled_from([field.name for field in dataclasses.fields(components.Components)])
    numbers = st.dictionaries(names, st.one_of(st.floats(0, 1), st.floats(), st.integers()), max_size=3)

    def deeper(random: Random) -> str:
        return json.dumps(deep.calibration(random), default=str)

    texts = st.one_of(mutated(valid, _JSON), numbers.map(json.dumps))
    return file_target(read_components, valid, texts, folder / "circuits.json", deeper)
