"""Numbers moved from one layout to another, in vectors: stretches copied, matrices transposed."""

from __future__ import annotations

from netsim.kernels.jit import LANES, compiled, intrinsic, ir, types
from netsim.kernels.vectors import CODE, Lanes, number, over_lanes, pointers


@intrinsic
def copy(typing, target, source, at, begin, length):
    """target[at + i] = source[begin + i] for i < length."""

    def generate(context, builder, signature, values):
        target, source = pointers(context, builder, signature, values, 2)
        at, begin, length = values[2:]

        def body(lanes, offset):
            lanes.store(
                lanes.load(builder.gep(source, [builder.add(begin, offset)])),
                builder.gep(target, [builder.add(at, offset)]),
            )

        over_lanes(builder, length, body)
        return context.get_dummy_value()

    return types.void(target, source, *[types.int64] * 3), generate


@intrinsic
def _transpose_square(typing, target, source, at, t_row, begin, s_row):
    """target[at + j * t_row + i] = source[begin + i * s_row + j] for i, j < LANES.

    Step by step squares of 1, 2, 4, ... rows and columns change places across the diagonal.
    """

    def generate(context, builder, signature, values):
        target, source = pointers(context, builder, signature, values, 2)
        at, t_row, begin, s_row = values[2:]
        whole = Lanes(builder, 1)
        rows = [
            whole.load(builder.gep(source, [builder.add(begin, builder.mul(number(i), s_row))])) for i in range(LANES)
        ]
        step = 1
        while step < LANES:
            upper = [lane - step + LANES if lane & step else lane for lane in range(LANES)]
            lower = [lane + LANES if lane & step else lane + step for lane in range(LANES)]
            upper, lower = (ir.Constant(ir.VectorType(CODE, LANES), order) for order in (upper, lower))
            for i in range(LANES):
                if not i & step:
                    a, b = rows[i], rows[i + step]
                    rows[i], rows[i + step] = (builder.shuffle_vector(a, b, order) for order in (upper, lower))
            step *= 2
        for i, row in enumerate(rows):
            whole.store(row, builder.gep(target, [builder.add(at, builder.mul(number(i), t_row))]))
        return context.get_dummy_value()

    return types.void(target, source, *[types.int64] * 4), generate


@compiled
def transpose(target, at, t_row, source, begin, s_row, rows, columns):
    """target[at + j * t_row + i] = source[begin + i * s_row + j] for i < rows, j < columns."""
    even_rows, even_columns = rows // LANES * LANES, columns // LANES * LANES
    for i in range(0, even_rows, LANES):
        for j in range(0, even_columns, LANES):
            _transpose_square(target, source, at + j * t_row + i, t_row, begin + i * s_row + j, s_row)
    for i in range(rows):
        for j in range(even_columns if i < even_rows else 0, columns):
            target[at + j * t_row + i] = source[begin + i * s_row + j]
