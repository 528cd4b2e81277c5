"""The micro-kernel: a tile of rows by columns of a product, held in vector registers.

    out[i, j] = finish(start[i, j] + sum_h sum_k a[i, k, h] * b[k, h, j])

Element (i, k, h) of ``a`` lies at ``a_rows[i] + k * a_k + h * a_h``; (k, h, j) of ``b`` at ``k * b_k + h * b_h + j``;
(i, j) of ``out`` and ``start`` at ``out_rows[i] + j``. Arrays are given by their addresses. The sum over h and k runs
in that order for every (i, j), one fused multiply-add after another, so neither the size of a tile nor its place
changes a bit of the result.

Written as LLVM vectors, no target-specific call: the compiler picks the instructions of the machine it runs on.
"""

from __future__ import annotations

from netsim.kernels.jit import LANES, REGISTERS, cgutils, intrinsic, ir, types
from netsim.kernels.vectors import FLOAT, INT, VECTOR, Lanes, constant, function, number, splat

#: What happens to a finished sum (the argument ``finish``).
STORE, SATURATE, GATE = 0, 1, 2

#: Columns of a full tile: two vectors.
COLUMNS = 2 * LANES

#: Heights of the tiles; two vectors a row, and room left for two vectors of ``b`` and one element of ``a``.
HEIGHTS = (12, 8, 4, 2, 1) if REGISTERS >= 32 else (6, 4, 3, 2, 1)


def make_tile(rows: int, vectors: int, ragged: bool):
    """The micro-kernel for tiles of ``rows`` rows by ``vectors`` vectors; ``ragged``: only ``columns`` columns count.

    Rows beyond ``last`` repeat row ``last``: they compute and store the same numbers once more, so a tile that
    hangs over the edge needs no branch.
    """

    @intrinsic
    def tile(
        typing, out, start, a, b, out_rows, a_rows, first, last, out_at, a_at, b_at,
        n_k, n_h, a_k, a_h, b_k, b_h, columns, from_start, finish, slope,
    ):  # fmt: skip
        arguments = (*[types.int64] * 20, types.float32)

        def generate(context, builder, signature, values):
            out, start, a, b = (builder.inttoptr(address, FLOAT.as_pointer()) for address in values[:4])
            out_rows, a_rows = (builder.inttoptr(address, INT.as_pointer()) for address in values[4:6])
            (first, last, out_at, a_at, b_at, n_k, n_h, a_k, a_h, b_k, b_h, columns, from_start, finish, slope) = (
                values[6:]
            )
            memory = Lanes(builder, vectors, columns if ragged else None)
            multiply_add = function(builder, f"llvm.fmuladd.v{LANES}f32", VECTOR, [VECTOR] * 3)
            absolute = function(builder, f"llvm.fabs.v{LANES}f32", VECTOR, [VECTOR])
            out_offset, a_offset = [], []
            for row in range(rows):
                index = builder.add(first, number(row))
                index = builder.select(builder.icmp_signed("<", index, last), index, last)
                out_offset.append(builder.add(out_at, builder.load(builder.gep(out_rows, [index]))))
                a_offset.append(builder.add(a_at, builder.load(builder.gep(a_rows, [index]))))
            sums = [[cgutils.alloca_once(builder, VECTOR) for _ in range(vectors)] for _ in range(rows)]

            with builder.if_else(builder.icmp_signed("!=", from_start, number(0))) as (then, otherwise):
                with then:
                    for row in range(rows):
                        base = builder.gep(start, [out_offset[row]])
                        for vector in range(vectors):
                            builder.store(memory.load(base, vector), sums[row][vector])
                with otherwise:
                    for row in range(rows):
                        for vector in range(vectors):
                            builder.store(constant(0.0), sums[row][vector])

            a_base = [builder.gep(a, [offset]) for offset in a_offset]
            b_base = builder.gep(b, [b_at])
            # One index for all rows, hidden from the compiler's loop optimizer: it would give every row a pointer
            # of its own, and their additions would take the multipliers' places.
            hidden = ir.FunctionType(INT, [INT])
            a_index = cgutils.alloca_once(builder, INT)
            with cgutils.for_range(builder, n_h) as outer:
                builder.store(builder.mul(outer.index, a_h), a_index)
                b_start = builder.gep(b_base, [builder.mul(outer.index, b_h)])
                with cgutils.for_range(builder, n_k) as inner:
                    b_row = builder.gep(b_start, [builder.mul(inner.index, b_k)])
                    b_vectors = [memory.load(b_row, vector) for vector in range(vectors)]
                    index = builder.load(a_index)
                    for row in range(rows):
                        element = splat(builder, builder.load(builder.gep(a_base[row], [index])))
                        for vector in range(vectors):
                            total = builder.load(sums[row][vector])
                            total = builder.call(multiply_add, [element, b_vectors[vector], total])
                            builder.store(total, sums[row][vector])
                    builder.store(builder.asm(hidden, "", "=r,0", [builder.add(index, a_k)], False), a_index)

            one, minus_one = constant(1.0), constant(-1.0)
            slopes = splat(builder, slope)
            with builder.if_then(builder.icmp_signed("==", finish, number(SATURATE))):
                # comparisons, not min and max: a NaN must stay one
                for row in range(rows):
                    for vector in range(vectors):
                        h = builder.fmul(slopes, builder.load(sums[row][vector]))
                        x = builder.select(builder.fcmp_ordered(">", h, one), one, h)
                        x = builder.select(builder.fcmp_ordered("<", x, minus_one), minus_one, x)
                        builder.store(x, sums[row][vector])
            with builder.if_then(builder.icmp_signed("==", finish, number(GATE))):
                for row in range(rows):
                    base = builder.gep(out, [out_offset[row]])
                    for vector in range(vectors):
                        x = memory.load(base, vector)
                        signal = builder.fmul(slopes, builder.load(sums[row][vector]))
                        is_open = builder.fcmp_ordered("<", builder.call(absolute, [x]), one)
                        builder.store(builder.select(is_open, signal, constant(0.0)), sums[row][vector])
            for row in range(rows):
                base = builder.gep(out, [out_offset[row]])
                for vector in range(vectors):
                    memory.store(builder.load(sums[row][vector]), base, vector)
            return context.get_dummy_value()

        return types.void(*arguments), generate

    return tile
