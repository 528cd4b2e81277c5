"""Kernels that mix phases: each unit shows what it kept from before, x, or its signal, drawn at random.

A unit has two random numbers of 16 bits a presentation: how late its feedforward arrival is, and how late its
feedback (small is late). It shows its signal where the second reaches the limit ``high`` of the read, else what it
kept where the first lies below the limit ``low``, else x. Limits: int32, of each image.
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.chance import FIRST, GAMMA, S27, S30, S31, S32, SECOND, STRIDE, bits
from netsim.kernels.jit import cgutils, compiled, inlined, intrinsic, ir, types
from netsim.kernels.vectors import CODE, CODES, SHORTS, VECTOR, over_lanes, pointers, splat

_THIRD = np.uint64(0xD6E8FEB86659FD93)
_ZERO, _ONE = np.float32(0), np.float32(1)


@inlined
def shown(kept, x, signal, forward, backward, low, high):
    """What a unit with these two numbers shows to a read with these limits."""
    before = kept if np.int32(forward) < low else x
    return before if np.int32(backward) < high else signal


@inlined
def whole(stream, counter):
    """64 random bits of a counter (uint64) in a stream (uint64 key): the hash of `netsim.kernels.chance.bits`."""
    word = stream + counter * STRIDE + GAMMA
    word = (word ^ (word >> S30)) * FIRST
    word = (word ^ (word >> S27)) * SECOND
    return word ^ (word >> S31)


@inlined
def again(word):
    """64 other bits made of 64 random ones."""
    word = word * _THIRD
    return word ^ (word >> S32)


@compiled
def draw_units(forward, backward, stream, size, forward_group, backward_group, forward_turn, backward_turn,
               forward_free, backward_free, first, last):  # fmt: skip
    """The two random numbers of each unit of the images [first, last): uint16, ``size`` units an image.

    The highest bits are a unit's group, the others (those of the masks ``*_free``, uint16) are random. A group is
    ``*_group`` (uint16, by unit of an image) plus ``*_turn`` (uint16, by image), both shifted to their place. The
    second number is never 0, which means: no signal.
    """
    fours = (size + 3) // 4
    words = np.empty(2 * fours, np.uint64)
    for image in range(first, last):
        start = np.uint64(image * fours)
        for four in range(fours):
            word = whole(stream, start + np.uint64(four))
            words[four] = word
            words[fours + four] = again(word)
        parts = words.view(np.uint16)
        here = slice(image * size, (image + 1) * size)
        _place(forward[here], parts, forward_group, forward_turn[image], forward_free)
        _place(backward[here], parts[4 * fours :], backward_group, backward_turn[image], backward_free)
        _above_zero(backward[here])


@compiled
def _place(out, random, group, turn, free):
    for i in range(out.size):
        out[i] = (random[i] & free) + group[i] + turn


@compiled
def _above_zero(out):
    one = np.uint16(1)
    for i in range(out.size):
        out[i] = max(out[i], one)


@compiled
def set_right(forward, backward, arrivals, returns, first, last):
    """backward = 0, no signal, for the units whose feedback comes before their arrival: these end with x.

    arrivals, returns : float32 (2**16,), the times that belong to the two numbers of a unit.
    """
    for i in range(first, last):
        if returns[backward[i]] <= arrivals[forward[i]]:
            backward[i] = 0


@intrinsic
def _show(typing, out, kept, x, signal, forward, backward, at, length, low, high, scale):
    """out[i] = scale times what unit i shows to a read with these limits, for ``length`` units from ``at`` on."""

    def generate(context, builder, signature, values):
        out, kept, x, signal, forward, backward = pointers(context, builder, signature, values, 6)
        at, length, low, high, scale = values[6:]
        low, high, scale = (splat(builder, value) for value in (low, high, scale))

        def body(lanes, offset):
            place = builder.add(at, offset)

            def below(numbers, limit):
                number = lanes.load(builder.gep(numbers, [place]), 0, SHORTS)
                return builder.icmp_signed("<", builder.zext(number, CODES), limit)

            before, present, after = (lanes.load(builder.gep(array, [place])) for array in (kept, x, signal))
            value = builder.select(below(forward, low), before, present)
            value = builder.select(below(backward, high), value, after)
            lanes.store(builder.fmul(scale, value), builder.gep(out, [place]))

        over_lanes(builder, length, body)
        return context.get_dummy_value()

    numbers = [types.int64, types.int64, types.int32, types.int32, types.float32]
    return types.void(out, kept, x, signal, forward, backward, *numbers), generate


@compiled
def mix(out, kept, x, signal, forward, backward, low, high, scale, size, begin, end, first, last):
    """Images [first, last): out = scale times what each unit shows. Arrays float32, laid out alike, ``size`` numbers
    an image, of which those from ``begin`` to ``end`` - 1 are set.
    """
    for image in range(first, last):
        at = image * size + begin
        # what no unit shows is not fetched
        before = kept if low[image] > 0 else x
        after = signal if high[image] < 65536 else x
        _show(out, before, x, after, forward, backward, at, end - begin, low[image], high[image], scale)


@compiled
def mix_at_own_feedback(out, kept, x, backward, size, first, last):
    """out = what each unit carries when its own feedback comes: x, or what it kept where x comes after that."""
    for i in range(first * size, last * size):
        out[i] = kept[i] if backward[i] == 0 else x[i]


@compiled
def copy(out, values, first, last):
    """out[i] = values[i] for i in [first, last)."""
    out[first:last] = values[first:last]


@compiled
def take_group(out, values, units, shift, wanted, size, first, last):
    """out = values for the units of one group; ``wanted`` : uint16, of each image; groups: the bits above ``shift``."""
    for image in range(first, last):
        here = slice(image * size, (image + 1) * size)
        _take(out[here], values[here], units[here], shift, wanted[image])


@compiled
def _take(out, values, units, shift, wanted):
    for i in range(out.size):
        new, old = values[i], out[i]
        out[i] = new if units[i] >> shift == wanted else old


@compiled
def turns(out, stream, parts):
    """out[b] = a whole number below ``parts`` for each image b. stream : uint64 key."""
    for image in range(out.size):
        out[image] = np.int64((bits(stream, np.uint64(image)) * np.uint64(parts)) >> S32)


@compiled
def limits(low, high, not_arrived, returned, turn, stream, together):
    """The limits of a read by part and image, int32 (parts, images): low, high as `mix` takes them.

    not_arrived, returned : float64 (parts,), probabilities by group of the readers, the earliest first. Part p is group
    (p + turn[b]) modulo the parts in image b; the last group is the earliest. turn : int64 (images,). What is below
    2^-16 is rounded at random, so that the means are right. together : all units show the same (the image).
    """
    parts, images = low.shape
    for part in range(parts):
        for image in range(images):
            s, counter = parts - 1 - (part + turn[image]) % parts, np.uint64(2 * (part * images + image))
            one = np.float64(bits(stream, counter)) * 2.0**-32
            other = np.float64(bits(stream, counter + np.uint64(1))) * 2.0**-32
            if together:
                low[part, image] = 65536 if one < not_arrived[s] else 0
            else:
                low[part, image] = np.int32(np.floor(not_arrived[s] * 65536.0 + one))
            high[part, image] = max(65536 - np.int32(np.floor(returned[s] * 65536.0 + other)), 1)


@intrinsic
def _largest_shown(typing, out, winner, kept, x, units, at, mark, corner, channels, window, row, limit):
    """out[at + c], winner[mark + c] = the largest that the window at ``corner`` shows and its place, for every c."""

    def generate(context, builder, signature, values):
        out, winner, kept, x, units = pointers(context, builder, signature, values, 5)
        at, mark, corner, channels, window, row, limit = values[5:]
        best, place = cgutils.alloca_once(builder, VECTOR), cgutils.alloca_once(builder, CODES)
        limit = splat(builder, limit)

        def body(lanes, offset):
            first = builder.add(corner, offset)

            def shown(at):
                number = lanes.load(builder.gep(units, [at]), 0, SHORTS)
                early = builder.icmp_signed("<", builder.zext(number, CODES), limit)
                before, present = (lanes.load(builder.gep(array, [at])) for array in (kept, x))
                return builder.select(early, before, present)

            builder.store(shown(first), best)
            builder.store(ir.Constant(CODES, None), place)
            with cgutils.for_range(builder, window) as rows, cgutils.for_range(builder, window) as columns:
                shift = builder.add(builder.mul(rows.index, row), builder.mul(columns.index, channels))
                value = shown(builder.add(first, shift))
                # greater, not equal: ties go to the first; a NaN wins and stays
                wins = builder.or_(
                    builder.fcmp_ordered(">", value, builder.load(best)), builder.fcmp_unordered("uno", value, value)
                )
                builder.store(builder.select(wins, value, builder.load(best)), best)
                code = builder.trunc(builder.add(builder.mul(rows.index, window), columns.index), CODE)
                builder.store(builder.select(wins, splat(builder, code), builder.load(place)), place)
            lanes.store(builder.load(best), builder.gep(out, [builder.add(at, offset)]))
            lanes.store(builder.load(place), builder.gep(winner, [builder.add(mark, offset)]))

        over_lanes(builder, channels, body)
        return context.get_dummy_value()

    return types.void(out, winner, kept, x, units, *[types.int64] * 6, types.int32), generate


@compiled
def pool_read(
    out, o_image, o_row, o_origin, winner, kept, x, units, b_image, b_row, b_origin, part, low,
    height, width, channels, window, stride, first, last,
):  # fmt: skip
    """Feedforward events of a pool: the largest that the units of its window show, and its place.

    part : int64 (height * width,), part of the pool's units at each location; low : int32 (parts, images).
    """
    reach = (window - 1) // 2
    for image in range(first, last):
        for y in range(height):
            for across in range(width):
                location = y * width + across
                at = image * o_image + o_origin + y * o_row + across * channels
                mark = (image * height * width + location) * channels
                corner = image * b_image + b_origin + (y * b_row + across * channels) * stride
                corner -= reach * (b_row + channels)
                limit = low[part[location], image]
                _largest_shown(out, winner, kept, x, units, at, mark, corner, channels, window, b_row, limit)


@compiled
def pool_return(
    out, x, b_image, b_row, b_origin, b_height, b_width, shown, o_image, o_row, o_origin, winner, part,
    height, width, channels, window, stride, gate, slope, first, last,
):  # fmt: skip
    """Feedback events of the units below a pool: gate * the sum of what the pools show whose windows they won.

    shown : float32 (parts, ...), what the pools show to each part of the units below; part : int64, by location below.
    """
    low, high = (window - 1) // 2, window // 2
    for image in range(first, last):
        for y in range(b_height):
            row = max(0, -((high - y) // stride))
            rows = min(height - 1, (y + low) // stride) + 1
            for across in range(b_width):
                column = max(0, -((high - across) // stride))
                end = min(width - 1, (across + low) // stride) + 1
                at = np.uint64(image * b_image + b_origin + y * b_row + across * channels)
                source = shown[part[y * b_width + across]]
                c, number = np.uint64(0), np.uint64(channels)
                while c < number:
                    out[at + c] = _ZERO
                    c += np.uint64(1)
                for above in range(row, rows):
                    for beside in range(column, end):
                        code = np.int32((y - above * stride + low) * window + across - beside * stride + low)
                        there = np.uint64(image * o_image + o_origin + above * o_row + beside * channels)
                        mark = np.uint64(((image * height + above) * width + beside) * channels)
                        c = np.uint64(0)
                        while c < number:
                            value = source[there + c]
                            out[at + c] += value if winner[mark + c] == code else _ZERO
                            c += np.uint64(1)
                if gate:
                    c = np.uint64(0)
                    while c < number:
                        value, here = slope * out[at + c], x[at + c]
                        out[at + c] = value if (here > -_ONE) & (here < _ONE) else _ZERO
                        c += np.uint64(1)
