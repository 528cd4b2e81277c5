"""The three products of connections in tiles: a block of threads works on rows by columns of a product together.

It takes a slice of both factors into shared memory, and each thread adds the products of a few rows and columns, held
in registers. While it does, the numbers of the next slice are on their way into registers; a number that does not
count is read from the beginning of its array and replaced by 0, so that no load waits for a branch. The sum over
entries runs in the order of the plain products (`netsim.cuda.products`, where the arguments are explained), one
multiply-add after another, so neither the size of a tile nor its place changes a bit. Parts of a sum do.

A product has rows i of ``rows``, columns j of ``c_out`` (feedback: ``c_in``), entries k; blocks count rows by x,
columns by y, locations with weights of their own and parts of the sum by z. Row i of series s is location
i * series + s. ``share`` : entries (Hebbian: locations) of a part; the parts lie one after another in the result.

A product may be done for a stretch of its columns, from ``column_0`` up to ``columns``. And locations may read apart
(event times: `netsim.cuda.batched`): then a factor is several arrays, ``stride`` numbers from one to the next, and
location q reads that of number apart[q].
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from netsim.cuda.jit import ALIGNMENT, Kernel, cuda, device, float32, int32, int64, kernel, simulated
from netsim.cuda.products import NONE, ZERO, gated, saturated


@dataclass(frozen=True, slots=True)
class Tile:
    """Rows and columns of a tile, those of each of its threads, and the entries taken at once.

    The number of threads must be a multiple of ``rows`` and of ``depth``, the slices of both factors multiples of it.
    """

    rows: int
    columns: int
    high: int
    wide: int
    depth: int

    def __post_init__(self) -> None:
        threads = self.threads
        if self.rows % self.high or self.columns % self.wide or threads % self.rows or threads % self.depth:
            raise ValueError(f"{self}: {threads} threads cannot share it")
        if self.rows * self.depth % threads or self.columns * self.depth % threads:
            raise ValueError(f"{self}: slices are no multiples of {threads} threads")

    @property
    def threads(self) -> int:
        return (self.rows // self.high) * (self.columns // self.wide)


#: From the largest to the smallest; a product takes the first that gives enough blocks.
TILES = (
    (Tile(4, 4, 2, 2, 4), Tile(4, 2, 2, 1, 4))
    if simulated
    else (Tile(128, 64, 8, 8, 8), Tile(128, 32, 8, 4, 8), Tile(64, 32, 4, 4, 8))
)

#: Columns of a thread that lie side by side, and numbers that a row of shared memory is longer than the tile: with
#: these, the threads of a warp read and write different banks.
_SIDE, _PAD = 4, 4


@dataclass(frozen=True, slots=True)
class Products:
    """The kernels of one tile."""

    tile: Tile
    feedforward: Kernel
    feedback: Kernel
    hebbian: Kernel


@functools.cache
def products(tile: Tile, parted: bool = False) -> Products:
    """The kernels of a tile; everything about the tile is a constant in them. ``parted`` : whether rows read apart."""
    threads, depth, rows_a, columns_b, high, wide = map(
        np.uint64, (tile.threads, tile.depth, tile.rows, tile.columns, tile.high, tile.wide)
    )
    across = columns_b // wide
    side = np.uint64(min(_SIDE, tile.wide))
    stride_a, stride_b = np.uint64(tile.rows + _PAD), np.uint64(tile.columns + _PAD)
    size_a, size_b = tile.depth * (tile.rows + _PAD), tile.depth * (tile.columns + _PAD)
    loads_a, loads_b = rows_a * depth // threads, columns_b * depth // threads
    number_a, number_b = int(loads_a), int(loads_b)
    sums, number_high, number_wide = tile.high * tile.wide, tile.high, tile.wide
    step = threads // depth  # rows (or columns) that the threads fetch at once, a slice of entries each

    @device
    def column_of(j, my_columns):
        """Column of the tile that is column j of a thread."""
        return j // side * (across * side) + my_columns + j % side

    @device
    def multiply(total, a, b, left, right, my_rows, my_columns):
        """Add the products of a thread's rows and columns of two slices, entry by entry."""
        for k in range(depth):
            for i in range(high):
                left[i] = a[k * stride_a + my_rows + i]
            for j in range(wide):
                right[j] = b[k * stride_b + column_of(j, my_columns)]
            for i in range(high):
                for j in range(wide):
                    total[i * wide + j] += left[i] * right[j]

    @kernel
    def feedforward(
        out, below, weights, places, shift_y, shift_x, offset, apart, stride,
        rows, height, width, c_in, c_out, entries, series, block, share, column_0, columns, saturates, slope,
    ):  # fmt: skip
        a = cuda.shared.array(size_a, float32, ALIGNMENT)
        b = cuda.shared.array(size_b, float32, ALIGNMENT)
        total = cuda.local.array(sums, float32)
        left = cuda.local.array(number_high, float32)
        right = cuda.local.array(number_wide, float32)
        next_a = cuda.local.array(number_a, float32)
        next_b = cuda.local.array(number_b, float32)
        where = cuda.local.array(number_a, int32)
        begin = cuda.local.array(number_a, int64)
        thread = np.uint64(cuda.threadIdx.x)
        s, part = np.uint64(cuda.blockIdx.z) % series, np.uint64(cuda.blockIdx.z) // series
        first, last = part * share, min(entries, (part + np.uint64(1)) * share)
        row_0, column_0 = np.uint64(cuda.blockIdx.x) * rows_a, column_0 + np.uint64(cuda.blockIdx.y) * columns_b
        my_rows, my_columns = thread // across * high, thread % across * side
        entry, row = thread % depth, row_0 + thread // depth
        for load in range(loads_a):
            i = row + load * step
            where[load] = places[i * series + s] if i < rows else -1
            if parted:
                begin[load] = np.int64(apart[i * series + s]) * np.int64(stride) if i < rows else 0
        for n in range(high * wide):
            total[n] = ZERO
        for k_0 in range(first, last + depth, depth):
            k = k_0 + entry
            e = k if k < last else NONE
            dy, dx, shift = np.int64(shift_y[e]), np.int64(shift_x[e]), np.int64(offset[e])
            for load in range(loads_a):
                y, x = (where[load] >> 16) + dy, (where[load] & 65535) + dx
                inside = k < last and where[load] >= 0 and 0 <= y < np.int64(height) and 0 <= x < np.int64(width)
                at = np.int64(((row + load * step) * series + s) * c_in) + shift
                if parted:
                    at += begin[load]
                value = below[np.uint64(at) if inside else NONE]
                next_a[load] = value if inside else ZERO
            for load in range(loads_b):
                k, j = (thread + load * threads) // columns_b, (thread + load * threads) % columns_b
                inside = k_0 + k < last and column_0 + j < columns
                value = weights[s * block + (k_0 + k) * c_out + column_0 + j if inside else NONE]
                next_b[load] = value if inside else ZERO
            if k_0 > first:
                multiply(total, a, b, left, right, my_rows, my_columns)
            cuda.syncthreads()
            for load in range(loads_a):
                a[entry * stride_a + thread // depth + load * step] = next_a[load]
            for load in range(loads_b):
                k, j = (thread + load * threads) // columns_b, (thread + load * threads) % columns_b
                b[k * stride_b + j] = next_b[load]
            cuda.syncthreads()
        for i in range(high):
            for j in range(wide):
                row, column = row_0 + my_rows + i, column_0 + column_of(j, my_columns)
                if row < rows and column < columns:
                    h = total[i * wide + j]
                    out[(part * rows + row * series + s) * c_out + column] = saturated(h, slope) if saturates else h

    @kernel
    def feedback(
        below, also, own, weights, places, shift_y, shift_x, offset, source, apart, stride, also_stride,
        rows, height, width, c_in, c_out, entries, series, block, column_0, columns, use_also, gate, slope,
    ):  # fmt: skip
        a = cuda.shared.array(size_a, float32, ALIGNMENT)
        b = cuda.shared.array(size_b, float32, ALIGNMENT)
        total = cuda.local.array(sums, float32)
        left = cuda.local.array(number_high, float32)
        right = cuda.local.array(number_wide, float32)
        next_a = cuda.local.array(number_a, float32)
        next_b = cuda.local.array(number_b, float32)
        where = cuda.local.array(number_a, int32)
        begin = cuda.local.array(number_a, int64)
        thread, s = np.uint64(cuda.threadIdx.x), np.uint64(cuda.blockIdx.z)
        row_0, column_0 = np.uint64(cuda.blockIdx.x) * rows_a, column_0 + np.uint64(cuda.blockIdx.y) * columns_b
        my_rows, my_columns = thread // across * high, thread % across * side
        entry, row = thread % depth, row_0 + thread // depth
        for load in range(loads_a):
            i = row + load * step
            where[load] = places[i * series + s] if i < rows else -1
            if parted:
                begin[load] = np.int64(apart[i * series + s]) * np.int64(stride) if i < rows else 0
        for n in range(high * wide):
            total[n] = ZERO
        for k_0 in range(NONE, entries + depth, depth):
            k = k_0 + entry
            there, e = k < entries, k if k < entries else NONE
            dy, dx, shift = np.int64(shift_y[e]), np.int64(shift_x[e]), np.int64(offset[e])
            weight = np.int64(s * block) + source[e]
            if block > NONE:  # the location whose weights these are may lie outside the map
                y, x = (places[s] >> 16) + dy, (places[s] & 65535) + dx
                there = there and 0 <= y < np.int64(height) and 0 <= x < np.int64(width)
            for load in range(loads_a):
                y, x = (where[load] >> 16) + dy, (where[load] & 65535) + dx
                inside = there and where[load] >= 0 and 0 <= y < np.int64(height) and 0 <= x < np.int64(width)
                at = np.int64(((row + load * step) * series + s) * c_out) + shift
                if parted:
                    at += begin[load]
                value = own[np.uint64(at) if inside else NONE]
                next_a[load] = value if inside else ZERO
            for load in range(loads_b):
                j = thread // depth + load * step
                inside = there and column_0 + j < columns
                at = weight + np.int64((column_0 + j) * c_out)
                value = weights[np.uint64(at) if inside else NONE]
                next_b[load] = value if inside else ZERO
            if k_0 > NONE:
                multiply(total, a, b, left, right, my_rows, my_columns)
            cuda.syncthreads()
            for load in range(loads_a):
                a[entry * stride_a + thread // depth + load * step] = next_a[load]
            for load in range(loads_b):
                b[entry * stride_b + thread // depth + load * step] = next_b[load]
            cuda.syncthreads()
        for i in range(high):
            for j in range(wide):
                row, column = row_0 + my_rows + i, column_0 + column_of(j, my_columns)
                if row < rows and column < columns:
                    at = (row * series + s) * c_in + column
                    signal = total[i * wide + j]
                    if use_also:
                        other = at
                        if parted:
                            other += np.uint64(apart[row * series + s]) * also_stride
                        signal += also[other]
                    below[at] = gated(below[at], signal, slope) if gate else signal

    @kernel
    def hebbian(
        parts, below, own, places, shift_y, shift_x, offset, apart, stride,
        rows, height, width, c_in, c_out, entries, series, share, column_0, columns, weights,
    ):  # fmt: skip
        # here the rows of the product are the filter's entries, and its sum runs over ``share`` of the locations
        a = cuda.shared.array(size_a, float32, ALIGNMENT)
        b = cuda.shared.array(size_b, float32, ALIGNMENT)
        total = cuda.local.array(sums, float32)
        left = cuda.local.array(number_high, float32)
        right = cuda.local.array(number_wide, float32)
        next_a = cuda.local.array(number_a, float32)
        next_b = cuda.local.array(number_b, float32)
        thread = np.uint64(cuda.threadIdx.x)
        s, part = np.uint64(cuda.blockIdx.z) % series, np.uint64(cuda.blockIdx.z) // series
        row_0, column_0 = np.uint64(cuda.blockIdx.x) * rows_a, column_0 + np.uint64(cuda.blockIdx.y) * columns_b
        my_rows, my_columns = thread // across * high, thread % across * side
        last = min(rows, (part + np.uint64(1)) * share)
        e = row_0 + thread % rows_a
        dy, dx, shift = np.int64(0), np.int64(0), np.int64(0)
        if e < entries:
            dy, dx, shift = np.int64(shift_y[e]), np.int64(shift_x[e]), np.int64(offset[e])
        for n in range(high * wide):
            total[n] = ZERO
        for k_0 in range(part * share, last + depth, depth):
            for load in range(loads_a):
                k = k_0 + (thread + load * threads) // rows_a
                there = k < last and e < entries
                q = k * series + s if there else NONE
                y, x = (places[q] >> 16) + dy, (places[q] & 65535) + dx
                inside = there and 0 <= y < np.int64(height) and 0 <= x < np.int64(width)
                at = np.int64(q * c_in) + shift
                if parted:
                    at += np.int64(apart[q]) * np.int64(stride)
                value = below[np.uint64(at) if inside else NONE]
                next_a[load] = value if inside else ZERO
            for load in range(loads_b):
                k, j = k_0 + (thread + load * threads) // columns_b, (thread + load * threads) % columns_b
                inside = k < last and column_0 + j < columns
                value = own[(k * series + s) * c_out + column_0 + j if inside else NONE]
                next_b[load] = value if inside else ZERO
            if k_0 > part * share:
                multiply(total, a, b, left, right, my_rows, my_columns)
            cuda.syncthreads()
            for load in range(loads_a):
                a[(thread + load * threads) // rows_a * stride_a + thread % rows_a] = next_a[load]
            for load in range(loads_b):
                k, j = (thread + load * threads) // columns_b, (thread + load * threads) % columns_b
                b[k * stride_b + j] = next_b[load]
            cuda.syncthreads()
        for i in range(high):
            for j in range(wide):
                row, column = row_0 + my_rows + i, column_0 + column_of(j, my_columns)
                if row < entries and column < columns:
                    parts[part * weights + (s * entries + row) * c_out + column] = total[i * wide + j]

    return Products(tile, feedforward, feedback, hebbian)
