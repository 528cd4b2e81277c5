"""What the circuits are made of: time constants, thresholds, strengths; checked when they are set."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import TypeVar

import numpy as np
from brian2 import Quantity, ms, second
from brian2.units.fundamentalunits import get_dimensions, have_same_dimensions

from circuits.errors import ParameterError, ShortPhaseWarning, UnitError

Settings = TypeVar("Settings")

TOLERANCE = 0.01  # error of an output that counts as settled, in units of the saturated activity
BAND = 0.05  # inputs nearer than this to a threshold are left out where accuracy is stated


def check_time(name: str, value: object) -> Quantity:
    """`value` if it is one positive, finite time; else one clear error. Returns a Quantity in seconds."""
    if not isinstance(value, Quantity) or get_dimensions(value).is_dimensionless:
        raise UnitError(f"{name} = {value!r} has no unit; give a time, such as 10*ms")
    if not have_same_dimensions(value, second):
        raise UnitError(f"{name} = {value!s} is not a time; give one, such as 10*ms")
    if value.size != 1:
        raise ParameterError(f"{name} must be one time; it has {value.size} values")
    if not (math.isfinite(float(value)) and float(value) > 0):
        raise ParameterError(f"{name} = {value!s} must be a positive, finite time")
    return value


def check_number(name: str, value: object, low: float, high: float = math.inf) -> float:
    """`value` as a float if it is a plain finite number in [low, high]; else one clear error."""
    if isinstance(value, Quantity) and not get_dimensions(value).is_dimensionless:
        raise UnitError(f"{name} = {value!s} has a unit; give a plain number")
    try:
        number = float(None if isinstance(value, bool | str | bytes) else value)
    except OverflowError:  # a whole number above 1e308
        number = math.inf
    except (TypeError, ValueError):
        raise ParameterError(f"{name} = {value!r} must be a number") from None
    if not (math.isfinite(number) and low <= number <= high):
        bound = f"at least {low:g}" if high == math.inf else f"in [{low:g}, {high:g}]"
        bound = "a finite number" if low == -math.inf else bound
        bound = f"finite, {bound}" if high == math.inf and low > -math.inf and not math.isfinite(number) else bound
        raise ParameterError(f"{name} = {number:g} must be {bound}")
    return number


def check_whole(name: str, value: object, low: int, high: float = math.inf) -> int:
    """`value` as an int if it is a whole number in [low, high], and no bool; else a ParameterError."""
    whole = isinstance(value, Real) and not isinstance(value, bool)
    whole = whole and (isinstance(value, Integral) or (math.isfinite(value) and value == int(value)))
    if not (whole and low <= value <= high):
        bound = f"{low} or more" if high == math.inf else f"from {low} to {high}"
        raise ParameterError(f"{name} = {value!r} must be a whole number, {bound}")
    return int(value)


def check_kind(name: str, value: object, kind: type[Settings]) -> Settings:
    """`value` if it is of that class; else a ParameterError."""
    if not isinstance(value, kind):
        raise ParameterError(f"{name} = {' '.join(repr(value).split())[:40]} must be of the class {kind.__name__}")
    return value


def check_seed(seed: object) -> int:
    """`seed` as an int that Brian2 and numpy both take; else a ParameterError."""
    return check_whole("seed", seed, 0, 2**32 - 1)


def as_array(name: str, value: object) -> np.ndarray:
    """`value` as a float array of any shape; UnitError where it has a unit, ParameterError where it is no array."""
    if isinstance(value, Quantity) and not get_dimensions(value).is_dimensionless:
        raise UnitError(f"{name} has a unit, {get_dimensions(value)}; give plain numbers")
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ParameterError(f"{name} must be an array of plain numbers") from None


def scaled(settings: Settings, factor: float) -> Settings:
    """The same settings, a dataclass, with all times multiplied by `factor`: what they compute stays the same."""
    times = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return replace(settings, **{name: factor * time for name, time in times.items() if isinstance(time, Quantity)})


@dataclass(frozen=True)
class Parameters:
    """Parameters shared by all rate circuits. Activities have no unit: 1 is the saturated activity of eq. 1.

    tau               time constant of a unit's activity (time)
    tau_comparator    membrane time constant of a comparator (time)
    tau_interneuron   time constant of the inhibitory interneurons of signed pairs (time)
    phase             length of each phase: feedforward, feedback, reset (time, a multiple of dt)
    dt                time step (time); the equations are integrated exactly between steps
    lower, upper      thresholds of the two comparators, lower < 0 < upper
    self_excitation   what a firing comparator adds to its own drive; above both thresholds, or it cannot hold
    shunt             strength of a firing comparator on the top-down input: from 1 on the gate is shut, below it leaks
    """

    tau: Quantity = field(default_factory=lambda: 10 * ms)
    tau_comparator: Quantity = field(default_factory=lambda: 5 * ms)
    tau_interneuron: Quantity = field(default_factory=lambda: 2.5 * ms)
    phase: Quantity = field(default_factory=lambda: 100 * ms)
    dt: Quantity = field(default_factory=lambda: 1 * ms)
    lower: float = -1.0
    upper: float = 1.0
    self_excitation: float = 3.0
    shunt: float = 1.5

    def __post_init__(self) -> None:
        for name in ("tau", "tau_comparator", "tau_interneuron", "phase", "dt"):
            check_time(name, getattr(self, name))
        lower = check_number("lower", self.lower, -math.inf)
        upper = check_number("upper", self.upper, -math.inf)
        if lower >= upper:
            raise ParameterError(f"thresholds in the wrong order: lower = {lower:g} must be below upper = {upper:g}")
        if not lower < 0 < upper:
            raise ParameterError(
                f"thresholds must lie on both sides of 0, where a unit rests: lower = {lower:g}, upper = {upper:g}"
            )
        highest = max(upper, -lower)
        if check_number("self_excitation", self.self_excitation, 0) <= highest:
            raise ParameterError(
                f"self_excitation = {self.self_excitation:g} cannot hold a comparator: it must be above {highest:g}"
            )
        check_number("shunt", self.shunt, 0)
        steps = float(self.phase / self.dt)
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-6 * steps:
            raise ParameterError(f"phase = {self.phase!s} must be a whole number of steps dt = {self.dt!s}")

    @property
    def steps(self) -> int:
        """Time steps in one phase."""
        return round(float(self.phase / self.dt))

    @property
    def phase_over_tau(self) -> float:
        """Length of a phase in units of tau."""
        return float(self.phase / self.tau)

    def with_phase(self, phase_over_tau: float) -> Parameters:
        """The same circuit with phases of `phase_over_tau` (0.001 to 1000) time constants, rounded to whole steps."""
        number = check_number("phase over tau", phase_over_tau, 1e-3, 1e3)
        return replace(self, phase=max(1, round(number * float(self.tau / self.dt))) * self.dt)

    def expected_error(self, distance: float, time: Quantity | None = None) -> float:
        """Error left after `time` (a phase where it is not given) if the activity has to move by `distance`.

        The activity relaxes exponentially, so distance * exp(-time/tau). Plain numbers.
        """
        return distance * math.exp(-float((self.phase if time is None else time) / self.tau))

    def settling_time(self, distance: float, tolerance: float = TOLERANCE) -> Quantity:
        """Time after which an activity that has to move by `distance` is within `tolerance` of its target."""
        return self.tau * max(0.0, math.log(distance / tolerance)) if distance > 0 else 0 * self.tau

    def acting_threshold(self, tau_membrane: Quantity | None = None, time: Quantity | None = None) -> float:
        """Input above which a comparator reaches its level of 1 within a time T: 1 / (1 - exp(-T/tau_membrane)).

        tau_membrane: of its membrane, `tau_comparator` where it is not given. time: a phase where it is not given.
        """
        time = self.phase if time is None else time
        return -1 / math.expm1(-float(time / (self.tau_comparator if tau_membrane is None else tau_membrane)))

    def warn_if_short(self, distance: float, *, tau_membrane: Quantity | None = None, stacklevel: int = 3) -> None:
        """Warn (ShortPhaseWarning) where a phase is too short for activities that move by `distance`, and for
        comparators whose membranes have `tau_membrane` (`tau_comparator` where it is not given).
        """
        name = f"phase = {self.phase!s}"
        self.warn_if_unsettled(distance, self.phase, name, stacklevel=stacklevel + 1)
        self.warn_if_undecided(self.phase, name, tau_membrane=tau_membrane, stacklevel=stacklevel + 1)

    def warn_if_unsettled(self, distance: float, time: Quantity, name: str, *, stacklevel: int = 3) -> None:
        """Warn (ShortPhaseWarning) where `time`, called `name`, is too short for activities that move by `distance`."""
        settling = self.settling_time(distance)
        if float(time) < float(settling):
            warnings.warn(
                f"{name} is shorter than the settling time {settling / ms:.3g} ms: expect errors "
                f"up to {self.expected_error(distance, time):.2g} (settled means {TOLERANCE:g})",
                ShortPhaseWarning,
                stacklevel=stacklevel,
            )

    def warn_if_undecided(
        self, time: Quantity, name: str, *, tau_membrane: Quantity | None = None, stacklevel: int = 3
    ) -> None:
        """Warn (ShortPhaseWarning) where `time`, called `name`, is too short for comparators to reach their levels."""
        acting = self.acting_threshold(tau_membrane, time)
        if acting > 1 + BAND:
            warnings.warn(
                f"{name} is too short for the comparators: thresholds act as if they were {acting:.3g} "
                f"times as large; expect inputs in between to count as below them",
                ShortPhaseWarning,
                stacklevel=stacklevel,
            )

    def check_inhibition(self, name: str, tau_membrane: Quantity) -> None:
        """ParameterError where the interneurons of pairs are slower than the comparators' membranes.

        Such comparators would latch on excitation before the inhibition that cancels it arrives.
        """
        if not float(self.tau_interneuron) < float(tau_membrane):
            raise ParameterError(
                f"tau_interneuron = {self.tau_interneuron!s} must be below {name} = {tau_membrane!s}, "
                "or comparators latch on excitation that inhibition is about to cancel"
            )
        if not float(self.tau_interneuron) < float(self.tau):
            raise ParameterError(
                f"tau_interneuron = {self.tau_interneuron!s} must be below tau = {self.tau!s}, "
                "or the inhibition settles later than the units"
            )

    def constants(self) -> dict[str, object]:
        """Names that the equations refer to, with units."""
        return {
            "tau": self.tau,
            "tau_comparator": self.tau_comparator,
            "tau_interneuron": self.tau_interneuron,
            "lower": float(self.lower),
            "upper": float(self.upper),
            "level_up": float(self.upper),
            "level_low": -float(self.lower),
            "self_excitation": float(self.self_excitation),
            "shunt": float(self.shunt),
        }
