"""Max pooling by other rules than the paper's: another anchor of the windows, another way with ties."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from netsim.activity import Activity, Border, Span
from netsim.errors import OptionError, nearest, shown
from netsim.geometry import Place
from netsim.kernels.pool_rules import ruled_pool_feedback, ruled_pool_feedforward
from netsim.layers.layer import Downward, Layer

ANCHORS, TIES = ("center", "corner"), ("first", "all")


@dataclass(frozen=True, slots=True)
class PoolRules:
    """How the max pools of a net work.

    Attributes
    ----------
    anchor : "center", offsets -(K-1)//2 .. K//2 around pixels 0, s, 2s, .. (the paper's figures fit this), or
        "corner", offsets 0 .. K-1 from them (the author's code)
    ties : units that share a window's maximum: "first" in row-major order gets the feedback, or "all" of them get the
        whole of it (the author's code)

    Raises
    ------
    OptionError : another word
    """

    anchor: str = "center"
    ties: str = "first"

    def __post_init__(self) -> None:
        for field, known in zip(fields(self), (ANCHORS, TIES), strict=True):
            value = getattr(self, field.name)
            if not isinstance(value, str) or value not in known:
                raise OptionError(f"is {shown(value)}{nearest(str(value)[:40], known)}", f"pool_{field.name}")

    @property
    def ordinary(self) -> bool:
        """Whether these are the rules of `netsim.layers.maxpool`, which is faster."""
        return self == ORDINARY


ORDINARY = PoolRules()


class RuledMaxpool(Layer):
    """`netsim.layers.Maxpool` by given rules. Outside the grid stands 0, which can win, here too."""

    def __init__(self, place: Place, slope: float, rules: PoolRules):
        super().__init__(place, slope)
        self.rules = rules
        self.low = (self.spec.window - 1) // 2 if rules.anchor == "center" else 0

    @property
    def reach_below(self) -> Border:
        """How far beyond the map below the windows reach: above and left of it the first, below and right the last."""
        (height, width, _), stride = self.shape, self.spec.stride
        high = self.spec.window - 1 - self.low
        bottom = (height - 1) * stride + high - (self.below[0] - 1)
        right = (width - 1) * stride + high - (self.below[1] - 1)
        return Border(self.low, max(bottom, 0), self.low, max(right, 0))

    def activity(self, images: int, border: Border, parents: tuple[Activity, ...]) -> Activity:
        """The layer's units, each with its window's maximum (float32) and the winner's place in it (int32)."""
        own = super().activity(images, border, parents)
        own.largest = np.zeros(images * self.units, np.float32)
        own.winner = np.zeros(images * self.units, np.int32)
        return own

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, span: Span) -> None:
        """x = the largest x_below of the window."""
        (below,), (height, width, channels) = parents, self.shape
        ruled_pool_feedforward(
            below.values, below.image, below.row, below.origin, own.values, own.image, own.row, own.origin,
            own.largest, own.winner, height, width, channels, self.spec.window, self.spec.stride, self.low,
            span.first, span.last,
        )  # fmt: skip

    def feedback(self, own: Activity, down: Downward, span: Span) -> None:
        """x_below <- gate * (sum of the signals of the windows whose maximum the unit has [+ also])."""
        below, (height, width, channels) = down.activity, self.shape
        ruled_pool_feedback(
            below.values, below.image, below.row, below.origin, self.below[0], self.below[1],
            own.values, own.image, own.row, own.origin, own.largest, own.winner,
            height, width, channels, self.spec.window, self.spec.stride, self.low, self.rules.ties == "all",
            down.also, down.use_also, down.gate, down.slope, span.first, span.last,
        )  # fmt: skip
