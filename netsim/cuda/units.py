"""Cheap work on units around the products: images, drops, sums, the output error. Maps have no border here.

``also`` is the signal of a sum that reads the same units; ``use_also`` whether there is one; ``gate`` whether the units
below saturate, ``slope`` of their sigma.
"""

from __future__ import annotations

import math

import numpy as np

from netsim.cuda.jit import cuda, kernel, wrapping
from netsim.cuda.products import NONE, ZERO, gated
from netsim.kernels import chance

bits = wrapping(chance.bits)
ONE = np.float32(1)


@kernel
def present(x_0, labels, pixels, targets, order, batch, scale, units, size):
    """x_0 = the images of a batch (uint8 or float32 ``pixels``, times ``scale``), labels = their classes.

    ``order`` : int32, images of the epoch in the order in which they are learned; batch : int64 (1,), the number of
    images before this batch. ``size`` values of x_0.
    """
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        image, unit = i // units, i % units
        source = np.uint64(order[np.uint64(batch[0]) + image])
        x_0[i] = np.float32(pixels[source * units + unit]) * scale
        if unit == 0:
            labels[image] = targets[source]


@kernel
def count(counter, number):
    """counter += number; int64 (1,)."""
    counter[0] += np.int64(number)


@kernel
def drop_feedforward(own, below, keys, turn, layers, layer, limit, scale, mask, begin, size):
    """own = scale * below where the unit is kept, else 0.

    keys : uint64, the streams of every batch and layer; turn : int64 (1,), the batch. ``limit`` : bits of a kept unit
    reach it. ``mask`` : units of a mask; ``begin`` : number of the first unit in it.
    """
    stream = keys[np.uint64(turn[0]) * layers + layer]
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        own[i] = scale * below[i] if bits(stream, begin + i % mask) >= limit else ZERO


@kernel
def drop_feedback(
    below, also, own, keys, turn, layers, layer, limit, scale, mask, begin, apart, also_distance, channels,
    use_also, gate, slope, size,
):  # fmt: skip
    """below <- gate * (scale * own where kept [+ also])."""
    stream = keys[np.uint64(turn[0]) * layers + layer]
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        signal = scale * own[i] if bits(stream, begin + i % mask) >= limit else ZERO
        if use_also:
            part = np.uint64(apart[i // channels]) if also_distance > NONE else NONE
            signal += also[part * also_distance + i]
        below[i] = gated(below[i], signal, slope) if gate else signal


@kernel
def negate(out, size):
    """out = -out."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        out[i] = -out[i]


@kernel
def put(out, values, size):
    """out = values."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        out[i] = values[i]


@kernel
def positive(out, x, size):
    """out = max(x, 0)."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        out[i] = max(x[i], ZERO)


@kernel
def clipped_feedback(below, also, product, scale, use_also, gate, slope, size):
    """below <- gate * (clip(scale * product, -1, 1) [+ also])."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        signal = min(max(scale * product[i], -ONE), ONE)
        if use_also:
            signal += also[i]
        below[i] = gated(below[i], signal, slope) if gate else signal


@kernel
def sum_feedforward(own, first, second, apart, first_distance, second_distance, channels, size):
    """own = first + second.

    Where units read apart, location q reads arrays number apart[q] of several, so far from one to the next; else 0.
    """
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        part = np.uint64(apart[i // channels]) if first_distance + second_distance > NONE else NONE
        own[i] = first[part * first_distance + i] + second[part * second_distance + i]


@kernel
def sum_feedback(below, also, own, apart, distance, also_distance, channels, use_also, gate, slope, size):
    """below <- gate * (own [+ also]) for the parent right below the sum."""
    for i in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        part = np.uint64(apart[i // channels]) if distance + also_distance > NONE else NONE
        signal = own[part * distance + i]
        if use_also:
            signal += also[part * also_distance + i]
        below[i] = gated(below[i], signal, slope) if gate else signal


@kernel
def hinge(top, labels, loss, wrong, batch, mu, classes, size):
    """The output error of the hinge loss REPLACES the scores (eq. 6); also loss (eq. 4) and answer of each image.

    ``size`` images; their loss (float64) and answer stand from ``batch`` on. mu : float64.
    """
    for image in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        best, answer, total = top[image * classes], np.int64(0), 0.0
        for c in range(classes):
            x = top[image * classes + c]
            if x > best or (x != x and best == best):  # the first of equals; a NaN is the largest, as in numpy
                best, answer = x, np.int64(c)
            if np.int64(c) == labels[image]:
                total += max(np.float64(ONE - x), 0.0) if x == x else np.float64(x)
                top[image * classes + c] = ONE if x <= ONE else ZERO
            else:
                total += mu * max(np.float64(ONE + x), 0.0) if x == x else np.float64(x)
                top[image * classes + c] = np.float32(-mu) if x >= -ONE else ZERO
        loss[np.uint64(batch[0]) + image] = total
        wrong[np.uint64(batch[0]) + image] = answer != labels[image]


@kernel
def softmax(top, labels, loss, wrong, batch, mu, classes, size):
    """The same for cross-entropy with the softmax of the scores: delta = y - p (section 3.2). ``mu`` is not used."""
    for image in range(np.uint64(cuda.grid(1)), size, np.uint64(cuda.gridsize(1))):
        best, answer = top[image * classes], np.int64(0)
        for c in range(classes):
            x = top[image * classes + c]
            if x > best or (x != x and best == best):
                best, answer = x, np.int64(c)
        total, own = 0.0, 0.0
        for c in range(classes):
            shifted = np.float64(top[image * classes + c]) - np.float64(best)
            total += math.exp(shifted)
            if np.int64(c) == labels[image]:
                own = shifted
        for c in range(classes):
            shifted = np.float64(top[image * classes + c]) - np.float64(best)
            delta = -math.exp(shifted) / total
            if np.int64(c) == labels[image]:
                delta += 1.0
            top[image * classes + c] = np.float32(delta)
        loss[np.uint64(batch[0]) + image] = math.log(total) - own
        wrong[np.uint64(batch[0]) + image] = answer != labels[image]


#: By the name of the loss.
OUTPUT_ERRORS = {"hinge": hinge, "softmax": softmax}
