"""Every product of the net: feedforward, feedback and Hebbian, of tied, untied and full layers, by one kernel.

``products`` runs the micro-kernel over a range of rows and columns, once for each instance s of a series (an image, or
a location of an untied layer), whose parts lie at ``out_series[s]``, ``a_series[s]``, ``b_series[s]``.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import compiled
from netsim.kernels.tile import COLUMNS, GATE, HEIGHTS, SATURATE, STORE, make_tile

__all__ = ["COLUMNS", "GATE", "SATURATE", "STORE", "pack_columns", "products"]

#: Entries of the sum over k worked on at once, so that the columns of ``b`` stay in the first cache.
BLOCK = 256

_TALL = HEIGHTS[0]
_HIGH, _MIDDLE, _LOW = HEIGHTS[1:4]
_even_tall, _even_high, _even_middle, _even_low, _even_one = (
    make_tile(rows, 2, False) for rows in (_TALL, _HIGH, _MIDDLE, _LOW, 1)
)
_ragged_tall, _ragged_middle, _ragged_one = (make_tile(rows, 2, True) for rows in (_TALL, _MIDDLE, 1))
# One vector a row: as many rows as there are general registers for their pointers.
_SLIM = 12
_slim_tall, _slim_middle, _slim_one = (make_tile(rows, 1, False) for rows in (_SLIM, _MIDDLE, 1))
_narrow_tall, _narrow_middle, _narrow_one = (make_tile(rows, 1, True) for rows in (_SLIM, _MIDDLE, 1))
_NARROW = COLUMNS // 2


@compiled
def products(
    out, start, a, b, out_rows, a_rows, out_series, a_series, b_series, s_from, s_to, i_from, i_to, j_from, j_to,
    n_k, n_h, a_k, a_h, b_k, b_h, b_j, from_start, finish, slope,
):  # fmt: skip
    """Rows [i_from, i_to) and columns [j_from, j_to) of the products s_from to s_to - 1; see the micro-kernel.

    Parameters
    ----------
    out, start, a, b : float32 arrays, one-dimensional
    out_rows, a_rows, out_series, a_series, b_series : int64 arrays of offsets into them
    b_j : distance in ``b`` between one panel of `COLUMNS` columns and the next
    j_from : multiple of `COLUMNS`
    from_start : 1 to begin each sum with the element of ``start``, else 0
    finish : STORE, SATURATE (min(max(slope * sum, -1), 1)), or GATE (slope * sum where abs(out) < 1 before, else 0)
    """
    last = i_to - 1
    block = n_k if n_h > 1 or finish == GATE else BLOCK
    for s in range(s_from, s_to):
        out_0, a_0, b_0 = out_series[s], a_series[s], b_series[s]
        k = 0
        while k < n_k or k == 0:
            n = min(block, n_k - k)
            ends = k + n >= n_k
            finish_now = finish if ends else STORE
            begins = from_start if k == 0 else 1
            initial = start if k == 0 else out
            for j in range(j_from, j_to, COLUMNS):
                width = j_to - j
                out_at, a_at, b_at = out_0 + j, a_0 + k * a_k, b_0 + k * b_k + (j // COLUMNS) * b_j
                i = i_from
                while i < i_to:
                    left = i_to - i
                    if width >= COLUMNS:
                        if left > _HIGH:
                            _even_tall(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                       a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += _TALL
                        elif left > _MIDDLE:
                            _even_high(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                       a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += _HIGH
                        elif left > _LOW:
                            _even_middle(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                         a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += _MIDDLE
                        elif left > 1:
                            _even_low(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                      a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += _LOW
                        else:
                            _even_one(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                      a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += 1
                    elif width > _NARROW:
                        if left > _MIDDLE:
                            _ragged_tall(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                         a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += _TALL
                        elif left > 1:
                            _ragged_middle(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                           a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += _MIDDLE
                        else:
                            _ragged_one(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                        a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += 1
                    elif width == _NARROW:
                        if left > _MIDDLE:
                            _slim_tall(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                       a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += _SLIM
                        elif left > 1:
                            _slim_middle(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                         a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += _MIDDLE
                        else:
                            _slim_one(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                      a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                            i += 1
                    elif left > _MIDDLE:
                        _narrow_tall(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                     a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                        i += _SLIM
                    elif left > 1:
                        _narrow_middle(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                       a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                        i += _MIDDLE
                    else:
                        _narrow_one(out, initial, a, b, out_rows, a_rows, i, last, out_at, a_at, b_at, n, n_h,
                                    a_k, a_h, b_k, b_h, width, begins, finish_now, slope)  # fmt: skip
                        i += 1
            k += n
            if n == 0:
                break


@compiled
def pack_columns(packed, b, n_k, n, b_k):
    """Copy ``b`` (n_k, n), rows ``b_k`` apart, into panels of `COLUMNS` columns, the last one filled with zeros."""
    for panel in range(-(-n // COLUMNS)):
        for k in range(n_k):
            for j in range(COLUMNS):
                column = panel * COLUMNS + j
                packed[(panel * n_k + k) * COLUMNS + j] = b[k * b_k + column] if column < n else np.float32(0)
