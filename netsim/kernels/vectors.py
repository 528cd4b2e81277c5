"""Vectors of `LANES` float32 numbers in LLVM: constants, loads and stores, whole or in part."""

from __future__ import annotations

from netsim.kernels.jit import LANES, cgutils, ir

FLOAT, INT, CODE, SHORT, BYTE = ir.FloatType(), ir.IntType(64), ir.IntType(32), ir.IntType(16), ir.IntType(8)
VECTOR = ir.VectorType(FLOAT, LANES)
CODES = ir.VectorType(CODE, LANES)
SHORTS = ir.VectorType(SHORT, LANES)
BYTES = ir.VectorType(BYTE, LANES)
WORDS = ir.VectorType(INT, LANES)
MASK = ir.VectorType(ir.IntType(1), LANES)

#: What LLVM calls a vector's elements, and how many bytes one has.
_ELEMENTS = {str(FLOAT): ("f32", 4), str(CODE): ("i32", 4), str(SHORT): ("i16", 2), str(BYTE): ("i8", 1)}


def number(value: int) -> ir.Constant:
    """A 64-bit constant."""
    return ir.Constant(INT, value)


def constant(value: float) -> ir.Constant:
    """The same float32 number in every lane."""
    return ir.Constant(VECTOR, [ir.Constant(FLOAT, value)] * LANES)


def splat(builder, scalar):
    """A scalar in every lane."""
    wide = ir.VectorType(scalar.type, LANES)
    lane = builder.insert_element(ir.Constant(wide, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(lane, ir.Constant(wide, ir.Undefined), zeros)


def function(builder, name, result, arguments):
    """An LLVM intrinsic; the compiler has it for every target."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


class Lanes:
    """Loads and stores of vectors at a pointer, of whose lanes only the first ``columns`` count (None: all)."""

    def __init__(self, builder, vectors, columns=None):
        self.builder, self.masks = builder, None
        if columns is not None:
            ramp = ir.Constant(ir.VectorType(INT, LANES), [number(lane) for lane in range(LANES)])
            self.masks = [
                builder.icmp_signed("<", ramp, splat(builder, builder.sub(columns, number(vector * LANES))))
                for vector in range(vectors)
            ]

    def _at(self, pointer, vector, kind):
        return self.builder.bitcast(self.builder.gep(pointer, [number(vector * LANES)]), kind.as_pointer())

    def load(self, pointer, vector=0, kind=VECTOR):
        pointer, (name, size) = self._at(pointer, vector, kind), _ELEMENTS[str(kind.element)]
        if self.masks is None:
            return self.builder.load(pointer, align=size)
        align, name = ir.Constant(ir.IntType(32), size), f"llvm.masked.load.v{LANES}{name}.p0"
        load = function(self.builder, name, kind, [kind.as_pointer(), align.type, MASK, kind])
        return self.builder.call(load, [pointer, align, self.masks[vector], ir.Constant(kind, None)])

    def store(self, value, pointer, vector=0):
        kind = value.type
        pointer, (name, size) = self._at(pointer, vector, kind), _ELEMENTS[str(kind.element)]
        if self.masks is None:
            self.builder.store(value, pointer, align=size)
            return
        align, name = ir.Constant(ir.IntType(32), size), f"llvm.masked.store.v{LANES}{name}.p0"
        store = function(self.builder, name, ir.VoidType(), [kind, kind.as_pointer(), align.type, MASK])
        self.builder.call(store, [value, pointer, align, self.masks[vector]])


def pointers(context, builder, signature, values, number):
    """Where the first ``number`` arguments, arrays, begin."""
    return [
        context.make_array(kind)(context, builder, value).data
        for kind, value in zip(signature.args[:number], values[:number], strict=True)
    ]


def gated(builder, x, signal, slope):
    """eq. 2 and 3: the signal times the slope of sigma where the unit is not saturated, else 0."""
    absolute = function(builder, f"llvm.fabs.v{LANES}f32", VECTOR, [VECTOR])
    is_open = builder.fcmp_ordered("<", builder.call(absolute, [x]), constant(1.0))
    return builder.select(is_open, builder.fmul(signal, splat(builder, slope)), constant(0.0))


def over_lanes(builder, length, body) -> None:
    """Call ``body(lanes, offset)`` to emit code for every vector of ``length`` numbers, the last one in part."""
    whole = builder.mul(builder.sdiv(length, number(LANES)), number(LANES))
    with cgutils.for_range_slice(builder, number(0), whole, number(LANES), INT) as (offset, _):
        body(Lanes(builder, 1), offset)
    with builder.if_then(builder.icmp_signed("<", whole, length)):
        body(Lanes(builder, 1, builder.sub(length, whole)), whole)
