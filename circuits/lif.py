"""Leaky integrate-and-fire neurons on a time grid: their exact mean rate, and populations that read linear.

A population carries a non-negative number z. Neuron i gets the current 1 + gain_i * (z - intercept_i), cut
off at 0, in units of its threshold. Each spike adds decoder_i to the population's activity, which decays
with tau. Decoders are those of least squares (Eliasmith and Anderson 2003, Neural Engineering): they make the
mean activity equal z, so what is left is spiking noise, which falls with the square root of the number of
neurons.
"""

from __future__ import annotations

import numpy as np

RESET_SAMPLES = 16  # points of the average over random reset potentials
SIGNAL_SAMPLES = 64  # points at which the decoded activity is fitted
TABLE_POINTS = 8192  # currents at which the rate is tabulated


def mean_rate(current: np.ndarray, factor: float, dt: float, refractory_steps: int, jitter: float) -> np.ndarray:
    """Mean rate in Hz of a neuron on a time grid, for a constant current (any shape, in units of its threshold).

    factor: what one step leaves of the distance to the current, exp(-dt/tau_membrane). dt in seconds. After a
    spike the potential is uniform in [-jitter, jitter] and stands still for `refractory_steps` steps. The
    threshold is 1. Renewal theory: one over the mean interval; the steps to threshold are counted exactly.
    """
    current = np.asarray(current, dtype=float)
    resets = jitter * (2 * (np.arange(RESET_SAMPLES) + 0.5) / RESET_SAMPLES - 1)
    above = np.where(current > 1, current, 2.0)[..., None]
    steps = np.floor(np.log((above - 1) / (above - resets)) / np.log(factor)) + 1
    interval = dt * (max(refractory_steps, 1) - 1 + steps.mean(axis=-1))
    return np.where(current > 1, 1 / interval, 0.0)


def rate_table(largest: float, *arguments: float) -> tuple[np.ndarray, np.ndarray]:
    """Currents from the threshold to `largest` and their mean rates in Hz, to be interpolated; see `mean_rate`."""
    current = 1 + (largest - 1) * np.linspace(0, 1, TABLE_POINTS) ** 2  # finer where the rate rises steeply
    return current, mean_rate(current, *arguments)


def drive(z: np.ndarray, gain: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """Current of each neuron at each signal: (..., 1) and (N,) -> (..., N), in units of the threshold."""
    return np.maximum(1 + gain * (z - intercept), 0)


def fit_decoders(rates: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Decoders (N,) in seconds with rates @ decoders = z, as near to equal as the fit allows.

    rates (M, N) in Hz at the signals z (M,). Ridge regression towards equal decoders: no neuron is trusted
    more than spiking noise warrants. Solved in the space of the M samples, so the cost is linear in N.
    """
    total = rates.sum(axis=1)
    equal = (total @ z) / (total @ total)
    # the penalty is the variance that spiking adds, in Hz**2, when it is averaged like the fit's residue
    penalty = (0.02 * rates.max()) ** 2 * len(z)
    kernel = rates @ rates.T + penalty * np.eye(len(z))
    return equal + rates.T @ np.linalg.solve(kernel, z - total * equal)
