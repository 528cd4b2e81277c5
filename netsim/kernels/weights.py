"""Work on weights: the layouts in which the feedback reads R, sums of increments, updates."""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import LANES, cgutils, compiled, intrinsic, ir, types
from netsim.kernels.layouts import copy, transpose
from netsim.kernels.tile import COLUMNS
from netsim.kernels.vectors import INT, MASK, VECTOR, constant, function, number, over_lanes, pointers, splat


@compiled
def turn_filters(turned, R, rows, columns, c_in, c_out):
    """turned[dy, dx, c_out, c_in] = R[rows-1-dy, columns-1-dx, c_in, c_out]: feedback is a convolution with these."""
    for y in range(rows):
        for x in range(columns):
            source = ((rows - 1 - y) * columns + columns - 1 - x) * c_in * c_out
            at = (y * columns + x) * c_in * c_out
            transpose(turned, at, c_in, R, source, c_out, c_in, c_out)


@compiled
def turn_untied(turned, R, height, width, rows, columns, c_in, c_out, first, last):
    """For every location q (first <= q < last) the weights of the feedback into it: (rows, columns, c_out, c_in).

    Location q hears location p = q + (dy, dx) - ((rows)//2, (columns)//2) through R[p] at the filter entry that
    points back to q; locations outside the grid carry no signal and get zeros.
    """
    size = rows * columns * c_in * c_out
    low_y, low_x = (rows - 1) // 2, (columns - 1) // 2
    high_y, high_x = rows // 2, columns // 2
    for q in range(first, last):
        for dy in range(rows):
            for dx in range(columns):
                y, x = q // width + dy - high_y, q % width + dx - high_x
                at = q * size + (dy * columns + dx) * c_in * c_out
                if 0 <= y < height and 0 <= x < width:
                    # entry e of p = (y, x) reads y + e - low; so e = q - y + low
                    e_y, e_x = q // width - y + low_y, q % width - x + low_x
                    source = (((y * width + x) * rows + e_y) * columns + e_x) * c_in * c_out
                    transpose(turned, at, c_in, R, source, c_out, c_in, c_out)
                else:
                    for i in range(c_in * c_out):
                        turned[at + i] = np.float32(0)


@compiled
def transpose_panels(panels, R, n_in, n_out, first, last):
    """R (n_in, n_out) transposed into panels of `COLUMNS` rows of R: panels[p, k, j] = R[p * COLUMNS + j, k].

    Panels ``first`` to ``last`` - 1, of which the first comes first; the last panel is filled up with zeros.
    """
    for panel in range(first, last):
        base = (panel - first) * n_out * COLUMNS
        rows = min(COLUMNS, n_in - panel * COLUMNS)
        transpose(panels, base, COLUMNS, R, panel * COLUMNS * n_out, n_out, rows, n_out)
        for j in range(rows, COLUMNS):
            for k in range(n_out):
                panels[base + k * COLUMNS + j] = np.float32(0)


@compiled
def pack_panels(panels, W, first, last, j_from, j_to, n_out):
    """Rows first to last - 1, columns j_from to j_to - 1 of W (n_in, n_out) in panels of `COLUMNS` columns:
    panels[p, k, j] = W[first + k, j_from + p * COLUMNS + j], the last one filled up with zeros.
    """
    rows = last - first
    for k in range(rows):
        source = (first + k) * n_out
        for column in range(j_from, j_to, COLUMNS):
            at = ((column - j_from) // COLUMNS * rows + k) * COLUMNS
            width = min(COLUMNS, j_to - column)
            copy(panels, W, at, source + column, width)
            for j in range(width, COLUMNS):
                panels[at + j] = np.float32(0)


@intrinsic
def _add_up(typing, total, parts, number_parts, size, at, length):
    """total[at + i] = parts[at + i] + parts[size + at + i] + ..., one after another, for i < length."""

    def generate(context, builder, signature, values):
        total, parts = pointers(context, builder, signature, values, 2)
        number_parts, size, at, length = values[2:]
        added = cgutils.alloca_once(builder, VECTOR)

        def body(lanes, offset):
            place = builder.add(at, offset)
            builder.store(lanes.load(builder.gep(parts, [place])), added)
            with cgutils.for_range_slice(builder, number(1), number_parts, number(1), INT) as (part, _):
                one = lanes.load(builder.gep(parts, [builder.add(place, builder.mul(part, size))]))
                builder.store(builder.fadd(builder.load(added), one), added)
            lanes.store(builder.load(added), builder.gep(total, [place]))

        over_lanes(builder, length, body)
        return context.get_dummy_value()

    return types.void(total, parts, *[types.int64] * 4), generate


@intrinsic
def _add_scaled(typing, weights, increment, rate, at, length):
    """weights[at + i] += rate * increment[at + i] where the increment is not 0, for i < length."""

    def generate(context, builder, signature, values):
        weights, increment = pointers(context, builder, signature, values, 2)
        rate, at, length = values[2:]
        any_lane = function(builder, f"llvm.vector.reduce.or.v{LANES}i1", ir.IntType(1), [MASK])

        def body(lanes, offset):
            place = builder.add(at, offset)
            change = lanes.load(builder.gep(increment, [place]))
            changes = builder.fcmp_unordered("!=", change, constant(0.0))
            with builder.if_then(builder.call(any_lane, [changes])):
                target = builder.gep(weights, [place])
                before = lanes.load(target)
                after = builder.fadd(before, builder.fmul(splat(builder, rate), change))
                lanes.store(builder.select(changes, after, before), target)

        over_lanes(builder, length, body)
        return context.get_dummy_value()

    return types.void(weights, increment, types.float32, types.int64, types.int64), generate


@compiled
def add_parts(total, parts, number_parts, size, first, last):
    """total = parts[0] + parts[1] + ... in that order, entries ``first`` to ``last`` - 1; parts lie ``size`` apart."""
    _add_up(total, parts, number_parts, size, first, last - first)


@compiled
def update(weights, increment, rate, keep, first, last):
    """weights = keep * weights + rate * increment (section 3.1; ``keep`` = 1 - step size * decay).

    A weight that keeps its size and has no increment is not touched.
    """
    if keep == 1:
        _add_scaled(weights, increment, rate, first, last - first)
    else:
        # over whole arrays, so that the compiler knows every index to be inside and works on vectors
        own, change = weights[first:last], increment[first:last]
        for i in range(own.size):
            own[i] = keep * own[i] + rate * change[i]


@compiled
def update_connected(weights, mask, increment, rate, keep, first, last):
    """The same, where there is a connection; elsewhere the weight stays 0."""
    own, change, connected = weights[first:last], increment[first:last], mask[first:last]
    for i in range(own.size):
        value = keep * own[i] + rate * change[i]
        own[i] = value if connected[i] else np.float32(0)
