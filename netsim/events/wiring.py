"""Who reads whom: the populations of a net and the synapses between them, laid out for the event kernels.

Population 0 is the image; the others are the net's layers without ``drop``, bottom up. An *edge* is one population
reading another, perhaps through drops. Each edge has a *view*: what its source carries, times the drop masks, with
the border of zeros that its reader needs, so that a read is a few contiguous runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from netsim.events.times import Layout
from netsim.geometry import INPUT

#: Kinds of populations in the kernels.
IMAGE, CONV, UNTIED, FULL, OUTPUT, POOL, SUM = range(7)
_CODES = {"conv": CONV, "untied": UNTIED, "full": FULL, "output": OUTPUT, "maxpool": POOL, "sum": SUM}
WEIGHTED = ("conv", "untied", "full", "output")


class Wiring(NamedTuple):
    """Tables for the kernels, all int64 but the two of places; P populations, E edges.

    kind, units, first, height, width, channels : (P,); ``first`` is where a population begins in flat arrays
    rows, columns, stride, inputs : (P,) of the filter or window, and the number of inputs of a unit (for full)
    parent : (P, 2) incoming edges, -1 for none; weights_at : (P,) where its weights begin, -1 for none
    base, base_at : int32 flat, (P,): place in the view of the first input of each unit of a map
    edge_source, edge_reader, edge_view, edge_row, edge_mask : (E,); ``edge_mask`` is where the edge's mask begins
    place, edge_place : int32 flat, (E,): place of each unit of the source inside the edge's view
    out_at, out_edge : (P + 1,), (E,): the edges that read population p are out_edge[out_at[p] : out_at[p + 1]]
    signal_view, signal_place, signal_row : (P,): the same for the view that the feedback of a conv reads, or -1
    signal_base, signal_base_at : int32 flat, (E,): place in that view of the first signal of each source unit
    """

    kind: np.ndarray
    units: np.ndarray
    first: np.ndarray
    height: np.ndarray
    width: np.ndarray
    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    stride: np.ndarray
    inputs: np.ndarray
    parent: np.ndarray
    weights_at: np.ndarray
    base: np.ndarray
    base_at: np.ndarray
    edge_source: np.ndarray
    edge_reader: np.ndarray
    edge_view: np.ndarray
    edge_row: np.ndarray
    edge_mask: np.ndarray
    place: np.ndarray
    edge_place: np.ndarray
    out_at: np.ndarray
    out_edge: np.ndarray
    signal_view: np.ndarray
    signal_place: np.ndarray
    signal_row: np.ndarray
    signal_base: np.ndarray
    signal_base_at: np.ndarray


@dataclass(frozen=True, slots=True)
class Mask:
    """The drop masks of one edge: positions of the drops in the net and their fractions; where the mask begins."""

    at: int
    units: int
    drops: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A net as the event engine sees it.

    layers : the layers that are populations, bottom up (population p is layers[p - 1])
    wiring : tables; masks : the masks to draw; view_size, weights_size : lengths of flat arrays
    """

    layers: tuple
    wiring: Wiring
    masks: tuple[Mask, ...]
    view_size: int
    weights_size: int

    @property
    def layout(self) -> Layout:
        """The populations as the schedule sees them; all weighted ones are plastic."""
        return Layout(
            tuple(layer.name for layer in self.layers),
            tuple(layer.kind for layer in self.layers),
            tuple(int(n) for n in self.wiring.units[1:]),
            tuple(layer.kind in WEIGHTED for layer in self.layers),
        )


class _Growing:
    """Tables of places that are laid one behind the other."""

    def __init__(self):
        self.parts: list[np.ndarray] = []
        self.size = 0

    def add(self, places: np.ndarray) -> int:
        at = self.size
        self.parts.append(places.astype(np.int32).reshape(-1))
        self.size += places.size
        return at

    def array(self) -> np.ndarray:
        return np.concatenate(self.parts) if self.parts else np.zeros(1, np.int32)


def _map_places(shape, row: int, top: int, left: int) -> np.ndarray:
    """Place of each unit of a map inside a view whose rows hold ``row`` numbers."""
    y, x, c = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return (y + top) * row + (x + left) * shape[2] + c


def plan(layers: Sequence, input_shape: Sequence[int]) -> Plan:
    """Lay out a net.

    layers : as `netsim.Network.layers` (name, kind, spec, shape, parents). input_shape : (H, W, C).
    """
    populations = [layer for layer in layers if layer.kind != "drop"]
    shapes = [tuple(input_shape), *(tuple(layer.shape) for layer in populations)]
    number = {INPUT: 0, **{layer.name: p for p, layer in enumerate(populations, start=1)}}
    position = {layer.name: at for at, layer in enumerate(layers)}
    count = len(shapes)
    tables = {name: np.zeros(count, np.int64) for name in Wiring._fields[:10]}
    for p, shape in enumerate(shapes):
        tables["units"][p] = int(np.prod(shape))
        height, width, channels = shape if len(shape) == 3 else (1, 1, shape[0])
        tables["height"][p], tables["width"][p], tables["channels"][p] = height, width, channels
    tables["first"][1:] = np.cumsum(tables["units"])[:-1]
    weights_at, weights_size = np.full(count, -1, np.int64), 0
    parent, edges = np.full((count, 2), -1, np.int64), []
    for p, layer in enumerate(populations, start=1):
        tables["kind"][p] = _CODES[layer.kind]
        for side, name in enumerate(layer.parents):
            drops = []
            while name not in number:
                drop = layers[position[name]]
                drops.append((position[name], float(drop.spec.fraction)))
                (name,) = drop.parents
            parent[p, side] = len(edges)
            edges.append((number[name], p, tuple(drops)))
        source = shapes[edges[parent[p, 0]][0]]
        tables["inputs"][p] = int(np.prod(source))
        if layer.kind in ("conv", "untied"):
            tables["rows"][p], tables["columns"][p] = layer.spec.rows, layer.spec.columns
        elif layer.kind == "maxpool":
            tables["rows"][p] = tables["columns"][p] = layer.spec.window
            tables["stride"][p] = layer.spec.stride
        if layer.kind in WEIGHTED:
            weights_at[p] = weights_size
            area = int(tables["rows"][p] * tables["columns"][p]) * source[-1]
            each = {"conv": area * shapes[p][-1], "untied": area * int(np.prod(shapes[p]))}
            weights_size += each.get(layer.kind, int(np.prod(source)) * shapes[p][0])
    wiring, masks, view_size = _lay_edges(tables, parent, edges, shapes, weights_at)
    return Plan(tuple(populations), wiring, masks, view_size, weights_size)


def _lay_edges(tables, parent, edges, shapes, weights_at):
    count, view_size, mask_size = len(shapes), 0, 0
    base, place, signal_base = _Growing(), _Growing(), _Growing()
    base_at = np.full(count, -1, np.int64)
    signals = {name: np.full(count, -1, np.int64) for name in ("signal_view", "signal_place", "signal_row")}
    names = ("edge_source", "edge_reader", "edge_view", "edge_row", "edge_mask", "edge_place", "signal_base_at")
    edge = {name: np.full(len(edges), -1, np.int64) for name in names}
    masks = []
    for e, (p, q, drops) in enumerate(edges):
        kind, shape = tables["kind"][q], shapes[p]
        edge["edge_source"][e], edge["edge_reader"][e], edge["edge_view"][e] = p, q, view_size
        if kind in (CONV, UNTIED, POOL):
            rows, columns, stride = int(tables["rows"][q]), int(tables["columns"][q]), int(tables["stride"][q]) or 1
            top, left = (rows - 1) // 2, (columns - 1) // 2
            own = shapes[q]
            high = max(shape[0] + top, (own[0] - 1) * stride + rows)
            wide = max(shape[1] + left, (own[1] - 1) * stride + columns)
            row = wide * shape[2]
            view_size += high * row
            edge["edge_row"][e] = row
            edge["edge_place"][e] = place.add(_map_places(shape, row, top, left))
            y, x, c = np.ogrid[: own[0], : own[1], : own[2]]
            # a pool reads its own channel; a filter reads all channels of its pixels
            base_at[q] = base.add(y * stride * row + x * stride * shape[2] + (c if kind == POOL else 0 * c))
        else:
            view_size += int(np.prod(shape))
            edge["edge_place"][e] = place.add(np.arange(int(np.prod(shape))))
        if kind == CONV:
            # unit y of the source is read by the pixels y - bottom .. y + top of the reader
            own, bottom, right = shapes[q], rows // 2, columns // 2
            signal_row = (own[1] + columns - 1) * own[2]
            signals["signal_view"][q], signals["signal_row"][q] = view_size, signal_row
            view_size += (own[0] + rows - 1) * signal_row
            signals["signal_place"][q] = place.add(_map_places(own, signal_row, bottom, right))
            y, x, c = np.ogrid[: shape[0], : shape[1], : shape[2]]
            edge["signal_base_at"][e] = signal_base.add(y * signal_row + x * own[2] + 0 * c)
        if drops:
            edge["edge_mask"][e] = mask_size
            masks.append(Mask(mask_size, int(np.prod(shape)), drops))
            mask_size += int(np.prod(shape))
    out = [[e for e, (p, _, _) in enumerate(edges) if p == source] for source in range(count)]
    out_at = np.cumsum([0, *map(len, out)]).astype(np.int64)
    wiring = Wiring(
        **tables, parent=parent, weights_at=weights_at, base=base.array(), base_at=base_at, **edge,
        place=place.array(), out_at=out_at, out_edge=np.array([e for part in out for e in part], np.int64),
        **signals, signal_base=signal_base.array(),
    )  # fmt: skip
    return wiring, tuple(masks), view_size
