"""Max pooling, all channels of a location side by side in vectors.

Maps are laid out as in `netsim.kernels.units`. ``winner`` (int32, B * H * W * C) is the place of each pool's winner
in its window, row-major.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import cgutils, compiled, intrinsic, ir, types
from netsim.kernels.vectors import CODE, CODES, VECTOR, constant, gated, number, over_lanes, pointers, splat


@intrinsic
def _largest(typing, below, own, winner, corner, at, mark, channels, window, b_row):
    """own[at + c], winner[mark + c] = the largest of the window at ``corner`` and its place, for every channel c."""

    def generate(context, builder, signature, values):
        below, own, winner = pointers(context, builder, signature, values, 3)
        corner, at, mark, channels, window, b_row = values[3:]
        best, place = cgutils.alloca_once(builder, VECTOR), cgutils.alloca_once(builder, CODES)

        def body(lanes, offset):
            first = builder.add(corner, offset)
            builder.store(lanes.load(builder.gep(below, [first])), best)
            builder.store(ir.Constant(CODES, None), place)
            with cgutils.for_range(builder, window) as rows, cgutils.for_range(builder, window) as columns:
                shift = builder.add(builder.mul(rows.index, b_row), builder.mul(columns.index, channels))
                value = lanes.load(builder.gep(below, [builder.add(first, shift)]))
                # greater, not equal: ties go to the first; a NaN wins and stays
                wins = builder.or_(
                    builder.fcmp_ordered(">", value, builder.load(best)), builder.fcmp_unordered("uno", value, value)
                )
                builder.store(builder.select(wins, value, builder.load(best)), best)
                code = builder.trunc(builder.add(builder.mul(rows.index, window), columns.index), CODE)
                builder.store(builder.select(wins, splat(builder, code), builder.load(place)), place)
            lanes.store(builder.load(best), builder.gep(own, [builder.add(at, offset)]))
            lanes.store(builder.load(place), builder.gep(winner, [builder.add(mark, offset)]))

        over_lanes(builder, channels, body)
        return context.get_dummy_value()

    return types.void(below, own, winner, *[types.int64] * 6), generate


@intrinsic
def _signals_of_windows(
    typing, below, own, winner, also, at, source, mark, o_row, w_row, channels, rows, columns,
    code, code_row, code_column, use_also, gate, slope,
):  # fmt: skip
    """below[at + c] <- gate * (sum of own over the rows x columns windows whose winner is here [+ also]).

    The first window is at ``source`` (own) and ``mark`` (winner); there this location has the place ``code``, in
    the next row of windows ``code_row`` less, in the next column ``code_column`` less.
    """

    def generate(context, builder, signature, values):
        below, own, winner, also = pointers(context, builder, signature, values, 4)
        at, source, mark, o_row, w_row, channels, rows, columns = values[4:12]
        code, code_row, code_column, use_also, gate, slope = values[12:]
        signal = cgutils.alloca_once(builder, VECTOR)
        yes = builder.icmp_signed("!=", use_also, number(0))
        gates = builder.icmp_signed("!=", gate, number(0))

        def body(lanes, offset):
            here = builder.add(at, offset)
            builder.store(constant(0.0), signal)
            with builder.if_then(yes):
                builder.store(lanes.load(builder.gep(also, [here])), signal)
            with cgutils.for_range(builder, rows) as row, cgutils.for_range(builder, columns) as column:
                step = builder.add(builder.mul(column.index, channels), offset)
                there = builder.add(builder.add(source, builder.mul(row.index, o_row)), step)
                marks = builder.add(builder.add(mark, builder.mul(row.index, w_row)), step)
                less = builder.add(builder.mul(row.index, code_row), builder.mul(column.index, code_column))
                mine = splat(builder, builder.trunc(builder.sub(code, less), CODE))
                wins = builder.icmp_signed("==", lanes.load(builder.gep(winner, [marks]), 0, CODES), mine)
                passed = builder.select(wins, lanes.load(builder.gep(own, [there])), constant(0.0))
                builder.store(builder.fadd(builder.load(signal), passed), signal)
            target = builder.gep(below, [here])
            with builder.if_then(gates):
                builder.store(gated(builder, lanes.load(target), builder.load(signal), slope), signal)
            lanes.store(builder.load(signal), target)

        over_lanes(builder, channels, body)
        return context.get_dummy_value()

    return types.void(below, own, winner, also, *[types.int64] * 13, types.float32), generate


@compiled
def pool_feedforward(
    below, b_image, b_row, b_origin, own, o_image, o_row, o_origin, winner,
    height, width, channels, window, stride, first, last,
):  # fmt: skip
    """own = the largest of each window, ``winner`` its place; ties go to the first in row-major order.

    The zeros of the border take part: what lies outside the grid is 0 and can win.
    """
    low = (window - 1) // 2
    for image in range(first, last):
        for y in range(height):
            for x in range(width):
                at = image * o_image + o_origin + y * o_row + x * channels
                mark = ((image * height + y) * width + x) * channels
                corner = image * b_image + b_origin + (y * stride - low) * b_row + (x * stride - low) * channels
                _largest(below, own, winner, corner, at, mark, channels, window, b_row)


@compiled
def _windows_at(x, windows, window, stride):
    """(first window that covers pixel x, number of windows that do): x - high <= stride * number <= x + low."""
    low, high = (window - 1) // 2, window // 2
    begin = max(0, -((high - x) // stride))
    return begin, max(0, min(windows - 1, (x + low) // stride) + 1 - begin)


@compiled
def _windows_over(pixels, windows, window, stride):
    """`_windows_at` of every pixel."""
    begins, covers = np.empty(pixels, np.int64), np.empty(pixels, np.int64)
    for x in range(pixels):
        begins[x], covers[x] = _windows_at(x, windows, window, stride)
    return begins, covers


@compiled
def pool_feedback(
    below, b_image, b_row, b_origin, b_height, b_width, own, o_image, o_row, o_origin, winner,
    height, width, channels, window, stride, also, use_also, gate, slope, first, last,
):  # fmt: skip
    """below <- gate * (sum of the signals of the windows that each unit won [+ also])."""
    low, w_row = (window - 1) // 2, width * channels
    # for every column below: the first window that covers it, and how many do
    begins, covers = _windows_over(b_width, width, window, stride)
    for image in range(first, last):
        for y in range(b_height):
            row, rows = _windows_at(y, height, window, stride)
            for x in range(b_width):
                column, columns = begins[x], covers[x]
                at = image * b_image + b_origin + y * b_row + x * channels
                source = image * o_image + o_origin + row * o_row + column * channels
                mark = ((image * height + row) * width + column) * channels
                code = (y - row * stride + low) * window + x - column * stride + low
                _signals_of_windows(
                    below, own, winner, also, at, source, mark, o_row, w_row, channels, rows, columns,
                    code, stride * window, stride, use_also, gate, slope,
                )  # fmt: skip
