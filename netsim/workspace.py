"""The activity of all layers of a net for a chunk of images, and the way up and down through it."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Border
from netsim.geometry import INPUT
from netsim.kernels.workers import Workers
from netsim.layers import Downward, Layer

#: Bytes of activity that a chunk of images may take. Which images share a chunk changes no bit of a result.
_CHUNK_BYTES = 64 << 20


class Workspace:
    """Room for a chunk of ``images`` images in every layer of a net.

    Attributes
    ----------
    at : layer name (and ``"input"``) -> `Activity`
    """

    def __init__(self, layers: tuple[Layer, ...], input_shape: tuple[int, int, int], images: int):
        self.layers, self.images = layers, images
        borders = _borders(layers)
        self.at = {INPUT: Activity(input_shape, images, borders[INPUT])}
        for layer in layers:
            self.at[layer.name] = layer.activity(images, borders[layer.name])
        self._down = {layer.name: self._downward(number) for number, layer in enumerate(layers)}

    def _downward(self, number: int) -> Downward | None:
        """Where the feedback of layer ``number`` goes: into the layer below and, with it, that of a sum above."""
        if number == 0:
            return None
        below = self.layers[number - 1]
        above = self.layers[number + 1] if number + 1 < len(self.layers) else None
        reads_below_too = above is not None and above.kind == "sum"
        also = self.at[above.name] if reads_below_too else None
        return Downward(self.at[below.name], also, below.saturates, below.slope)

    def parents(self, layer: Layer) -> tuple[Activity, ...]:
        """What a layer reads."""
        return tuple(self.at[name] for name in layer.parents)

    def feedforward(self, images: np.ndarray, workers: Workers) -> None:
        """The feedforward phase: from x_0 = the image upward, each layer sets its units (section 3.1, eq. 1)."""
        number = len(images)
        self.at[INPUT].array(number)[...] = images
        for layer in self.layers:
            layer.feedforward(self.parents(layer), self.at[layer.name], number, workers)

    def feedback(self, layer: Layer, images: int, workers: Workers) -> None:
        """One step of the feedback phase: the signal of ``layer`` REPLACES the units below it (eq. 2)."""
        layer.feedback(self.at[layer.name], self._down[layer.name], images, workers)


def _borders(layers: tuple[Layer, ...]) -> dict[str, Border]:
    """The border of zeros that each layer's map needs: for its readers, for its own feedback, and alike over a sum."""
    border = {INPUT: Border()}
    for layer in layers:
        gives_feedback = INPUT not in layer.parents
        border[layer.name] = layer.reach_own if gives_feedback else Border()
        for parent in layer.parents:
            border[parent] |= layer.reach_below
    while True:
        before = dict(border)
        for layer in layers:
            if layer.kind == "sum":
                first, second = layer.parents
                shared = border[first] | border[second] | border[layer.name]
                border[first] = border[second] = border[layer.name] = shared
        if border == before:
            return border


def chunk_size(layers: tuple[Layer, ...], input_shape: tuple[int, int, int], batch: int) -> int:
    """Number of images to work through at once: few enough that their activity stays small."""
    one = Workspace(layers, input_shape, 1)
    number = max(16, _CHUNK_BYTES // sum(activity.values.nbytes for activity in one.at.values()))
    pieces = -(-batch // number)
    return -(-batch // pieces)
