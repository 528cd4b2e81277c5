"""Sum: adds the two layers before it (section 4, deepernet); both get its feedback."""

from __future__ import annotations

from netsim.activity import Activity, Span
from netsim.kernels.units import sum_feedback, sum_feedforward
from netsim.layers.layer import Downward, Layer


class Sum(Layer):
    """x = x of the first parent + x of the second; no sigma.

    Its feedback replaces the second parent, the layer right below. The first parent gets the same signal when the
    second parent's own feedback reaches it: there it arrives as ``also``.
    """

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, span: Span) -> None:
        """x = x_first + x_second."""
        first, second = parents
        sum_feedforward(
            first.values, second.values, second.image, second.row, second.origin,
            own.values, own.image, own.row, own.origin, own.height, own.row_length, span.first, span.last,
        )  # fmt: skip

    def feedback(self, own: Activity, down: Downward, span: Span) -> None:
        """x_second <- gate * (signal [+ also])."""
        below = down.activity
        sum_feedback(
            below.values, below.image, below.row, below.origin, own.values, own.image, own.row, own.origin,
            own.height, own.row_length,
            down.also, int(down.use_also), int(down.gate), down.slope, span.first, span.last,
        )  # fmt: skip
