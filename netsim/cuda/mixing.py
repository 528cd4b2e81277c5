"""Kernels that mix phases on the device: what each unit shows to a read, by its two random numbers.

The numbers, limits and bodies are those of the CPU (`netsim.events.mixing`). What is drawn for the turns of an epoch
stands in tables; ``turn`` : int64 (1,), the turn, of which each table has ``block`` numbers.
"""

from __future__ import annotations

import numpy as np

from netsim.cuda.jit import cuda, device, kernel, wrapping
from netsim.cuda.products import NONE
from netsim.events import mixing

whole, again, shown = wrapping(mixing.whole), wrapping(mixing.again), device(mixing.shown)
FOUR, SIXTEEN, LOW = np.uint64(4), np.uint64(16), np.uint64(0xFFFF)


@kernel
def draw_units(
    forward, backward, streams, turned, turn, number, stream, block, forward_turned, backward_turned,
    forward_group, backward_group, forward_free, backward_free, fours, origin, row, row_length, units, size,
):  # fmt: skip
    """The two numbers of each unit, uint16: the highest bits tell its group, turned; the others are random.

    streams : uint64, ``number`` a turn, of which number ``stream`` is this population's. turned : uint16, ``block`` a
    turn; ``*_turned`` : where those of these images begin. ``*_group`` : uint16, by unit. ``*_free`` : bits that are
    random. ``fours``, ``origin``, ``row``, ``row_length`` : of the CPU's layout of an image, which counts the bits.
    """
    key = streams[np.uint64(turn[0]) * number + stream]
    begin = np.uint64(turn[0]) * block
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        image, unit = i // units, i % units
        place = origin + unit // row_length * row + unit % row_length
        word = whole(key, image * fours + place // FOUR)
        shift = place % FOUR * SIXTEEN
        one = ((word >> shift) & LOW & forward_free) + np.uint64(forward_group[unit])
        other = ((again(word) >> shift) & LOW & backward_free) + np.uint64(backward_group[unit])
        one, other = (
            (one + np.uint64(turned[begin + forward_turned + image])) & LOW,
            (other + np.uint64(turned[begin + backward_turned + image])) & LOW,
        )
        forward[i] = one
        backward[i] = max(other, np.uint64(1))


@kernel
def set_right(forward, backward, arrivals, returns, size):
    """backward = 0, no signal, for units whose feedback comes before their arrival: these end with x."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        if returns[np.uint64(backward[i])] <= arrivals[np.uint64(forward[i])]:
            backward[i] = 0


@kernel
def mix(out, kept, x, signal, forward, backward, low, high, turn, block, at, units, size):
    """out = what each unit shows to a read whose limits begin at ``at`` in the tables low, high (int32)."""
    begin = np.uint64(turn[0]) * block + at
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        limit = begin + i // units
        out[i] = shown(kept[i], x[i], signal[i], forward[i], backward[i], low[limit], high[limit])


@kernel
def mix_parts(out, kept, x, signal, forward, backward, low, high, turn, block, at, part, width, units, size):
    """The same for units of several parts: ``part`` (int32, by unit), whose limits are ``width`` numbers apart."""
    begin = np.uint64(turn[0]) * block + at
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        limit = begin + np.uint64(part[i % units]) * width + i // units
        out[i] = shown(kept[i], x[i], signal[i], forward[i], backward[i], low[limit], high[limit])


@kernel
def mix_at_own_feedback(out, kept, x, backward, size):
    """out = what each unit carries when its own feedback comes: x, or what it kept where x comes after that."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        out[i] = kept[i] if np.uint64(backward[i]) == NONE else x[i]
