"""Measures of a net: how far W and R are aligned, how many units are saturated. Arrays in, numbers out.

Sums are numpy's pairwise sums in float64, never a BLAS product: the same bits for any number of threads.
"""

from __future__ import annotations

import math

import numpy as np

from netsim.errors import ArrayError


def _pair(W: np.ndarray, R: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """W and R as float64 rows, over the entries of `mask`."""
    W, R = np.asarray(W), np.asarray(R)
    if W.shape != R.shape:
        raise ArrayError(f"W and R must have one shape, got {W.shape} and {R.shape}")
    if mask is None:
        return W.astype(np.float64).ravel(), R.astype(np.float64).ravel()
    mask = np.asarray(mask)
    if mask.shape != W.shape or mask.dtype != bool:
        raise ArrayError(f"the mask must be bool of shape {W.shape}, got {mask.dtype} of shape {mask.shape}")
    return W[mask].astype(np.float64), R[mask].astype(np.float64)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle of two rows; nan where a row is all 0."""
    largest = [float(np.abs(row).max(initial=0.0)) for row in (a, b)]
    if min(largest) == 0.0 or not all(map(math.isfinite, largest)):
        return math.nan
    a, b = a / largest[0], b / largest[1]  # so that no square overflows or vanishes
    cosine = float((a * b).sum()) / math.sqrt(float((a * a).sum())) / math.sqrt(float((b * b).sum()))
    return max(-1.0, min(1.0, cosine))


def correlation(W: np.ndarray, R: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Pearson correlation of the flattened feedforward and feedback weights, in [-1, 1].

    W, R: arrays of one shape (any orientation, the same in both). mask: bool, that shape: the entries to
    take; with thinned connections, those that exist in W and in R. Returns nan where one of them is constant, or
    holds a number that is not finite.
    Raises `ArrayError` for unequal shapes.

    Source: Amit (2019), section 4.2, figures 10 and 11.
    """
    w, r = _pair(W, R, mask)
    if w.size < 2 or w.min() == w.max() or r.min() == r.max():
        return math.nan
    if not (np.isfinite(w).all() and np.isfinite(r).all()):
        return math.nan
    return _cosine(w - w.mean(), r - r.mean())


def angle_degrees(W: np.ndarray, R: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Angle between W and R as vectors, in degrees: 0 aligned, 90 unrelated, 180 opposed.

    Arguments and errors as for `correlation`. Returns nan where one of them is all 0.

    Source: the usual measure of feedback alignment (Lillicrap et al. 2016).
    """
    cosine = _cosine(*_pair(W, R, mask))
    return math.nan if math.isnan(cosine) else math.degrees(math.acos(cosine))


def saturated_share(x: np.ndarray) -> float:
    """Share of units at a limit of the saturated linearity, abs(x) >= 1, where the gate is shut (eq. 3).

    x: activity after the feedforward phase, any shape. Returns nan for no units.
    """
    x = np.asarray(x)
    return float(np.count_nonzero(np.abs(x) >= 1)) / x.size if x.size else math.nan
