"""Max pooling: one thread a unit.

``winner`` is the place of each pool's winner in its window, row-major; ``largest``, float32, its maximum, kept where
``all_ties`` : every unit that has the maximum gets the feedback (`netsim.layers.PoolRules`), not the winner alone.
``low`` : rows and columns that a window reaches above and left of its pixel. ``apart``, ``distance`` : where units
read apart, location q reads array number apart[q] of several, so many numbers from one to the next; distance is else 0.
"""

from __future__ import annotations

import numpy as np

from netsim.cuda.jit import cuda, kernel
from netsim.cuda.products import NONE, ZERO, gated


@kernel
def pool_feedforward(
    own, winner, largest, below, apart, distance, b_height, b_width, height, width, channels, window, stride, low,
    all_ties, size,
):  # fmt: skip
    """own = the largest of each window, ``winner`` its place; ties go to the first in row-major order.

    What lies outside the grid is 0 and can win. A NaN wins and stays.
    """
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        c, x, y = i % channels, i // channels % width, i // channels // width % height
        image = i // channels // width // height
        begin = np.uint64(apart[i // channels]) * distance if distance > NONE else NONE
        best, place = ZERO, np.int64(-1)
        for row in range(window):
            for column in range(window):
                b_y, b_x = np.int64(y * stride + row) - np.int64(low), np.int64(x * stride + column) - np.int64(low)
                value = ZERO
                if 0 <= b_y < np.int64(b_height) and 0 <= b_x < np.int64(b_width):
                    at = ((image * b_height + np.uint64(b_y)) * b_width + np.uint64(b_x)) * channels + c
                    value = below[begin + at]
                if place < 0 or value > best or value != value:
                    best, place = value, np.int64(row * window + column)
        own[i] = best
        if all_ties:
            largest[i] = best
        else:
            winner[i] = place


@kernel
def pool_feedback(
    below, also, own, winner, largest, apart, distance, also_distance, b_height, b_width, height, width, channels,
    window, stride, low, all_ties, use_also, gate, slope, size,
):  # fmt: skip
    """below <- gate * (sum of the signals of the windows that each unit won [+ also])."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        c, x, y = i % channels, i // channels % b_width, i // channels // b_width % b_height
        image = i // channels // b_width // b_height
        part = np.uint64(apart[i // channels]) if distance + also_distance > NONE else NONE
        signal = also[part * also_distance + i] if use_also else ZERO
        # the windows whose rows and columns cover (y, x)
        high = window - np.uint64(1) - low
        last_row, last_column = (
            min(height - np.uint64(1), (y + low) // stride),
            min(width - np.uint64(1), (x + low) // stride),
        )
        row = (y - high + stride - np.uint64(1)) // stride if y > high else np.uint64(0)
        while row <= last_row:
            column = (x - high + stride - np.uint64(1)) // stride if x > high else np.uint64(0)
            while column <= last_column:
                at = ((image * height + row) * width + column) * channels + c
                place = (y + low - row * stride) * window + x + low - column * stride
                if (largest[at] == below[i]) if all_ties else (np.int64(winner[at]) == np.int64(place)):
                    signal += own[part * distance + at]
                column += np.uint64(1)
            row += np.uint64(1)
        below[i] = gated(below[i], signal, slope) if gate else signal
