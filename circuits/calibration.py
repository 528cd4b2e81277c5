"""Calibration: what the circuits measure, as the numbers and the JSON that the engine's components take.

gate     width    standard deviation of a unit's threshold from presentation to presentation
         bias     mean threshold minus 1, outward positive
         spread   standard deviation of the mean threshold from unit to unit
         leak     share of the top-down input that passes a closed gate
         noise    standard deviation of what passes an open gate, for a top-down input of 1
error    width, bias, spread of the margins of the output error circuit, likewise;
         noise    standard deviation of its output
settling_time_over_tau    after which the mean activity is within 5% of its way from its target
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from circuits.errors import ParameterError, choose
from circuits.motifs import CELLS, Response, respond_output_error, respond_threshold
from circuits.parameters import Parameters
from circuits.spiking import SpikingParameters

FORMAT = "netsim circuit calibration"
SETTLED = 0.05  # share of the way that is left when an activity counts as settled
SPANS = (0.2, 0.04, 0.008)  # half widths of the sweeps around a threshold, each finer than the one before
POINTS = 21  # inputs in a sweep


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
    settling_time_over_tau: float
    gate_curve: dict[str, list[float]]
    error_curve: dict[str, list[float]]

    def as_document(self) -> dict[str, object]:
        """A mapping that JSON can hold; netsim's components read the sections "gate" and "error" of it."""
        circuit = ("cells", "neurons", "units", "trials", "seed", "phase_over_tau")
        return {
            "format": FORMAT,
            "version": 1,
            "circuit": {name: getattr(self, name) for name in circuit},
            "gate": {**asdict(self.gate), "leak": self.gate_leak, "noise": self.gate_noise},
            "error": {**asdict(self.error), "noise": self.error_noise},
            "settling_time_over_tau": self.settling_time_over_tau,
            "settled_within": SETTLED,
            "gate_curve": self.gate_curve,
            "error_curve": self.error_curve,
        }

    def save(self, path: str | Path) -> Path:
        """Write the document as JSON; returns the path. Errors: OSError."""
        path = Path(path)
        path.write_text(json.dumps(self.as_document(), indent=2) + "\n", encoding="utf-8")
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
    parameters = parameters or Parameters()
    choose("kind of cells", cells, CELLS)
    for name, value, least in (("units", units, 2), ("trials", trials, 2)):
        if isinstance(value, bool) or int(value) != value or value < least:
            raise ParameterError(f"{name} = {value!r} must be a whole number, {least} or more")
    spiking = spiking or SpikingParameters()
    how = {"cells": cells, "spiking": spiking, "seed": seed, "target": target}

    def gate(h: np.ndarray, **options: object) -> Response:
        return respond_threshold(h, np.ones_like(h), parameters, **how, **options)

    def error(h: np.ndarray, **options: object) -> Response:
        return respond_output_error(h, np.where(h > 0, 1, -1), 1.0, parameters, **how, **options)

    open_gate = gate(np.tile(np.linspace(-0.8, 0.8, 5), (trials, units)))
    closed_gate = gate(np.tile([-3.0, -2.0, -1.5, 1.5, 2.0, 3.0], (trials, units)))
    far = np.tile([-3.0, -1.5, -0.5, 0.5, 1.5, 3.0], (trials, units))
    gate_curve_h = np.linspace(-2, 2, 81)
    error_curve_x = np.linspace(-2, 2, 81)
    both = np.concatenate([error_curve_x, error_curve_x])
    teacher = np.repeat([1, -1], 81)
    outputs = respond_output_error(np.tile(both, (trials, 1)), np.tile(teacher, (trials, 1)), 1.0, parameters, **how)
    own, other = outputs.output.mean(axis=0).reshape(2, -1)
    return Calibration(
        cells=cells,
        neurons=int(spiking.neurons) if cells == "spiking" else None,
        units=int(units),
        trials=int(trials),
        seed=int(seed),
        phase_over_tau=parameters.phase_over_tau,
        gate=_threshold(gate, parameters, units, trials),
        gate_leak=float(closed_gate.output.mean()),
        gate_noise=float(open_gate.output.std()),
        error=_threshold(error, parameters, units, trials),
        error_noise=float(error(far).error.std()),
        settling_time_over_tau=_settling_time(gate, parameters, units),
        gate_curve={
            "h": gate_curve_h.tolist(),
            "gate": gate(np.tile(gate_curve_h, (trials, 1))).output.mean(axis=0).tolist(),
        },
        error_curve={"x": error_curve_x.tolist(), "own": own.tolist(), "other": other.tolist()},
    )


def _threshold(respond: Callable[..., Response], parameters: Parameters, units: int, trials: int) -> Threshold:
    """Sweep the input around both thresholds, finer and finer, and see which comparators fire.

    The thresholds of one unit at h > 0 and at h < 0 count as those of two units.
    """
    centre = 1.0
    for span in SPANS:
        offsets = np.linspace(-span, span, POINTS)
        size = centre + offsets
        grid = np.concatenate([size, -size])
        h = np.tile(grid, (trials, units))
        response = respond(h, identity=np.repeat(np.arange(units), len(grid)))
        fired = np.where(h > 0, response.fired_up, response.fired_low) > 0.5
        # share of presentations in which each of the 2*units comparators fired, at each size of the input
        share = fired.mean(axis=0).reshape(2 * units, POINTS)
        step = offsets[1] - offsets[0]
        # a comparator's mean threshold: the first input plus the width over which it stays silent
        threshold = size[0] - step / 2 + step * (1 - share).sum(axis=1)
        sampling = step**2 * (share * (1 - share)).sum(axis=1).mean() / (trials - 1)
        pooled = share.mean(axis=0)
        steps_up = np.diff(pooled, prepend=0.0, append=1.0)
        edges = size[0] - step / 2 + step * np.arange(POINTS + 1)
        mean = float((steps_up * edges).sum())
        total = float((steps_up * (edges - mean) ** 2).sum())
        spread = max(float(threshold.var(ddof=1)) - float(sampling), 0.0)
        # what a comparator's own sweep spreads over, less the grain of the sweep itself
        width = max(total - spread - step**2 / 12, 0.0)
        found = Threshold(
            width=float(np.sqrt(width)), bias=mean - 1, spread=float(np.sqrt(spread)), resolution=float(step)
        )
        centre = mean
        if np.sqrt(total) > step:  # the sweep resolves the threshold
            break
    return found


def _settling_time(respond: Callable[..., Response], parameters: Parameters, units: int) -> float:
    """Time in units of tau after which the mean activity has done all but 5% of its way from 0 to u = 1."""
    response = respond(np.zeros(16 * units), record=range(16 * units))
    mean = response.traces.values["r"].mean(axis=1)[parameters.steps : 2 * parameters.steps]
    unsettled = np.flatnonzero(np.abs(mean - mean[-parameters.steps // 4 :].mean()) > SETTLED)
    last = int(unsettled[-1]) + 1 if len(unsettled) else 0
    return last * float(parameters.dt / parameters.tau)
