"""Max pooling: each unit passes on the largest of its window, and its feedback to the winner alone."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Border, Span
from netsim.kernels.pools import pool_feedback, pool_feedforward
from netsim.layers.layer import Downward, Layer


class Maxpool(Layer):
    """Window K, stride s: windows at pixels 0, s, 2s, ... covering the offsets -(K-1)//2 .. K//2 (section 4).

    Outside the grid stands 0, which can win; then the feedback goes nowhere. Ties go to the first in row-major
    order. A unit that wins several windows gets the sum of their signals.
    """

    @property
    def reach_below(self) -> Border:
        """How far beyond the map below the windows reach: above and left of it the first, below and right the last."""
        low, high = (self.spec.window - 1) // 2, self.spec.window // 2
        (height, width, _), stride = self.shape, self.spec.stride
        bottom = (height - 1) * stride + high - (self.below[0] - 1)
        right = (width - 1) * stride + high - (self.below[1] - 1)
        return Border(low, max(bottom, 0), low, max(right, 0))

    def activity(self, images: int, border: Border, parents: tuple[Activity, ...]) -> Activity:
        """The layer's units, each with the place of its winner in its window (int32)."""
        own = super().activity(images, border, parents)
        own.winner = np.zeros(images * self.units, np.int32)
        return own

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, span: Span) -> None:
        """x = the largest x_below of the window; the unit latches the winner's place."""
        (below,), (height, width, channels) = parents, self.shape
        pool_feedforward(
            below.values, below.image, below.row, below.origin, own.values, own.image, own.row, own.origin,
            own.winner, height, width, channels, self.spec.window, self.spec.stride, span.first, span.last,
        )  # fmt: skip

    def feedback(self, own: Activity, down: Downward, span: Span) -> None:
        """x_below <- gate * (sum of the signals of the windows that the unit won [+ also])."""
        below, (height, width, channels) = down.activity, self.shape
        pool_feedback(
            below.values, below.image, below.row, below.origin, self.below[0], self.below[1],
            own.values, own.image, own.row, own.origin, own.winner,
            height, width, channels, self.spec.window, self.spec.stride,
            down.also, int(down.use_also), int(down.gate), down.slope, span.first, span.last,
        )  # fmt: skip
