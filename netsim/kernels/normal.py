"""Uniform and normal numbers as a pure function of a counter, through the hash of `netsim.kernels.chance`.

Uniform numbers are the middles of 2**53 equal parts of (0, 1). Normal draws come from the inverse of the normal
distribution function: algorithm AS 241 (Wichura 1988, Applied Statistics 37:477), relative error about 1e-16.
"""

from __future__ import annotations

import math

import numpy as np

from netsim.kernels.chance import FIRST, GAMMA, S27, S30, S31, SECOND, STRIDE
from netsim.kernels.jit import compiled

_S11 = np.uint64(11)
_PART = 2.0**-53


@compiled
def uniform(stream, index):
    """Uniform number in (0, 1), float64, of counter ``index`` (uint64) in a stream (uint64 key)."""
    word = stream + index * STRIDE + GAMMA
    word = (word ^ (word >> S30)) * FIRST
    word = (word ^ (word >> S27)) * SECOND
    word = word ^ (word >> S31)
    return (np.float64(word >> _S11) + 0.5) * _PART


@compiled
def normal(p):
    """Inverse of the standard normal distribution function at p in (0, 1): PPND16 of AS 241."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = 2.5090809287301226727e3
        for number in (3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
                       1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2,
                       3.3871328727963666080e0):  # fmt: skip
            top = top * r + number
        bottom = 5.2264952788528545610e3
        for number in (2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
                       5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0):  # fmt: skip
            bottom = bottom * r + number
        return q * top / bottom
    r = math.sqrt(-math.log(p if q < 0.0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        top = 7.74545014278341407640e-4
        for number in (2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
                       3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0,
                       1.42343711074968357734e0):  # fmt: skip
            top = top * r + number
        bottom = 1.05075007164441684324e-9
        for number in (5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
                       6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0):  # fmt: skip
            bottom = bottom * r + number
    else:
        r -= 5.0
        top = 2.01033439929228813265e-7
        for number in (2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
                       2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0,
                       6.65790464350110377720e0):  # fmt: skip
            top = top * r + number
        bottom = 2.04426310338993978564e-15
        for number in (1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
                       1.48753612908506148525e-2, 1.36929880922735805310e-1, 0.599832206555887938, 1.0):  # fmt: skip
            bottom = bottom * r + number
    value = top / bottom
    return -value if q < 0.0 else value
