"""Random times as a pure function of where and when: draws of the distributions, by the numbers of
`netsim.kernels.normal`.
"""

from __future__ import annotations

import math

import numpy as np

from netsim.kernels.jit import compiled
from netsim.kernels.normal import normal, uniform

#: Code of the Wald distribution; its draws take a second counter, half way round the ring of 64 bits.
WALD = 4
HALF = np.uint64(1 << 63)


@compiled
def draw(code, scale, shape, absolute, maximum, stream, index):
    """One draw of a distribution (`Distribution.parameters`) at counter ``index`` of a stream of random bits."""
    counter = np.uint64(index)
    second = uniform(stream, counter + HALF) if code == WALD else 0.5
    return of_number(code, scale, shape, absolute, maximum, uniform(stream, counter), second)


@compiled
def of_number(code, scale, shape, absolute, maximum, p, second):
    """The draw of a distribution that belongs to p, uniform in (0, 1), and to ``second``, too, of a Wald one."""
    if code == 1:
        value = scale * normal(p)
    elif code == 2:
        value = scale * (2.0 * p - 1.0)
    elif code == 3:
        value = -scale * math.log(p)
    else:
        # Michael, Schucany and Haas (1976, American Statistician 30:88): the second chooses between two roots
        y = normal(p) ** 2
        half = scale * y / (2.0 * shape)
        root = scale / (1.0 + half + math.sqrt(half * half + 2.0 * half))
        value = root if second * (scale + root) <= scale else scale * scale / root
    if absolute:
        value = abs(value)
    return min(max(value, -maximum), maximum)


@compiled
def add_draws(times, code, scale, shape, absolute, maximum, stream):
    """times[u] += a draw of unit u; nothing where ``code`` is 0. times : float64 (units,)."""
    if code != 0:
        for unit in range(times.size):
            times[unit] += draw(code, scale, shape, absolute, maximum, stream, unit)


@compiled
def add_equally(times, order, code, scale, shape, absolute, maximum, stream):
    """times[u] += the distribution's value at the middle of part order[u] of as many equally probable ones.

    ``order`` : int64, a permutation. So the shares of the values are those of the distribution, also of rare ones.
    """
    if code != 0:
        for unit in range(times.size):
            second = uniform(stream, np.uint64(unit) + HALF) if code == WALD else 0.5
            p = (order[unit] + 0.5) / times.size
            times[unit] += of_number(code, scale, shape, absolute, maximum, p, second)


@compiled
def never(times, probability, stream):
    """times[u] = infinity for each unit u whose event does not happen, with the given probability."""
    for unit in range(times.size):
        if uniform(stream, np.uint64(unit)) < probability:
            times[unit] = np.inf


@compiled
def uniforms(stream, number):
    """``number`` uniform numbers of a stream, float64."""
    out = np.empty(number)
    for place in range(number):
        out[place] = uniform(stream, np.uint64(place))
    return out
