"""Cheap work on units around the products: pools, drops, sums, gates. All maps are NHWC with a zero border.

Maps are one-dimensional float32 arrays; ``*_image`` is the distance between images, ``*_row`` between rows,
``*_origin`` the offset of the first unit inside the border.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import compiled, inlined

ZERO, ONE = np.float32(0), np.float32(1)


@inlined
def gated(x, signal, slope):
    """eq. 2 and 3: the signal times the slope of sigma where the unit is not saturated, else 0."""
    return signal * slope if -ONE < x < ONE else ZERO


@compiled
def pool_feedforward(
    below, b_image, b_row, b_origin, own, o_image, o_row, o_origin, winner,
    height, width, channels, window, stride, first, last,
):  # fmt: skip
    """own = the largest of each window, ``winner`` (uint16) its place in the window, row-major; ties go to the first.

    The zeros of the border take part: what lies outside the grid is 0 and can win.
    """
    low = (window - 1) // 2
    for image in range(first, last):
        for y in range(height):
            for x in range(width):
                at = image * o_image + o_origin + y * o_row + x * channels
                mark = ((image * height + y) * width + x) * channels
                corner = image * b_image + b_origin + (y * stride - low) * b_row + (x * stride - low) * channels
                for c in range(channels):
                    own[at + c] = below[corner + c]
                    winner[mark + c] = 0
                for place in range(1, window * window):
                    source = corner + place // window * b_row + place % window * channels
                    code = np.uint16(place)
                    for c in range(channels):
                        value = below[source + c]
                        # written so that a NaN, too, is handed on
                        wins = not (value <= own[at + c])
                        own[at + c] = value if wins else own[at + c]
                        winner[mark + c] = code if wins else winner[mark + c]


@compiled
def pool_feedback(
    below, b_image, b_row, b_origin, b_height, b_width, own, o_image, o_row, o_origin, winner,
    height, width, channels, window, stride, also, use_also, gate, slope, first, last,
):  # fmt: skip
    """below <- gate * (sum of the signals of the windows that each unit won [+ also])."""
    low, high = (window - 1) // 2, window // 2
    signal = np.empty(channels, np.float32)
    for image in range(first, last):
        for y in range(b_height):
            # windows whose rows cover y: y - high <= stride * row <= y + low
            row_from = max(0, -((high - y) // stride))
            row_to = min(height - 1, (y + low) // stride)
            for x in range(b_width):
                column_from = max(0, -((high - x) // stride))
                column_to = min(width - 1, (x + low) // stride)
                at = image * b_image + b_origin + y * b_row + x * channels
                if use_also:
                    for c in range(channels):
                        signal[c] = also[at + c]
                else:
                    for c in range(channels):
                        signal[c] = ZERO
                for row in range(row_from, row_to + 1):
                    for column in range(column_from, column_to + 1):
                        code = np.uint16((y - row * stride + low) * window + x - column * stride + low)
                        mark = ((image * height + row) * width + column) * channels
                        source = image * o_image + o_origin + row * o_row + column * channels
                        for c in range(channels):
                            signal[c] += own[source + c] if winner[mark + c] == code else ZERO
                if gate:
                    for c in range(channels):
                        below[at + c] = gated(below[at + c], signal[c], slope)
                else:
                    for c in range(channels):
                        below[at + c] = signal[c]


@compiled
def drop_feedforward(
    below, b_image, b_row, b_origin, own, o_image, o_row, o_origin, kept, kept_image,
    height, row_length, scale, first, last,
):  # fmt: skip
    """own = scale * below where the unit is kept, else 0. ``kept`` : uint8, ``kept_image`` 0 for one mask a batch."""
    for image in range(first, last):
        for y in range(height):
            source = image * b_image + b_origin + y * b_row
            at = image * o_image + o_origin + y * o_row
            mark = image * kept_image + y * row_length
            for c in range(row_length):
                own[at + c] = scale * below[source + c] if kept[mark + c] else ZERO


@compiled
def drop_feedback(
    below, b_image, b_row, b_origin, own, o_image, o_row, o_origin, kept, kept_image,
    height, row_length, scale, also, use_also, gate, slope, first, last,
):  # fmt: skip
    """below <- gate * (scale * own where kept [+ also])."""
    for image in range(first, last):
        for y in range(height):
            at = image * b_image + b_origin + y * b_row
            source = image * o_image + o_origin + y * o_row
            mark = image * kept_image + y * row_length
            for c in range(row_length):
                signal = scale * own[source + c] if kept[mark + c] else ZERO
                if use_also:
                    signal += also[at + c]
                below[at + c] = gated(below[at + c], signal, slope) if gate else signal


@compiled
def sum_feedforward(
    first_below, second_below, b_image, b_row, b_origin, own, o_image, o_row, o_origin,
    height, row_length, first, last,
):  # fmt: skip
    """own = first_below + second_below; both parents share one layout."""
    for image in range(first, last):
        for y in range(height):
            source = image * b_image + b_origin + y * b_row
            at = image * o_image + o_origin + y * o_row
            for c in range(row_length):
                own[at + c] = first_below[source + c] + second_below[source + c]


@compiled
def sum_feedback(
    below, b_image, b_row, b_origin, own, o_image, o_row, o_origin, height, row_length,
    also, use_also, gate, slope, first, last,
):  # fmt: skip
    """below <- gate * (own [+ also]) for the parent right below the sum."""
    for image in range(first, last):
        for y in range(height):
            at = image * b_image + b_origin + y * b_row
            source = image * o_image + o_origin + y * o_row
            for c in range(row_length):
                signal = own[source + c]
                if use_also:
                    signal += also[at + c]
                below[at + c] = gated(below[at + c], signal, slope) if gate else signal
