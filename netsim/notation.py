"""The paper's network notation: ``conv 32 5x5; maxpool 3; drop .8; full 500; output``, read and written.

A network is a tuple of layer specifications, bottom up (`netsim.specifications`, found here too).

Source: Amit (2019), section 4, where the four networks are listed in this notation.
"""

from __future__ import annotations

import re

from netsim.errors import NotationError, nearest, shown
from netsim.specifications import (
    KINDS,
    MAX_SIDE,
    MAX_WIDTH,
    Conv,
    Drop,
    Full,
    LayerSpec,
    Maxpool,
    Output,
    Sum,
    Untied,
    count,
)

__all__ = [
    "KINDS",
    "MAX_SIDE",
    "MAX_WIDTH",
    "Conv",
    "Drop",
    "Full",
    "LayerSpec",
    "Maxpool",
    "Output",
    "Sum",
    "Untied",
    "check",
    "names",
    "parse",
    "render",
]

MAX_TEXT = 100_000
MAX_LAYERS = 1_000

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
    """One layer's text, read token by token.

    text : of the whole network. start, end : of the layer in it; at : of what is not read yet; place : of the token
    looked at last, which `fail` names. ordinal : of the layer, from 1.
    """

    def __init__(self, text: str, start: int, end: int, ordinal: int):
        self.text, self.at, self.end, self.ordinal = text, start, end, ordinal
        self.start = start
        self.place = start  # of the token looked at last

    def look(self) -> str:
        """The next token, which stays the next one; "" at the end."""
        match = _TOKEN.match(self.text, self.at, self.end)
        self.place = match.start(1) if match else self.end
        return match.group(1) if match else ""

    def take(self) -> str:
        """The next token, which is then read."""
        token = self.look()
        self.at = self.place + len(token)
        return token

    def fail(self, message: str) -> NotationError:
        """The error with this message, after the layer, the line (where there are several) and the column."""
        before = self.text[: self.place]
        column = f"column {self.place - (before.rfind(chr(10)) + 1) + 1}"
        if "\n" in self.text.strip():
            column = f"line {before.count(chr(10)) + 1}, {column}"
        layer = shown(" ".join(self.text[self.start : self.end].split()))
        return NotationError(f"layer {self.ordinal}, {layer}, {column}: {message}")

    def expected(self, what: str, found: str) -> NotationError:
        """The error where something else than `found` had to stand."""
        return self.fail(f"expected {what}, found {shown(found) if found else 'nothing'}")

    def whole(self, kind: str, what: str, high: int) -> int:
        """The next token as a number, 1 to `high`."""
        token = self.take()
        if not re.fullmatch("[0-9]+", token):
            raise self.expected(f"{what} ({_GRAMMAR[kind]})", token)
        return self.checked(what, token, high)

    def checked(self, what: str, digits: str, high: int) -> int:
        """The number that `digits` spell, 1 to `high`."""
        digits = digits.lstrip("0") or "0"
        try:
            return count(what, int(digits) if len(digits) <= 40 else 10**40, high)
        except NotationError as error:
            raise self.fail(str(error)) from None

    def read(self) -> LayerSpec:
        """The specification that the whole text of the layer gives; NotationError with the place otherwise."""
        kind = self.take().lower()
        if kind not in KINDS:
            if not kind:
                raise self.fail("expected a layer, found nothing")
            raise self.fail(f"expected a kind of layer, found {shown(kind)}{nearest(kind[:40], KINDS)}")
        spec = getattr(self, f"read_{kind}")()
        if rest := self.look():
            raise self.expected(f"';' or the end after {str(spec)!r} ({_GRAMMAR[kind]})", rest)
        return spec

    def read_conv(self, spec: type = Conv) -> LayerSpec:
        """What follows the word ``conv``: number of filters, rows x columns."""
        filters = self.whole(spec.kind, "the number of filters", MAX_WIDTH)
        token = self.take()
        size = re.fullmatch(r"([0-9]+)\s*[xX×]\s*([0-9]+)", token)
        if not size:
            raise self.expected(f"the filter's size KxK ({_GRAMMAR[spec.kind]})", token)
        return spec(
            filters,
            self.checked("the filter's rows", size[1], MAX_SIDE),
            self.checked("the filter's columns", size[2], MAX_SIDE),
        )

    def read_untied(self) -> LayerSpec:
        """What follows ``untied``: as ``conv``."""
        return self.read_conv(Untied)

    def read_maxpool(self) -> LayerSpec:
        """What follows ``maxpool``: the window, and a stride where one is given."""
        window = self.whole("maxpool", "the window", MAX_SIDE)
        if not (token := self.look()):
            return Maxpool(window)
        if token == ",":
            self.take()
            token = self.look()
        if token.lower() != "stride":
            near = nearest(token[:40], ("stride",)) if len(token) > 1 else ""
            raise self.fail(f"expected 'stride' ({_GRAMMAR['maxpool']}), found {shown(token or 'nothing')}{near}")
        self.take()
        return Maxpool(window, self.whole("maxpool", "the stride", MAX_SIDE))

    def read_drop(self) -> LayerSpec:
        """What follows ``drop``: the fraction."""
        token = self.take()
        try:
            fraction = float(token)
        except ValueError:
            raise self.expected(f"the fraction ({_GRAMMAR['drop']})", token) from None
        try:
            return Drop(fraction)
        except NotationError as error:
            raise self.fail(str(error)) from None

    def read_full(self) -> LayerSpec:
        """What follows ``full``: the number of units."""
        if self.look().lower() == "conn":  # the paper also writes "full conn. 500"
            self.take()
            if self.look() == ".":
                self.take()
        return Full(self.whole("full", "the number of units", MAX_WIDTH))

    def read_sum(self) -> LayerSpec:
        """Nothing follows ``sum``."""
        return Sum()

    def read_output(self) -> LayerSpec:
        """Nothing follows ``output``."""
        return Output()


def parse(text: str) -> tuple[LayerSpec, ...]:
    """Layer specifications of a network in the paper's notation.

    Any case, any blanks and line breaks, also inside a layer; ``;`` between layers, and one may stand at the
    end; a label in front (``simpnet:``) is passed over, so that the paper's listings read as printed.

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
        raise NotationError("the notation is empty; expected layers such as 'conv 32 5x5; maxpool 3; output'")
    layers: list[_Layer] = []
    specs: list[LayerSpec] = []
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


def _misplaced(specs: list[LayerSpec] | tuple[LayerSpec, ...]) -> tuple[int, str] | None:
    """Index of the first layer that cannot stand where it stands, and why; needs no shapes."""
    for index, spec in enumerate(specs):
        if isinstance(spec, Sum) and index < 2:
            before = "only one stands" if index else "none stands"
            return index, f"'sum' adds the two layers before it, and {before} there"
        if isinstance(spec, Output) and index < len(specs) - 1:
            return index, "'output' must be the last layer"
    if not isinstance(specs[-1], Output):
        return len(specs) - 1, "the last layer must be 'output'"
    return None


def check(specs: object) -> tuple[LayerSpec, ...]:
    """`specs` as a tuple after the checks that `parse` makes on a whole network; NotationError otherwise."""
    if not isinstance(specs, (tuple, list)) or not specs or len(specs) > MAX_LAYERS:
        raise NotationError(f"a network is a name, notation, or a tuple of 1 to {MAX_LAYERS} layer specifications")
    for index, spec in enumerate(specs):
        if not isinstance(spec, LayerSpec):
            found = type(spec).__name__
            raise NotationError(f"layer {index + 1}: expected a specification such as Conv(...), got {found}")
    if misplaced := _misplaced(specs):
        index, message = misplaced
        raise NotationError(f"layer {index + 1}, {str(specs[index])!r}: {message}")
    return tuple(specs)


def render(specs: tuple[LayerSpec, ...]) -> str:
    """The canonical notation of `specs`: lower case, one line; ``parse(render(specs)) == specs``."""
    return "; ".join(str(spec) for spec in specs)


def names(specs: tuple[LayerSpec, ...]) -> tuple[str, ...]:
    """Names of the layers: kind and ordinal within the kind (``conv1``, ``conv2``, ``full1``); ``output``."""
    seen: dict[str, int] = {}
    result = []
    for spec in specs:
        seen[spec.kind] = seen.get(spec.kind, 0) + 1
        result.append(spec.kind if isinstance(spec, Output) else f"{spec.kind}{seen[spec.kind]}")
    return tuple(result)
