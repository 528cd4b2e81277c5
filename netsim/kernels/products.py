"""Every product of the net: feedforward, feedback and Hebbian, of tied, untied and full layers, by one kernel.

A `Product` runs the micro-kernel over a range of rows and columns, once for each instance s of a series (an image, or
a location of an untied layer), whose parts lie at ``out_series[s]``, ``a_series[s]``, ``b_series[s]``.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import compiled, intrinsic, ir, types
from netsim.kernels.tile import COLUMNS, GATE, HEIGHTS, SATURATE, STORE, make_tile
from netsim.kernels.vectors import FLOAT, INT, pointers

__all__ = ["COLUMNS", "GATE", "SATURATE", "STORE", "Product", "products"]

#: Entries of the sum over k worked on at once, so that the columns of ``b`` stay in the first cache.
BLOCK = 256

_NOTHING = np.zeros(1, np.float32)

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


@intrinsic
def offset(typing, address, index):
    """Element ``index`` of the int64 array at ``address``."""

    def generate(context, builder, signature, values):
        return builder.load(builder.gep(builder.inttoptr(values[0], INT.as_pointer()), [values[1]]))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _address(typing, array):
    """Where an array begins."""

    def generate(context, builder, signature, values):
        (pointer,) = pointers(context, builder, signature, values, 1)
        return builder.ptrtoint(pointer, INT)

    return types.int64(array), generate


@intrinsic
def _as_float(typing, bits):
    """The float32 number whose bits these are."""

    def generate(context, builder, signature, values):
        return builder.bitcast(builder.trunc(values[0], ir.IntType(32)), FLOAT)

    return types.float32(types.int64), generate


#: How `Product.add_to` begins: with what the increment holds, or, for the first instance, with 0.
_AS_LAID_OUT, _ADDING, _FRESH = 0, 1, 2


@compiled
def _run(words, increment, begin, s_from, s_to, i_from, i_to, j_from, j_to):
    """Rows [i_from, i_to) and columns [j_from, j_to) of the instances s_from to s_to - 1; see `Product`."""
    out, start, a, b, out_rows, a_rows = words[0], words[1], words[2], words[3], words[4], words[5]
    out_series, a_series, b_series = words[6], words[7], words[8]
    n_k, n_h, a_k, a_h, b_k, b_h, b_j = words[9], words[10], words[11], words[12], words[13], words[14], words[15]
    from_start, finish, slope = words[16], words[17], _as_float(words[18])
    if begin != _AS_LAID_OUT:
        out = start = _address(increment)
        from_start = 1 if begin == _ADDING else 0
    last = i_to - 1
    block = n_k if n_h > 1 or finish == GATE else BLOCK
    for s in range(s_from, s_to):
        out_0, a_0, b_0 = offset(out_series, s), offset(a_series, s), offset(b_series, s)
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
        if begin == _FRESH:
            from_start = 1


@compiled
def _lay_out(words, out, start, a, b, out_rows, a_rows, out_series, a_series, b_series):
    """The addresses of a product's arrays."""
    words[0], words[1], words[2], words[3] = _address(out), _address(start), _address(a), _address(b)
    words[4], words[5] = _address(out_rows), _address(a_rows)
    words[6], words[7], words[8] = _address(out_series), _address(a_series), _address(b_series)


class Product:
    """A product's arguments, laid out once for many calls.

    Parameters
    ----------
    out, start, a, b : float32 arrays, one-dimensional
    out_rows, a_rows, out_series, a_series, b_series : int64 arrays of offsets into them
    columns : number of columns of ``out``; it has as many rows as ``out_rows``
    b_j : distance in ``b`` between one panel of `COLUMNS` columns and the next
    from_start : 1 to begin each sum with the element of ``start``, else 0
    finish : STORE, SATURATE (min(max(slope * sum, -1), 1)), or GATE (slope * sum where abs(out) < 1 before, else 0)
    n_k, n_h, a_k, a_h, b_k, b_h : see the micro-kernel
    """

    __slots__ = ("_arrays", "_columns", "_rows", "_words")

    def __init__(
        self, out, start, a, b, out_rows, a_rows, out_series, a_series, b_series, columns,
        n_k, n_h, a_k, a_h, b_k, b_h, b_j, from_start, finish, slope,
    ):  # fmt: skip
        self._arrays = (out, start, a, b, out_rows, a_rows, out_series, a_series, b_series)  # kept alive
        numbers = (n_k, n_h, a_k, a_h, b_k, b_h, b_j, from_start, finish, np.float32(slope).view(np.uint32))
        self._words = np.array([0] * len(self._arrays) + list(numbers), np.int64)
        _lay_out(self._words, *self._arrays)
        self._rows, self._columns = len(out_rows), columns

    def run(self, first: int, last: int) -> None:
        """Instances [first, last) of the series."""
        _run(self._words, _NOTHING, _AS_LAID_OUT, first, last, 0, self._rows, 0, self._columns)

    def run_block(self, first: int, last: int, i_from: int, i_to: int, j_from: int, j_to: int) -> None:
        """Rows [i_from, i_to) and columns [j_from, j_to), j_from a multiple of `COLUMNS`, of the instances."""
        _run(self._words, _NOTHING, _AS_LAID_OUT, first, last, i_from, i_to, j_from, j_to)

    def add_to(self, increment: np.ndarray, fresh: bool, first: int, last: int) -> None:
        """Add the instances, one after another, to ``increment`` in place of ``out``; ``fresh``: to 0."""
        _run(self._words, increment, _FRESH if fresh else _ADDING, first, last, 0, self._rows, 0, self._columns)


def products(
    out, start, a, b, out_rows, a_rows, out_series, a_series, b_series, s_from, s_to, i_from, i_to, j_from, j_to,
    n_k, n_h, a_k, a_h, b_k, b_h, b_j, from_start, finish, slope,
):  # fmt: skip
    """A block of a `Product` that is needed once."""
    Product(
        out, start, a, b, out_rows, a_rows, out_series, a_series, b_series, j_to,
        n_k, n_h, a_k, a_h, b_k, b_h, b_j, from_start, finish, slope,
    ).run_block(s_from, s_to, i_from, i_to, j_from, j_to)  # fmt: skip
