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


@inlined
def saturated(h, slope):
    """sigma(h) = min(max(slope * h, -1), 1) (Remark 2); a NaN stays one."""
    x = slope * h
    if x > ONE:
        x = ONE
    elif x < -ONE:
        x = -ONE
    return x


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
