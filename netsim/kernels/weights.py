"""Work on weights: the layouts in which the feedback reads R, sums of increments, updates."""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import compiled
from netsim.kernels.layouts import copy, transpose
from netsim.kernels.tile import COLUMNS


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
