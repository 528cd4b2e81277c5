"""The activity of all layers of a net for a chunk of images, and the way up and down through it.

Layers that work image by image are taken together in stages: a thread takes a few images through all layers of a
stage, while their activity is in its cache. Full and untied layers are stages of their own: they read each of their
weights once for all images of the chunk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from netsim.activity import Activity, Border, Span
from netsim.geometry import INPUT, units
from netsim.kernels.workers import Workers
from netsim.layers import Downward, Layer

#: Bytes of activity that a chunk of images may take, if the weights take less. Which images share a chunk changes no
#: bit of a result.
_CHUNK_BYTES = 16 << 20

#: Images that a thread takes through a stage at once.
_BLOCK = 16


class Workspace:
    """Room for a chunk of ``images`` images in every layer of a net.

    Attributes
    ----------
    at : layer name (and ``"input"``) -> `Activity`
    stages : runs of layers (bottom up) that are worked through together
    """

    def __init__(self, layers: tuple[Layer, ...], input_shape: tuple[int, int, int], images: int):
        self.layers, self.images = layers, images
        borders = _borders(layers)
        self.at = {INPUT: Activity(input_shape, images, borders[INPUT])}
        for layer in layers:
            self.at[layer.name] = layer.activity(
                images, borders[layer.name], tuple(self.at[name] for name in layer.parents)
            )
        self._parents = {layer.name: tuple(self.at[name] for name in layer.parents) for layer in layers}
        self._down = {layer.name: self._downward(number) for number, layer in enumerate(layers)}
        whole = itertools.count()  # a layer that works on whole chunks is a group of its own
        groups = itertools.groupby(layers, lambda layer: -1 if layer.by_image else next(whole))
        self.stages = tuple(tuple(group) for _, group in groups)

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
        return self._parents[layer.name]

    def down(self, layer: Layer) -> Downward:
        """Where the feedback of a layer goes."""
        return self._down[layer.name]

    def feedforward(self, images: np.ndarray, workers: Workers) -> None:
        """The feedforward phase: from x_0 = the image upward, each layer sets its units (section 3.1, eq. 1)."""
        number, x_0 = len(images), self.at[INPUT].array()

        for stage in self.stages:

            def rise(span: Span, stage=stage) -> None:
                if stage is self.stages[0]:
                    x_0[span.first : span.last] = images[span.first : span.last]
                for layer in stage:
                    layer.feedforward(self.parents(layer), self.at[layer.name], span)

            self.run(stage, rise, _blocks(number, workers.threads), workers)

    def feedback(self, layer: Layer, span: Span) -> None:
        """One step of the feedback phase: the signal of ``layer`` REPLACES the units below it (eq. 2)."""
        layer.feedback(self.at[layer.name], self.down(layer), span)

    def run(
        self, stage: tuple[Layer, ...], work: Callable[[Span], None], parts: list[tuple[int, int]], workers: Workers
    ) -> None:
        """Call ``work`` on spans that cover the images of ``parts``; those of a part in order, by one thread."""
        if not stage[0].by_image:
            work(Span(parts[0][0], parts[-1][1], workers))
            return

        def of_part(first: int, last: int) -> None:
            for block in range(first, last, _BLOCK):
                work(Span(block, min(block + _BLOCK, last)))

        workers.run_tasks([lambda a=a, b=b: of_part(a, b) for a, b in parts])


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


def _blocks(number: int, threads: int) -> list[tuple[int, int]]:
    """Cut images into blocks of nearly one size, as many for each thread: one that is left over would be waited for."""
    count = -(-number // _BLOCK)
    count = min(-(-count // threads) * threads, number)
    return list(itertools.pairwise(block * number // count for block in range(count + 1)))


def chunk_size(layers: tuple[Layer, ...], input_shape: tuple[int, int, int], batch: int, threads: int = 1) -> int:
    """Number of images to work through at once: few enough that their activity stays small, a block a thread."""
    image = 4 * (units(input_shape) + sum(layer.units for layer in layers))
    weights = max((layer.W.nbytes for layer in layers if layer.has_weights and not layer.by_image), default=0)
    number = max(_BLOCK * threads, max(_CHUNK_BYTES, 2 * weights) // image)
    pieces = -(-batch // number)
    return -(-batch // pieces)
