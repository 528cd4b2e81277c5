"""The paper's network notation: ``conv 32 5x5; maxpool 3; drop .8; full 500; output``, read and written.

A network is a tuple of frozen layer specifications, bottom up. Specifications check their own numbers; what
needs the size of the input image (a pool larger than its map, a sum of unequal shapes) is checked where shapes
are known.

Source: Amit (2019), section 4, where the four networks are listed in this notation.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import ClassVar

from netsim.errors import NotationError, nearest

MAX_TEXT = 100_000
MAX_LAYERS = 1_000
MAX_UNITS = 65_536
MAX_SIDE = 1_023


def _whole(what: str, value: object, high: int) -> int:
    """`value` as an int in 1..high; NotationError otherwise."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise NotationError(f"{what} must be a whole number, got {_shown(value)}")
    if not 1 <= number <= high:
        raise NotationError(f"{what} must be 1 to {high}, got {_shown(value)}")
    return number


def _fraction(what: str, value: object) -> float:
    """`value` as a float in [0, 1); NotationError otherwise."""
    try:
        number = math.nan if isinstance(value, (bool, str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0.0 <= number < 1.0:
        raise NotationError(f"{what} must be at least 0 and below 1, got {_shown(value)}")
    return number + 0.0  # -0.0 becomes 0.0, so that equal networks are written alike


def _shown(value: object) -> str:
    """`value` in an error message: one line, at most 40 characters of it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return f"a number of {value.bit_length()} bits"
    text = value if isinstance(value, str) else str(value)
    text = " ".join(text[:400].split())
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _set(spec: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(spec, name, value)


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution: `filters` filters of `rows` x `columns` pixels, shared by all pixels; the map keeps its size."""

    kind: ClassVar[str] = "conv"
    filters: int
    rows: int
    columns: int

    def __post_init__(self) -> None:
        _set(self, filters=_whole("the number of filters", self.filters, MAX_UNITS),
             rows=_whole("the filter's rows", self.rows, MAX_SIDE),
             columns=_whole("the filter's columns", self.columns, MAX_SIDE))  # fmt: skip

    def __str__(self) -> str:
        return f"{self.kind} {self.filters} {self.rows}x{self.columns}"


@dataclass(frozen=True, slots=True)
class Untied:
    """Locally connected layer: the geometry of `Conv`, with a filter of its own at every pixel."""

    kind: ClassVar[str] = "untied"
    filters: int
    rows: int
    columns: int

    __post_init__ = Conv.__post_init__
    __str__ = Conv.__str__


@dataclass(frozen=True, slots=True)
class Maxpool:
    """Maximum over `window` x `window` pixels, read at every `stride`-th pixel; n pixels give ceil(n / stride)."""

    kind: ClassVar[str] = "maxpool"
    window: int
    stride: int = 2

    def __post_init__(self) -> None:
        _set(self, window=_whole("the window", self.window, MAX_SIDE),
             stride=_whole("the stride", self.stride, MAX_SIDE))  # fmt: skip

    def __str__(self) -> str:
        return f"maxpool {self.window}" + ("" if self.stride == 2 else f", stride {self.stride}")


@dataclass(frozen=True, slots=True)
class Drop:
    """Dropout: in training a random `fraction` of the units is silent, the others are scaled by 1 / (1 - fraction)."""

    kind: ClassVar[str] = "drop"
    fraction: float

    def __post_init__(self) -> None:
        _set(self, fraction=_fraction("the fraction", self.fraction))

    def __str__(self) -> str:
        return f"drop {repr(self.fraction).removeprefix('0').removesuffix('.0') or '0'}"


@dataclass(frozen=True, slots=True)
class Full:
    """Layer of `units` units, each connected to every unit below."""

    kind: ClassVar[str] = "full"
    units: int

    def __post_init__(self) -> None:
        _set(self, units=_whole("the number of units", self.units, MAX_UNITS))

    def __str__(self) -> str:
        return f"full {self.units}"


@dataclass(frozen=True, slots=True)
class Sum:
    """The two layers before it, added unit by unit; nothing to train."""

    kind: ClassVar[str] = "sum"

    def __str__(self) -> str:
        return "sum"


@dataclass(frozen=True, slots=True)
class Output:
    """One linear unit a class, fully connected; always the last layer, and only there."""

    kind: ClassVar[str] = "output"

    def __str__(self) -> str:
        return "output"


Spec = Conv | Untied | Maxpool | Drop | Full | Sum | Output
KINDS: dict[str, type] = {spec.kind: spec for spec in (Conv, Untied, Maxpool, Drop, Full, Sum, Output)}

_GRAMMAR = {
    "conv": "conv N KxK, as in 'conv 32 5x5'",
    "untied": "untied N KxK, as in 'untied 32 5x5'",
    "maxpool": "maxpool K or maxpool K, stride S",
    "drop": "drop P, as in 'drop .8'",
    "full": "full N, as in 'full 500'",
    "sum": "sum alone",
    "output": "output alone",
}
# Blanks, then one token: a word, a size KxK, a number, or any other single character.
_TOKEN = re.compile(
    r"\s*([A-Za-z_][A-Za-z_0-9]*|[0-9]+\s*[xX×]\s*[0-9]+|-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|\S)"
)
_LABEL = re.compile(r"\s*[A-Za-z_][A-Za-z_0-9]*\s*:")


class _Layer:
    """One layer's text, read token by token; `fail` names the place of the token looked at last."""

    def __init__(self, text: str, start: int, end: int, ordinal: int):
        self.text, self.at, self.end, self.ordinal = text, start, end, ordinal
        self.start = start
        self.place = start  # of the token looked at last

    def look(self) -> str:
        match = _TOKEN.match(self.text, self.at, self.end)
        self.place = match.start(1) if match else self.end
        return match.group(1) if match else ""

    def take(self) -> str:
        token = self.look()
        self.at = self.place + len(token)
        return token

    def fail(self, message: str) -> NotationError:
        before = self.text[: self.place]
        column = f"column {self.place - (before.rfind(chr(10)) + 1) + 1}"
        if "\n" in self.text.strip():
            column = f"line {before.count(chr(10)) + 1}, {column}"
        return NotationError(f"layer {self.ordinal}, {_shown(self.text[self.start : self.end])}, {column}: {message}")

    def expected(self, what: str, found: str) -> NotationError:
        return self.fail(f"expected {what}, found {_shown(found) if found else 'nothing'}")

    def whole(self, kind: str, what: str, high: int) -> int:
        token = self.take()
        if not re.fullmatch("[0-9]+", token):
            raise self.expected(f"{what} ({_GRAMMAR[kind]})", token)
        return self.checked(what, token, high)

    def checked(self, what: str, digits: str, high: int) -> int:
        digits = digits.lstrip("0") or "0"
        try:
            return _whole(what, int(digits) if len(digits) <= 9 else 10**9, high)
        except NotationError:
            raise self.fail(f"{what} must be 1 to {high}, got {_shown(digits)}") from None

    def read(self) -> Spec:
        kind = self.take().lower()
        if kind not in KINDS:
            if not kind:
                raise self.fail("expected a layer, found nothing")
            raise self.fail(f"expected a kind of layer, found {_shown(kind)}{nearest(kind[:40], KINDS)}")
        spec = getattr(self, f"read_{kind}")()
        if rest := self.look():
            raise self.expected(f"';' or the end after {str(spec)!r} ({_GRAMMAR[kind]})", rest)
        return spec

    def read_conv(self, spec: type = Conv) -> Spec:
        filters = self.whole(spec.kind, "the number of filters", MAX_UNITS)
        token = self.take()
        size = re.fullmatch(r"([0-9]+)\s*[xX×]\s*([0-9]+)", token)
        if not size:
            raise self.expected(f"the filter's size KxK ({_GRAMMAR[spec.kind]})", token)
        return spec(filters, self.checked("the filter's rows", size[1], MAX_SIDE),
                    self.checked("the filter's columns", size[2], MAX_SIDE))  # fmt: skip

    def read_untied(self) -> Spec:
        return self.read_conv(Untied)

    def read_maxpool(self) -> Spec:
        window = self.whole("maxpool", "the window", MAX_SIDE)
        if not (token := self.look()):
            return Maxpool(window)
        if token == ",":
            self.take()
            token = self.look()
        if token.lower() != "stride":
            raise self.expected(f"'stride' ({_GRAMMAR['maxpool']})", token)
        self.take()
        return Maxpool(window, self.whole("maxpool", "the stride", MAX_SIDE))

    def read_drop(self) -> Spec:
        token = self.take()
        try:
            fraction = float(token) if len(token) <= 40 else math.nan
        except ValueError:
            raise self.expected(f"the fraction ({_GRAMMAR['drop']})", token) from None
        try:
            return Drop(fraction)
        except NotationError:
            raise self.fail(f"the fraction must be at least 0 and below 1, got {_shown(token)}") from None

    def read_full(self) -> Spec:
        if self.look().lower() == "conn":  # the paper also writes "full conn. 500"
            self.take()
            if self.look() == ".":
                self.take()
        return Full(self.whole("full", "the number of units", MAX_UNITS))

    def read_sum(self) -> Spec:
        return Sum()

    def read_output(self) -> Spec:
        return Output()


def parse(text: str) -> tuple[Spec, ...]:
    """Layer specifications of a network in the paper's notation.

    Any case, any blanks and line breaks, also inside a layer; ``;`` between layers, and one may stand at the end;
    a label in front (``simpnet:``) is passed over, so that the paper's listings read as printed.

    Raises NotationError: one line with the layer, the line and column, and what was expected.
    """
    if not isinstance(text, str):
        raise NotationError(f"a network's notation is text, got {type(text).__name__}")
    if len(text) > MAX_TEXT:
        raise NotationError(f"a network's notation has at most {MAX_TEXT} characters, got {len(text)}")
    label = _LABEL.match(text)
    start = label.end() if label else 0
    stop = len(text.rstrip())
    if stop > start and text[stop - 1] == ";":
        stop -= 1
    if not text[start:stop].strip():
        raise NotationError("the network's notation is empty; expected layers such as 'conv 32 5x5; maxpool 3; output'")
    layers: list[_Layer] = []
    specs: list[Spec] = []
    while start <= stop:
        if len(specs) == MAX_LAYERS:
            raise NotationError(f"a network has at most {MAX_LAYERS} layers")
        cut = text.find(";", start, stop)
        end = cut if cut >= 0 else stop
        layers.append(_Layer(text, start, end, len(layers) + 1))
        specs.append(layers[-1].read())
        start = end + 1
    if misplaced := _misplaced(specs):
        index, message = misplaced
        layers[index].at = layers[index].start
        layers[index].look()
        raise layers[index].fail(message)
    return tuple(specs)


def _misplaced(specs: list[Spec] | tuple[Spec, ...]) -> tuple[int, str] | None:
    """Index of the first layer that cannot stand where it stands, and why; needs no shapes."""
    for index, spec in enumerate(specs):
        if isinstance(spec, Sum) and index < 2:
            return index, "'sum' adds the two layers before it, and there " + ("is 1" if index else "are none")
        if isinstance(spec, Output) and index < len(specs) - 1:
            return index, "'output' must be the last layer"
    if not isinstance(specs[-1], Output):
        return len(specs) - 1, "the last layer must be 'output'"
    return None


def check(specs: object) -> tuple[Spec, ...]:
    """`specs` as a tuple after the checks that `parse` makes on a whole network; NotationError otherwise."""
    if not isinstance(specs, (tuple, list)) or not specs or len(specs) > MAX_LAYERS:
        raise NotationError(f"a network is a name, its notation, or a tuple of 1 to {MAX_LAYERS} layer specifications")
    for index, spec in enumerate(specs):
        if not isinstance(spec, Spec):
            raise NotationError(f"layer {index + 1}: expected a layer specification such as netsim.notation.Conv, "
                                f"got {type(spec).__name__}")  # fmt: skip
    if misplaced := _misplaced(specs):
        index, message = misplaced
        raise NotationError(f"layer {index + 1}, {str(specs[index])!r}: {message}")
    return tuple(specs)


def render(specs: tuple[Spec, ...]) -> str:
    """The canonical notation of `specs`: lower case, one line; ``parse(render(specs)) == specs``."""
    return "; ".join(str(spec) for spec in specs)


def names(specs: tuple[Spec, ...]) -> tuple[str, ...]:
    """Names of the layers: kind and ordinal within the kind (``conv1``, ``conv2``, ``full1``); ``output``."""
    seen: dict[str, int] = {}
    result = []
    for spec in specs:
        seen[spec.kind] = seen.get(spec.kind, 0) + 1
        result.append(spec.kind if isinstance(spec, Output) else f"{spec.kind}{seen[spec.kind]}")
    return tuple(result)
