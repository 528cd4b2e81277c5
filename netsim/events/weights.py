"""The weights of a net in the orders in which the events read them, and the way back.

For a unit's feedforward read and for plasticity: its own inputs side by side,
    conv (C_out, Kh, Kw, C_in) · untied (H, W, C_out, Kh, Kw, C_in) · full, output (n_out, n_in).
For a unit's feedback read: the units it is read by side by side,
    conv (C_in, Kh reversed, Kw reversed, C_out) · untied (H, W, Kh, Kw, C_in, C_out) · full, output (n_in, n_out).
"""

from __future__ import annotations

import numpy as np

_INPUTS_LAST = {"conv": (3, 0, 1, 2), "untied": (0, 1, 5, 2, 3, 4), "full": (1, 0), "output": (1, 0)}


def by_unit(kind: str, weights: np.ndarray) -> np.ndarray:
    """The weights in the order of a feedforward read, as a view."""
    return weights.transpose(_INPUTS_LAST[kind])


def by_source(kind: str, weights: np.ndarray) -> np.ndarray:
    """The weights in the order of a feedback read, as a view."""
    return weights[::-1, ::-1].transpose(2, 0, 1, 3) if kind == "conv" else weights


def from_unit(kind: str, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Back from `by_unit`: a flat array as an array of the public shape (a view)."""
    order = _INPUTS_LAST[kind]
    return flat.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


def from_source(kind: str, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Back from `by_source`: a flat array as an array of the public shape (a view)."""
    if kind != "conv":
        return flat.reshape(shape)
    rows, columns, c_in, c_out = shape
    return flat.reshape(c_in, rows, columns, c_out).transpose(1, 2, 0, 3)[::-1, ::-1]
