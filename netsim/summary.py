"""What a network costs: shapes, units, weights, multiply-adds, memory, counted from its specifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netsim import architectures, geometry, notation

#: Bytes of one float32 number.
NUMBER_BYTES = 4


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One layer's numbers.

    ``weights`` counts W; R has as many. ``feedforward`` and ``step`` are multiply-adds an image: of the
    feedforward phase, and of the whole training step. Borders count as pixels, as is usual; so do connections
    that connectivity below 1 leaves out, since their products are computed.
    """

    name: str
    notation: str
    parents: tuple[str, ...]
    shape: tuple[int, ...]
    units: int
    weights: int
    feedforward: int
    step: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A network's numbers: its layers, bottom up, and their totals."""

    architecture: str
    input_shape: tuple[int, int, int]
    classes: int
    layers: tuple[LayerSummary, ...]

    @property
    def units(self) -> int:
        """Units of all layers; the input's pixels are not units."""
        return sum(layer.units for layer in self.layers)

    @property
    def weights(self) -> int:
        """Feedforward weights W; R has as many."""
        return sum(layer.weights for layer in self.layers)

    @property
    def feedforward(self) -> int:
        """Multiply-adds an image of the feedforward phase."""
        return sum(layer.feedforward for layer in self.layers)

    @property
    def step(self) -> int:
        """Multiply-adds an image of a whole training step: feedforward, feedback and Hebbian products."""
        return sum(layer.step for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of W, R and the increment that both share, in float32."""
        return 3 * NUMBER_BYTES * self.weights

    @property
    def activity_bytes(self) -> int:
        """Bytes an image of what input and units carry, in float32, without borders: one number a unit."""
        return NUMBER_BYTES * (geometry.units(self.input_shape) + self.units)


def summarize(
    architecture: str | tuple[notation.LayerSpec, ...],
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
) -> Summary:
    """Numbers of a network, by name, notation or specifications, for images of `input_shape` (H, W, C).

    Allocates no weights: a network far too large for this machine can be looked at.
    Raises NotationError, UnknownNameError, GeometryError, ArrayError.
    """
    specs = architectures.resolve(architecture)
    places = geometry.infer(specs, input_shape, classes)
    layers = tuple(_layer(place) for place in places)
    return Summary(notation.render(specs), geometry.check_input_shape(input_shape), classes, layers)


def _layer(place: geometry.Place) -> LayerSummary:
    spec, units = place.spec, geometry.units(place.shape)
    weights = feedforward = 0
    if place.kind in ("conv", "untied"):
        height, width, _ = place.shape
        filters = spec.rows * spec.columns * place.below[2] * spec.filters
        feedforward = height * width * filters
        weights = filters if place.kind == "conv" else feedforward
    elif place.kind in ("full", "output"):
        weights = feedforward = geometry.units(place.below) * units
    # The Hebbian product costs what the feedforward one does; so does the feedback, which no image needs.
    products = 2 if geometry.INPUT in place.parents else 3
    return LayerSummary(
        place.name, str(spec), place.parents, place.shape, units, weights, feedforward, products * feedforward
    )
