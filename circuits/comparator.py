"""Comparator: an interneuron that fires above a threshold, holds its state by self-excitation, and is reset.

Both circuits are built of it. Its membrane potential (no unit; the resting potential is 0) relaxes to its
drive; above the level it fires, and its own firing then holds it above the level when the drive is gone.
The reset shunts all its excitation, so that the potential falls back to rest and the firing ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from brian2 import Equations, Network, NeuronGroup, StateMonitor

from circuits.errors import ParameterError
from circuits.parameters import Parameters, as_array, check_kind
from circuits.simulation import code_target, loader, own

COMPARATOR = """
# leak to rest; drive and self-excitation push it up; the reset shunts both
dpotential/dt = (-potential + (drive + self_excitation*fired)*(1 - reset))/tau_comparator : 1
# firing is all or none; taken once a time step, so that the equation above is linear in between
fired = int(potential > level) : 1 (constant over dt)
"""


def comparator_equations(suffix: str) -> Equations:
    """The equations with `potential`, `fired`, `drive`, `level` renamed to `potential_up`, ... for suffix "up"."""
    return Equations(COMPARATOR, **{n: f"{n}_{suffix}" for n in ("potential", "fired", "drive", "level")})


@dataclass(frozen=True)
class ComparatorTrace:
    """What a comparator did. time (T,) in seconds; drive, potential, fired (n, T), no unit; reset (T,) 0 or 1."""

    time: np.ndarray
    drive: np.ndarray
    potential: np.ndarray
    fired: np.ndarray
    reset: np.ndarray


def respond(
    drive: np.ndarray, reset: np.ndarray, parameters: Parameters | None = None, *, target: str = "numpy"
) -> ComparatorTrace:
    """Run independent comparators, one phase for each column of `drive`.

    drive (n, phases) float, no unit: the drive of each comparator in each phase; reset (phases,) 0 or 1.
    Its level is `parameters.upper`. Warns (ShortPhaseWarning) where a phase is too short to reach it.
    Errors: CircuitError for shapes that do not fit, drives that are not finite.
    """
    parameters = check_kind("parameters", Parameters() if parameters is None else parameters, Parameters)
    drive, reset = np.atleast_2d(as_array("drive", drive)), as_array("reset", reset)
    if drive.ndim != 2 or drive.size == 0 or reset.shape != drive.shape[1:] or not np.isfinite(drive).all():
        raise ParameterError(f"drive {drive.shape} must be finite (n, phases) and reset {reset.shape} (phases,)")
    if not np.isin(reset, (0, 1)).all():
        raise ParameterError("reset must be 0 or 1 in each phase")
    equations = comparator_equations("up") + Equations("drive_up : 1\nreset : 1 (shared)")
    parameters.warn_if_short(0.0)
    rows = {"drive_up": drive.T, "reset": reset}
    with code_target(target):
        group = NeuronGroup(
            len(drive), equations, method="exponential_euler", dt=parameters.dt, namespace=parameters.constants()
        )
        monitor = StateMonitor(group, ["potential_up", "fired_up"], record=True)
        load = loader(group, rows, parameters.phase)
        Network(group, load, monitor).run(drive.shape[1] * parameters.phase, namespace={})
    phase_of = np.minimum(np.arange(len(monitor.t)) // parameters.steps, drive.shape[1] - 1)
    return ComparatorTrace(
        time=own(monitor.t),
        drive=drive[:, phase_of],
        potential=own(monitor.potential_up),
        fired=own(monitor.fired_up),
        reset=reset[phase_of],
    )
