"""How alike the filters of an untied layer are over space (Amit 2019, section 4.1, figure 8)."""

from __future__ import annotations

import numpy as np

from netsim.errors import ArrayError


def interior(W: np.ndarray) -> np.ndarray:
    """The filters of the pixels whose whole window lies within the grid: (n, Kh, Kw, C_in, C_out).

    W: (H, W, Kh, Kw, C_in, C_out), weights of an untied layer; windows cover offsets -(K-1)//2 .. K//2. At the border
    a part of each filter meets zeros alone, so it never learns. Raises `ArrayError` for another shape, or a grid with
    fewer than two such pixels.
    """
    W = np.asarray(W)
    if W.ndim != 6:
        raise ArrayError(f"W has shape {W.shape}; expected (H, W, Kh, Kw, C_in, C_out), an untied layer's")
    ranges = [slice((k - 1) // 2, n - k // 2) for n, k in zip(W.shape[:2], W.shape[2:4], strict=True)]
    inside = W[ranges[0], ranges[1]]
    if inside.shape[0] * inside.shape[1] < 2:
        raise ArrayError(f"W has shape {W.shape}: fewer than two windows lie within the grid")
    return inside.reshape(-1, *W.shape[2:])


def filter_likeness(W: np.ndarray) -> np.ndarray:
    """Mean Pearson correlation of a filter at one pixel and the same filter at another, over all pairs of pixels.

    W: (H, W, Kh, Kw, C_in, C_out), weights of an untied layer (or their change). Returns (C_out,) float64: 1 where
    the filter is the same everywhere up to size and offset, near 0 for independent ones. Only pixels whose window lies
    within the grid count (`interior`, and its errors), and only those where the filter is not constant; nan where there
    are fewer than two.
    """
    filters = interior(W).astype(np.float64)
    outputs = filters.shape[-1]
    rows = np.moveaxis(filters, -1, 0).reshape(outputs, len(filters), -1)
    rows = rows - rows.mean(axis=2, keepdims=True)
    lengths = np.sqrt((rows * rows).sum(axis=2))
    number = (lengths > 0).sum(axis=1)
    rows = rows / np.where(lengths > 0, lengths, 1.0)[:, :, None]
    # The sum over all pairs is the square of the sum of all, less each one's product with itself.
    total = rows.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return ((total * total).sum(axis=1) - number) / np.where(number > 1, number * (number - 1), np.nan)
