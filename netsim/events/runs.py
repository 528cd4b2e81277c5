"""The two loops of the event engine: the dot product of one unit's inputs, and its Hebbian counterpart.

A unit of a map reads its filter's rows, each a contiguous run; a unit of a full layer reads one long run. Written as
LLVM vectors of 64 bytes on every machine, so that the order of a sum does not depend on the machine's vectors:
lane by lane over four registers in turn, then the registers, then the lanes pairwise.
"""

from __future__ import annotations

from netsim.kernels.jit import cgutils, intrinsic, ir, types

_INT, _SMALL = ir.IntType(64), ir.IntType(32)
_REGISTERS = 4


class _Vectors:
    """Vector loads and stores of one element type."""

    def __init__(self, builder, dtype):
        single = dtype == types.float32
        self.builder = builder
        self.scalar = ir.FloatType() if single else ir.DoubleType()
        self.lanes, self.suffix, self.align = (16, "f32", 4) if single else (8, "f64", 8)
        self.type = ir.VectorType(self.scalar, self.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        self.zero = ir.Constant(self.type, [ir.Constant(self.scalar, 0.0)] * self.lanes)

    def constant(self, number):
        return ir.Constant(_INT, number)

    def splat(self, scalar, vector_type):
        undefined = ir.Constant(vector_type, ir.Undefined)
        lane = self.builder.insert_element(undefined, scalar, ir.Constant(_SMALL, 0))
        zeros = ir.Constant(ir.VectorType(_SMALL, self.lanes), None)
        return self.builder.shuffle_vector(lane, undefined, zeros)

    def pointer(self, base, index):
        return self.builder.bitcast(self.builder.gep(base, [index]), self.type.as_pointer())

    def call(self, name, result, arguments):
        kinds = [argument.type for argument in arguments]
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, kinds), name)
        return self.builder.call(function, arguments)

    def multiply_add(self, x, y, total):
        return self.call(f"llvm.fmuladd.v{self.lanes}{self.suffix}", self.type, [x, y, total])

    def load(self, base, index, mask=None):
        if mask is None:
            return self.builder.load(self.pointer(base, index), align=self.align)
        name = f"llvm.masked.load.v{self.lanes}{self.suffix}.p0"
        align = ir.Constant(_SMALL, self.align)
        return self.call(name, self.type, [self.pointer(base, index), align, mask, self.zero])

    def store(self, value, base, index, mask=None):
        if mask is None:
            self.builder.store(value, self.pointer(base, index), align=self.align)
            return
        name = f"llvm.masked.store.v{self.lanes}{self.suffix}.p0"
        align = ir.Constant(_SMALL, self.align)
        self.call(name, ir.VoidType(), [value, self.pointer(base, index), align, mask])

    def first_lanes(self, number):
        """Mask of the first ``number`` lanes."""
        wide = ir.VectorType(_INT, self.lanes)
        ramp = ir.Constant(wide, [ir.Constant(_INT, lane) for lane in range(self.lanes)])
        return self.builder.icmp_signed("<", ramp, self.splat(number, wide))

    def total(self, vector):
        """Sum of the lanes, pairwise."""
        width, undefined = self.lanes, ir.Constant(self.type, ir.Undefined)
        while width > 1:
            width //= 2
            order = [ir.Constant(_SMALL, (lane + width) % self.lanes) for lane in range(self.lanes)]
            other = self.builder.shuffle_vector(
                vector, undefined, ir.Constant(ir.VectorType(_SMALL, self.lanes), order)
            )
            vector = self.builder.fadd(vector, other)
        return self.builder.extract_element(vector, ir.Constant(_SMALL, 0))


def _each_vector(v, run, body, tail):
    """Call body(index, register) for the full vectors of a run and tail(index, mask) for the rest."""
    builder, lanes = v.builder, v.constant(v.lanes)
    full = builder.sdiv(run, lanes)
    quads = builder.sdiv(full, v.constant(_REGISTERS))
    with cgutils.for_range(builder, quads) as loop:
        for register in range(_REGISTERS):
            which = builder.add(builder.mul(loop.index, v.constant(_REGISTERS)), v.constant(register))
            body(builder.mul(which, lanes), register)
    done = builder.mul(quads, v.constant(_REGISTERS))
    with cgutils.for_range(builder, builder.sub(full, done)) as loop:
        body(builder.mul(builder.add(done, loop.index), lanes), 0)
    covered = builder.mul(full, lanes)
    left = builder.sub(run, covered)
    with builder.if_then(builder.icmp_signed(">", left, v.constant(0))):
        tail(covered, v.first_lanes(left))


def _data(context, builder, kind, value):
    return context.make_array(kind)(context, builder, value).data


@intrinsic
def dot_runs(typing, a, a_at, a_step, b, b_at, b_step, rows, run):
    """sum over h < rows, k < run of a[a_at + h a_step + k] * b[b_at + h b_step + k]; a, b of one float type."""
    integer = types.int64

    def generate(context, builder, signature, values):
        kinds = signature.args
        a, a_at, a_step, b, b_at, b_step, rows, run = values
        a, b = _data(context, builder, kinds[0], a), _data(context, builder, kinds[3], b)
        v = _Vectors(builder, kinds[0].dtype)
        sums = [cgutils.alloca_once_value(builder, v.zero) for _ in range(_REGISTERS)]
        for slot in sums:
            builder.store(v.zero, slot)
        with cgutils.for_range(builder, rows) as loop:
            a_row = builder.add(a_at, builder.mul(loop.index, a_step))
            b_row = builder.add(b_at, builder.mul(loop.index, b_step))

            def body(index, register):
                x, y = v.load(a, builder.add(a_row, index)), v.load(b, builder.add(b_row, index))
                builder.store(v.multiply_add(x, y, builder.load(sums[register])), sums[register])

            def tail(index, mask):
                x, y = v.load(a, builder.add(a_row, index), mask), v.load(b, builder.add(b_row, index), mask)
                builder.store(v.multiply_add(x, y, builder.load(sums[1])), sums[1])

            _each_vector(v, run, body, tail)
        first, second, third, fourth = (builder.load(slot) for slot in sums)
        return v.total(builder.fadd(builder.fadd(first, second), builder.fadd(third, fourth)))

    return a.dtype(a, integer, integer, b, integer, integer, integer, integer), generate


@intrinsic
def add_runs(typing, out, out_at, out_step, factor, b, b_at, b_step, rows, run):
    """out[out_at + h out_step + k] += factor * b[b_at + h b_step + k] for h < rows, k < run; of one float type."""
    integer = types.int64

    def generate(context, builder, signature, values):
        kinds = signature.args
        out, out_at, out_step, factor, b, b_at, b_step, rows, run = values
        out, b = _data(context, builder, kinds[0], out), _data(context, builder, kinds[4], b)
        v = _Vectors(builder, kinds[0].dtype)
        factors = v.splat(factor, v.type)
        with cgutils.for_range(builder, rows) as loop:
            out_row = builder.add(out_at, builder.mul(loop.index, out_step))
            b_row = builder.add(b_at, builder.mul(loop.index, b_step))

            def body(index, register, mask=None):
                here = builder.add(out_row, index)
                y = v.load(b, builder.add(b_row, index), mask)
                v.store(v.multiply_add(factors, y, v.load(out, here, mask)), out, here, mask)

            _each_vector(v, run, body, lambda index, mask: body(index, 0, mask))
        return context.get_dummy_value()

    return types.void(out, integer, integer, out.dtype, b, integer, integer, integer, integer), generate
