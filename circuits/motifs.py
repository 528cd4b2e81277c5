"""The two circuits as functions: give inputs, get what the units carried and what they should have.

    respond_threshold(h, u)               gate * u    (eq. 3)
    respond_output_error(x, teacher, mu)  1, -mu or 0 (eq. 6)

each with one of three kinds of cells: "signed" rates, "pairs" of non-negative rates, "spiking" populations.
Keywords of both: `spiking` sets the populations; circuits with the same number in `identity` (n,) are copies of
one unit, with the same neurons; `record` lists circuits whose time courses are kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from brian2 import Equations

from circuits import ideal
from circuits.errors import ParameterError, RangeWarning, choose
from circuits.output_error import output_error_equations
from circuits.parameters import Parameters, check_kind, check_number, check_seed, check_whole
from circuits.signed_pairs import COMMON_RATE, pair_equations, with_input_lines
from circuits.simulation import Traces, as_presentations, present
from circuits.spiking import Spiking, SpikingParameters, spiking_equations
from circuits.threshold import threshold_equations

MOTIFS = ("threshold", "output-error")
CELLS = ("signed", "pairs", "spiking")


@dataclass(frozen=True)
class Response:
    """What n circuits answered in P presentations; every array (P, n), no unit.

    activity    what each unit carried at the end of the feedforward phase
    output      what it carried at the end of the feedback phase
    ideal       what it should carry then: gate * u (eq. 3) or the output error (eq. 6)
    fired_up, fired_low   comparators at the end of the feedback phase: 0 or 1, for populations their rate
    traces      time courses of the recorded circuits, or None
    """

    activity: np.ndarray
    output: np.ndarray
    ideal: np.ndarray
    fired_up: np.ndarray
    fired_low: np.ndarray
    traces: Traces | None

    @property
    def error(self) -> np.ndarray:
        """output - ideal, (P, n)."""
        return self.output - self.ideal


def motif_equations(motif: str, cells: str) -> Equations:
    """Equations of one unit of a motif ("threshold", "output-error") made of one kind of cells.

    Signed cells read the currents h and u; pairs and spiking cells h_on, h_off, u_on, u_off.
    """
    choose("circuit", motif, MOTIFS)
    choose("kind of cells", cells, CELLS)
    if cells == "pairs":
        return pair_equations(motif)
    if cells == "spiking":
        return spiking_equations(motif)
    return threshold_equations() if motif == "threshold" else output_error_equations()


def check_cells(cells: str, parameters: Parameters, spiking: SpikingParameters) -> None:
    """ParameterError where time constants and time step do not fit each other."""
    if cells == "spiking":
        spiking.check_times(parameters)
    elif cells == "pairs":
        parameters.check_inhibition("tau_comparator", parameters.tau_comparator)


def check_margin(parameters: Parameters) -> None:
    """ParameterError where the two comparators of an output unit would have different margins."""
    if -parameters.lower != parameters.upper:
        raise ParameterError(
            f"the output error has one margin: lower = {parameters.lower:g} must be minus upper = {parameters.upper:g}"
        )


def respond_threshold(
    h: np.ndarray,
    u: np.ndarray,
    parameters: Parameters | None = None,
    *,
    cells: str = "signed",
    spiking: SpikingParameters | None = None,
    identity: np.ndarray | None = None,
    record: Sequence[int] = (),
    seed: int = 0,
    target: str = "numpy",
) -> Response:
    """Threshold circuit: bottom-up input h, then top-down input u; ideally the unit ends with gate(h) * u.

    h, u: (n,) or (P, n), no unit: n independent circuits, P presentations one after another.
    Warns (ShortPhaseWarning, RangeWarning) where a phase is shorter than the settling time, or an activity larger
    than populations carry. Errors: CircuitError.
    """
    parameters = check_kind("parameters", Parameters() if parameters is None else parameters, Parameters)
    inputs = as_presentations(h=h, u=u)
    wanted = ideal.gate(inputs["h"], parameters.lower, parameters.upper) * inputs["u"]
    activity = ideal.saturate(inputs["h"], parameters.lower, parameters.upper)
    how = _Run(parameters, cells, spiking, identity, record, seed, target)
    return _respond("threshold", inputs, wanted, activity, {}, how)


def respond_output_error(
    x: np.ndarray,
    teacher: np.ndarray,
    mu: float = 1.0,
    parameters: Parameters | None = None,
    *,
    cells: str = "signed",
    spiking: SpikingParameters | None = None,
    identity: np.ndarray | None = None,
    record: Sequence[int] = (),
    seed: int = 0,
    target: str = "numpy",
) -> Response:
    """Output error circuit: feedforward input x, then the teacher; ideally the unit ends with eq. 6.

    x, teacher: (n,) or (P, n), no unit; teacher is +1 for the own class, -1 for another, 0 for no teacher.
    mu: off-class factor. Warns and errors: as `respond_threshold`.
    """
    parameters = check_kind("parameters", Parameters() if parameters is None else parameters, Parameters)
    mu = check_number("mu", mu, 0)
    inputs = as_presentations(h=x, teacher=teacher)
    if not np.isin(inputs["teacher"], (-1, 0, 1)).all():
        raise ParameterError("teacher must be 1 (own class), -1 (another class) or 0 (no teacher)")
    check_margin(parameters)
    wanted = ideal.output_error(inputs["h"], inputs["teacher"], mu, parameters.upper)
    how = _Run(parameters, cells, spiking, identity, record, seed, target)
    return _respond("output-error", inputs, wanted, inputs["h"], {"mu": mu}, how)


@dataclass(frozen=True)
class _Run:
    """How to run a motif: the keywords of the functions above."""

    parameters: Parameters
    cells: str
    spiking: SpikingParameters | None
    identity: np.ndarray | None
    record: Sequence[int]
    seed: int
    target: str


def _checked(how: _Run, n: int) -> _Run:
    """The same for n circuits, with what was left out filled in. Errors: CircuitError."""
    spiking = check_kind("spiking", how.spiking if how.spiking is not None else SpikingParameters(), SpikingParameters)
    check_cells(how.cells, how.parameters, spiking)
    identity = how.identity
    if identity is not None:
        identity = np.asarray(identity)
        if identity.shape != (n,):
            raise ParameterError(f"identity {identity.shape} must have one entry for each of the {n} circuits")
    if not isinstance(how.record, Iterable):
        raise ParameterError(f"record = {how.record!r} must be a list of circuits")
    record = [check_whole("record", circuit, 0, n - 1) for circuit in how.record]
    return replace(how, spiking=spiking, identity=identity, record=record, seed=check_seed(how.seed))


def _respond(
    motif: str,
    inputs: dict[str, np.ndarray],
    wanted: np.ndarray,
    activity: np.ndarray,
    constants: dict[str, object],
    how: _Run,
) -> Response:
    equations = motif_equations(motif, how.cells)
    how = _checked(how, wanted.shape[1])
    membrane = how.spiking.tau_membrane if how.cells == "spiking" else how.parameters.tau_comparator
    # the activity has to move from its feedforward to its feedback value within one phase
    how.parameters.warn_if_short(float(np.abs(activity - wanted).max()), tau_membrane=membrane, stacklevel=4)
    largest = max(float(np.abs(activity).max()), float(np.abs(wanted).max()))
    if how.cells == "spiking" and largest > how.spiking.largest:
        warnings.warn(
            f"an activity of {largest:.3g} is above largest = {how.spiking.largest:g}, which populations are fitted to "
            f"carry: expect errors up to {largest - how.spiking.largest:.2g}",
            RangeWarning,
            stacklevel=3,
        )
    attach = None
    traced = ["r", *inputs, "fired_up", "fired_low", "ff", "fb", "reset"]
    if how.cells != "signed":
        equations = with_input_lines(equations, tuple(name for name in ("h", "u") if name in inputs))
        constants = {**constants, "common": COMMON_RATE}
        traced += ["r_on", "r_off"]
    if how.cells == "pairs":
        traced += ["inhibitory_on", "inhibitory_off"]
    if how.cells == "spiking":
        populations = Spiking(how.spiking, how.parameters, how.seed, how.identity)
        constants = {**constants, **populations.constants()}
        attach = populations.attach
    else:
        traced += ["potential_up", "potential_low"]
    reading = present(
        equations,
        inputs,
        how.parameters,
        read=("r", "fired_up", "fired_low"),
        record=how.record,
        traced=traced,
        constants=constants,
        attach=attach,
        target=how.target,
        seed=how.seed,
    )
    return Response(
        activity=reading.feedforward["r"],
        output=reading.feedback["r"],
        ideal=wanted,
        fired_up=reading.feedback["fired_up"],
        fired_low=reading.feedback["fired_low"],
        traces=reading.traces,
    )
