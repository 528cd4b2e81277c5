"""How near the circuits come to eq. 3 and eq. 6, over the length of a phase and over the number of neurons."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from brian2 import ms

from circuits.errors import ParameterError, ShortPhaseWarning, choose
from circuits.motifs import MOTIFS, Response, respond_output_error, respond_threshold
from circuits.parameters import BAND, Parameters
from circuits.spiking import SpikingParameters

MU = 1 / 3
SPIKING_STEP = 1 * ms  # time step of spiking circuits here; decoders are fitted to it
NEURONS = 6_400  # in a cell type of all circuits together, where a circuit's populations are small
NOISY = {  # (h, u) or (x, teacher) of the circuits in which spiking noise is measured: most open, some shut
    "threshold": [
        (-0.8, 1.5),
        (-0.4, -1.0),
        (0.0, -0.4),
        (0.1, 2.0),
        (0.5, -1.8),
        (0.7, 0.8),
        (-1.4, 1.5),
        (1.3, -2.0),
    ],
    "output-error": [(-0.8, 1), (-2.0, 1), (0.4, 1), (0.1, -1), (0.7, -1), (2.0, -1), (1.4, 1), (-1.3, -1)],
}
WINDOW = 3  # time constants at the end of the feedback phase over which a noisy output is compared


def plane(columns: int = 121, rows: int = 41) -> tuple[np.ndarray, np.ndarray]:
    """Inputs h in [-3, 3] and u in [-2, 2] outside the bands around the thresholds, two flat arrays."""
    h, u = (values.ravel() for values in np.meshgrid(np.linspace(-3, 3, columns), np.linspace(-2, 2, rows)))
    outside = np.abs(np.abs(h) - 1) >= BAND - 1e-9
    return h[outside], u[outside]


def line(points: int = 241) -> tuple[np.ndarray, np.ndarray]:
    """Inputs x in [-3, 3] outside the bands, for the own class (teacher 1) and another (-1), two flat arrays."""
    x = np.linspace(-3, 3, points)
    x = x[np.abs(np.abs(x) - 1) >= BAND - 1e-9]
    return np.tile(x, 2), np.repeat([1.0, -1.0], len(x))


def respond(motif: str, parameters: Parameters, first: np.ndarray, second: np.ndarray, **how: object) -> Response:
    """Either motif: first is h or x, second u or the teacher. Too short a phase is what is measured: no warning."""
    choose("circuit", motif, MOTIFS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShortPhaseWarning)
        if motif == "threshold":
            return respond_threshold(first, second, parameters, **how)
        return respond_output_error(first, second, MU, parameters, **how)


def errors_over_phases(motif: str, lengths: Sequence[float], cells: str = "signed") -> list[float]:
    """Largest error over all inputs for phases of so many time constants each."""
    inputs = plane() if motif == "threshold" else line()
    return [
        float(np.abs(respond(motif, Parameters().with_phase(length), *inputs, cells=cells).error).max())
        for length in lengths
    ]


def errors_over_neurons(motif: str, neurons: Sequence[int], seed: int = 0) -> list[float]:
    """Root mean square error of circuits with so many neurons in each population, at the inputs `NOISY`.

    The output fluctuates; it is compared over the last 3 time constants of the feedback phase. The inputs are at
    least 0.2 from the thresholds; how wide these are is measured by `calibration`.
    """
    choose("circuit", motif, MOTIFS)
    parameters = replace(Parameters(), dt=SPIKING_STEP).with_phase(10)
    until = 2 * parameters.steps
    start = until - round(WINDOW * float(parameters.tau / parameters.dt))
    found = []
    for number in neurons:
        populations = SpikingParameters(neurons=number)
        inputs = np.array(NOISY[motif] * max(1, NEURONS // (number * len(NOISY[motif])))).T
        how = {"cells": "spiking", "spiking": populations, "seed": seed}
        response = respond(motif, parameters, *inputs, record=range(inputs.shape[1]), **how)
        error = response.traces.values["r"][start:until] - response.ideal
        found.append(float(np.sqrt((error**2).mean())))
    return found


def slope(x: Sequence[float], errors: Sequence[float], *, logarithmic: bool = False) -> float:
    """Slope of log(error) over x, or over log(x). Errors: ParameterError for fewer than two points."""
    if len(x) < 2:
        raise ParameterError("a slope needs two points or more")
    x = [math.log(value) for value in x] if logarithmic else x
    return float(np.polyfit(x, np.log(errors), 1)[0])
