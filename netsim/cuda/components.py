"""Imperfect gates and output errors on the device: one thread a unit; bodies and draws are those of the CPU.

keys : uint64, the streams of every batch and layer; turn : int64 (1,), the batch. thresholds : float32, upper, then
lower ones. See `netsim.kernels.components`.
"""

from __future__ import annotations

import numpy as np

from netsim.cuda.jit import cuda, device, kernel, wrapping
from netsim.cuda.products import ONE, saturated
from netsim.kernels import components
from netsim.kernels import normal as numbers

uniform, normal = wrapping(numbers.uniform), device(numbers.normal)
is_shut, passed, _answer = device(components.is_shut), device(components.passed), device(components.answer)
loudness = device(components.loudness)
TWO, NEXT = np.uint64(2), np.uint64(1)


@device
def jitter(spread, stream, counter):
    """As `netsim.kernels.components.jitter`."""
    return spread * normal(uniform(stream, counter)) if spread > 0.0 else 0.0


@kernel
def latch(own, shut, thresholds, keys, turn, layers, layer, width, slope, units, size):
    """Each unit latches its gate from its input h, which ``own`` holds, and carries x = sigma(h) (eq. 1 and 3)."""
    stream = keys[np.uint64(turn[0]) * layers + layer]
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        h, unit, shift = slope * own[i], i % units, jitter(width, stream, TWO * i)
        shut[i] = is_shut(h, thresholds[unit], thresholds[units + unit], shift)
        own[i] = saturated(h, ONE)


@kernel
def pass_gates(own, shut, keys, turn, layers, layer, leak, noise, onset, slope, size):
    """The signals that ``own`` holds pass the gates that were latched (eq. 2)."""
    stream = keys[np.uint64(turn[0]) * layers + layer]
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        signal = slope * own[i]
        own[i] = passed(signal, shut[i], leak, jitter(noise * loudness(signal, onset), stream, TWO * i + NEXT))


@kernel
def answer(delta, top, labels, thresholds, keys, turn, layers, layer, width, noise, onset, mu, classes, size):
    """delta = the output error (eq. 6) with these margins, of the scores ``top``."""
    stream = keys[np.uint64(turn[0]) * layers + layer]
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        image, c = i // classes, i % classes
        own, shift = np.int64(c) == labels[image], jitter(width, stream, TWO * i)
        noisy = jitter(noise * loudness(1.0 if own else mu, onset), stream, TWO * i + NEXT)
        delta[i] = _answer(top[i], own, thresholds[c], thresholds[classes + c], shift, mu, noisy)
