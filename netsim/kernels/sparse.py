"""Products over the kept units alone: what dropout silences needs no multiplication.

The kept units of each image are listed in ascending order, cut into blocks of `BLOCK` units. ``lists`` (int32) holds
image b's list from ``b * units`` on; ``starts`` (int32, images x (blocks + 1)) where each block begins in it.
Sums over units or images run in the order of the dense products: leaving out terms that are 0 changes no bit.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import LANES, cgutils, compiled, intrinsic, ir, types
from netsim.kernels.layouts import copy
from netsim.kernels.tile import COLUMNS, SATURATE
from netsim.kernels.units import saturated
from netsim.kernels.vectors import FLOAT, VECTOR, Lanes, function, number, splat

#: Units of a block: their weights to a few vectors of columns stay in the second cache.
BLOCK = 64

#: Sums held in registers at once.
_VECTORS = 8

#: Lanes of a dot product: the same on every machine, and so are its bits.
_DOT = 16


def _make_combination(vectors: int):
    """Adds rows to a stretch of ``columns`` numbers, the last of its ``vectors`` vectors in part."""

    @intrinsic
    def combination(typing, out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns):
        """out[out_at + j] += sum over e of factors[at + e * step] * rows[row_at + e * row_step + j] (e in entries)."""

        def generate(context, builder, signature, values):
            out, rows, factors, entries = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[:4], values[:4], strict=True)
            )
            first, last, out_at, row_at, row_step, at, step, columns = values[4:]
            multiply_add = function(builder, f"llvm.fmuladd.v{LANES}f32", VECTOR, [VECTOR] * 3)
            whole, part = Lanes(builder, vectors), Lanes(builder, vectors, columns)
            lanes = [whole] * (vectors - 1) + [part]
            target = builder.gep(out, [out_at])
            sums = [cgutils.alloca_once(builder, VECTOR) for _ in range(vectors)]
            for vector in range(vectors):
                builder.store(lanes[vector].load(target, vector), sums[vector])
            with cgutils.for_range_slice(builder, first, last, number(1), first.type) as (index, _):
                entry = builder.sext(builder.load(builder.gep(entries, [index])), first.type)
                factor = builder.load(builder.gep(factors, [builder.add(at, builder.mul(entry, step))]))
                row = builder.gep(rows, [builder.add(row_at, builder.mul(entry, row_step))])
                factor = splat(builder, factor)
                for vector in range(vectors):
                    total = builder.load(sums[vector])
                    total = builder.call(multiply_add, [factor, lanes[vector].load(row, vector), total])
                    builder.store(total, sums[vector])
            for vector in range(vectors):
                lanes[vector].store(builder.load(sums[vector]), target, vector)
            return context.get_dummy_value()

        return types.void(out, rows, factors, entries, *[types.int64] * 8), generate

    return combination


_one, _two, _three, _four, _five, _six, _seven, _eight = (_make_combination(v) for v in range(1, _VECTORS + 1))


@intrinsic
def _dot(typing, a, b, a_at, b_at, length):
    """sum of a[a_at + k] * b[b_at + k]: four sums of 16 lanes, then their lanes, in a fixed order."""

    def generate(context, builder, signature, values):
        a, b = (
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args[:2], values[:2], strict=True)
        )
        a, b, length = builder.gep(a, [values[2]]), builder.gep(b, [values[3]]), values[4]
        wide = ir.VectorType(FLOAT, _DOT)
        multiply_add = function(builder, f"llvm.fmuladd.v{_DOT}f32", wide, [wide] * 3)
        zero = ir.Constant(wide, None)
        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(4)]

        def add(total, at):
            x, y = (
                builder.load(builder.bitcast(builder.gep(base, [at]), wide.as_pointer()), align=4) for base in (a, b)
            )
            builder.store(builder.call(multiply_add, [x, y, builder.load(total)]), total)

        whole = builder.mul(builder.sdiv(length, number(4 * _DOT)), number(4 * _DOT))
        vectors = builder.mul(builder.sdiv(length, number(_DOT)), number(_DOT))
        with cgutils.for_range_slice(builder, number(0), whole, number(4 * _DOT), length.type) as (at, _):
            for place in range(4):
                add(sums[place], builder.add(at, number(place * _DOT)))
        with cgutils.for_range_slice(builder, whole, vectors, number(_DOT), length.type) as (at, _):
            add(sums[0], at)
        total = builder.fadd(
            builder.fadd(builder.load(sums[0]), builder.load(sums[1])),
            builder.fadd(builder.load(sums[2]), builder.load(sums[3])),
        )
        half = _DOT // 2
        while half:
            order = [lane + half if lane < half else lane for lane in range(_DOT)]
            order = ir.Constant(ir.VectorType(ir.IntType(32), _DOT), order)
            total = builder.fadd(total, builder.shuffle_vector(total, zero, order))
            half //= 2
        result = cgutils.alloca_once_value(builder, builder.extract_element(total, ir.Constant(ir.IntType(32), 0)))
        scalar = function(builder, "llvm.fmuladd.f32", FLOAT, [FLOAT] * 3)
        with cgutils.for_range_slice(builder, vectors, length, number(1), length.type) as (at, _):
            x, y = builder.load(builder.gep(a, [at])), builder.load(builder.gep(b, [at]))
            builder.store(builder.call(scalar, [x, y, builder.load(result)]), result)
        return builder.load(result)

    return types.float32(a, b, types.int64, types.int64, types.int64), generate


@compiled
def _combine(out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns):
    """The combination for up to `_VECTORS` vectors of columns."""
    vectors = (columns + LANES - 1) // LANES
    if vectors == 8:
        _eight(out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns)
    elif vectors == 7:
        _seven(out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns)
    elif vectors == 6:
        _six(out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns)
    elif vectors == 5:
        _five(out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns)
    elif vectors == 4:
        _four(out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns)
    elif vectors == 3:
        _three(out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns)
    elif vectors == 2:
        _two(out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns)
    else:
        _one(out, rows, factors, entries, first, last, out_at, row_at, row_step, at, step, columns)


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
def sparse_feedforward(own, o_image, below, b_image, b_origin, W, lists, starts, n_in, n_out, finish, slope,
                       first, last):  # fmt: skip
    """own = sigma(W x_below) for the images [first, last), over the kept units below."""
    blocks = (n_in + BLOCK - 1) // BLOCK
    width = _VECTORS * LANES
    for image in range(first, last):
        for j in range(n_out):
            own[image * o_image + j] = np.float32(0)
    for column in range(0, n_out, width):
        columns = min(width, n_out - column)
        for block in range(blocks):
            for image in range(first, last):
                mark, base = image * (blocks + 1) + block, image * n_in
                _combine(
                    own, W, below, lists, base + starts[mark], base + starts[mark + 1], image * o_image + column,
                    column, n_out, image * b_image + b_origin, 1, columns,
                )  # fmt: skip
    if finish == SATURATE:
        for image in range(first, last):
            for j in range(n_out):
                own[image * o_image + j] = saturated(own[image * o_image + j], slope)


@compiled
def sparse_hebbian(increment, own, o_image, below, b_image, b_origin, lists, starts, n_in, n_out, images, fresh,
                   first, last):  # fmt: skip
    """increment += sum over images of delta x_below for the units of the blocks [first, last), each over the images
    that keep it."""
    blocks = (n_in + BLOCK - 1) // BLOCK
    width = _VECTORS * LANES
    keeps = np.empty(BLOCK * images, np.int32)
    number_keeps = np.empty(BLOCK, np.int64)
    for block in range(first, last):
        size = min(BLOCK, n_in - block * BLOCK)
        number_keeps[:] = 0
        for image in range(images):
            mark, base = image * (blocks + 1) + block, image * n_in
            for place in range(base + starts[mark], base + starts[mark + 1]):
                unit = lists[place] - block * BLOCK
                keeps[unit * images + number_keeps[unit]] = image
                number_keeps[unit] += 1
        if fresh:
            for entry in range(block * BLOCK * n_out, (block * BLOCK + size) * n_out):
                increment[entry] = np.float32(0)
        for column in range(0, n_out, width):
            columns = min(width, n_out - column)
            for unit in range(size):
                row = block * BLOCK + unit
                _combine(
                    increment, own, below, keeps, unit * images, unit * images + number_keeps[unit],
                    row * n_out + column, column, o_image, b_origin + row, b_image, columns,
                )  # fmt: skip


@compiled
def sparse_feedback(below, b_image, b_origin, own, o_image, R, lists, starts, n_in, n_out, first, last):
    """x_below <- R delta for the images [first, last) and their kept units; the others' masks silence any signal."""
    blocks = (n_in + BLOCK - 1) // BLOCK
    for block in range(blocks):
        for image in range(first, last):
            mark, base = image * (blocks + 1) + block, image * n_in
            for place in range(base + starts[mark], base + starts[mark + 1]):
                unit = np.int64(lists[place])
                below[image * b_image + b_origin + unit] = _dot(own, R, image * o_image, unit * n_out, n_out)


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
def pack_rows(panels, W, units, n_out, first, last):
    """panels[p, k, j] = W[units[k], p * COLUMNS + j] for the panels [first, last), filled up with zeros."""
    number_units = len(units)
    for k in range(number_units):
        for panel in range(first, last):
            column, at = panel * COLUMNS, (panel * number_units + k) * COLUMNS
            width = min(COLUMNS, n_out - column)
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
