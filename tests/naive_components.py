"""Gates and output errors of imperfect circuits in plain numpy, float64: slow twins of `netsim.kernels.components`.

They take the parameters of `netsim.components.Components` by name, and the standard normal numbers that are to be used.
"""

import numpy as np


def gate(h, thresholds, normals, *, gate_width=0.0, gate_leak=0.0, **_):
    """What the gates that h (B, units) latches let through: 1, or the leak. thresholds: (2, units)."""
    shift = gate_width * normals
    shut = (h >= thresholds[0] + shift) | (h <= -(thresholds[1] + shift))
    return np.where(shut, gate_leak, 1.0)


def loudness(signal, noise_onset):
    """Share of the full noise that signals have."""
    size = np.abs(signal)
    return np.where(size == 0, 0, np.sqrt(np.minimum(size / noise_onset, 1)) if noise_onset > 0 else 1)


def through_gate(signal, gates, normals, *, gate_noise=0.0, noise_onset=0.0, **_):
    """What of a signal (B, units) passes gates (B, units)."""
    return gates * (signal + gate_noise * loudness(signal, noise_onset) * normals)


def output_error(x, labels, mu, thresholds, normals, noises, *, error_width=0.0, error_noise=0.0, noise_onset=0.0, **_):
    """eq. 6 with margins (2, C) that differ, and noise: x (B, C) -> delta (B, C)."""
    own = np.arange(x.shape[1]) == np.asarray(labels)[:, None]
    shift = error_width * normals
    right = np.where(own, x > thresholds[0] + shift, x < -(thresholds[1] + shift))
    signal = np.where(own, 1.0, -mu)
    return np.where(right, 0.0, signal + error_noise * loudness(signal, noise_onset) * noises)
