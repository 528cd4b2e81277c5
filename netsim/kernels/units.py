"""Cheap work on units around the products, in vectors: drops, sums, gates. All maps are NHWC with a zero border.

Maps are one-dimensional float32 arrays; ``*_image`` is the distance between images, ``*_row`` between rows,
``*_origin`` the offset of the first unit inside the border.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import cgutils, compiled, inlined, intrinsic, ir, types
from netsim.kernels.vectors import BYTES, VECTOR, constant, gated, number, over_lanes, pointers, splat

ONE = np.float32(1)


@inlined
def saturated(h, slope):
    """sigma(h) = min(max(slope * h, -1), 1) (Remark 2); a NaN stays one."""
    x = slope * h
    if x > ONE:
        x = ONE
    elif x < -ONE:
        x = -ONE
    return x


def _scaled_if_kept(builder, lanes, x, kept, scale):
    """scale * x where the unit is kept, else 0; ``kept`` points at bytes."""
    keeps = builder.icmp_unsigned("!=", lanes.load(kept, 0, BYTES), ir.Constant(BYTES, None))
    return builder.select(keeps, builder.fmul(splat(builder, scale), x), constant(0.0))


@intrinsic
def _drop(typing, below, own, kept, source, at, mark, length, scale):
    """own[at + c] = scale * below[source + c] where kept[mark + c], else 0, for ``length`` units."""

    def generate(context, builder, signature, values):
        below, own, kept = pointers(context, builder, signature, values, 3)
        source, at, mark, length, scale = values[3:]

        def body(lanes, offset):
            x = lanes.load(builder.gep(below, [builder.add(source, offset)]))
            x = _scaled_if_kept(builder, lanes, x, builder.gep(kept, [builder.add(mark, offset)]), scale)
            lanes.store(x, builder.gep(own, [builder.add(at, offset)]))

        over_lanes(builder, length, body)
        return context.get_dummy_value()

    return types.void(below, own, kept, *[types.int64] * 4, types.float32), generate


@intrinsic
def _add(typing, first_below, second_below, own, source, at, length):
    """own[at + c] = first_below[source + c] + second_below[source + c] for ``length`` units."""

    def generate(context, builder, signature, values):
        first_below, second_below, own = pointers(context, builder, signature, values, 3)
        source, at, length = values[3:]

        def body(lanes, offset):
            place = builder.add(source, offset)
            one, other = (lanes.load(builder.gep(below, [place])) for below in (first_below, second_below))
            lanes.store(builder.fadd(one, other), builder.gep(own, [builder.add(at, offset)]))

        over_lanes(builder, length, body)
        return context.get_dummy_value()

    return types.void(first_below, second_below, own, *[types.int64] * 3), generate


@intrinsic
def pass_down(
    typing, below, own, kept, also, at, source, mark, length, use_kept, scale, use_also, gate, slope
):  # fmt: skip
    """below[at + c] <- gate * (own[source + c], or scale times it where kept[mark + c] [+ also[at + c]])."""

    def generate(context, builder, signature, values):
        below, own, kept, also = pointers(context, builder, signature, values, 4)
        at, source, mark, length, use_kept, scale, use_also, gate, slope = values[4:]
        drops, adds, gates = (builder.icmp_signed("!=", flag, number(0)) for flag in (use_kept, use_also, gate))
        signal = cgutils.alloca_once(builder, VECTOR)

        def body(lanes, offset):
            place = builder.add(at, offset)
            target = builder.gep(below, [place])
            builder.store(lanes.load(builder.gep(own, [builder.add(source, offset)])), signal)
            with builder.if_then(drops):
                marks = builder.gep(kept, [builder.add(mark, offset)])
                builder.store(_scaled_if_kept(builder, lanes, builder.load(signal), marks, scale), signal)
            with builder.if_then(adds):
                other = lanes.load(builder.gep(also, [place]))
                builder.store(builder.fadd(builder.load(signal), other), signal)
            with builder.if_then(gates):
                builder.store(gated(builder, lanes.load(target), builder.load(signal), slope), signal)
            lanes.store(builder.load(signal), target)

        over_lanes(builder, length, body)
        return context.get_dummy_value()

    floats = [types.float32, types.int64, types.int64, types.float32]
    return types.void(below, own, kept, also, *[types.int64] * 5, *floats), generate


@compiled
def drop_feedforward(
    below, b_image, b_row, b_origin, own, o_image, o_row, o_origin, kept, kept_image,
    height, row_length, scale, first, last,
):  # fmt: skip
    """own = scale * below where the unit is kept, else 0. ``kept`` : uint8, ``kept_image`` 0 for one mask a batch."""
    for image in range(first, last):
        for y in range(height):
            source = image * b_image + b_origin + y * b_row
            at = image * o_image + o_origin + y * o_row
            _drop(below, own, kept, source, at, image * kept_image + y * row_length, row_length, scale)


@compiled
def drop_feedback(
    below, b_image, b_row, b_origin, own, o_image, o_row, o_origin, kept, kept_image,
    height, row_length, scale, also, use_also, gate, slope, first, last,
):  # fmt: skip
    """below <- gate * (scale * own where kept [+ also])."""
    for image in range(first, last):
        for y in range(height):
            at = image * b_image + b_origin + y * b_row
            source = image * o_image + o_origin + y * o_row
            mark = image * kept_image + y * row_length
            pass_down(below, own, kept, also, at, source, mark, row_length, 1, scale, use_also, gate, slope)


@compiled
def sum_feedforward(
    first_below, second_below, b_image, b_row, b_origin, own, o_image, o_row, o_origin,
    height, row_length, first, last,
):  # fmt: skip
    """own = first_below + second_below; both parents share one layout."""
    for image in range(first, last):
        for y in range(height):
            source = image * b_image + b_origin + y * b_row
            _add(first_below, second_below, own, source, image * o_image + o_origin + y * o_row, row_length)


@compiled
def sum_feedback(
    below, b_image, b_row, b_origin, own, o_image, o_row, o_origin, height, row_length,
    also, use_also, gate, slope, first, last,
):  # fmt: skip
    """below <- gate * (own [+ also]) for the parent right below the sum."""
    for image in range(first, last):
        for y in range(height):
            at = image * b_image + b_origin + y * b_row
            source = image * o_image + o_origin + y * o_row
            pass_down(below, own, own, also, at, source, 0, row_length, 0, ONE, use_also, gate, slope)
