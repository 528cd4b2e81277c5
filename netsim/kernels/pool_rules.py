"""Max pooling with other rules than the paper's: windows anchored anywhere, feedback to every unit that ties.

Maps are laid out as in `netsim.kernels.units`. ``largest`` (float32) and ``winner`` (int32), both B * H * W * C, are
what each pool found: its maximum, and the first place in its window that has it, row-major.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import compiled

ZERO, ONE = np.float32(0), np.float32(1)


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
                for c in range(channels):
                    best, place = below[corner + c], np.int32(0)
                    for row in range(window):
                        for column in range(window):
                            value = below[corner + row * b_row + column * channels + c]
                            if value > best or value != value:
                                best, place = value, np.int32(row * window + column)
                    own[at + c], largest[mark + c], winner[mark + c] = best, best, place


@compiled
def ruled_pool_feedback(
    below, b_image, b_row, b_origin, b_height, b_width, own, o_image, o_row, o_origin, largest, winner,
    height, width, channels, window, stride, low, all_ties, also, use_also, gate, slope, first, last,
):  # fmt: skip
    """below <- gate * (sum of the signals of the windows whose maximum a unit has [+ also]).

    ``all_ties`` : every unit that has the maximum; else the winner alone. ``below`` still carries x.
    """
    high = window - 1 - low
    for image in range(first, last):
        for y in range(b_height):
            # windows whose rows cover y: y - high <= stride * row <= y + low
            row_from, row_to = max(0, -((high - y) // stride)), min(height - 1, (y + low) // stride) + 1
            for x in range(b_width):
                column_from, column_to = max(0, -((high - x) // stride)), min(width - 1, (x + low) // stride) + 1
                at = image * b_image + b_origin + y * b_row + x * channels
                for c in range(channels):
                    carried, signal = below[at + c], ZERO
                    if use_also:
                        signal = also[at + c]
                    for row in range(row_from, row_to):
                        for column in range(column_from, column_to):
                            mark = ((image * height + row) * width + column) * channels + c
                            code = (y - row * stride + low) * window + x - column * stride + low
                            if (largest[mark] == carried) if all_ties else (winner[mark] == code):
                                signal += own[image * o_image + o_origin + row * o_row + column * channels + c]
                    if gate:
                        signal = signal * slope if -ONE < carried < ONE else ZERO
                    below[at + c] = signal
