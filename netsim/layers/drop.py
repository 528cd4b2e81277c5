"""Dropout: a random fraction of the units is silent for a presentation, or for a batch (section 4)."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Border, Span
from netsim.kernels import chance
from netsim.kernels.units import drop_feedback, drop_feedforward
from netsim.layers.layer import Downward, Layer


class Drop(Layer):
    """Sets a random fraction p of the units to 0 and multiplies the others by 1 / (1 - p), on both ways."""

    def activity(self, images: int, border: Border, parents: tuple[Activity, ...]) -> Activity:
        """The layer's units, with room for their masks (uint8); every unit is kept until `draw` says otherwise."""
        own = super().activity(images, border, parents)
        own.kept = np.ones(images * self.units, np.uint8)
        own.lists = own.drawn = None
        self.draw(own, "off", np.uint64(0), 0)
        return own

    def draw(self, own: Activity, mode: str, stream: np.uint64, offset: int) -> None:
        """Choose the masks of the images that follow, of which the first is image ``offset`` of its batch.

        ``mode``: "sample", a mask for each image, drawn when the image arrives; "batch", one for all of them;
        "off": every unit is kept and nothing is scaled.
        """
        before, own.drawn = own.drawn, (mode, stream)
        own.stream, own.first_unit = stream, offset * self.units
        own.kept_image = self.units if mode == "sample" else 0
        own.scale = np.float32(1) if mode == "off" else np.float32(1 / (1 - self.spec.fraction))
        own.fraction = 0.0 if mode == "off" else self.spec.fraction
        own.limit = chance.threshold(own.fraction)
        if mode != "sample" and before != own.drawn:
            chance.kept_units(own.kept, stream, own.limit, 0, 0, self.units)
            own.kept_units = np.flatnonzero(own.kept[: self.units])

    def masks(self, own: Activity, images: int) -> np.ndarray:
        """The masks of the first ``images`` images: uint8 (B, *shape), or (1, *shape) if they share one."""
        masks = own.kept.reshape(-1, *self.shape)
        return masks[:images] if own.kept_image else masks[:1]

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, span: Span) -> None:
        """x = x_below / (1 - p) where kept, else 0."""
        (below,) = parents
        if own.kept_image:
            first, last = span.first * self.units, span.last * self.units
            chance.kept_units(own.kept, own.stream, own.limit, own.first_unit, first, last)
            if own.lists is not None:
                own.lists.write(own.kept, span)
        drop_feedforward(
            below.values, below.image, below.row, below.origin, own.values, own.image, own.row, own.origin,
            own.kept, own.kept_image, own.height, own.row_length, own.scale, span.first, span.last,
        )  # fmt: skip

    def feedback(self, own: Activity, down: Downward, span: Span) -> None:
        """x_below <- gate * (signal / (1 - p) where kept [+ also])."""
        below = down.activity
        drop_feedback(
            below.values, below.image, below.row, below.origin, own.values, own.image, own.row, own.origin,
            own.kept, own.kept_image, own.height, own.row_length, own.scale,
            down.also, int(down.use_also), int(down.gate), down.slope, span.first, span.last,
        )  # fmt: skip
