"""Max pools of the batched engine: reads of what the units of a window show, without copying what they show."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Span
from netsim.events.drawn import Drawn
from netsim.events.mixing import pool_read, pool_return
from netsim.events.times import FEEDBACK, FEEDFORWARD


class Windows:
    """A pool that reads its source directly, and gives that source its feedback directly.

    pool, below : layers (below: None for the image, which gets no feedback); source : name of the one below
    units : (layer, kind of event) -> part of each unit, where a layer's units read in parts
    """

    def __init__(self, pool, source: str, below, drawn: Drawn, units: dict[tuple[str, int], np.ndarray]):
        self.pool, self.source, self.below, self.drawn, self.units = pool, source, below, drawn, units
        parts = 0 if below is None else drawn.parts(source, FEEDBACK)
        self.shown = np.zeros((parts if parts > 1 else 0, drawn.at[pool.name].values.size), np.float32)

    def _locations(self, layer, kind: int) -> np.ndarray:
        """Part of the units at each location of a map."""
        channels = layer.shape[-1]
        units = self.units.get((layer.name, kind))
        return np.zeros(layer.units // channels, np.int64) if units is None else units[::channels]

    def read(self, span: Span) -> None:
        """Feedforward events of the pool: each part of its units at its time."""
        drawn, pool = self.drawn, self.pool
        own, source, (height, width, channels) = drawn.x[pool.name], drawn.x[self.source], pool.shape
        low, _ = drawn.chance.limits[pool.name, FEEDFORWARD, self.source]
        pool_read(
            own.values, own.image, own.row, own.origin, own.winner, drawn.kept[self.source], source.values,
            drawn.late(self.source, FEEDFORWARD), source.image, source.row, source.origin,
            self._locations(pool, FEEDFORWARD), low,
            height, width, channels, pool.spec.window, pool.spec.stride, span.first, span.last,
        )  # fmt: skip

    def give_back(self, span: Span) -> None:
        """Feedback events of the units below: they read what the pool shows, each part at its time."""
        drawn, pool, below = self.drawn, self.pool, self.below
        height, width, channels = pool.shape
        signal, x = drawn.signal[self.source], drawn.x[self.source]
        own: Activity = drawn.at[pool.name]
        pool_return(
            signal.values, x.values, signal.image, signal.row, signal.origin, below.shape[0], below.shape[1],
            self._shown(span), own.image, own.row, own.origin, own.winner, self._locations(below, FEEDBACK),
            height, width, channels, pool.spec.window, pool.spec.stride,
            int(below.saturates), below.slope, span.first, span.last,
        )  # fmt: skip

    def _shown(self, span: Span) -> np.ndarray:
        """What the pool shows to each part of the units below, float32 (parts, ...)."""
        key = (self.source, FEEDBACK, self.pool.name)
        if not len(self.shown):
            return self.drawn.show(key, 0, span).values[None]
        for part, shown in enumerate(self.shown):
            self.drawn.mix(shown, key, part, span)
        return self.shown
