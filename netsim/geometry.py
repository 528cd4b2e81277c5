"""Shapes of the layers of a net: which layers a layer reads, and what each puts out.

Shapes are (H, W, C) for maps and (n,) for rows of units. ``full`` and ``output`` flatten a map row-major.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsim import notation
from netsim.errors import ArrayError, GeometryError, shown
from netsim.notation import LayerSpec
from netsim.values import whole

#: Name of what stands below the first layer: the image.
INPUT = "input"

#: Largest number of units of one layer; keeps every index within a signed 64-bit product and memory in sight.
MAX_UNITS = 2**31


@dataclass(frozen=True, slots=True)
class Place:
    """One layer's place in a net.

    ``parents`` are the names of the layers it reads (``"input"`` is the image); ``below`` their common shape,
    ``shape`` its own.
    """

    name: str
    spec: LayerSpec
    parents: tuple[str, ...]
    below: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        return self.spec.kind


def units(shape: Sequence[int]) -> int:
    """Number of units of a layer of this shape."""
    number = 1
    for side in shape:
        number *= int(side)
    return number


def text(shape: Sequence[int]) -> str:
    """A shape as people write it: 32x32x3."""
    return "x".join(str(side) for side in shape)


def check_input_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (H, W, C) as integers, or raise `ArrayError`."""
    try:
        sides = tuple(int(side) for side in shape)
        whole = all(int(side) == side for side in shape)
    except (TypeError, ValueError, OverflowError):
        sides, whole = (), False
    if len(sides) != 3 or not whole or min(sides) < 1 or max(sides) > 65_536 or units(sides) > MAX_UNITS:
        raise ArrayError(f"input_shape is {shape!r}: it must be three sides (height, width, channels) of at least 1")
    return sides


def infer(specs: Sequence[LayerSpec], input_shape: Sequence[int], classes: int) -> tuple[Place, ...]:
    """Shapes and parents of every layer, bottom up; specs : of a whole net, as `netsim.notation.check` passes them.

    Raises `GeometryError` where layers cannot be joined, `ArrayError` for an impossible input shape.
    """
    input_shape = check_input_shape(input_shape)
    number = whole(classes)
    if number is None or not 2 <= number <= 1_000_000:
        raise GeometryError(f"classes is {shown(classes)}: it must be a whole number from 2 to 1000000")
    places: list[Place] = []
    for spec, name in zip(specs, notation.names(specs), strict=True):
        before, below = (places[-1].name, places[-1].shape) if places else (INPUT, input_shape)
        parents: tuple[str, ...] = (before,)
        if spec.kind == "sum":
            other = places[-2]
            if other.shape != below:
                raise GeometryError(
                    f"{name} adds {other.name} ({text(other.shape)}) and {before} ({text(below)}): "
                    "the two layers before a sum must have the same shape"
                )
            parents = (other.name, before)
            shape = below
        elif spec.kind in ("conv", "untied", "maxpool"):
            if len(below) != 3:
                raise GeometryError(f"{name} needs a map below it, but {before} is a row of {below[0]} units")
            height, width, channels = below
            if spec.kind == "maxpool":
                if spec.window > height or spec.window > width:
                    raise GeometryError(
                        f"{name}: a window of {spec.window}x{spec.window} is larger than the map of {before} "
                        f"({height}x{width})"
                    )
                shape = (-(-height // spec.stride), -(-width // spec.stride), channels)
            else:
                shape = (height, width, spec.filters)
        elif spec.kind == "drop":
            shape = below
        elif spec.kind == "full":
            shape = (spec.units,)
        else:
            shape = (number,)
        if units(shape) > MAX_UNITS:
            raise GeometryError(f"{name} would have {text(shape)} units: more than {MAX_UNITS}")
        places.append(Place(name, spec, parents, below, shape))
    return tuple(places)
