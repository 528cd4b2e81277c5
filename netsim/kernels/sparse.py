"""Products over the kept units alone: what dropout silences needs no multiplication.

The kept units of each image are listed in ascending order, cut into blocks of `BLOCK` units. ``lists`` (int32) holds
image b's list from ``b * units`` on; ``starts`` (int32, images x (blocks + 1)) where each block begins in it.

Going up and learning, a block of units is worked through for all images before the next: its weights stay in the first
cache. So the kept units and what they carry are laid out in that order: ``entries`` (int32) and ``values`` (float32)
hold those of block k and image b from ``offsets[k * images + b]`` (int64) on.

Sums over units or images run in the order of the dense products: leaving out terms that are 0 changes no bit.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import LANES, borrowing, cgutils, compiled, intrinsic, ir, pasted, types
from netsim.kernels.layouts import copy
from netsim.kernels.tile import COLUMNS, SATURATE
from netsim.kernels.units import saturated
from netsim.kernels.vectors import (
    CODE,
    FLOAT,
    INT,
    VECTOR,
    Lanes,
    constant,
    function,
    number,
    over_lanes,
    pointers,
    splat,
)  # fmt: skip

#: Units of a block: their weights to a stripe of columns stay in the first cache.
BLOCK = 64

#: Sums held in registers at once.
_VECTORS = 8

#: Columns of a stripe.
STRIPE = _VECTORS * LANES

#: Lanes of a dot product: the same on every machine, and so are its bits.
_DOT = 16
_LANE_0 = ir.Constant(CODE, 0)
_ALL_LANE_0 = ir.Constant(ir.VectorType(CODE, _DOT), None)


def _make_combination(vectors: int):
    """Adds rows to a stretch of ``columns`` numbers, the last of its ``vectors`` vectors in part."""

    @intrinsic
    def combination(typing, out, rows, factors, entries, first, last, out_at, row_at, row_step, columns):
        """out[out_at + j] += sum over first <= p < last of factors[p] * rows[row_at + entries[p] * row_step + j]."""

        def generate(context, builder, signature, values):
            out, rows, factors, entries = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[:4], values[:4], strict=True)
            )
            first, last, out_at, row_at, row_step, columns = values[4:]
            multiply_add = function(builder, f"llvm.fmuladd.v{LANES}f32", VECTOR, [VECTOR] * 3)
            whole, part = Lanes(builder, vectors), Lanes(builder, vectors, columns)
            lanes = [whole] * (vectors - 1) + [part]
            target = builder.gep(out, [out_at])
            sums = [cgutils.alloca_once(builder, VECTOR) for _ in range(vectors)]
            for vector in range(vectors):
                builder.store(lanes[vector].load(target, vector), sums[vector])
            with cgutils.for_range_slice(builder, first, last, number(1), first.type) as (index, _):
                entry = builder.sext(builder.load(builder.gep(entries, [index])), first.type)
                factor = splat(builder, builder.load(builder.gep(factors, [index])))
                row = builder.gep(rows, [builder.add(row_at, builder.mul(entry, row_step))])
                for vector in range(vectors):
                    total = builder.load(sums[vector])
                    total = builder.call(multiply_add, [factor, lanes[vector].load(row, vector), total])
                    builder.store(total, sums[vector])
            for vector in range(vectors):
                lanes[vector].store(builder.load(sums[vector]), target, vector)
            return context.get_dummy_value()

        return types.void(out, rows, factors, entries, *[types.int64] * 6), generate

    return combination


_one, _two, _three, _four, _five, _six, _seven, _eight = (_make_combination(v) for v in range(1, _VECTORS + 1))


@intrinsic
def _clear(typing, out, at, length):
    """out[at + i] = 0 for i < length."""

    def generate(context, builder, signature, values):
        (out,) = pointers(context, builder, signature, values, 1)
        at, length = values[1:]
        begin = builder.gep(out, [at])
        over_lanes(builder, length, lambda lanes, offset: lanes.store(constant(0.0), builder.gep(begin, [offset])))
        return context.get_dummy_value()

    return types.void(out, types.int64, types.int64), generate


def _make_dots(rows: int):
    """Dot products of one vector with so many rows of a matrix."""

    @intrinsic
    def dots(typing, out, vector, matrix, entries, first, out_at, vector_at, length):
        """out[out_at + e] = sum of vector[vector_at + k] * matrix[e * length + k] over k < length, for the entries e
        from ``first`` on. Two sums of 16 lanes each, then their lanes, in a fixed order.
        """

        def generate(context, builder, signature, values):
            out, vector, matrix, entries = pointers(context, builder, signature, values, 4)
            first, out_at, vector_at, length = values[4:]
            wide = ir.VectorType(FLOAT, _DOT)
            multiply_add = function(builder, f"llvm.fmuladd.v{_DOT}f32", wide, [wide] * 3)
            zero, vector = ir.Constant(wide, None), builder.gep(vector, [vector_at])
            units = [
                builder.sext(builder.load(builder.gep(entries, [builder.add(first, number(row))])), INT)
                for row in range(rows)
            ]
            bases = [builder.gep(matrix, [builder.mul(unit, length)]) for unit in units]
            sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(2)] for _ in range(rows)]

            def load(base, at, mask=None):
                pointer = builder.bitcast(builder.gep(base, [at]), wide.as_pointer())
                if mask is None:
                    return builder.load(pointer, align=4)
                align, name = ir.Constant(ir.IntType(32), 4), f"llvm.masked.load.v{_DOT}f32.p0"
                kinds = [pointer.type, align.type, mask.type, wide]
                return builder.call(function(builder, name, wide, kinds), [pointer, align, mask, zero])

            def add(place, at, mask=None):
                x = load(vector, at, mask)
                for base, totals in zip(bases, sums, strict=True):
                    total = builder.call(multiply_add, [x, load(base, at, mask), builder.load(totals[place])])
                    builder.store(total, totals[place])

            pairs = builder.mul(builder.sdiv(length, number(2 * _DOT)), number(2 * _DOT))
            whole = builder.mul(builder.sdiv(length, number(_DOT)), number(_DOT))
            with cgutils.for_range_slice(builder, number(0), pairs, number(2 * _DOT), INT) as (at, _):
                add(0, at)
                add(1, builder.add(at, number(_DOT)))
            with builder.if_then(builder.icmp_signed("<", pairs, whole)):
                add(0, pairs)
            with builder.if_then(builder.icmp_signed("<", whole, length)):
                ramp = ir.Constant(ir.VectorType(INT, _DOT), [number(lane) for lane in range(_DOT)])
                left = builder.insert_element(ir.Constant(ramp.type, ir.Undefined), builder.sub(length, whole), _LANE_0)
                left = builder.shuffle_vector(left, ir.Constant(ramp.type, ir.Undefined), _ALL_LANE_0)
                add(1, whole, builder.icmp_signed("<", ramp, left))
            for unit, totals in zip(units, sums, strict=True):
                total, half = builder.fadd(builder.load(totals[0]), builder.load(totals[1])), _DOT // 2
                while half:
                    order = [lane + half if lane < half else lane for lane in range(_DOT)]
                    order = ir.Constant(ir.VectorType(CODE, _DOT), order)
                    total = builder.fadd(total, builder.shuffle_vector(total, zero, order))
                    half //= 2
                target = builder.gep(out, [builder.add(out_at, unit)])
                builder.store(builder.extract_element(total, _LANE_0), target)
            return context.get_dummy_value()

        return types.void(out, vector, matrix, entries, *[types.int64] * 4), generate

    return dots


_four_dots, _one_dot = _make_dots(4), _make_dots(1)


@pasted
def _combine(out, rows, factors, entries, first, last, out_at, row_at, row_step, columns):
    """The combination for up to `_VECTORS` vectors of columns."""
    vectors = (columns + LANES - 1) // LANES
    if vectors == 8:
        _eight(out, rows, factors, entries, first, last, out_at, row_at, row_step, columns)
    elif vectors == 7:
        _seven(out, rows, factors, entries, first, last, out_at, row_at, row_step, columns)
    elif vectors == 6:
        _six(out, rows, factors, entries, first, last, out_at, row_at, row_step, columns)
    elif vectors == 5:
        _five(out, rows, factors, entries, first, last, out_at, row_at, row_step, columns)
    elif vectors == 4:
        _four(out, rows, factors, entries, first, last, out_at, row_at, row_step, columns)
    elif vectors == 3:
        _three(out, rows, factors, entries, first, last, out_at, row_at, row_step, columns)
    elif vectors == 2:
        _two(out, rows, factors, entries, first, last, out_at, row_at, row_step, columns)
    else:
        _one(out, rows, factors, entries, first, last, out_at, row_at, row_step, columns)


@compiled
def list_kept(kept, lists, starts, units, first, last):
    """Write the lists of the kept units of the images [first, last); kept : uint8, image b's from b * units on."""
    blocks = (units + BLOCK - 1) // BLOCK
    for image in range(first, last):
        base, number_kept = image * units, 0
        for block in range(blocks):
            starts[image * (blocks + 1) + block] = number_kept
            for unit in range(block * BLOCK, min((block + 1) * BLOCK, units)):
                lists[base + number_kept] = unit
                number_kept += kept[base + unit]
        starts[image * (blocks + 1) + blocks] = number_kept


@compiled
def order_kept(offsets, starts, blocks, images):
    """Where the kept units of each block and image begin, block after block: int64 (blocks * images + 1,)."""
    place = 0
    for block in range(blocks):
        for image in range(images):
            mark = image * (blocks + 1) + block
            offsets[block * images + image] = place
            place += starts[mark + 1] - starts[mark]
    offsets[blocks * images] = place


@compiled
def gather_kept(entries, values, offsets, below, b_image, b_origin, lists, starts, n_in, images, first, last):
    """The kept units of the images [first, last), of so many, and what they carry, block after block."""
    blocks = (n_in + BLOCK - 1) // BLOCK
    for image in range(first, last):
        base, source = image * n_in, image * b_image + b_origin
        for block in range(blocks):
            mark, at = image * (blocks + 1) + block, offsets[block * images + image]
            for place in range(base + starts[mark], base + starts[mark + 1]):
                entries[at] = lists[place]
                values[at] = below[source + lists[place]]
                at += 1


@borrowing
def sparse_feedforward(own, o_image, W, entries, values, offsets, images, blocks, n_out, begin, end, finish, slope,
                       first, last):  # fmt: skip
    """own = sigma(W x_below) for the images [first, last), over the kept units below; columns [begin, end) of own."""
    for image in range(first, last):
        _clear(own, image * o_image + begin, end - begin)
    for column in range(begin, end, STRIPE):
        columns = min(STRIPE, end - column)
        for block in range(blocks):
            for image in range(first, last):
                mark = block * images + image
                _combine(
                    own, W, values, entries, offsets[mark], offsets[mark + 1], image * o_image + column,
                    column, n_out, columns,
                )  # fmt: skip
    if finish == SATURATE:
        for image in range(first, last):
            for j in range(image * o_image + begin, image * o_image + end):
                own[j] = saturated(own[j], slope)


@borrowing
def sparse_hebbian(increment, own, o_image, entries, values, offsets, images, n_in, n_out, begin, end, fresh,
                   keeps, factors, numbers, first, last):  # fmt: skip
    """increment += sum over images of delta x_below for the units of the blocks [first, last), each over the images
    that keep it; columns [begin, end).

    keeps, factors : int32 and float32 (BLOCK * images,), numbers : int64 (BLOCK,), scratch.
    """
    for block in range(first, last):
        size = min(BLOCK, n_in - block * BLOCK)
        for unit in range(BLOCK):
            numbers[unit] = 0
        for image in range(images):
            for place in range(offsets[block * images + image], offsets[block * images + image + 1]):
                unit = entries[place] - block * BLOCK
                keeps[unit * images + numbers[unit]] = image
                factors[unit * images + numbers[unit]] = values[place]
                numbers[unit] += 1
        if fresh:
            for row in range(block * BLOCK, block * BLOCK + size):
                _clear(increment, row * n_out + begin, end - begin)
        for column in range(begin, end, STRIPE):
            columns = min(STRIPE, end - column)
            for unit in range(size):
                _combine(
                    increment, own, factors, keeps, unit * images, unit * images + numbers[unit],
                    (block * BLOCK + unit) * n_out + column, column, o_image, columns,
                )  # fmt: skip


@compiled
def sparse_feedback(below, b_image, b_origin, own, o_image, R, lists, starts, n_in, n_out, images, first, last):
    """x_below <- R delta for the kept units of the blocks [first, last); the others' masks silence any signal."""
    blocks = (n_in + BLOCK - 1) // BLOCK
    for block in range(first, last):
        for image in range(images):
            mark, base = image * (blocks + 1) + block, image * n_in
            place, end = base + np.int64(starts[mark]), base + np.int64(starts[mark + 1])
            while place + 4 <= end:
                _four_dots(below, own, R, lists, place, image * b_image + b_origin, image * o_image, n_out)
                place += 4
            while place < end:
                _one_dot(below, own, R, lists, place, image * b_image + b_origin, image * o_image, n_out)
                place += 1


@compiled
def gather_units(compact, below, b_image, b_origin, units, first, last):
    """compact[b, k] = below[b, units[k]] for the images [first, last)."""
    number_units = len(units)
    for image in range(first, last):
        for k in range(number_units):
            compact[image * number_units + k] = below[image * b_image + b_origin + units[k]]


@compiled
def scatter_units(below, b_image, b_origin, compact, units, first, last):
    """below[b, units[k]] = compact[b, k] for the images [first, last)."""
    number_units = len(units)
    for image in range(first, last):
        for k in range(number_units):
            below[image * b_image + b_origin + units[k]] = compact[image * number_units + k]


@compiled
def pack_rows(panels, W, units, n_out, begin, end, first, last):
    """panels[p, k, j] = W[units[k], begin + p * COLUMNS + j] for the panels [first, last), zeros from ``end`` on."""
    number_units = len(units)
    for k in range(number_units):
        for panel in range(first, last):
            column, at = begin + panel * COLUMNS, (panel * number_units + k) * COLUMNS
            width = min(COLUMNS, end - column)
            copy(panels, W, at, units[k] * n_out + column, width)
            for j in range(width, COLUMNS):
                panels[at + j] = np.float32(0)


@compiled
def transpose_rows(panels, R, units, n_out, first, last):
    """panels[p - first, k, j] = R[units[p * COLUMNS + j], k] for p in [first, last), filled up with zeros."""
    for panel in range(first, last):
        base = (panel - first) * n_out * COLUMNS
        for block in range(0, n_out, 16):
            for j in range(COLUMNS):
                place = panel * COLUMNS + j
                row = units[place] * n_out if place < len(units) else -1
                for k in range(block, min(block + 16, n_out)):
                    panels[base + k * COLUMNS + j] = R[row + k] if row >= 0 else np.float32(0)
