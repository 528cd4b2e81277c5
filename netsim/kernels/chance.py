"""Randomness as a pure function of where and when: a counter hash of (seed, epoch, batch, layer, unit).

The same bits on every device, for any number of threads, in any order, and after a resume. The mixing is the
finalizer of splitmix64 (Steele, Lea and Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import compiled, inlined

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


@compiled
def kept_units(kept, stream, limit, begin, first, last):
    """kept[u] = 1 where the bits of unit begin + u reach ``limit``, else 0, for u in [first, last). kept : uint8."""
    for unit in range(first, last):
        kept[unit] = bits(stream, np.uint64(begin + unit)) >= limit
