"""What tied and untied convolutions share: filters over a map, with weights between the same pairs of units."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Border
from netsim.layers.layer import Weighted


class FilterLayer(Weighted):
    """A layer whose units read a filter's width around their location; the map keeps its size.

    A filter of n rows covers the offsets -(n - 1)//2 .. n//2, and so do its columns.
    """

    saturates = True

    @property
    def reach_below(self) -> Border:
        """How far beyond the map below the filters reach: (n - 1)//2 before it, n//2 after it, rows and columns."""
        rows, columns = self.spec.rows, self.spec.columns
        return Border((rows - 1) // 2, rows // 2, (columns - 1) // 2, columns // 2)

    @property
    def reach_own(self) -> Border:
        """How far beyond the own map the turned filters of the feedback reach: the other way round."""
        rows, columns = self.spec.rows, self.spec.columns
        return Border(rows // 2, (rows - 1) // 2, columns // 2, (columns - 1) // 2)

    def activity(self, images: int, border: Border, parents: tuple[Activity, ...]) -> Activity:
        """The layer's units, with tables of offsets (int64):

        ``inputs``: for each location, where its filter begins in an image below; ``entries``: the filter's inputs
        from there; ``filters``: for each of them, its row in the weights; ``signals``: for each location below, where
        the signals that reach it begin in an image of the layer's own.
        """
        (below,), own = parents, super().activity(images, border, parents)
        rows, columns, (_, _, c_in), (_, _, c_out) = self.spec.rows, self.spec.columns, self.below, self.shape
        reach = self.reach_below
        own.inputs = below.units - reach.top * below.row - reach.left * c_in
        y, rest = np.divmod(np.arange(rows * columns * c_in, dtype=np.int64), columns * c_in)
        own.entries = y * below.row + rest
        own.filters = np.arange(rows * columns * c_in, dtype=np.int64) * c_out
        reach = self.reach_own
        own.signals = own.units - reach.top * own.row - reach.left * c_out
        own.zeros = np.zeros(images, np.int64)
        return own
