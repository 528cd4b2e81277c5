"""Dropout: a random fraction of the units is silent for a presentation, or for a batch (section 4)."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Border
from netsim.kernels import chance
from netsim.kernels.units import drop_feedback, drop_feedforward
from netsim.kernels.workers import Workers
from netsim.layers.layer import Downward, Layer


class Drop(Layer):
    """Sets a random fraction p of the units to 0 and multiplies the others by 1 / (1 - p), on both ways."""

    @property
    def scale(self) -> np.float32:
        return np.float32(1 / (1 - self.spec.fraction))

    def activity(self, images: int, border: Border) -> Activity:
        """The layer's units with their masks (uint8): one for each image, of which an image reads every ``kept_image``."""
        own = super().activity(images, border)
        own.kept, own.kept_image, own.scale = np.ones(images * self.units, np.uint8), 0, np.float32(1)
        return own

    def draw(self, own: Activity, stream: np.uint64, offset: int, images: int, mode: str, workers: Workers) -> None:
        """Draw the masks of the images [offset, offset + images) of a batch.

        ``mode``: "sample", a mask for each image; "batch", one for all of them; "off", every unit is kept and
        nothing is scaled.
        """
        own.kept_image = self.units if mode == "sample" else 0
        own.scale = self.scale if mode != "off" else np.float32(1)
        limit = chance.threshold(self.spec.fraction if mode != "off" else 0.0)
        begin, masks = (offset * self.units, images) if mode == "sample" else (0, 1)

        def task(first: int, last: int) -> None:
            chance.kept_units(own.kept, stream, limit, begin, first, last)

        workers.run(task, masks * self.units, 1 << 14)

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, images: int, workers: Workers) -> None:
        """x = x_below / (1 - p) where kept, else 0."""
        (below,) = parents

        def task(first: int, last: int) -> None:
            drop_feedforward(
                below.values, below.image, below.row, below.origin, own.values, own.image, own.row, own.origin,
                own.kept, own.kept_image, own.height, own.row_length, own.scale, first, last,
            )  # fmt: skip

        workers.run(task, images)

    def feedback(self, own: Activity, down: Downward, images: int, workers: Workers) -> None:
        """x_below <- gate * (signal / (1 - p) where kept [+ also])."""
        below = down.activity

        def task(first: int, last: int) -> None:
            drop_feedback(
                below.values, below.image, below.row, below.origin, own.values, own.image, own.row, own.origin,
                own.kept, own.kept_image, own.height, own.row_length, own.scale,
                down.also, down.use_also, down.gate, down.slope, first, last,
            )  # fmt: skip

        workers.run(task, images)
