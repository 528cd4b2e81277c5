"""A layer's products for a part of the units that read: so each part reads at a time of its own, at no more cost.

Which units are a part depends on who computes their read. At the outputs of a filter: locations scattered over the
map; when they learn, rows of it. At a full layer, and below one: units side by side. Elsewhere (None) every part is
computed for all units, and what belongs to other parts is thrown away.
"""

from __future__ import annotations

import copy

import numpy as np

from netsim.activity import Activity, Span
from netsim.events.probabilities import PARTS
from netsim.kernels import chance
from netsim.kernels.sparse import BLOCK
from netsim.kernels.workers import Workers
from netsim.layers import Downward

_FILTERS = ("conv", "untied")


def scattered(locations: int, parts: int, *words: int) -> np.ndarray:
    """Part of each location, int64 (locations,): as many in each part as can be, in an order by the counter hash."""
    order = np.argsort([chance.key(*words, place) for place in range(locations)], kind="stable")
    part = np.empty(locations, np.int64)
    part[order] = np.arange(locations) % parts
    return part


def side_by_side(units: int, parts: int, grain: int = 1) -> np.ndarray:
    """Part of each unit, int64 (units,): stretches of nearly equal length, each a multiple of ``grain``."""
    pieces = -(-units // grain)
    return np.minimum(np.arange(units) // grain, pieces - 1) * parts // pieces


def _grain(units: int, parts: int) -> int:
    """Stretches of many units are whole blocks, and whole vectors on every machine."""
    return BLOCK if units >= parts * BLOCK else 1


def reading_parts(layer, parts: int, place: int) -> np.ndarray:
    """Part of each unit of a layer at its feedforward events, int64 (units,)."""
    if layer.kind in ("full", "output"):
        return side_by_side(layer.units, parts, _grain(layer.units, parts))
    return np.repeat(scattered(layer.units // layer.shape[-1], parts, 1, place), layer.shape[-1])


def returning_parts(layer, above, parts: int, place: int, tied: bool) -> np.ndarray:
    """Part of each unit of a layer at its feedback events, where the layer ``above`` (beyond drops) sends them.

    ``tied`` : it learns in the same parts.
    """
    if tied:
        return learning_parts(layer, parts)
    if above.kind in ("full", "output"):
        return side_by_side(layer.units, parts, _grain(layer.units, parts))
    return np.repeat(scattered(layer.units // layer.shape[-1], parts, 2, place), layer.shape[-1])


def most_parts(layer) -> int:
    """In how many parts the units of a layer with weights may learn: of rows of its map, or of units."""
    return min(PARTS, layer.shape[0])


def learning_parts(layer, parts: int) -> np.ndarray:
    """Part of each unit of a layer at its plasticity events, int64 (units,): rows of its map, or units side by side."""
    rows = layer.shape[0]  # of a full layer each unit is one
    grain = _grain(rows, parts) if len(layer.shape) == 1 else 1
    return np.repeat(side_by_side(rows, parts, grain), layer.units // rows)


def in_layout(part: np.ndarray, activity: Activity) -> np.ndarray:
    """Parts of units (flat, row-major) at their places in an image of an activity; 0 in its border."""
    placed = np.zeros(activity.image, np.int64)
    width = part.size // activity.units.size
    placed[activity.units[:, None] + np.arange(width)] = part.reshape(-1, width)
    return placed


class Read:
    """Computes the reads of one part of a layer's units. Called with the activity that they read and a span."""

    def prepare(self, workers: Workers) -> None:
        """Lay out weights that have changed since the last batch."""


def feedforward_reads(layer, own: Activity, part: np.ndarray, parts: int) -> list[Read] | None:
    """The feedforward reads of each part of a layer's units, or None where they cannot be told apart."""
    if layer.kind in _FILTERS:
        return [_FilterUp(layer, own, np.flatnonzero(part[:: layer.shape[-1]] == p)) for p in range(parts)]
    if layer.kind in ("full", "output"):
        stretches = [np.flatnonzero(part == p) for p in range(parts)]
        return [_ColumnsUp(layer, own, where) for where in stretches] if all(map(len, stretches)) else None
    return None


def feedback_reads(layer, own: Activity, down: Downward, part: np.ndarray, parts: int) -> list[Read] | None:
    """The reads of each part of the units below a layer at their feedback events; own : the layer's activity."""
    if layer.kind in _FILTERS:
        channels = layer.below[-1]
        return [_FilterDown(layer, own, down, np.flatnonzero(part[::channels] == p)) for p in range(parts)]
    if layer.kind in ("full", "output") and down.activity.is_contiguous:
        stretches = [np.flatnonzero(part == p) for p in range(parts)]
        aligned = all(len(where) and (where[0] % BLOCK == 0) for where in stretches)
        if aligned or (all(map(len, stretches)) and down.activity.kept is None):
            return [_RowsDown(layer, down, int(where[0]), int(where[-1]) + 1) for where in stretches]
    return None


def learning_reads(layer, own: Activity, part: np.ndarray, parts: int) -> list[Learn]:
    """What adds up the increments of each part of a layer's units; own : the layer's activity."""
    kind = {"conv": _FilterLearn, "untied": _FilterLearn}.get(layer.kind, _ColumnsLearn)
    places = part[:: layer.shape[-1]] if kind is _FilterLearn else part
    return [kind(layer, own, np.flatnonzero(places == p)) for p in range(parts)]


def _some_locations(layer, where: np.ndarray):
    """An untied layer that works on some of its locations; a conv has the same filter everywhere."""
    if layer.kind == "conv":
        return layer
    some = copy.copy(layer)
    some.__dict__.update(locations=where.size, _blocks=layer._blocks[where])
    return some


class _FilterUp(Read):
    def __init__(self, layer, own: Activity, where: np.ndarray):
        self.some, self.own = _some_locations(layer, where), copy.copy(own)
        self.own.units, self.own.inputs = own.units[where], own.inputs[where]

    def __call__(self, below: Activity, span: Span) -> None:
        self.some.feedforward((below,), self.own, span)


class _FilterDown(Read):
    def __init__(self, layer, own: Activity, down: Downward, where: np.ndarray):
        self.layer, self.some, self.all = layer, _some_locations(layer, where), down
        self.tables, self.down = copy.copy(own), copy.copy(down)
        self.down.activity = copy.copy(down.activity)
        self.down.activity.units, self.tables.signals = down.activity.units[where], own.signals[where]

    def prepare(self, workers: Workers) -> None:
        self.some._turned = self.layer._turned

    def __call__(self, shown: Activity, span: Span) -> None:
        self.tables.values, self.down.also = shown.values, self.all.also  # always the same arrays
        self.some.feedback(self.tables, self.down, span)


def _stretch(layer, where: np.ndarray):
    """A full layer that works on some of its units, which lie side by side."""
    some = copy.copy(layer)
    some.begin, some.end = int(where[0]), int(where[-1]) + 1
    return some


class _ColumnsUp(Read):
    def __init__(self, layer, own: Activity, where: np.ndarray):
        self.own, self.some = own, _stretch(layer, where)

    def prepare(self, workers: Workers) -> None:
        self.some.packed = None

    def __call__(self, below: Activity, span: Span) -> None:
        self.some.feedforward((below,), self.own, span)


class Learn:
    """Adds up the increments of one part of a layer's units, which lie side by side in an image.

    Attributes
    ----------
    begin, end : where they lie in an image of the layer's activity
    """

    begin: int
    end: int

    def __call__(self, below: Activity, increment: np.ndarray, fresh: bool, span: Span) -> None:
        """increment += sum over images of delta x_below; ``fresh`` : it held nothing before."""


class _FilterLearn(Learn):
    def __init__(self, layer, own: Activity, where: np.ndarray):
        self.some, self.own, self.first_part = _some_locations(layer, where), copy.copy(own), where[0] == 0
        if self.some is layer:
            self.some = copy.copy(layer)
            self.some.shape = (where.size // layer.shape[1], *layer.shape[1:])
        self.tied = layer.kind == "conv"
        self.own.units, self.own.inputs = own.units[where], own.inputs[where]
        self.begin, self.end = int(self.own.units[0]), int(self.own.units[-1]) + layer.shape[-1]

    def __call__(self, below: Activity, increment: np.ndarray, fresh: bool, span: Span) -> None:
        # all parts of a tied layer add to one increment
        self.some.hebbian(below, self.own, increment, fresh and (self.first_part or not self.tied), span)


class _ColumnsLearn(Learn):
    def __init__(self, layer, own: Activity, where: np.ndarray):
        self.own, self.some = own, _stretch(layer, where)
        self.begin, self.end = self.some.begin, self.some.end

    def __call__(self, below: Activity, increment: np.ndarray, fresh: bool, span: Span) -> None:
        self.some.hebbian(below, self.own, increment, fresh, span)


class _RowsDown(Read):
    """Units ``begin`` to ``end`` of the layer below. Where it lists the units that it keeps, the lists are cut."""

    def __init__(self, layer, down: Downward, begin: int, end: int):
        self.layer, self.down, self.begin, self.end = layer, down, begin, end

    def __call__(self, shown: Activity, span: Span) -> None:
        layer, down, below = self.layer, copy.copy(self.down), copy.copy(self.down.activity)
        down.activity = below
        if layer._of_kept_units(below, span.last) is None:
            layer = copy.copy(layer)
            layer.__dict__.update(n_in=self.end - self.begin, _R=self.layer.R[self.begin : self.end])
            # the same distance between images, but the first unit is another
            below.values, down.also = below.values[self.begin :], down.also[self.begin if down.use_also else 0 :]
        elif below.kept_image:
            below.lists = copy.copy(below.lists)
            starts = below.lists.starts.reshape(below.images, -1)
            first, last = starts[:, self.begin // BLOCK], starts[:, -(-self.end // BLOCK)]
            below.lists.starts = np.clip(starts, first[:, None], last[:, None]).reshape(-1)
        else:
            kept = below.kept_units
            below.kept_units = kept[(kept >= self.begin) & (kept < self.end)]
        layer.feedback(shown, down, span)
