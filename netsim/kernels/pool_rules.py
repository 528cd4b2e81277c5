"""Max pooling with other rules than the paper's: windows anchored anywhere, feedback to every unit that ties.

Maps are laid out as in `netsim.kernels.units`. ``largest`` (float32) and ``winner`` (int32), both B * H * W * C, are
what each pool found: its maximum, and the first place in its window that has it, row-major.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import compiled, inlined

ZERO, ONE = np.float32(0), np.float32(1)


# The channels of a location side by side. Indices are unsigned: the compiler then makes vectors of these loops.


@inlined
def _begin(below, corner, largest, winner, mark, channels):
    for c in range(channels):
        largest[mark + c], winner[mark + c] = below[corner + c], np.int32(0)


@inlined
def _rise(below, here, largest, winner, mark, place, channels):
    """Take over what is larger; a NaN wins and stays."""
    for c in range(channels):
        value, best = below[here + c], largest[mark + c]
        wins = (value > best) | (value != value)
        largest[mark + c] = value if wins else best
        winner[mark + c] = place if wins else winner[mark + c]


@inlined
def _copy(target, at, source, mark, channels):
    for c in range(channels):
        target[at + c] = source[mark + c]


@inlined
def _fall_on_ties(signal, own, source, largest, mark, below, at, channels):
    for c in range(channels):
        signal[c] += own[source + c] if largest[mark + c] == below[at + c] else ZERO


@inlined
def _fall_on_winner(signal, own, source, winner, mark, code, channels):
    for c in range(channels):
        signal[c] += own[source + c] if winner[mark + c] == code else ZERO


@inlined
def _pass(below, at, signal, gate, slope, channels):
    """eq. 2 and 3, where the units below have a gate."""
    for c in range(channels):
        is_open = (below[at + c] > -ONE) & (below[at + c] < ONE)
        below[at + c] = (signal[c] * slope if is_open else ZERO) if gate else signal[c]


@compiled
def ruled_pool_feedforward(
    below, b_image, b_row, b_origin, own, o_image, o_row, o_origin, largest, winner,
    height, width, channels, window, stride, low, first, last,
):  # fmt: skip
    """own = the largest of each window, which begins ``low`` pixels above and left of its pixel; a NaN wins.

    The zeros of the border take part: what lies outside the grid is 0 and can win.
    """
    for image in range(first, last):
        for y in range(height):
            for x in range(width):
                at = image * o_image + o_origin + y * o_row + x * channels
                mark = ((image * height + y) * width + x) * channels
                corner = image * b_image + b_origin + (y * stride - low) * b_row + (x * stride - low) * channels
                _begin(below, np.uint64(corner), largest, winner, np.uint64(mark), np.uint64(channels))
                for row in range(window):
                    for column in range(window):
                        here = np.uint64(corner + row * b_row + column * channels)
                        place = np.int32(row * window + column)
                        _rise(below, here, largest, winner, np.uint64(mark), place, np.uint64(channels))
                _copy(own, np.uint64(at), largest, np.uint64(mark), np.uint64(channels))


@compiled
def ruled_pool_feedback(
    below, b_image, b_row, b_origin, b_height, b_width, own, o_image, o_row, o_origin, largest, winner,
    height, width, channels, window, stride, low, all_ties, also, use_also, gate, slope, first, last,
):  # fmt: skip
    """below <- gate * (sum of the signals of the windows whose maximum a unit has [+ also]).

    ``all_ties`` : every unit that has the maximum; else the winner alone. ``below`` still carries x.
    """
    high = window - 1 - low
    signal = np.empty(channels, np.float32)
    for image in range(first, last):
        for y in range(b_height):
            # windows whose rows cover y: y - high <= stride * row <= y + low
            row_from, row_to = max(0, -((high - y) // stride)), min(height - 1, (y + low) // stride) + 1
            for x in range(b_width):
                column_from, column_to = max(0, -((high - x) // stride)), min(width - 1, (x + low) // stride) + 1
                at = image * b_image + b_origin + y * b_row + x * channels
                for c in range(channels):
                    signal[c] = also[at + c] if use_also else ZERO
                for row in range(row_from, row_to):
                    for column in range(column_from, column_to):
                        mark = ((image * height + row) * width + column) * channels
                        source = image * o_image + o_origin + row * o_row + column * channels
                        code = np.int32((y - row * stride + low) * window + x - column * stride + low)
                        if all_ties:
                            _fall_on_ties(
                                signal, own, np.uint64(source), largest, np.uint64(mark), below, np.uint64(at),
                                np.uint64(channels),
                            )  # fmt: skip
                        else:
                            _fall_on_winner(
                                signal, own, np.uint64(source), winner, np.uint64(mark), code, np.uint64(channels)
                            )
                _pass(below, np.uint64(at), signal, gate, slope, np.uint64(channels))
