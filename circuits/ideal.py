"""What the circuits must compute, in float64 numpy: eq. 1, 3 and 6, and small phase-locked nets of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def saturate(h: np.ndarray, lower: float = -1.0, upper: float = 1.0) -> np.ndarray:
    """Saturated linearity, eq. 1: h clipped to [lower, upper]; any shape, no unit."""
    return np.clip(h, lower, upper)


def gate(h: np.ndarray, lower: float = -1.0, upper: float = 1.0) -> np.ndarray:
    """Gate, eq. 3: 1.0 where lower < h < upper, else 0.0; any shape."""
    h = np.asarray(h, dtype=float)
    return ((h > lower) & (h < upper)).astype(float)


def output_error(x: np.ndarray, teacher: np.ndarray, mu: float, margin: float = 1.0) -> np.ndarray:
    """Output error, eq. 6: 1 for the own class (teacher > 0) where x <= margin, -mu for another (teacher < 0)
    where x >= -margin, else 0; any shape."""
    x, teacher = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(teacher))
    return np.where((teacher > 0) & (x <= margin), 1.0, np.where((teacher < 0) & (x >= -margin), -mu, 0.0))


@dataclass(frozen=True)
class Presentation:
    """One presentation through a small net, ideally: what every layer carries (bottom up, layer 0 is the input).

    h, x: feedforward inputs and activities, one (n_l,) array for each layer, h[0] is x[0].
    delta: feedback activities of layers 1..L, one (n_l,) array each.
    """

    h: list[np.ndarray]
    x: list[np.ndarray]
    delta: list[np.ndarray]


def presentation(
    W: Sequence[np.ndarray], R: Sequence[np.ndarray], image: np.ndarray, label: int, mu: float
) -> Presentation:
    """Feedforward pass (eq. 1), output error (eq. 6), feedback pass (eq. 2 with R, eq. 3) of one image (n_0,).

    W[l], R[l]: (n_l, n_{l+1}) both.
    """
    h = [image]
    x = [image]
    for layer, weights in enumerate(W):
        h.append(x[-1] @ weights)
        x.append(h[-1] if layer == len(W) - 1 else saturate(h[-1]))
    teacher = np.where(np.arange(len(h[-1])) == label, 1, -1)
    delta = [output_error(h[-1], teacher, mu)]
    for layer in range(len(W) - 1, 0, -1):
        delta.insert(0, gate(h[layer]) * (R[layer] @ delta[0]))
    return Presentation(h, x, delta)


def increments(shown: Presentation) -> list[np.ndarray]:
    """Hebbian products x_{l-1} delta_l of one presentation, one (n_{l-1}, n_l) array a layer; W's and R's alike."""
    return [np.outer(x, delta) for x, delta in zip(shown.x, shown.delta, strict=False)]


def train(
    W: Sequence[np.ndarray],
    R: Sequence[np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    step_size: float,
    mu: float,
    feedback_rate: float,
    batch: int = 1,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The phase-locked algorithm over images (P, n_0), `batch` presentations for each change: W and R afterwards."""
    W, R = [w.copy() for w in W], [r.copy() for r in R]
    for start in range(0, len(images), batch):
        total = [np.zeros_like(w) for w in W]
        for n in range(start, start + batch):
            for sum_, product in zip(total, increments(presentation(W, R, images[n], labels[n], mu)), strict=True):
                sum_ += product
        for layer, product in enumerate(total):
            W[layer] += step_size / batch * product
            R[layer] += feedback_rate * step_size / batch * product
    return W, R
