"""The three products of connections, plainly: one thread a value, one multiply-add after another in a fixed order.

They are the reference for the tiled ones (`netsim.cuda.tiles`) and run where a tiled one cannot. One form serves tied,
untied and full layers. A batch's map is a row of locations q = (image * height + y) * width + x with ``c_in`` units
below and ``c_out`` units of the layer's own; a full layer is a map of one location.

places : int32, y * 65536 + x of every location q.
shift_y, shift_x, offset : int32, for every entry e of a filter: how many rows and columns away it lies, and how far in
    memory. Entries of the feedforward and Hebbian products are (row, column, unit below), those of the feedback are
    (row, column, own unit).
series, block : locations with weights of their own, and how many weights each has; 1 and 0 for tied and full layers.
apart, stride : where rows read apart, location q reads array number apart[q] of several, so many numbers from one to
    the next; stride is 0 where there is one. column_0, columns : the stretch of columns that is done.
"""

from __future__ import annotations

import numpy as np

from netsim.cuda.jit import cuda, device, kernel
from netsim.kernels import units

ZERO, ONE, NONE = np.float32(0), np.float32(1), np.uint64(0)
saturated = device(units.saturated)


@device
def gated(x, signal, slope):
    """eq. 2 and 3: the signal times the slope of sigma where the unit is not saturated, else 0."""
    return signal * slope if -ONE < x < ONE else ZERO


@kernel
def feedforward(
    out, below, weights, places, shift_y, shift_x, offset, apart, stride,
    height, width, c_in, c_out, entries, series, block, column_0, columns, saturates, slope, size,
):  # fmt: skip
    """out = sigma(sum over the filter of W x_below) (eq. 1); ``size`` values of out's stretch."""
    for n in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        q = n // (columns - column_0)
        i = q * c_out + column_0 + n % (columns - column_0)
        begin = np.int64(np.uint64(apart[q]) * stride if stride > NONE else NONE) + np.int64(q * c_in)
        weight = q % series * block + i % c_out
        y, x = np.int64(places[q] >> 16), np.int64(places[q] & 65535)
        total = ZERO
        for e in range(entries):
            row, column = y + shift_y[e], x + shift_x[e]
            if 0 <= row < np.int64(height) and 0 <= column < np.int64(width):
                total += below[np.uint64(begin + offset[e])] * weights[weight + e * c_out]
        out[i] = saturated(total, slope) if saturates else total


@kernel
def feedback(
    below, also, own, weights, places, shift_y, shift_x, offset, source, apart, stride, also_stride,
    height, width, c_in, c_out, entries, series, block, column_0, columns, use_also, gate, slope, size,
):  # fmt: skip
    """below <- gate * (sum of R delta over the units that read it [+ also]) (eq. 2 with R); ``size`` values.

    source : int64, where the weight of each entry lies, from the weights of the location below.
    """
    for n in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        q = n // (columns - column_0)
        i = q * c_in + column_0 + n % (columns - column_0)
        part = np.uint64(apart[q]) if stride + also_stride > NONE else NONE
        begin = np.int64(part * stride + q * c_out)
        weight = np.int64(q % series * block + i % c_in * c_out)
        y, x = np.int64(places[q] >> 16), np.int64(places[q] & 65535)
        total = ZERO
        for e in range(entries):
            row, column = y + shift_y[e], x + shift_x[e]
            if 0 <= row < np.int64(height) and 0 <= column < np.int64(width):
                delta = own[np.uint64(begin + offset[e])]
                total += delta * weights[np.uint64(weight + source[e])]
        if use_also:
            total += also[part * also_stride + i]
        below[i] = gated(below[i], total, slope) if gate else total


@kernel
def hebbian(
    parts, below, own, places, shift_y, shift_x, offset, apart, stride,
    height, width, c_in, c_out, entries, series, share, locations, column_0, columns, weights, size,
):  # fmt: skip
    """parts = sum of delta x_below (section 3.1), over ``share`` locations each; ``size`` values of parts.

    ``weights`` : numbers a part has, those of one increment. The parts of a layer whose locations have weights of
    their own are sums over images, and there is one.
    """
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        part, weight = i // weights, i % weights
        j, e = weight % c_out, weight // c_out % entries
        if j < column_0 or j >= columns:
            continue
        first = part * share * series + weight // c_out // entries
        last = min(locations, (part + np.uint64(1)) * share * series)
        total = ZERO
        for q in range(first, last, series):
            row, column = np.int64(places[q] >> 16) + shift_y[e], np.int64(places[q] & 65535) + shift_x[e]
            if 0 <= row < np.int64(height) and 0 <= column < np.int64(width):
                begin = np.uint64(apart[q]) * stride if stride > NONE else NONE
                total += below[np.uint64(np.int64(begin + q * c_in) + offset[e])] * own[q * c_out + j]
        parts[i] = total


@kernel
def add(total, more, size):
    """total += more."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        total[i] += more[i]


@kernel
def add_parts(total, parts, number, size):
    """total = parts[0] + parts[1] + ... in that order; ``size`` values of total, and so far from part to part."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        value = parts[i]
        for part in range(np.uint64(1), number):
            value += parts[part * size + i]
        total[i] = value


@kernel
def finish_parts(out, parts, number, saturates, slope, size):
    """out = sigma(parts[0] + parts[1] + ...) in that order; ``size`` values of out, and so far from part to part."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        value = parts[i]
        for part in range(np.uint64(1), number):
            value += parts[part * size + i]
        out[i] = saturated(value, slope) if saturates else value


@kernel
def update(weights, increment, rate, keep, size):
    """weights = keep * weights + rate * increment (section 3.1; ``keep`` = 1 - step size * decay)."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        weights[i] = keep * weights[i] + rate * increment[i]


@kernel
def update_connected(weights, mask, increment, rate, keep, size):
    """The same, where there is a connection (mask : uint8); elsewhere the weight stays 0."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        weights[i] = keep * weights[i] + rate * increment[i] if mask[i] else ZERO


@kernel
def signs(R, W, scale, size):
    """R = scale * sign(W), the feedback weights of sign-symmetry."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        R[i] = scale * (np.float32(W[i] > ZERO) - np.float32(W[i] < ZERO))
