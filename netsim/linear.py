"""Learning in deep linear nets with feedback weights of their own (Amit 2019, section 5; eqs. 7 and 9).

    h = W_k .. W_2 W_1 x,   inputs with X X^t = I,   so the loss is ½ ‖E‖²,  E = T - W_k .. W_1

Nothing here needs an image or a batch: a net is a list of matrices W_l (n_l, n_{l-1}), its feedback weights a list of
matrices R_l (n_{l-1}, n_l), both bottom up, and one step is the update of section 3.1 without a saturated linearity.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netsim.analysis import correlation
from netsim.errors import ArrayError, DivergedError, OptionError
from netsim.values import check_number, check_whole, whole

#: The paper's simulation (section 5.1): units of each layer, standard deviation of the target's factors.
SIZES = (40, 100, 100, 10)
DEVIATION = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class LinearRun:
    """What a simulation saw.

    error : (iterations + 1,) float64, e = tr(EᵗE) before each step and after the last
    correlation : (layers, iterations + 1) float64, Pearson, of W_l and R_lᵗ, bottom up; nan while W_l is 0
    W, R : the weights after the last step
    """

    error: np.ndarray
    correlation: np.ndarray
    W: tuple[np.ndarray, ...]
    R: tuple[np.ndarray, ...]

    def iterations_to(self, share: float) -> int | None:
        """The first iteration whose error is at most `share` of the error at the start; None if there is none."""
        below = np.flatnonzero(self.error <= share * self.error[0])
        return int(below[0]) if len(below) else None


def draw(sizes: Sequence[int], deviation: float, random: np.random.Generator) -> list[np.ndarray]:
    """Matrices (n_l, n_{l-1}), l = 1..k, with independent normal entries of mean 0.

    sizes: units of each layer, n_0 .. n_k, at least two. Raises `OptionError` for anything else.
    """
    if len(sizes) < 2 or any((whole(n) or 0) < 1 for n in sizes):
        raise OptionError(f"sizes is {sizes!r}: it must be two or more whole numbers of at least 1")
    check_number("deviation", deviation, least=0)
    return [random.normal(0.0, deviation, (n, m)) for m, n in itertools.pairwise(sizes)]


def product(W: Sequence[np.ndarray]) -> np.ndarray:
    """W_k .. W_1 (n_k, n_0): what the whole net does."""
    result = W[0]
    for matrix in W[1:]:
        result = matrix @ result
    return result


def simulate(
    target: np.ndarray,
    W: Sequence[np.ndarray],
    R: Sequence[np.ndarray],
    *,
    feedback_rate: float | None,
    step_size: float,
    iterations: int,
) -> LinearRun:
    """Learn `target` by steps of eq. 9 from the weights given (they are copied).

    target : T (n_k, n_0).  W : W_1 .. W_k, W_l (n_l, n_{l-1}).  R : R_1 .. R_k, R_l (n_{l-1}, n_l); R_1 reaches no
        unit, and is there to be compared with W_1
    feedback_rate : epsilon in [0, 1]: 0 is FRFB, 1 is URFB; None is BP, R = Wᵗ at every moment
    step_size : eta, a step of Euler's method for the differential equations
    Raises `ArrayError` for shapes that do not fit, `OptionError` for numbers out of range, `DivergedError` where the
    error is no longer finite.
    """
    W = [np.array(matrix, dtype=np.float64) for matrix in W]
    R = [np.array(matrix, dtype=np.float64) for matrix in R]
    target = np.asarray(target, dtype=np.float64)
    _check_shapes(target, W, R)
    if feedback_rate is not None:
        check_number("feedback_rate", feedback_rate, least=0, most=1)
    check_number("step_size", step_size, least=0)
    iterations = check_whole("iterations", iterations)
    errors = np.empty(iterations + 1)
    correlations = np.full((len(W), iterations + 1), np.nan)
    with np.errstate(all="ignore"):  # an error that is not finite is told in one line
        for iteration in range(iterations + 1):
            if feedback_rate is None:
                R = [matrix.T.copy() for matrix in W]
            x = _activity(W)
            E = target - x[-1]
            errors[iteration] = (E * E).sum()
            if not math.isfinite(errors[iteration]):
                raise DivergedError(f"the error is no longer finite (iteration {iteration}): try a smaller step size")
            correlations[:, iteration] = [correlation(w, r.T) for w, r in zip(W, R, strict=True)]
            if iteration < iterations:
                _step(W, R, x, E, step_size, feedback_rate or 0.0)
    return LinearRun(errors, correlations, tuple(W), tuple(R))


def _activity(W: list[np.ndarray]) -> list[np.ndarray]:
    """x_0 .. x_k for the inputs X = I: x_l = W_l .. W_1."""
    x = [np.eye(W[0].shape[1])]
    for matrix in W:
        x.append(matrix @ x[-1])
    return x


def _step(
    W: list[np.ndarray], R: list[np.ndarray], x: list[np.ndarray], E: np.ndarray, step_size: float, epsilon: float
) -> None:
    """One update in place, top down: each layer's weights change by the product of the activities they connect."""
    delta = E
    for layer in range(len(W) - 1, -1, -1):
        increment = step_size * (delta @ x[layer].T)
        delta = R[layer] @ delta  # through the feedback weights as they were before this step
        W[layer] += increment
        R[layer] += epsilon * increment.T


def _check_shapes(target: np.ndarray, W: list[np.ndarray], R: list[np.ndarray]) -> None:
    if not W or any(matrix.ndim != 2 for matrix in (target, *W, *R)):
        raise ArrayError("target, W and R must be matrices, and at least one W")
    sizes = [W[0].shape[1], *(matrix.shape[0] for matrix in W)]
    for number, (matrix, below) in enumerate(zip(W, sizes, strict=False), start=1):
        if matrix.shape[1] != below:
            raise ArrayError(f"W_{number} has shape {matrix.shape}; expected {below} columns")
    if len(R) != len(W):
        raise ArrayError(f"{len(R)} matrices R for {len(W)} matrices W; expected as many of both")
    for number, (w, r) in enumerate(zip(W, R, strict=True), start=1):
        if r.shape != w.T.shape:
            raise ArrayError(f"R_{number} has shape {r.shape}; expected {w.T.shape}, that of W_{number} transposed")
    if target.shape != (sizes[-1], sizes[0]):
        raise ArrayError(f"the target has shape {target.shape}; expected {(sizes[-1], sizes[0])}")
