"""Calibration: what the circuits measure, as the numbers and the JSON that the engine's components take.

gate     width    standard deviation of a unit's threshold from presentation to presentation
         bias     mean threshold minus 1, outward positive
         spread   standard deviation of the mean threshold from unit to unit
         leak     share of the top-down input that passes a shut gate
         noise    standard deviation of what passes an open gate, for a top-down input of 1
error    width, bias, spread of the margins of the output error circuit, likewise;
         noise    standard deviation of its output while a teacher line is open (its size is 1 here)
noise_onset    size of a signal from which its noise is full; below, a fall with the square root of the size is fitted,
         as that of the noise of independent spikes; a signal of 0 is silent. 0: the noise falls nowhere. Measured on
         gates; taken for output errors too, which are populations of the same kind
settling_time_over_tau    after which the mean activity is within 5% of its way from its target
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from circuits.errors import ParameterError, choose
from circuits.motifs import CELLS, Response, check_margin, respond_output_error, respond_threshold
from circuits.parameters import TOLERANCE, Parameters, check_kind, check_whole
from circuits.spiking import SpikingParameters

FORMAT = "netsim circuit calibration"
VERSION = 2  # 1 had no noise_onset
SETTLED = 0.05  # share of the way that is left when an activity counts as settled
QUIET = 0.1  # noise of a mean activity, as a share of SETTLED, below which its settling time is read
MOST = 4096  # circuits over which that mean goes at most
WIDEST, FINEST = 0.2, 0.008  # half widths of the first sweep around a threshold and of the last
POINTS = 21  # inputs in a sweep
OPEN = (-0.8, -0.4, 0.1, 0.4, 0.8)  # inputs at which a gate is open, and each teacher line
SIZES = (0.05, 0.1, 0.2, 0.3, 0.5)  # of top-down inputs whose noise is compared with that of 1
SHUT = (-3.0, -2.0, -1.5, 1.5, 2.0, 3.0)  # and at which a gate is shut


@dataclass(frozen=True)
class Threshold:
    """A measured threshold, relative to 1. resolution: distance of the inputs in the sweep that found it."""

    width: float
    bias: float
    spread: float
    resolution: float


@dataclass(frozen=True)
class Calibration:
    """Measured parameters, and the curves they come from (lists over `h` or `x`: mean output of all units)."""

    cells: str
    neurons: int | None
    units: int
    trials: int
    seed: int
    phase_over_tau: float
    gate: Threshold
    gate_leak: float
    gate_noise: float
    error: Threshold
    error_noise: float
    noise_onset: float
    settling_time_over_tau: float
    gate_curve: dict[str, list[float]]
    error_curve: dict[str, list[float]]

    def as_document(self) -> dict[str, object]:
        """A mapping that JSON can hold; netsim's components read the sections "gate" and "error" of it."""
        circuit = ("cells", "neurons", "units", "trials", "seed", "phase_over_tau")
        return {
            "format": FORMAT,
            "version": VERSION,
            "circuit": {name: getattr(self, name) for name in circuit},
            "gate": {**asdict(self.gate), "leak": self.gate_leak, "noise": self.gate_noise},
            "error": {**asdict(self.error), "noise": self.error_noise},
            "noise_onset": self.noise_onset,
            "settling_time_over_tau": self.settling_time_over_tau,
            "settled_within": SETTLED,
            "gate_curve": self.gate_curve,
            "error_curve": self.error_curve,
        }

    def as_json(self) -> str:
        """The document as text."""
        return json.dumps(self.as_document(), indent=2) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write the document as JSON; returns the path. Errors: OSError."""
        path = Path(path)
        path.write_text(self.as_json(), encoding="utf-8")
        return path


def calibrate(
    parameters: Parameters | None = None,
    *,
    cells: str = "spiking",
    spiking: SpikingParameters | None = None,
    units: int = 16,
    trials: int = 2,
    seed: int = 0,
    target: str = "numpy",
) -> Calibration:
    """Measure both circuits: `units` different units, each shown every input `trials` times. Errors: CircuitError."""
    parameters = check_kind("parameters", Parameters() if parameters is None else parameters, Parameters)
    choose("kind of cells", cells, CELLS)
    check_margin(parameters)
    if not max(OPEN) < parameters.upper < min(size for size in SHUT if size > 0):
        raise ParameterError(f"upper = {parameters.upper:g} must be above 0.8 and below 1.5 to be calibrated")
    check_whole("units", units, 2)
    check_whole("trials", trials, 2)
    spiking = spiking or SpikingParameters()
    how = {"cells": cells, "spiking": spiking, "seed": seed, "target": target}

    def gate(h: np.ndarray, **options: object) -> Response:
        return respond_threshold(h, np.ones_like(h), parameters, **how, **options)

    def error(x: np.ndarray, **options: object) -> Response:
        return respond_output_error(x, np.where(x > 0, 1, -1), 1.0, parameters, **how, **options)

    curve = np.linspace(-2, 2, 81)
    opened, shut = np.tile(OPEN, units), np.tile(SHUT, units)
    gates = np.split(
        gate(np.tile(np.concatenate([opened, shut, curve]), (trials, 1))).output,
        [len(opened), len(opened) + len(shut)],
        axis=1,
    )
    # the same open gates, for smaller top-down inputs
    smaller = respond_threshold(
        np.tile(opened, (trials, len(SIZES))), np.tile(np.repeat(SIZES, len(opened)), (trials, 1)), parameters, **how
    )
    noises = smaller.error.reshape(trials, len(SIZES), -1).std(axis=(0, 2))
    # inputs that leave a teacher line open, then the whole curve for the own class and for another
    x = np.concatenate([opened, curve, curve])
    teacher = np.concatenate([np.where(opened > 0, 1, -1), np.ones(81), -np.ones(81)])
    answers = respond_output_error(np.tile(x, (trials, 1)), np.tile(teacher, (trials, 1)), 1.0, parameters, **how)
    own, other = answers.output[:, len(opened) :].mean(axis=0).reshape(2, -1)
    return Calibration(
        cells=cells,
        neurons=int(spiking.neurons) if cells == "spiking" else None,
        units=int(units),
        trials=int(trials),
        seed=int(seed),
        phase_over_tau=parameters.phase_over_tau,
        gate=_threshold(gate, parameters, units, trials),
        gate_leak=float(gates[1].mean()),
        gate_noise=float(gates[0].std()),
        error=_threshold(error, parameters, units, trials),
        error_noise=float(answers.error[:, : len(opened)].std()),
        noise_onset=_onset(noises, gates[0].std()),
        settling_time_over_tau=_settling_time(gate, parameters, units),
        gate_curve={"h": curve.tolist(), "gate": gates[2].mean(axis=0).tolist()},
        error_curve={"x": curve.tolist(), "own": own.tolist(), "other": other.tolist()},
    )


def _onset(noises: np.ndarray, full: float) -> float:
    """The onset, 0 to 1, with which full * sqrt(size / onset), at most full, comes nearest to the noises at `SIZES`.

    0 where they fall nowhere, or there is no noise: an onset up to the smallest size would fit as well.
    """
    onsets = np.array([0.0, *np.arange(round(100 * SIZES[0]) + 1, 101) / 100])
    sizes = np.array(SIZES)
    fitted = full * np.sqrt(sizes / np.maximum(sizes, onsets[:, None]))
    return float(onsets[((fitted - noises) ** 2).sum(axis=1).argmin()])


def _threshold(respond: Callable[..., Response], parameters: Parameters, units: int, trials: int) -> Threshold:
    """Sweep the input around both thresholds, finer and finer until the sweep resolves them."""
    found, centre, span = None, parameters.upper, WIDEST
    while True:
        finer, whole = _sweep(respond, centre, span, units, trials)
        if not whole:
            break
        found, centre = finer, 1 + finer.bias
        narrower = max(span / 5, FINEST, 5 * math.hypot(finer.width, finer.spread))
        if narrower > span / 2:
            break
        span = narrower
    if found is None:
        raise ParameterError(
            f"a threshold lies farther than {WIDEST:g} from {parameters.upper:g}: "
            f"phases of {parameters.phase_over_tau:g} tau are too short for the comparators, or their noise or spread "
            "is too large"
        )
    return found


def _sweep(
    respond: Callable[..., Response], centre: float, span: float, units: int, trials: int
) -> tuple[Threshold, bool]:
    """See which comparators fire at inputs within `span` of `centre`, and whether the sweep holds all thresholds.

    The thresholds of one unit at h > 0 and at h < 0 count as those of two units.
    """
    size = centre + np.linspace(-span, span, POINTS)
    grid = np.concatenate([size, -size])
    h = np.tile(grid, (trials, units))
    response = respond(h, identity=np.repeat(np.arange(units), len(grid)))
    fired = np.where(h > 0, response.fired_up, response.fired_low) > 0.5
    # share of presentations in which each of the 2*units comparators fired, at each size of the input
    share = fired.mean(axis=0).reshape(2 * units, POINTS)
    step = 2 * span / (POINTS - 1)
    # a comparator's mean threshold: the first input plus the width over which it stays silent
    threshold = size[0] - step / 2 + step * (1 - share).sum(axis=1)
    # variance of these means that comes from the few trials, and from unit to unit
    sampling = step**2 * (share * (1 - share)).sum(axis=1).mean() / (trials - 1)
    spread = max(float(threshold.var(ddof=1) - sampling), 0.0)
    # what all comparators' thresholds spread over: less that from unit to unit, less the grain of the sweep itself
    pooled = share.mean(axis=0)
    steps_up = np.diff(pooled, prepend=0.0, append=1.0)
    edges = size[0] - step / 2 + step * np.arange(POINTS + 1)
    mean = float((steps_up * edges).sum())
    width = max(float((steps_up * (edges - mean) ** 2).sum()) - spread - step**2 / 12, 0.0)
    found = Threshold(width=math.sqrt(width), bias=mean - 1, spread=math.sqrt(spread), resolution=step)
    return found, bool(pooled[0] == 0 and pooled[-1] == 1)


def _settling_time(respond: Callable[..., Response], parameters: Parameters, units: int) -> float:
    """Time in units of tau after which the mean activity has done all but 5% of its way from 0 to u = 1.

    The mean is over so many circuits that its noise is a tenth of these 5%: with more noise, the last time outside them
    would be that of an excursion. Errors: ParameterError where phases end before the activity has settled.
    """
    steps = parameters.steps
    # what is left of the way at each step where nothing but tau delays it
    left = np.exp(-np.arange(steps) * float(parameters.dt / parameters.tau))
    if left[-1] > SETTLED:
        raise _unsettled(parameters)
    activity = _approach(respond, 16 * units, steps)
    enough = math.ceil((activity[-1].std() / (QUIET * SETTLED)) ** 2)
    if enough > 16 * units:
        activity = _approach(respond, min(enough, MOST), steps)
    circuits = activity.shape[1]

    def target(window: slice) -> np.ndarray:
        """Where each circuit is bound for: its mean in a window, less what is left of the way there."""
        rest = left[window].mean()
        return (activity[window].mean(axis=0) - rest * activity[0]) / (1 - rest)

    eighth = max(1, steps // 8)
    first = max(1, steps - 2 * eighth)
    end, mean = target(slice(first, None)).mean(), activity.mean(axis=1)
    way = abs(end - mean[0])
    outside = np.flatnonzero(np.abs(mean - end) > SETTLED * way)
    last = int(outside[-1]) + 1 if len(outside) else 0
    # activities that relax more slowly than with tau give another target later on
    drift = target(slice(steps - eighth, None)) - target(slice(first, first + eighth))
    if last == steps or abs(drift.mean()) > TOLERANCE * way + 4 * drift.std() / math.sqrt(circuits):
        raise _unsettled(parameters)
    return last * float(parameters.dt / parameters.tau)


def _approach(respond: Callable[..., Response], circuits: int, steps: int) -> np.ndarray:
    """Activity (steps, circuits) of open gates in the feedback phase, in which it goes from 0 to u = 1."""
    return respond(np.zeros(circuits), record=range(circuits)).traces.values["r"][steps : 2 * steps]


def _unsettled(parameters: Parameters) -> ParameterError:
    return ParameterError(
        f"phases of {parameters.phase_over_tau:g} tau end before the activity has settled to {SETTLED:.0%} of its way: "
        f"take longer ones (rates need {math.log(1 / SETTLED):.1f} tau and a step)"
    )
