"""When the units of a layered circuit change: three events a unit and presentation, as times.

    arrival      a   the feedforward input reaches the unit
    feedback     b   the feedback replaces it (in the output layer: the teacher arrives)
    plasticity   c   the synapses from below change by the product of the two activities

Between its events a unit goes on following its input; the event engine of netsim reads once and holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from brian2 import Quantity, second
from brian2.units.fundamentalunits import have_same_dimensions

from circuits.errors import ParameterError, UnitError
from circuits.parameters import Parameters, check_whole


@dataclass(frozen=True)
class EventTimes:
    """Times from the start of a presentation, for layers 1..L, each array (n_l,) or (P, n_l) with a unit of time.

    release: when all inputs end and the reset begins; period: length of a presentation (both single times).
    """

    arrival: Sequence[Quantity]
    feedback: Sequence[Quantity]
    plasticity: Sequence[Quantity]
    release: Quantity
    period: Quantity

    @classmethod
    def nominal(cls, sizes: Sequence[int], parameters: Parameters) -> EventTimes:
        """One phase a layer: the input, upward, the teacher, downward; a layer learns one phase after its feedback.

        sizes (n_0, ..., n_L). In phases, layer l of L: a = l, b = 2L+1-l, c = b+1; release 2L+1; period 2L+2.
        Errors: ParameterError.
        """
        sizes = [check_whole(f"units of layer {layer}", n, 1) for layer, n in enumerate(sizes)]
        if len(sizes) < 2:
            raise ParameterError(f"sizes = {sizes} must be those of 2 layers or more, the input's first")
        phase, layers = parameters.phase, len(sizes) - 1
        ones = [np.ones(n) for n in sizes[1:]]
        return cls(
            arrival=[one * layer * phase for layer, one in enumerate(ones, 1)],
            feedback=[one * (2 * layers + 1 - layer) * phase for layer, one in enumerate(ones, 1)],
            plasticity=[one * (2 * layers + 2 - layer) * phase for layer, one in enumerate(ones, 1)],
            release=(2 * layers + 1) * phase,
            period=(2 * layers + 2) * phase,
        )

    def in_steps(self, sizes: Sequence[int], presentations: int, parameters: Parameters) -> EventSteps:
        """The same as whole time steps, arrays (P, n_l). Errors: UnitError, ParameterError (shape, order, range)."""
        dt = float(parameters.dt)

        def steps(name: str, value: Quantity, shape: tuple[int, ...]) -> np.ndarray:
            if not isinstance(value, Quantity) or not have_same_dimensions(value, second):
                raise UnitError(f"{name} = {str(value)[:40]} is not a time; give one with a unit, such as 10*ms")
            array = np.asarray(value, dtype=float)
            if not (np.isfinite(array) & (array >= 0)).all():
                raise ParameterError(f"{name} must be finite times, 0 or later")
            try:
                return np.rint(np.broadcast_to(array, shape) / dt).astype(int)
            except ValueError:
                raise ParameterError(f"{name} {array.shape} does not fit {shape[-1]} units") from None

        release = int(steps("release", self.release, (1,))[0])
        period = int(steps("period", self.period, (1,))[0])
        if not 0 < release < period:
            raise ParameterError(f"release = {self.release!s} must lie before the end of the period {self.period!s}")
        found: dict[str, list[np.ndarray]] = {}
        for name in ("arrival", "feedback", "plasticity"):
            values = getattr(self, name)
            if not isinstance(values, Sequence) or len(values) != len(sizes) - 1:
                raise ParameterError(f"{name} must be a list of {len(sizes) - 1} arrays, one a layer above the input")
            found[name] = [
                steps(f"{name} of layer {layer}", value, (presentations, sizes[layer]))
                for layer, value in enumerate(values, 1)
            ]
        for layer, (a, b, c) in enumerate(zip(*found.values(), strict=True), 1):
            if not ((a < b) & (b < c)).all() or b.max() >= release or c.max() > period:
                raise ParameterError(
                    f"layer {layer}: each unit needs arrival < feedback < release and feedback < plasticity <= period, "
                    "in steps of dt"
                )
        return EventSteps(**found, release=release, period=period)


@dataclass(frozen=True)
class EventSteps:
    """EventTimes in steps of dt: lists of integer arrays (P, n_l), and two integers."""

    arrival: list[np.ndarray]
    feedback: list[np.ndarray]
    plasticity: list[np.ndarray]
    release: int
    period: int

    def warn_if_short(
        self, distance: float, parameters: Parameters, *, tau_membrane: Quantity | None = None, stacklevel: int = 3
    ) -> None:
        """Warn (ShortPhaseWarning) of the unit with the shortest time from arrival to feedback, and from feedback to
        plasticity (or release, if that comes first), where it is too short for activities that move by `distance`,
        or for comparators whose membranes have `tau_membrane`.
        """
        until = [np.minimum(c, self.release) for c in self.plasticity]
        for name, starts, ends in (
            ("from arrival to feedback", self.arrival, self.feedback),
            ("from feedback to plasticity", self.feedback, until),
        ):
            windows = [(end - start).min(axis=0) for start, end in zip(starts, ends, strict=True)]
            layer = min(range(len(windows)), key=lambda at: windows[at].min())
            unit = int(windows[layer].argmin())
            time = int(windows[layer][unit]) * parameters.dt
            called = f"the time {name} of unit {unit} in layer {layer + 1}, {time!s},"
            parameters.warn_if_unsettled(distance, time, called, stacklevel=stacklevel + 1)
            if ends is self.feedback:  # the window in which comparators watch the input
                parameters.warn_if_undecided(time, called, tau_membrane=tau_membrane, stacklevel=stacklevel + 1)
