"""Randomness as a pure function of where and when: a counter hash of (seed, epoch, batch, layer, unit).

The same bits on every device, for any number of threads, in any order, and after a resume. The mixing is the
finalizer of splitmix64 (Steele, Lea and Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import LANES, compiled, inlined, intrinsic, ir, types
from netsim.kernels.vectors import BYTES, INT, WORDS, over_lanes, pointers, splat

_WORD = (1 << 64) - 1
_GAMMA, _FIRST, _SECOND, _STRIDE = (
    0x9E3779B97F4A7C15,
    0xBF58476D1CE4E5B9,
    0x94D049BB133111EB,
    0xD1342543DE82EF95,
)
GAMMA, FIRST, SECOND, STRIDE = (np.uint64(word) for word in (_GAMMA, _FIRST, _SECOND, _STRIDE))
S27, S30, S31, S32 = (np.uint64(shift) for shift in (27, 30, 31, 32))


def _mix(word: int) -> int:
    word = (word + _GAMMA) & _WORD
    word = ((word ^ (word >> 30)) * _FIRST) & _WORD
    word = ((word ^ (word >> 27)) * _SECOND) & _WORD
    return word ^ (word >> 31)


def key(*words: int) -> np.uint64:
    """Fold whole numbers (seed, epoch, batch, layer, ...) into the key of a stream of random bits."""
    folded = _GAMMA
    for word in words:
        folded = _mix(folded ^ (int(word) & _WORD))
    return np.uint64(folded)


def threshold(fraction: float) -> np.uint64:
    """The 32-bit number below which a unit's bits lie with probability ``fraction``."""
    return np.uint64(round(fraction * 2**32))


@inlined
def bits(stream, unit):
    """32 random bits of a unit (uint64 index) in a stream (uint64 key)."""
    word = stream + unit * STRIDE + GAMMA
    word = (word ^ (word >> S30)) * FIRST
    word = (word ^ (word >> S27)) * SECOND
    return (word ^ (word >> S31)) >> S32


@intrinsic
def _keep(typing, kept, stream, limit, unit, at, length):
    """kept[at + c] = 1 where the `bits` of unit + c in the stream reach ``limit``, else 0, for ``length`` units."""

    def generate(context, builder, signature, values):
        (kept,) = pointers(context, builder, signature, values, 1)
        stream, limit, unit, at, length = values[1:]
        begin = builder.add(builder.add(stream, builder.mul(unit, _word(_STRIDE))), _word(_GAMMA))
        steps = ir.Constant(WORDS, [_word(lane * _STRIDE & _WORD) for lane in range(LANES)])
        limits = splat(builder, limit)

        def shifted(word, places):
            return builder.lshr(word, ir.Constant(WORDS, [_word(places)] * LANES))

        def body(lanes, offset):
            word = builder.add(splat(builder, builder.add(begin, builder.mul(offset, _word(_STRIDE)))), steps)
            for places, factor in ((30, _FIRST), (27, _SECOND)):
                factors = ir.Constant(WORDS, [_word(factor)] * LANES)
                word = builder.mul(builder.xor(word, shifted(word, places)), factors)
            word = shifted(builder.xor(word, shifted(word, 31)), 32)
            keeps = builder.zext(builder.icmp_unsigned(">=", word, limits), BYTES)
            lanes.store(keeps, builder.gep(kept, [builder.add(at, offset)]))

        over_lanes(builder, length, body)
        return context.get_dummy_value()

    return types.void(kept, types.uint64, types.uint64, types.uint64, types.int64, types.int64), generate


def _word(value: int) -> ir.Constant:
    return ir.Constant(INT, value)


@compiled
def kept_units(kept, stream, limit, begin, first, last):
    """kept[u] = 1 where the bits of unit begin + u reach ``limit``, else 0, for u in [first, last). kept : uint8."""
    _keep(kept, stream, limit, np.uint64(begin + first), first, last - first)
