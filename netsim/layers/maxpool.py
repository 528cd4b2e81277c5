"""Max pooling: each unit passes on the largest of its window, and its feedback to the winner alone."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Border
from netsim.kernels.pools import pool_feedback, pool_feedforward
from netsim.kernels.workers import Workers
from netsim.layers.layer import Downward, Layer


class Maxpool(Layer):
    """Window K, stride s: windows at pixels 0, s, 2s, ... covering the offsets -(K-1)//2 .. K//2 (section 4).

    Outside the grid stands 0, which can win; then the feedback goes nowhere. Ties go to the first in row-major
    order. A unit that wins several windows gets the sum of their signals.
    """

    @property
    def reach_below(self) -> Border:
        low, high = (self.spec.window - 1) // 2, self.spec.window // 2
        (height, width, _), stride = self.shape, self.spec.stride
        bottom = (height - 1) * stride + high - (self.below[0] - 1)
        right = (width - 1) * stride + high - (self.below[1] - 1)
        return Border(low, max(bottom, 0), low, max(right, 0))

    def activity(self, images: int, border: Border) -> Activity:
        """The layer's units, each with the place of its winner in its window (uint16)."""
        own = super().activity(images, border)
        own.winner = np.zeros(images * self.units, np.uint16)
        return own

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, images: int, workers: Workers) -> None:
        """x = the largest x_below of the window; the unit latches the winner's place."""
        (below,), winner = parents, own.winner
        height, width, channels = self.shape

        def task(first: int, last: int) -> None:
            pool_feedforward(
                below.values, below.image, below.row, below.origin, own.values, own.image, own.row, own.origin,
                winner, height, width, channels, self.spec.window, self.spec.stride, first, last,
            )  # fmt: skip

        workers.run(task, images)

    def feedback(self, own: Activity, down: Downward, images: int, workers: Workers) -> None:
        """x_below <- gate * (sum of the signals of the windows that the unit won [+ also])."""
        height, width, channels = self.shape
        below, winner = down.activity, own.winner

        def task(first: int, last: int) -> None:
            pool_feedback(
                below.values, below.image, below.row, below.origin, self.below[0], self.below[1],
                own.values, own.image, own.row, own.origin, winner,
                height, width, channels, self.spec.window, self.spec.stride,
                down.also, int(down.use_also), int(down.gate), down.slope, first, last,
            )  # fmt: skip

        workers.run(task, images)
