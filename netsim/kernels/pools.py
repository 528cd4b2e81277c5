"""Max pooling, all channels of a location side by side in vectors.

Maps are laid out as in `netsim.kernels.units`. ``winner`` (int32, B * H * W * C) is the place of each pool's winner
in its window, row-major.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import cgutils, compiled, intrinsic, ir, types
from netsim.kernels.layouts import copy
from netsim.kernels.units import ONE, pass_down
from netsim.kernels.vectors import CODE, CODES, VECTOR, constant, over_lanes, pointers, splat

ZERO = np.float32(0)


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
def _add_won(typing, signals, own, winner, at, step, source, mark, windows, channels, code):
    """signals[at + w * step + c] += own[source + w * channels + c] where winner[mark + w * channels + c] is ``code``,
    for w < windows and every channel c.
    """

    def generate(context, builder, signature, values):
        signals, own, winner = pointers(context, builder, signature, values, 3)
        at, step, source, mark, windows, channels, code = values[3:]
        codes = splat(builder, builder.trunc(code, CODE))
        with cgutils.for_range(builder, windows) as window:
            shift = builder.mul(window.index, channels)
            targets = builder.gep(signals, [builder.add(at, builder.mul(window.index, step))])
            sources, marks = (
                builder.gep(array, [builder.add(begin, shift)]) for array, begin in ((own, source), (winner, mark))
            )

            def body(lanes, offset):
                won = builder.icmp_signed("==", lanes.load(builder.gep(marks, [offset]), 0, CODES), codes)
                passed = builder.select(won, lanes.load(builder.gep(sources, [offset])), constant(0.0))
                target = builder.gep(targets, [offset])
                lanes.store(builder.fadd(lanes.load(target), passed), target)

            over_lanes(builder, channels, body)
        return context.get_dummy_value()

    return types.void(signals, own, winner, *[types.int64] * 7), generate


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
def _covering(pixels, windows, stride, shift):
    """The first of the windows w with 0 <= w * stride + shift < pixels, and how many there are."""
    first = max(0, -(shift // stride))
    return first, max(0, min(windows - 1, (pixels - 1 - shift) // stride) + 1 - first)


@compiled
def pool_feedback(
    below, b_image, b_row, b_origin, b_height, b_width, own, o_image, o_row, o_origin, winner,
    height, width, channels, window, stride, also, use_also, gate, slope, first, last,
):  # fmt: skip
    """below <- gate * (sum of the signals of the windows that each unit won [+ also]), row by row.

    A unit's windows come in row-major order.
    """
    low, high = (window - 1) // 2, window // 2
    length = b_width * channels
    signals = np.empty(length, np.float32)
    for image in range(first, last):
        for y in range(b_height):
            at = image * b_image + b_origin + y * b_row
            if use_also:
                copy(signals, also, 0, at, length)
            else:
                signals[:] = ZERO
            # the window rows with y - high <= stride * row <= y + low
            for row in range(max(0, -((high - y) // stride)), min(height - 1, (y + low) // stride) + 1):
                for place in range(window - 1, -1, -1):
                    begin, windows = _covering(b_width, width, stride, place - low)
                    _add_won(
                        signals, own, winner, (begin * stride + place - low) * channels, stride * channels,
                        image * o_image + o_origin + row * o_row + begin * channels,
                        ((image * height + row) * width + begin) * channels,
                        windows, channels, (y - row * stride + low) * window + place,
                    )  # fmt: skip
            pass_down(below, signals, signals, signals, at, 0, 0, length, 0, ONE, 0, gate, slope)
