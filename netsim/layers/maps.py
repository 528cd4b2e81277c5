"""What tied and untied convolutions share: filters over a map, with weights between the same pairs of units."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Border
from netsim.layers.layer import Weighted


def filter_entries(activity: Activity, rows: int, columns: int) -> np.ndarray:
    """Offsets of the inputs of a filter (rows, columns, C) from its upper left one."""
    channels = activity.shape[2]
    y, rest = np.divmod(np.arange(rows * columns * channels, dtype=np.int64), columns * channels)
    return y * activity.row + rest


class FilterLayer(Weighted):
    """A layer whose units read a filter's width around their location; the map keeps its size.

    A filter of n rows covers the offsets -(n - 1)//2 .. n//2, and so do its columns.
    """

    saturates = True

    @property
    def reach_below(self) -> Border:
        rows, columns = self.spec.rows, self.spec.columns
        return Border((rows - 1) // 2, rows // 2, (columns - 1) // 2, columns // 2)

    @property
    def reach_own(self) -> Border:
        rows, columns = self.spec.rows, self.spec.columns
        return Border(rows // 2, (rows - 1) // 2, columns // 2, (columns - 1) // 2)

    def first_input(self, below: Activity) -> int:
        """Where the filter of location (0, 0) begins, relative to the location itself."""
        reach, channels = self.reach_below, below.shape[2]
        return -reach.top * below.row - reach.left * channels

    def first_signal(self, own: Activity) -> int:
        """Where the signals that reach location (0, 0) begin, relative to the location itself."""
        reach, channels = self.reach_own, own.shape[2]
        return -reach.top * own.row - reach.left * channels
