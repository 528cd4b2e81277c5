"""Losses, and the output error with which the top layer begins the feedback phase (section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netsim.errors import OptionError, nearest

#: (scores (B, C) float32, labels (B,), mu) -> (delta (B, C) float32, loss of each image (B,) float64)
Loss = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]


def hinge(scores: np.ndarray, labels: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """The multi-class hinge loss (eq. 4) and its local output error (eq. 6).

    A unit's delta depends on its own activity and target alone: 1 for the own class where x <= 1, -mu for another
    class where x >= -1, else 0.
    """
    own = np.zeros(scores.shape, bool)
    own[np.arange(len(labels)), labels] = True
    delta = np.where(own, np.where(scores <= 1, np.float32(1), 0), np.where(scores >= -1, np.float32(-mu), 0))
    margin = np.where(own, 1 - scores, 1 + scores).astype(np.float64)
    loss = (np.where(own, 1.0, mu) * np.maximum(margin, 0)).sum(axis=1)
    return delta.astype(np.float32), loss


def softmax(scores: np.ndarray, labels: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """Cross-entropy with the softmax of the scores: delta = y - p (section 3.2). ``mu`` is not used."""
    shifted = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinite scores: a loss that is not finite tells it
        shifted -= shifted.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(axis=1, keepdims=True)
    delta = -powers / total
    rows = np.arange(len(labels))
    delta[rows, labels] += 1
    return delta.astype(np.float32), np.log(total[:, 0]) - shifted[rows, labels]


def wrong_answers(scores: np.ndarray, labels: np.ndarray) -> int:
    """How many images have their largest score (the first, of equals) at another class than their own."""
    return int(np.count_nonzero(scores.argmax(axis=1) != labels))


LOSSES: dict[str, Loss] = {"hinge": hinge, "softmax": softmax}


def find(name: str) -> Loss:
    """The loss of that name, or `OptionError` with the nearest one."""
    if not isinstance(name, str) or name not in LOSSES:
        raise OptionError(f"unknown loss {name!r}{nearest(name, LOSSES)}")
    return LOSSES[name]
