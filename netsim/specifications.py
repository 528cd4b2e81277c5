"""Layer specifications: one frozen dataclass a kind, which checks its own numbers.

What needs the size of the input image (a pool larger than its map, a sum of unequal shapes) is checked where
shapes are known.

Source: Amit (2019), section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from netsim.errors import NotationError, shown
from netsim.values import whole

#: Largest number of filters or units that a specification asks for, and of pixels along a filter or window.
MAX_WIDTH = 65_536
MAX_SIDE = 1_023


def count(what: str, value: object, high: int) -> int:
    """`value` as an int in 1..high; NotationError otherwise."""
    number = whole(value)
    if number is None:
        raise NotationError(f"{what} must be a whole number, got {shown(value)}")
    if not 1 <= number <= high:
        raise NotationError(f"{what} must be 1 to {high}, got {shown(value)}")
    return number


def fraction(what: str, value: object) -> float:
    """`value` as a float in [0, 1); NotationError otherwise."""
    try:
        number = math.nan if isinstance(value, (bool, str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0.0 <= number < 1.0:
        raise NotationError(f"{what} must be at least 0 and below 1, got {shown(value)}")
    return number + 0.0  # -0.0 becomes 0.0, so that equal networks are written alike


def _set(spec: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(spec, name, value)


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution: `filters` filters of `rows` x `columns` pixels, the same at every pixel."""

    kind: ClassVar[str] = "conv"
    filters: int
    rows: int
    columns: int

    def __post_init__(self) -> None:
        _set(
            self,
            filters=count("the number of filters", self.filters, MAX_WIDTH),
            rows=count("the filter's rows", self.rows, MAX_SIDE),
            columns=count("the filter's columns", self.columns, MAX_SIDE),
        )

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
    """Maximum over `window` x `window` pixels, at every `stride`-th pixel: n pixels give ceil(n / stride)."""

    kind: ClassVar[str] = "maxpool"
    window: int
    stride: int = 2

    def __post_init__(self) -> None:
        _set(
            self,
            window=count("the window", self.window, MAX_SIDE),
            stride=count("the stride", self.stride, MAX_SIDE),
        )

    def __str__(self) -> str:
        return f"maxpool {self.window}" + ("" if self.stride == 2 else f", stride {self.stride}")


@dataclass(frozen=True, slots=True)
class Drop:
    """Dropout: in training a random `fraction` of the units is silent; the rest times 1 / (1 - fraction)."""

    kind: ClassVar[str] = "drop"
    fraction: float

    def __post_init__(self) -> None:
        _set(self, fraction=fraction("the fraction", self.fraction))

    def __str__(self) -> str:
        return f"drop {repr(self.fraction).removeprefix('0').removesuffix('.0') or '0'}"


@dataclass(frozen=True, slots=True)
class Full:
    """Layer of `units` units, each connected to every unit below."""

    kind: ClassVar[str] = "full"
    units: int

    def __post_init__(self) -> None:
        _set(self, units=count("the number of units", self.units, MAX_WIDTH))

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


LayerSpec = Conv | Untied | Maxpool | Drop | Full | Sum | Output
KINDS: dict[str, type] = {spec.kind: spec for spec in (Conv, Untied, Maxpool, Drop, Full, Sum, Output)}
