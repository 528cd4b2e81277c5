"""A kernel that mixes phases: each unit shows what it kept from before, x, or its signal, drawn at random."""

from __future__ import annotations

import numpy as np

from netsim.kernels.chance import FIRST, GAMMA, S27, S30, S31, SECOND, STRIDE, bits
from netsim.kernels.jit import compiled, inlined

_LOW, _S16 = np.uint64(0xFFFF), np.uint64(16)


@inlined
def whole(stream, counter):
    """64 random bits of a counter (uint64) in a stream (uint64 key): the hash of `netsim.kernels.chance.bits`."""
    word = stream + counter * STRIDE + GAMMA
    word = (word ^ (word >> S30)) * FIRST
    word = (word ^ (word >> S27)) * SECOND
    return word ^ (word >> S31)


@compiled
def draw_units(out, stream, first, last):
    """out[i] = 16 random bits of unit i, for i in [first, last): four units share the 64 bits of a counter.

    out : uint16, with as many entries as units; first : a multiple of 4. stream : uint64 key.
    """
    for four in range(first // 4, (last + 3) // 4):
        word = whole(stream, np.uint64(four))
        for k in range(4 * four, min(4 * four + 4, last)):
            out[k] = np.uint16(word & _LOW)
            word >>= _S16


@compiled
def mix(out, earlier, present, signal, units, low, high, stratum, size, first, last):
    """Images [first, last): out[i] = earlier[i], present[i] or signal[i] as units[i] lies below low, high, or not.

    out and the three phases : float32, laid out alike, ``size`` numbers an image. units : uint16, `draw_units`.
    low, high : int32 limits of 16 bits, by stratum; stratum : int64, of each image.
    """
    for image in range(first, last):
        below_present, below_signal = low[stratum[image]], high[stratum[image]]
        here = slice(image * size, (image + 1) * size)
        _select(out[here], earlier[here], present[here], signal[here], units[here], below_present, below_signal)


@compiled
def _select(out, earlier, present, signal, units, below_present, below_signal):
    # over whole arrays, so that the compiler knows every index to be inside and works on vectors
    for i in range(out.size):
        draw, e, x, s = np.int32(units[i]), earlier[i], present[i], signal[i]
        value = x if draw < below_signal else s
        out[i] = e if draw < below_present else value


@compiled
def strata(out, stream, first, number):
    """out[b] = a whole number in [first, first + number) for each image b. stream : uint64 key."""
    for image in range(out.size):
        out[image] = first + np.int64((bits(stream, np.uint64(image)) * np.uint64(number)) >> np.uint64(32))


@compiled
def take_part(out, values, units, low, high, first, last):
    """out[i] = values[i] for the units with low <= units[i] < high, for i in [first, last). units : uint16."""
    _take(out[first:last], values[first:last], units[first:last], low, high - low)


@compiled
def _take(out, values, units, low, width):
    for i in range(out.size):
        draw, new, old = np.uint32(np.int32(units[i]) - low), values[i], out[i]
        out[i] = new if draw < width else old


@compiled
def copy(out, values, first, last):
    """out[i] = values[i] for i in [first, last)."""
    out[first:last] = values[first:last]
