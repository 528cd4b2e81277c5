"""Gates and output errors as imperfect as measured circuits (`netsim.components`), unit by unit.

Scalar bodies, shared with the GPU, and the loops over maps around them. What varies from presentation to presentation
is drawn for counter 2 i (thresholds and margins) and 2 i + 1 (signals) of a layer's stream, where i counts its units
over the images of a batch: so it depends on the seed and on the place alone.
"""

from __future__ import annotations

import math

import numpy as np

from netsim.kernels.jit import compiled, inlined
from netsim.kernels.normal import normal, uniform
from netsim.kernels.units import saturated

_TWO, _NEXT = np.uint64(2), np.uint64(1)
_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled
def jitter(spread, stream, counter):
    """A normal number with this standard deviation, float64; 0 where it is 0. stream, counter : uint64."""
    return spread * normal(uniform(stream, counter)) if spread > 0.0 else 0.0


@inlined
def loudness(signal, onset):
    """How noisy a signal is, 0 to 1: a silent population is silent, a small one's noise grows as the square root of its
    rate, as that of independent spikes does; from ``onset`` on all its neurons fire. float64
    """
    size = abs(np.float64(signal))
    if size == 0.0 or size >= onset:
        return 0.0 if size == 0.0 else 1.0
    return math.sqrt(size / onset)


@inlined
def is_shut(h, upper, lower, shift):
    """Whether the gate that h latches is shut (eq. 3): at ``upper``, or beyond -``lower``, both moved by ``shift``."""
    return h >= np.float64(upper) + shift or h <= -(np.float64(lower) + shift)


@inlined
def passed(signal, shut, leak, noise):
    """What of a signal passes a gate: the leak where it is shut; ``noise`` is added to the signal."""
    value = np.float64(signal) + noise
    return np.float32(leak * value if shut else value)


@inlined
def answer(x, own, upper, lower, shift, mu, noise):
    """eq. 6 with these margins. ``noise`` is that of a unit whose teacher line is open; a silent one has none."""
    right = x > np.float64(upper) + shift if own else x < -(np.float64(lower) + shift)
    return _ZERO if right else np.float32((1.0 if own else -mu) + noise)


@compiled
def latch(
    own, image, row, origin, height, row_length, shut, thresholds, width, slope, stream, begin, first, last
):  # fmt: skip
    """Each unit latches its gate from its input h, which ``own`` holds, and carries x = sigma(h) (eq. 1 and 3).

    shut : uint8 (images * units). thresholds : float32 (2 * units), upper, then lower ones. ``width`` : standard
    deviation of a threshold from presentation to presentation. ``begin`` : the first image's number in its batch.
    """
    units = height * row_length
    for number in range(first, last):
        for y in range(height):
            at = number * image + origin + y * row
            for c in range(row_length):
                unit = y * row_length + c
                counter = _TWO * np.uint64((begin + number) * units + unit)
                h = slope * own[at + c]
                shift = jitter(width, stream, counter)
                shut[number * units + unit] = is_shut(h, thresholds[unit], thresholds[units + unit], shift)
                own[at + c] = saturated(h, _ONE)


@compiled
def pass_gates(
    own, image, row, origin, height, row_length, shut, leak, noise, onset, slope, stream, begin, first, last
):  # fmt: skip
    """The signals that ``own`` holds pass the gates that were latched (eq. 2)."""
    units = height * row_length
    for number in range(first, last):
        for y in range(height):
            at = number * image + origin + y * row
            for c in range(row_length):
                unit = number * units + y * row_length + c
                counter = _TWO * np.uint64(begin * units + unit) + _NEXT
                signal = slope * own[at + c]
                noisy = jitter(noise * loudness(signal, onset), stream, counter)
                own[at + c] = passed(signal, shut[unit], leak, noisy)


@compiled
def answer_all(delta, x, labels, thresholds, width, noise, onset, mu, stream, begin):
    """The output error of every unit and image: delta, x float32 (images, classes); labels int64 (images,)."""
    images, classes = x.shape
    for image in range(images):
        for c in range(classes):
            counter = _TWO * np.uint64((begin + image) * classes + c)
            shift = jitter(width, stream, counter)
            own = labels[image] == c
            noisy = jitter(noise * loudness(1.0 if own else mu, onset), stream, counter + _NEXT)
            delta[image, c] = answer(x[image, c], own, thresholds[c], thresholds[classes + c], shift, mu, noisy)
