"""Drops of the batched engine: their masks are drawn once a presentation, and every read passes through them."""

from __future__ import annotations

from netsim.activity import Activity, Span
from netsim.events.drawn import spread
from netsim.kernels import chance
from netsim.kernels.units import drop_feedforward


def draw_kept(drop, own: Activity, span: Span) -> None:
    """Which units the images of a span keep."""
    if own.kept_image:
        first, last = span.first * drop.units, span.last * drop.units
        chance.kept_units(own.kept, own.stream, own.limit, own.first_unit, first, last)
        if own.lists is not None:
            own.lists.write(own.kept, span)


def silence(below: Activity, own: Activity, span: Span) -> None:
    """What passes a drop whose masks are drawn."""
    spread(span, lambda s: drop_feedforward(
        below.values, below.image, below.row, below.origin, own.values, own.image, own.row, own.origin,
        own.kept, own.kept_image, own.height, own.row_length, own.scale, s.first, s.last,
    ))  # fmt: skip


def reads_kept(layer, drop: Activity, source: Activity) -> bool:
    """Whether a layer reads the units alone that a drop lists for each image."""
    sparse = layer.kind in ("full", "output") and drop.kept_image and layer._of_kept_units(drop, drop.images)
    return bool(sparse) and source.is_contiguous
