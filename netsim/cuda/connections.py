"""The connections of one layer on the device: tables of where each entry of a filter lies, and its three products."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from netsim.cuda import products as plain
from netsim.cuda.jit import empty, simulated, upload, zeros
from netsim.cuda.tiles import TILES, Products, Tile, products
from netsim.errors import OptionError
from netsim.layers import Weighted


@dataclass(frozen=True, slots=True)
class Limits:
    """How products are divided; fixed numbers, so that every GPU adds in the same order.

    Attributes
    ----------
    blocks : a product gets smaller tiles, and its sum is cut into parts, until there are so many blocks
    locations, entries : that a part of a Hebbian sum, and of a feedforward sum, has at least
    numbers : all parts of a sum together hold at most so many
    """

    blocks: int
    locations: int
    entries: int
    numbers: int


LIMITS = Limits(3, 5, 12, 1 << 22) if simulated else Limits(256, 64, 512, 1 << 26)

#: Largest number of blocks of a grid's second and third direction.
_MOST = 65_535


class Together:
    """Which units of a product's result read what. This one: all the same, at once.

    Attributes
    ----------
    table : int32 on the device, by location: which of several arrays it reads
    stride, also_stride : numbers from one of these arrays to the next; 0 where there is one
    """

    stride = also_stride = 0

    @property
    def table(self):
        return _no_table()

    @property
    def parted(self) -> bool:
        """Whether locations read apart."""
        return self.stride + self.also_stride > 0

    def stretches(self, columns: int, *arrays) -> list[tuple]:
        """Stretches of a location's ``columns`` units that read alike: first, last, and what they see of each array."""
        return [(0, columns, *arrays)]


@functools.cache
def _no_table():
    return zeros(1, np.int32)


TOGETHER = Together()


class Connections:
    """The connections of a layer with weights, for ``images`` images at most.

    Parameters
    ----------
    layer : of a `netsim.Network`
    images : most images of a batch
    places : (height, width) -> int32 array on the device, where every location of the images lies; filled as needed
    tiled : by tiles, or by the plain products
    """

    def __init__(self, layer: Weighted, images: int, places: dict[tuple[int, int], object], tiled: bool = True):
        self.layer, self.tiled = layer, tiled
        rows = columns = height = width = 1
        if layer.kind in ("conv", "untied"):
            rows, columns, (height, width, _) = layer.spec.rows, layer.spec.columns, layer.shape
            self.c_in, self.c_out = layer.below[2], layer.shape[2]
        else:
            self.c_in, self.c_out = layer.weights_shape
        if max(height, width) > 32_767:
            raise OptionError(f"{layer.name}: a map of {height}x{width} is too large for the GPU kernels")
        self.height, self.width, self.locations = height, width, height * width
        area = rows * columns
        own = layer.kind == "untied"
        self.series, self.block = (self.locations, area * self.c_in * self.c_out) if own else (1, 0)
        self.entries_in, self.entries_out = area * self.c_in, area * self.c_out
        self.weights = self.entries_in * self.c_out * self.series
        if (height, width) not in places:
            y, x = np.divmod(np.arange(self.locations, dtype=np.int32), np.int32(width))
            places[height, width] = upload(np.tile(y * np.int32(65_536) + x, images))
        self.places = places[height, width]
        y, x = np.divmod(np.arange(area), columns)
        shift_y, shift_x = y - (rows - 1) // 2, x - (columns - 1) // 2
        self.reading = self._table(shift_y, shift_x, self.c_in)
        # the units that read a location lie in the opposite directions
        self.hearing = self._table(-shift_y, -shift_x, self.c_out)
        taps = np.arange(area) * self.c_in * self.c_out - (shift_y * width + shift_x) * self.block
        self.source = upload((taps[:, None] + np.arange(self.c_out)).astype(np.int64))
        self._parts: dict[int, object] = {}

    def _table(self, shift_y: np.ndarray, shift_x: np.ndarray, channels: int) -> tuple:
        """shift_y, shift_x, offset of every entry, on the device."""
        offset = ((shift_y * self.width + shift_x) * channels)[:, None] + np.arange(channels)
        tables = np.repeat(shift_y, channels), np.repeat(shift_x, channels), offset
        return tuple(upload(table.astype(np.int32)) for table in tables)

    def _rows(self, images: int) -> int:
        """Rows of the feedforward and feedback products of each series."""
        return images * self.locations // self.series

    def _grid(
        self, rows: int, columns: int, parts: int = 1, parted: bool = False
    ) -> tuple[Products, tuple[int, int, int]] | None:
        """Tile and blocks of a product of ``rows`` by ``columns``; None where only plain ones can do it."""
        tile, _ = tile_of(TILES, LIMITS, rows, columns, self.series, parts)
        grid = (-(-rows // tile.rows), -(-columns // tile.columns), self.series)
        return (products(tile, parted), grid) if self.tiled and max(grid[1:]) <= _MOST else None

    def _parts_of(self, terms: int, least: int, values: int, blocks: int) -> tuple[int, int]:
        return parts_of(LIMITS, terms, least, values, blocks) if self.series == 1 else (terms, 1)

    def feedforward(self, out, below, weights, images: int, saturates: bool, slope, reads: Together = TOGETHER) -> None:
        """out = sigma(sum over the filter of W x_below) (eq. 1).

        ``reads`` : which units read what, where they do not all read the same at once.
        """
        rows, size = self._rows(images), images * self.locations * self.c_out
        shape = (self.height, self.width, self.c_in, self.c_out, self.entries_in, self.series, self.block)
        tables, apart = (self.places, *self.reading), (reads.table, reads.stride)
        if chosen := self._grid(rows, self.c_out, max(self.entries_in // LIMITS.entries, 1), reads.parted):
            tiles, (x, y, z) = chosen
            share, number = self._parts_of(self.entries_in, LIMITS.entries, size, x * y * z)
            into, saturating = (out, saturates) if number == 1 else (self._room(number * size), False)
            for first, last, seen in reads.stretches(self.c_out, below):
                grid = (x, -(-(last - first) // tiles.tile.columns), z * number)
                tiles.feedforward.launch(
                    grid, tiles.tile.threads, into, seen, weights, *tables, *apart, rows, *shape, share,
                    first, last, saturating, slope,
                )  # fmt: skip
            if number > 1:
                plain.finish_parts.over(size, out, into, number, saturates, slope)
            return
        for first, last, seen in reads.stretches(self.c_out, below):
            values = images * self.locations * (last - first)
            plain.feedforward.over(values, out, seen, weights, *tables, *apart, *shape, first, last, saturates, slope)

    def feedback(
        self, below, also, own, weights, images: int, use_also: bool, gate: bool, slope, reads: Together = TOGETHER
    ) -> None:
        """below <- gate * (sum of R delta over the units that read it [+ also]) (eq. 2 with R).

        ``reads`` : which units below read what, where they do not all read the same at once.
        """
        rows = self._rows(images)
        shape = (self.height, self.width, self.c_in, self.c_out, self.entries_out, self.series, self.block)
        tables = (self.places, *self.hearing, self.source, reads.table, reads.stride, reads.also_stride)
        chosen = self._grid(rows, self.c_in, 1, reads.parted)
        for first, last, seen, other in reads.stretches(self.c_in, own, also):
            arrays, ends = (below, other, seen, weights, *tables), (first, last, use_also, gate, slope)
            if chosen:
                tiles, (x, _, z) = chosen
                grid = (x, -(-(last - first) // tiles.tile.columns), z)
                tiles.feedback.launch(grid, tiles.tile.threads, *arrays, rows, *shape, *ends)
            else:
                plain.feedback.over(images * self.locations * (last - first), *arrays, *shape, *ends)

    def hebbian(self, increment, below, own, images: int, reads: Together = TOGETHER) -> None:
        """increment = sum over images, and tied: locations, of delta x_below (section 3.1).

        ``reads`` : which units meet which inputs, where they do not all learn at once.
        """
        rows = self._rows(images)
        most = max(rows // LIMITS.locations, 1) if self.series == 1 else 1
        chosen = self._grid(self.entries_in, self.c_out, most, reads.parted)
        blocks = 1 if chosen is None else int(np.prod(chosen[1]))
        share, number = self._parts_of(rows, LIMITS.locations, self.weights, blocks)
        parts = increment if number == 1 else self._room(number * self.weights)
        tables = (self.places, *self.reading, reads.table, reads.stride)
        shape = (self.height, self.width, self.c_in, self.c_out, self.entries_in, self.series)
        for first, last, seen in reads.stretches(self.c_out, below):
            arrays, ends = (parts, seen, own, *tables), (first, last, self.weights)
            if chosen is not None:
                tiles, (x, _, _) = chosen
                grid = (x, -(-(last - first) // tiles.tile.columns), self.series * number)
                tiles.hebbian.launch(grid, tiles.tile.threads, *arrays, rows, *shape, share, *ends)
            else:
                plain.hebbian.over(number * self.weights, *arrays, *shape, share, images * self.locations, *ends)
        if number > 1:
            plain.add_parts.over(self.weights, increment, parts, number)

    def _room(self, numbers: int):
        """Room for the parts of sums. It stays where it is: graphs of steps know it by its place."""
        if numbers not in self._parts:
            self._parts[numbers] = empty(numbers)
        return self._parts[numbers]


def tile_of(
    tiles: tuple[Tile, ...], limits: Limits, rows: int, columns: int, series: int, parts: int
) -> tuple[Tile, int]:
    """The tile of ``series`` products of ``rows`` by ``columns``, and the blocks that they make.

    The first of ``tiles`` that is not half empty and gives enough blocks, else the last. ``parts`` : parts that each
    sum may be cut into, each a block of its own.
    """
    for tile in tiles:
        blocks = -(-rows // tile.rows) * -(-columns // tile.columns) * series
        if tile is tiles[-1] or (tile.columns < 2 * columns and parts * blocks >= limits.blocks):
            break
    return tile, blocks


def parts_of(limits: Limits, terms: int, least: int, values: int, blocks: int) -> tuple[int, int]:
    """(terms of a part, number of parts) of sums of so many terms, by the batch and the layer alone.

    ``least`` : terms of a part; ``values`` : number of sums; ``blocks`` : of the product without parts.
    """
    number = min(-(-limits.blocks // blocks), terms // least, limits.numbers // values, _MOST)
    share = -(-terms // max(number, 1))
    return share, -(-terms // share)
