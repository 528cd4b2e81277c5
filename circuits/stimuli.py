"""Real images for small nets: scikit-learn's handwritten digits, pooled to a few inputs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from circuits.errors import ParameterError
from circuits.parameters import check_number, check_seed, check_whole

DIGIT_SIDE = 8  # scikit-learn's digits have 8 x 8 pixels of 0 to 16
DIGIT_WHITE = 16.0


def pooled_digits(
    presentations: int, *, classes: int = 4, rows: int = 4, columns: int = 2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Digits 0 .. classes-1 in random order, averaged over a grid: images (P, rows*columns), labels (P,).

    Pixels are scaled so that paper is -1 and ink is 1. Errors: ParameterError where the grid does not divide
    the 8 x 8 pixels or fewer digits exist.
    """
    from sklearn.datasets import load_digits  # late: scikit-learn takes a second to import

    if DIGIT_SIDE % check_whole("rows", rows, 1) or DIGIT_SIDE % check_whole("columns", columns, 1):
        raise ParameterError(f"a grid of {rows} x {columns} does not divide {DIGIT_SIDE} x {DIGIT_SIDE} pixels")
    pixels, labels = load_digits(return_X_y=True)
    chosen = np.flatnonzero(labels < check_whole("classes", classes, 1, 10))
    check_whole("presentations", presentations, 1, len(chosen))  # as many digits as there are
    chosen = np.random.default_rng(check_seed(seed)).permutation(chosen)[:presentations]
    blocks = pixels[chosen].reshape(-1, rows, DIGIT_SIDE // rows, columns, DIGIT_SIDE // columns)
    images = 2 * blocks.mean(axis=(2, 4)).reshape(presentations, -1) / DIGIT_WHITE - 1
    return images, labels[chosen].astype(int)


def glorot(sizes: tuple[int, ...], *, seed: int = 0, scale: float = 1.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """W and R of a small net, drawn apart, uniform in +-scale*sqrt(6/(fan_in + fan_out)) (Glorot and Bengio 2010)."""
    sizes = [check_whole(f"units of layer {layer}", n, 1) for layer, n in enumerate(sizes)]
    check_number("scale", scale, 0)
    random = np.random.default_rng(check_seed(seed))
    limits = [scale * np.sqrt(6 / (n + m)) for n, m in pairwise(sizes)]
    W, R = (
        [random.uniform(-limit, limit, (n, m)) for limit, (n, m) in zip(limits, pairwise(sizes), strict=True)]
        for _ in range(2)
    )
    return W, R
