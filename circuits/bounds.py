"""How far a layered circuit can be from the phase-locked algorithm, from the length of its phases alone.

Every activity relaxes to its target by exp(-dt/tau) a step, driven by activities that still relax
themselves. So errors obey the circuit's own linear equations with the sizes of all terms: an error starts
as the jump of the target (0 to x, x to delta, delta to 0) when a window opens, decays, and passes on to the
layers that read it through abs(W) or abs(R). What the products inherit adds up in the weights, and comes
back through h and u. Rectification, saturation and gates never enlarge an error. The leading term of one
presentation's product is abs(x_below) * abs(x - delta) * exp(-phase/tau).

The bound holds while every comparator decides as eq. 3 and eq. 6 do, which is checked too: each input must be
farther from its threshold than the comparator's own error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from circuits import ideal
from circuits.errors import ParameterError
from circuits.event_times import EventTimes
from circuits.layered_wiring import SmallNet
from circuits.parameters import Parameters


@dataclass(frozen=True)
class Bound:
    """Largest possible deviations after training, entry by entry: lists of (n_{l-1}, n_l) arrays.

    W, R: bounds of abs(circuit - ideal); undecided: how many comparators came too close to their threshold for
    the bound to hold (0, or every bound is infinite).
    """

    W: list[np.ndarray]
    R: list[np.ndarray]
    undecided: int


def layered_bound(
    W: Sequence[np.ndarray],
    R: Sequence[np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    parameters: Parameters,
    *,
    cells: str,
    step_size: float,
    mu: float,
    feedback_rate: float,
    batch: int = 1,
    roundoff: float = 2.0**-53,
) -> Bound:
    """Bound for `run_layered` with nominal event times and "signed" or "pairs" cells; arguments and errors as there.

    roundoff: unit roundoff of the arithmetic that the circuits are compared with; 2**-24 for float32.
    """
    if cells not in ("signed", "pairs"):
        raise ParameterError(f"the bound is for signed cells or pairs of rates, not for {cells!r}")
    if (parameters.lower, parameters.upper) != (-1, 1):
        raise ParameterError(
            f"the bound is for thresholds at -1 and 1, not at {parameters.lower:g} and {parameters.upper:g}"
        )
    net = SmallNet.checked(W, R, images, labels, batch)
    images, labels = net.images, net.labels
    W, R = [w.copy() for w in net.W], [r.copy() for r in net.R]
    errors = _Errors(W, R, images, parameters, cells == "pairs", roundoff)
    for start in range(0, len(images), batch):
        change = [np.zeros_like(w) for w in W]
        slack = [np.zeros_like(w) for w in W]
        for n in range(start, start + batch):
            shown = ideal.presentation(W, R, images[n], labels[n], mu)
            for layer, product in enumerate(ideal.increments(shown)):
                change[layer] += product
            for layer, error in enumerate(errors.present(n, shown, W, R)):
                slack[layer] += error
        for layer, (product, error) in enumerate(zip(change, slack, strict=True)):
            rate = step_size / batch
            # the sum over the batch, its scaling and the addition, each rounded
            rounded = (batch + 4) * roundoff * rate * (np.abs(product) + error)
            W[layer] += rate * product
            R[layer] += feedback_rate * rate * product
            errors.W[layer] += rate * error + rounded + roundoff * np.abs(W[layer])
            if feedback_rate:
                errors.R[layer] += feedback_rate * (rate * error + rounded) + roundoff * np.abs(R[layer])
    if errors.undecided:
        return Bound([np.full_like(w, np.inf) for w in W], [np.full_like(r, np.inf) for r in R], errors.undecided)
    return Bound(errors.W, errors.R, 0)


class _Errors:
    """Bounds of all errors of one net as time goes on. A pair has two cells, so its vectors are twice as long."""

    def __init__(
        self,
        W: list[np.ndarray],
        R: list[np.ndarray],
        images: np.ndarray,
        parameters: Parameters,
        paired: bool,
        roundoff: float,
    ) -> None:
        self.roundoff = roundoff
        self.parameters, self.paired, self.images = parameters, paired, images
        self.sizes = [len(W[0]), *(w.shape[1] for w in W)]
        dt = float(parameters.dt)
        self.decay = np.exp(-dt / float(parameters.tau))
        self.comparator_decay = np.exp(-dt / float(parameters.tau_comparator))
        self.interneuron_decay = np.exp(-dt / float(parameters.tau_interneuron))
        if paired and self.interneuron_decay >= self.decay:
            raise ParameterError("the bound needs interneurons faster than units: tau_interneuron below tau")
        # an interneuron lags behind its cell: its error is at most this multiple of the cell's
        self.lag = (1 - self.interneuron_decay) / (self.decay - self.interneuron_decay)
        steps = EventTimes.nominal(self.sizes, parameters).in_steps(self.sizes, 1, parameters)
        self.arrival, self.feedback, self.plasticity = (
            [0] + [int(values[0, 0]) for values in rows] for rows in (steps.arrival, steps.feedback, steps.plasticity)
        )
        self.release, self.period = steps.release, steps.period
        self.W = [roundoff * np.abs(w) for w in W]
        self.R = [roundoff * np.abs(r) for r in R]
        self.units = [np.zeros(self._cells(np.zeros(n)).shape) for n in self.sizes]
        self.undecided = 0

    def _cells(self, value: np.ndarray) -> np.ndarray:
        """Rates of the cells that stand for a signed value: itself, or its positive and negative part."""
        return np.concatenate([np.maximum(value, 0), np.maximum(-value, 0)]) if self.paired else value

    def _both(self, value: np.ndarray) -> np.ndarray:
        return np.concatenate([value, value]) if self.paired else value

    def _value(self, cells: np.ndarray) -> np.ndarray:
        """Error of the signed value: the sum over its cells."""
        return cells.reshape(2, -1).sum(axis=0) if self.paired else cells

    def _mixing(self, weights: np.ndarray, slack: np.ndarray) -> np.ndarray:
        """Sizes of the couplings from cells to cells, interneurons included: what an error is multiplied by."""
        if not self.paired:
            return np.abs(weights) + slack
        like, unlike = np.maximum(weights, 0) + slack, np.maximum(-weights, 0) + slack
        same, cross = like + self.lag * unlike, unlike + self.lag * like
        return np.block([[same, cross], [cross, same]])

    def present(self, n: int, shown: ideal.Presentation, W: list[np.ndarray], R: list[np.ndarray]) -> list[np.ndarray]:
        """Go through one presentation; returns the error of each layer's Hebbian products, (n_{l-1}, n_l) each."""
        top = len(self.sizes) - 1
        keep, pass_on = self.decay, 1 - self.decay
        up = [None, *(self._mixing(w, e) for w, e in zip(W, self.W, strict=True))]
        down = [None, *(self._mixing(r, e) for r, e in zip(R, self.R, strict=True))]
        # what wrong weights do to h and u at the ideal activities
        wrong_h = [None, *(self._both(np.abs(x) @ e) for x, e in zip(shown.x, self.W, strict=False))]
        wrong_u = [None, *(self._both(e @ np.abs(d)) for d, e in zip(shown.delta[1:], self.R[1:], strict=True))]
        gates = [None, *(self._both(ideal.gate(h)) for h in shown.h[1:top])]
        # interneurons of the input still carry the image before
        before = self.images[n - 1] if n else np.zeros(self.sizes[0])
        stale = np.abs(self._cells(shown.x[0]) - self._cells(before))
        comparators = [np.zeros_like(e) for e in self.units]
        highest = [np.zeros_like(e) for e in self.units]
        rounded_x, rounded_delta = self._rounding(shown, W, R)
        learned: dict[int, np.ndarray] = {}
        below: dict[int, np.ndarray] = {}
        for step in range(self.period + 1):
            for layer in range(1, top + 1):
                if step == self.plasticity[layer]:
                    learned[layer] = self._value(self.units[layer])
                    below[layer] = self._value(self.units[layer - 1])
            if step == self.period:
                break
            for layer in range(1, top + 1):
                x, delta = self._cells(shown.x[layer]), self._cells(shown.delta[layer - 1])
                if step == self.arrival[layer]:
                    self.units[layer] = self.units[layer] + np.abs(x)
                if step == self.feedback[layer]:
                    self._check(layer, shown.h[layer], comparators[layer], highest[layer], rounded_x[layer])
                    self.units[layer] = self.units[layer] + np.abs(x - delta)
                if step == self.release:
                    self.units[layer] = self.units[layer] + np.abs(delta)
            now = list(self.units)
            for layer in range(1, top + 1):
                self.units[layer] = keep * now[layer]
                if self.arrival[layer] <= step < self.feedback[layer]:
                    drive = now[layer - 1] @ up[layer] + wrong_h[layer]
                    if layer == 1 and self.paired:
                        drive = drive + np.roll(stale, self.sizes[0]) @ self._both_ways(W[0], self.W[0])
                    self.units[layer] = self.units[layer] + pass_on * drive
                    comparators[layer] = (
                        self.comparator_decay * comparators[layer] + (1 - self.comparator_decay) * drive
                    )
                    highest[layer] = np.maximum(highest[layer], comparators[layer])
                elif self.feedback[layer] <= step < self.release and layer < top:
                    drive = down[layer + 1] @ now[layer + 1] + wrong_u[layer]
                    self.units[layer] = self.units[layer] + pass_on * gates[layer] * drive
            stale = stale * self.interneuron_decay
        products = []
        for layer in range(1, top + 1):
            x, delta = np.abs(shown.x[layer - 1]), np.abs(shown.delta[layer - 1])
            wrong_x, wrong_delta = below[layer] + rounded_x[layer - 1], learned[layer] + rounded_delta[layer - 1]
            products.append(np.outer(x + wrong_x, delta + wrong_delta) - np.outer(x, delta))
        return products

    def _rounding(
        self, shown: ideal.Presentation, W: list[np.ndarray], R: list[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """What rounding does to x of layers 0..L and to delta of layers 1..L in the arithmetic compared with."""
        x = [self.roundoff * np.abs(shown.x[0])]
        for below, w in zip(shown.x, W, strict=False):
            terms = len(w) + 1
            x.append(x[-1] @ np.abs(w) + terms * self.roundoff * (np.abs(below) + x[-1]) @ np.abs(w))
        delta = [self.roundoff * np.abs(shown.delta[-1])]
        for layer in range(len(W) - 1, 0, -1):
            size, terms = np.abs(R[layer]), R[layer].shape[1] + 1
            above = np.abs(shown.delta[layer]) + delta[0]
            delta.insert(0, size @ delta[0] + terms * self.roundoff * size @ above)
        return x, delta

    def _both_ways(self, weights: np.ndarray, slack: np.ndarray) -> np.ndarray:
        """Couplings of the input's interneurons alone: (2 n_0, 2 n_1), an ON cell's partner after the OFF cells'."""
        like, unlike = np.maximum(weights, 0) + slack, np.maximum(-weights, 0) + slack
        return np.block([[like, unlike], [unlike, like]])

    def _check(self, layer: int, h: np.ndarray, last: np.ndarray, highest: np.ndarray, rounded: np.ndarray) -> None:
        """Count comparators whose input is nearer to the threshold than their potential is to the input."""
        p = self.parameters
        watched = self.feedback[layer] - self.arrival[layer]
        waited = self.period - self.release + self.arrival[layer]
        rest = (p.self_excitation + 2 * np.abs(h).max()) * self.comparator_decay**waited
        for level, value in ((p.upper, h), (-p.lower, -h)):
            approach = np.abs(value) * self.comparator_decay**watched
            late, early = last.reshape(-1, len(h)).max(axis=0), highest.reshape(-1, len(h)).max(axis=0)
            fires = value > level
            margin = np.abs(value - level)
            self.undecided += int(np.count_nonzero(margin <= np.where(fires, late + approach, early) + rest + rounded))
