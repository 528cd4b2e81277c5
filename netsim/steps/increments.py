"""The Hebbian increments of a batch: for each layer that learns, the sum over its images of delta x_below.

The sum of a tied layer is cut into parts of the batch, so that several threads may add to it, and the parts are added
one after another. The cut depends on the batch alone, and so do the bits of every sum.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
from collections.abc import Sequence

import numpy as np

from netsim.activity import Span
from netsim.kernels.memory import empty, zeros
from netsim.kernels.weights import add_parts
from netsim.kernels.workers import Workers
from netsim.layers import Layer, Weighted
from netsim.workspace import Workspace

#: A batch is cut into so many parts, whatever the number of threads; ...
_PARTS = 16
#: ... into fewer where the parts of a layer would hold more than so many numbers.
_PART_NUMBERS = 1 << 24


class Increments:
    """Room for the increments of the layers that learn.

    Attributes
    ----------
    total : layer name -> float32 array of the shape of W, overwritten by every batch
    """

    def __init__(self, learning: Sequence[Weighted]):
        self._learning = learning
        self.total = {layer.name: zeros(layer.W.size).reshape(layer.weights_shape) for layer in learning}
        self._of_parts: dict[str, np.ndarray] = {}
        tied = [layer.W.size for layer in learning if layer.by_image]
        self._most = max(1, min(_PARTS, _PART_NUMBERS // max(tied, default=1)))

    def __contains__(self, name: str) -> bool:
        return name in self.total

    def part_edges(self, batch: int) -> list[int]:
        """Where the parts of a batch begin, and its end."""
        number = min(self._most, batch)
        return [part * batch // number for part in range(number + 1)]

    def begin(self, batch: int) -> list[tuple[int, int]]:
        """The parts of a batch as (first image, last image + 1); room is made for the sum of each."""
        edges = self.part_edges(batch)
        for layer in self._learning:
            if layer.by_image and len(self._of_parts.get(layer.name, ())) < len(edges) - 1:
                self._of_parts[layer.name] = empty((len(edges) - 1) * layer.W.size).reshape(-1, layer.W.size)
        return list(itertools.pairwise(edges))

    def part(self, name: str, number: int) -> np.ndarray:
        """The sum of one part of a tied layer, float32 (W.size,)."""
        return self._of_parts[name][number]

    def add(
        self,
        space: Workspace,
        layer: Layer,
        span: Span,
        offset: int,
        parts: list[tuple[int, int]],
        total: np.ndarray | None = None,
    ) -> None:
        """Add what the images of a span give, of a chunk whose first is image ``offset`` of the batch. The units of
        the layer carry their signal, those below still x (Remark 1). A layer that does not learn is passed over.

        total : in place of the layer's increment; of a tied layer `add_up` sets it
        """
        if layer.name not in self.total:
            return
        (below,), own, first = space.parents(layer), space.at[layer.name], offset + span.first
        if layer.by_image:
            number = bisect.bisect_right(parts, first, key=operator.itemgetter(0)) - 1
            layer.hebbian(below, own, self.part(layer.name, number), first == parts[number][0], span)
        else:
            total = self.total[layer.name] if total is None else total
            layer.hebbian(below, own, total.reshape(-1), first == 0, span)

    def finish(self, number: int, workers: Workers) -> None:
        """The increment of each tied layer is the sum of its ``number`` parts."""
        for layer in self._learning:
            if layer.by_image:
                self.add_up(layer, self.total[layer.name], number, workers)

    def add_up(self, layer: Weighted, total: np.ndarray, number: int, workers: Workers) -> None:
        """total = the sum of the ``number`` parts of a tied layer, one after another."""
        parts, size = self._of_parts[layer.name].reshape(-1), layer.W.size
        workers.run(functools.partial(add_parts, total.reshape(-1), parts, number, size), size, 1 << 14)
