"""Inputs that get far: files and command lines whose syntax is right, with values of the right kind, most of them in
range, many at its very edge, now and then one that is odd.

Each is made from a generator of random numbers. Hypothesis seeds it, so an input costs one draw and many can be tried;
atheris plays it from the bytes that it changes (`Tape`), so coverage guides what is drawn.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random

import tomli_w

from netsim import architectures, components, presets, protocols
from netsim.cli.launch import OPTION_NAMES
from netsim.events.distributions import CODES

Maker = Callable[[Random], object]

#: What no key expects, of every type that TOML has.
ODD = [
    True, False, "", "x", "\0", "two\nlines", "\N{ARABIC-INDIC DIGIT NINE}", "9" * 5000, -1, 0, 2**31, 2**63, 2**64,
    10**400, math.nan, math.inf, -math.inf, -0.0, 1e308, [], {}, [[]], ["conv1", 1], {"a": 1}, {"": ""}, {"conv1": []},
    [{"a": 1}], datetime.date(1979, 5, 27), datetime.datetime(1979, 5, 27, 7, 32), datetime.time(7, 32),
]  # fmt: skip
#: One value in so many is odd.
SELDOM = 60

NETS = [
    "full 3; output", "output", "drop .5; output", "conv 2 3x3; maxpool 2; drop .3; full 4; output",
    "untied 2 2x2; full 3; output", "conv 2 3x3; conv 2 3x3; maxpool 2, stride 1; output",
    "full 3; drop .99; full 1; output", "conv 1 1x1; maxpool 6; output", "maxpool 2; full 2; output",
]  # fmt: skip
LAYERS = ["conv1", "conv2", "untied1", "full1", "full2", "output", "pool1", "drop1"]


class Tape(Random):
    """Numbers that are the bytes of a text one after another; zeros when they are used up."""

    def __init__(self, content: bytes):
        super().__init__(0)
        self.content, self.place = content, 0

    def getrandbits(self, k: int) -> int:
        size = -(-k // 8)
        taken = self.content[self.place : self.place + size]
        self.place += size
        return int.from_bytes(taken, "little") & ((1 << k) - 1)

    def random(self) -> float:
        return self.getrandbits(16) / 65536


def number(low: float, high: float, most: float = 10.0) -> Maker:
    """Numbers in range, most of them up to `most` above its beginning; and those at both ends and just beyond them."""
    edges = [low, high, *(math.nextafter(edge, way) for edge in (low, high) for way in (-math.inf, math.inf))]
    edges += [0.0, -0.0, 5e-324, 1.4e-45, 1.1754944e-38, 3.4028235e38, 1e39, 1.7976931348623157e308, 1, 2**53 + 1]

    def make(random: Random) -> float:
        if random.randrange(8):
            return round(low + random.random() * min(high - low, most), random.randrange(6))
        return random.choice(edges)

    return make


def whole(low: int, high: int, most: int = 10) -> Maker:
    """The same for whole numbers."""
    edges = [low, low + 1, high, high - 1, low - 1, high + 1, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63]

    def make(random: Random) -> int:
        return random.choice(edges) if not random.randrange(8) else low + random.randrange(min(high - low, most) + 1)

    return make


def one_of(*known: object) -> Maker:
    return lambda random: random.choice(known)


def listed(*known: str) -> Maker:
    """Some of the names; now and then one twice."""
    return lambda random: [random.choice(known) for _ in range(random.randrange(4))]


def some(random: Random, makers: dict[str, Maker], share: float) -> dict[str, object]:
    """A table with a share of the keys, in any order."""
    names = [name for name in makers if random.random() < share]
    random.shuffle(names)
    return {name: random.choice(ODD) if not random.randrange(SELDOM) else makers[name](random) for name in names}


# Schedules of event times


def distribution(late_only: bool) -> Maker:
    def make(random: Random) -> dict[str, object]:
        kind = random.choice(["wald", "exponential"] if late_only and random.randrange(8) else [*CODES])
        table = {"distribution": kind, "scale": number(0.0, 1e6, 2.0)(random)}
        if kind == "wald" or not random.randrange(20):
            table["shape"] = number(1e-6, 1e9)(random)
        return {**table, **some(random, {"absolute": one_of(True, False), "maximum": number(0.0, 1e300)}, 0.2)}

    return make


def times(layers: tuple[str, ...], low: float = 0.0) -> Maker:
    return lambda random: some(random, dict.fromkeys(layers, number(low, 1e6, 4.0)), 0.4)


def jitter(random: Random) -> dict[str, object]:
    events = dict.fromkeys(("feedforward", "feedback", "plasticity"), distribution(False))
    return distribution(False)(random) if random.randrange(2) else some(random, events, 0.6)


def schedule(layers: tuple[str, ...] = ("conv1", "full1", "output")) -> Maker:
    """Tables of a schedule file for a net of these layers."""
    flags, duration = one_of(True, True, False), number(0.0, 1e6, 20.0)
    makers: dict[str, Maker] = {
        "unit": one_of("tau", "ms"), "layer_delay": number(0.0, 1e6, 2.0), "settling": number(0.0, 1e6, 2.0),
        "plasticity_delay": number(0.0, 1e6, 2.0), "forward_phase": duration, "feedback_phase": duration,
        "weights": one_of("batch", "online"), "sign": one_of("plus", "minus"), "replacement": number(0.0, 1.0),
        "plasticity_lag": number(0.0, 1e4, 3.0), "tag_decay": one_of(1.0, 20.0, math.inf, 2.0, 1e300),
        "plasticity_follows": flags, "feedback_first": flags, "overlap": flags, "feedforward": times(layers),
        "feedback": times(layers), "plasticity": times(layers), "skew": times(layers, -1.0), "jitter": jitter,
        "unit_delay": distribution(False), "forward_extension": distribution(True),
        "feedback_extension": distribution(True),
    }  # fmt: skip

    def make(random: Random) -> dict[str, object]:
        table = some(random, makers, random.choice([0.1, 0.3, 0.7, 1.0]))
        if random.randrange(3):  # else most that have times of their own are refused
            table.update(overlap=True, feedback_first=True)
        return table

    return make


# Imperfect circuits


def circuits(random: Random) -> dict[str, object]:
    """Values of components by name."""
    makers: dict[str, Maker] = {field.name: number(0.0, 1e6, 0.5) for field in fields(components.Components)}
    for name in makers:
        if name.endswith("_bias"):
            makers[name] = number(-1.0, 1e6, 1.2)
    return some(random, {**makers, "gate_leak": number(0.0, 1.0)}, random.choice([0.1, 0.5, 1.0]))


def calibration(random: Random) -> dict[str, object]:
    """The same as a calibration of circuits holds them."""
    if random.randrange(2):
        return circuits(random)
    makers = {"width": number(0.0, 9.0, 0.5), "bias": number(-1.0, 9.0, 1.2), "spread": number(0.0, 9.0, 0.5)}
    makers["noise"] = number(0.0, 9.0, 0.5)
    whole_ = 1.0 if random.randrange(4) else 0.9
    document = {part: some(random, makers, whole_) for part in ("gate", "error")}
    document["gate"]["leak"] = number(-0.05, 1.05)(random)
    document["noise_onset"] = number(0.0, 9.0, 0.5)(random)
    return {"format": components.FORMAT, "version": components.VERSION, **document}


# Configurations


def stream(random: Random) -> str:
    length = whole(1, 2**31 - 1, 40)
    kind = random.choice(["random", "blocked", "similar", "one-at-a-time"])
    if kind == "random":
        return kind
    if kind != "one-at-a-time":
        return f"{kind}:{length(random)}"
    parts = [kind, str(number(0.0, 1.0)(random)), str(length(random))]
    return ":".join(parts[: random.randint(1, 3)])


def named_schedule(random: Random) -> str:
    if random.randrange(3):
        return tomli_w.dumps(schedule(("full1", "output"))(random))
    name = random.choice(["nominal", "guerguiev2017", "desynchronised", "desynchronized"])
    return name if random.randrange(2) else f"{name}:{number(0.0, 1.0)(random)}"


def source(random: Random) -> dict[str, object]:
    table = {"run": "runs/tied", "sha256": "".join(random.choice("0123456789abcdef") for _ in range(64))}
    makers = {"checkpoint": one_of("best", "last"), "epoch": whole(0, 2**31 - 1), "untie": listed(*LAYERS)}
    return {**table, **some(random, {**makers, "reinit": listed(*LAYERS)}, 0.5)}


def information(random: Random) -> dict[str, object]:
    known = ("train", "validation", "input_shape", "classes", "mu", "data_sha256", "python", "cpu", "device")
    return some(random, dict.fromkeys(known, one_of(1437, [8, 8, 1], "0.1.0", 0.5, *ODD)), 0.3)


_COUNT = whole(1, 2**31 - 1, 60)
_CONFIGURATION: dict[str, Maker] = {
    "net": one_of(*NETS, *architectures.ARCHITECTURES), "name": one_of("simpnet", "a.b+c-d", "x" * 60, "x" * 61),
    "data": one_of("digits", "cifar10", "npz:a.npz"), "data_dir": one_of(".", "/nowhere"),
    "validation": whole(0, 2**31 - 1, 20), "train_images": _COUNT, "batch": _COUNT, "epochs": _COUNT,
    "seed": whole(0, 2**63 - 1), "protocol": one_of(*protocols.PROTOCOLS), "loss": one_of("hinge", "softmax"),
    "step_size": number(0.0, 3.4e38, 1.0), "mu": number(0.0, 3.4e38, 1.0), "feedback_rate": number(0.0, 1.0),
    "decay": number(0.0, 3.4e38, 0.1), "drop": one_of("sample", "batch", "off"), "connectivity": number(0.0, 1.0),
    "thin_output": one_of(True, False), "symmetric": one_of(True, False), "untied_start": one_of("apart", "spread"),
    "slope": number(1e-6, 1e6, 2.0), "pool_anchor": one_of("center", "corner"), "pool_ties": one_of("first", "all"),
    "feedback_through": one_of("old", "updated"), "untied_feedback": one_of("current", "epoch"),
    "feedback_input": one_of("x", "positive"), "feedback_clip": number(0.0, 3.4e38, 2.0), "frozen": listed(*LAYERS),
    "circuits": circuits, "schedule": named_schedule, "stream": stream, "engine": one_of("exact", "batched"),
    "streams": whole(1, 2**31 - 1, 8), "source": source, "threads": whole(1, 1024, 4),
    "device": one_of("cpu", "cpu", "auto", "cuda"), "resolved": information, "versions": information,
}  # fmt: skip


def configuration(random: Random) -> dict[str, object]:
    """Values of a run.toml, those of a preset among them."""
    table = some(random, _CONFIGURATION, random.choice([0.05, 0.15, 0.3]))
    if not random.randrange(4):
        table.update(presets.preset(random.choice([*presets.PRESETS])))
    if "schedule" not in table and random.randrange(8):
        for belonging in ("engine", "streams"):
            table.pop(belonging, None)
    return {key: value for key, value in table.items() if value is not None}


# Command lines of `netsim train`


@dataclass(frozen=True)
class Line:
    """Arguments of `netsim train`, with the files that they name: name -> content."""

    arguments: list[str]
    files: dict[str, str]


#: What is typed in place of a value, now and then.
_ODD_WORDS = [
    "", " ", "-", "--", "\0", "nan", "inf", "1e400", "9" * 5000, "a,b", "all", "rest", "/", "../..", "\udc80",
    "x" * 3000, "0x10", "1_0", "1/3", "npz:/etc/passwd", "missing.toml", "conv1,conv1",
]  # fmt: skip
_SWITCHES = {"thin_output": "--no-thin-output", "symmetric": "--no-symmetric-init"}
#: Options that are the same for all lines.
_OURS = ("net", "data", "device", "source")


def _spelled(key: str, value: object, files: dict[str, str]) -> list[str]:
    """An option as typed; what a file holds goes into a file."""
    option = OPTION_NAMES[key]
    if key in _SWITCHES and isinstance(value, bool):
        return [option if value else _SWITCHES[key]]
    if key == "circuits" and isinstance(value, dict):
        files["circuits.json"] = json.dumps(value, default=str)
        value = "circuits.json"
    elif key == "schedule" and isinstance(value, str) and ("=" in value or not value):
        files["schedule.toml"] = value
        value = "schedule.toml"
    elif isinstance(value, list):
        value = ",".join(map(str, value))
    try:
        return [option, str(value)]
    except ValueError:  # a number of more digits than Python writes
        return [option, "9" * 5000]


def command_line(random: Random) -> Line:
    """A line of `netsim train`: a run of its own, one from a run.toml, from another run, by a preset, or a resumption.

    The run in the folder "run" is that from which others start; its net is "conv 2 3x3; maxpool 2; full 4; output".
    """
    files: dict[str, str] = {}
    kept = {key: maker for key, maker in _CONFIGURATION.items() if key in OPTION_NAMES and key not in _OURS}
    chosen = some(random, kept, random.choice([0.05, 0.1, 0.25]))
    way = random.randrange(8)
    words: list[str] = []
    if way == 0:
        words = ["--from", "run", *_inheritance(random)]
    elif way == 1:
        table = configuration(random)
        if random.randrange(2):
            table["net"] = random.choice(NETS)
        for key in ("data", "data_dir", *(("source",) if random.randrange(8) else ())):
            table.pop(key, None)
        files["config.toml"] = tomli_w.dumps(table)
        words = ["--config", "config.toml"]
    elif way == 2:
        words = ["--preset", random.choice([*presets.PRESETS])]
    elif way == 3:
        chosen = some(random, {key: kept[key] for key in ("epochs", "threads")}, 0.7)
        words = ["--resume", "run"]
    if (way > 1 and way != 3) or not random.randrange(30):
        words.append(random.choice([*NETS, *NETS, "simpnet", "deepnet_s"]))
    if "schedule" not in chosen and random.randrange(8):
        for belonging in ("engine", "streams"):
            chosen.pop(belonging, None)
    for key, value in chosen.items():
        words += _spelled(key, value, files)
    if words and not random.randrange(12):
        words[random.randrange(len(words))] = random.choice(_ODD_WORDS)
    return Line(words, files)


def _inheritance(random: Random) -> list[str]:
    words = []
    if random.randrange(2):
        words += ["--checkpoint", random.choice(["best", "last"])]
    if random.randrange(3):
        words += ["--untie", random.choice(["all", "conv1", "conv1", "full1", "conv1,conv2"])]
    if random.randrange(2):
        words += ["--reinit", random.choice(["all", "rest", "full1", "output", "full1,output", "conv1"])]
    return words
