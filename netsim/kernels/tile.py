"""The micro-kernel: a tile of rows by columns of a product, held in vector registers.

    out[i, j] = finish(start[i, j] + sum_h sum_k a[i, k, h] * b[k, h, j])

Element (i, k, h) of ``a`` lies at ``a_rows[i] + k * a_k + h * a_h``; (k, h, j) of ``b`` at ``k * b_k + h * b_h + j``;
(i, j) of ``out`` and ``start`` at ``out_rows[i] + j``. The sum over h and k runs in that order for every (i, j), one
fused multiply-add after another, so neither the size of a tile nor its place changes a bit of the result.

Written as LLVM vectors, no target-specific call: the compiler picks the instructions of the machine it runs on.
"""

from __future__ import annotations

from netsim.kernels.jit import LANES, REGISTERS, cgutils, intrinsic, ir, types

#: What happens to a finished sum (the argument ``finish``).
STORE, SATURATE, GATE = 0, 1, 2

#: Columns of a full tile: two vectors.
COLUMNS = 2 * LANES

#: Heights of the tiles; two vectors a row, and room left for two vectors of ``b`` and one element of ``a``.
HEIGHTS = (12, 8, 4, 2, 1) if REGISTERS >= 32 else (6, 4, 2, 1)

_FLOAT, _INT = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_MASK = ir.VectorType(ir.IntType(1), LANES)


def _constant(value: float) -> ir.Constant:
    return ir.Constant(_VECTOR, [ir.Constant(_FLOAT, value)] * LANES)


def _splat(builder, scalar):
    lane = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(lane, ir.Constant(_VECTOR, ir.Undefined), zeros)


class _Memory:
    """Loads and stores of vectors, of which ``columns`` lanes count (all, when ``columns`` is None)."""

    def __init__(self, builder, vectors, columns):
        self.builder = builder
        self.masks = None
        if columns is not None:
            ramp = ir.Constant(ir.VectorType(_INT, LANES), [ir.Constant(_INT, lane) for lane in range(LANES)])
            wide = ir.VectorType(_INT, LANES)
            self.masks = []
            for vector in range(vectors):
                left = builder.sub(columns, ir.Constant(_INT, vector * LANES))
                lane = builder.insert_element(ir.Constant(wide, ir.Undefined), left, ir.Constant(ir.IntType(32), 0))
                zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
                limit = builder.shuffle_vector(lane, ir.Constant(wide, ir.Undefined), zeros)
                self.masks.append(builder.icmp_signed("<", ramp, limit))

    def _intrinsic(self, name, result, arguments):
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

    def load(self, pointer, vector):
        pointer = self.builder.gep(pointer, [ir.Constant(_INT, vector * LANES)])
        pointer = self.builder.bitcast(pointer, _VECTOR.as_pointer())
        if self.masks is None:
            return self.builder.load(pointer, align=4)
        name = f"llvm.masked.load.v{LANES}f32.p0"
        function = self._intrinsic(name, _VECTOR, [_VECTOR.as_pointer(), ir.IntType(32), _MASK, _VECTOR])
        align = ir.Constant(ir.IntType(32), 4)
        return self.builder.call(function, [pointer, align, self.masks[vector], _constant(0.0)])

    def store(self, value, pointer, vector):
        pointer = self.builder.gep(pointer, [ir.Constant(_INT, vector * LANES)])
        pointer = self.builder.bitcast(pointer, _VECTOR.as_pointer())
        if self.masks is None:
            self.builder.store(value, pointer, align=4)
            return
        name = f"llvm.masked.store.v{LANES}f32.p0"
        function = self._intrinsic(name, ir.VoidType(), [_VECTOR, _VECTOR.as_pointer(), ir.IntType(32), _MASK])
        self.builder.call(function, [value, pointer, ir.Constant(ir.IntType(32), 4), self.masks[vector]])


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
        integers = [types.int64] * 14
        arguments = (out, start, a, b, out_rows, a_rows, *integers, types.float32)

        def generate(context, builder, signature, values):
            arrays = [
                context.make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args[:6], values[:6], strict=True)
            ]
            out, start, a, b, out_rows, a_rows = (array.data for array in arrays)
            (first, last, out_at, a_at, b_at, n_k, n_h, a_k, a_h, b_k, b_h, columns, from_start, finish, slope) = (
                values[6:]
            )
            memory = _Memory(builder, vectors, columns if ragged else None)
            multiply_add = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fmuladd.v{LANES}f32"
            )
            absolute = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.fabs.v{LANES}f32"
            )
            out_offset, a_offset = [], []
            for row in range(rows):
                index = builder.add(first, ir.Constant(_INT, row))
                index = builder.select(builder.icmp_signed("<", index, last), index, last)
                out_offset.append(builder.add(out_at, builder.load(builder.gep(out_rows, [index]))))
                a_offset.append(builder.add(a_at, builder.load(builder.gep(a_rows, [index]))))
            sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in range(vectors)] for _ in range(rows)]

            with builder.if_else(builder.icmp_signed("!=", from_start, ir.Constant(_INT, 0))) as (then, otherwise):
                with then:
                    for row in range(rows):
                        base = builder.gep(start, [out_offset[row]])
                        for vector in range(vectors):
                            builder.store(memory.load(base, vector), sums[row][vector])
                with otherwise:
                    for row in range(rows):
                        for vector in range(vectors):
                            builder.store(_constant(0.0), sums[row][vector])

            with cgutils.for_range(builder, n_h) as outer:
                h_a, h_b = builder.mul(outer.index, a_h), builder.mul(outer.index, b_h)
                b_base = builder.gep(b, [builder.add(b_at, h_b)])
                a_base = [builder.gep(a, [builder.add(offset, h_a)]) for offset in a_offset]

                def multiply(step, index):
                    b_row = builder.gep(b_base, [builder.mul(index, b_k)])
                    b_vectors = [memory.load(b_row, vector) for vector in range(vectors)]
                    a_index = builder.mul(index, step) if step is not None else index
                    for row in range(rows):
                        element = _splat(builder, builder.load(builder.gep(a_base[row], [a_index])))
                        for vector in range(vectors):
                            total = builder.load(sums[row][vector])
                            total = builder.call(multiply_add, [element, b_vectors[vector], total])
                            builder.store(total, sums[row][vector])

                contiguous = builder.icmp_signed("==", a_k, ir.Constant(_INT, 1))
                with builder.if_else(contiguous) as (then, otherwise):
                    with then, cgutils.for_range(builder, n_k) as inner:
                        multiply(None, inner.index)
                    with otherwise, cgutils.for_range(builder, n_k) as inner:
                        multiply(a_k, inner.index)

            one, minus_one = _constant(1.0), _constant(-1.0)
            slopes = _splat(builder, slope)
            with builder.if_then(builder.icmp_signed("==", finish, ir.Constant(_INT, SATURATE))):
                # comparisons, not min and max: a NaN must stay one
                for row in range(rows):
                    for vector in range(vectors):
                        h = builder.fmul(slopes, builder.load(sums[row][vector]))
                        x = builder.select(builder.fcmp_ordered(">", h, one), one, h)
                        x = builder.select(builder.fcmp_ordered("<", x, minus_one), minus_one, x)
                        builder.store(x, sums[row][vector])
            with builder.if_then(builder.icmp_signed("==", finish, ir.Constant(_INT, GATE))):
                for row in range(rows):
                    base = builder.gep(out, [out_offset[row]])
                    for vector in range(vectors):
                        x = memory.load(base, vector)
                        signal = builder.fmul(slopes, builder.load(sums[row][vector]))
                        is_open = builder.fcmp_ordered("<", builder.call(absolute, [x]), one)
                        builder.store(builder.select(is_open, signal, _constant(0.0)), sums[row][vector])
            for row in range(rows):
                base = builder.gep(out, [out_offset[row]])
                for vector in range(vectors):
                    memory.store(builder.load(sums[row][vector]), base, vector)
            return context.get_dummy_value()

        return types.void(*arguments), generate

    return tile
