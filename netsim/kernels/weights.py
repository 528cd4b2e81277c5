"""Work on weights: the layouts in which the feedback reads R, sums of increments, updates."""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import compiled
from netsim.kernels.tile import COLUMNS


@compiled
def turn_filters(turned, R, rows, columns, c_in, c_out):
    """turned[dy, dx, c_out, c_in] = R[rows-1-dy, columns-1-dx, c_in, c_out]: feedback is a convolution with these."""
    for y in range(rows):
        for x in range(columns):
            source = ((rows - 1 - y) * columns + columns - 1 - x) * c_in * c_out
            at = (y * columns + x) * c_in * c_out
            for i in range(c_in):
                for j in range(c_out):
                    turned[at + j * c_in + i] = R[source + i * c_out + j]


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
                    for i in range(c_in):
                        for j in range(c_out):
                            turned[at + j * c_in + i] = R[source + i * c_out + j]
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
        for block in range(0, n_out, 16):
            for j in range(COLUMNS):
                row = panel * COLUMNS + j
                for k in range(block, min(block + 16, n_out)):
                    panels[base + k * COLUMNS + j] = R[row * n_out + k] if row < n_in else np.float32(0)


@compiled
def add_parts(total, parts, number, size, first, last):
    """total = parts[0] + parts[1] + ... in that order, entries ``first`` to ``last`` - 1; parts lie ``size`` apart."""
    for i in range(first, last):
        total[i] = parts[i]
    for part in range(1, number):
        for i in range(first, last):
            total[i] += parts[part * size + i]


@compiled
def update(weights, increment, rate, keep, first, last):
    """weights = keep * weights + rate * increment (section 3.1; ``keep`` = 1 - step size * decay)."""
    for i in range(first, last):
        weights[i] = keep * weights[i] + rate * increment[i]


@compiled
def update_connected(weights, mask, increment, rate, keep, first, last):
    """The same, where there is a connection; elsewhere the weight stays 0."""
    for i in range(first, last):
        weights[i] = keep * weights[i] + rate * increment[i] if mask[i] else np.float32(0)
