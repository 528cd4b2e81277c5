"""Times of the events of single presentations, drawn from a schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netsim.errors import OptionError
from netsim.events.distributions import Distribution
from netsim.events.draws import add_draws, draw, never
from netsim.events.schedule import NominalTimes, Schedule
from netsim.kernels.chance import key

#: Kinds of events, and of the other draws, in the words of the counter hash.
FEEDFORWARD, FEEDBACK, PLASTICITY, REPLACEMENT, DELAY, FORWARD_PHASE, FEEDBACK_PHASE = range(7)

#: Kinds of layers whose feedback arrives with the probability `Schedule.replacement`.
REPLACED = ("conv", "untied", "full")


@dataclass(frozen=True, slots=True)
class Layout:
    """The populations that have events, bottom up: names, kinds and numbers of units; which of them are plastic."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    units: tuple[int, ...]
    plastic: tuple[bool, ...]


class EventTimes:
    """Event times of one stream under a schedule: a pure function of (seed, epoch, stream, presentation).

    Times are in the schedule's unit, absolute: the stream starts at 0.

    Raises OptionError where the schedule does not fit the populations.
    """

    def __init__(self, schedule: Schedule, layout: Layout, seed: int, epoch: int = 0, stream: int = 0):
        self.schedule, self.layout = schedule, layout
        self.nominal: NominalTimes = schedule.nominal(layout.names)
        self.words = (seed, epoch, stream)
        self._starts = [0.0]
        self._forward: list[float] = []
        self._delays = [
            self._fixed(schedule.unit_delay, key(seed, place, DELAY), units) for place, units in enumerate(layout.units)
        ]
        lag = schedule.plasticity_lag
        self.whole_lag, self.part_lag = int(lag), (lag - int(lag)) * self.nominal.period
        period = self.nominal.period
        if not period > 0.0:
            raise OptionError("the phases of the schedule have no length: forward_phase + feedback_phase is 0")
        #: How many presentations ahead of the present one events can fall before its start.
        earliest = min(self._earliest(kind) for kind in (FEEDFORWARD, FEEDBACK, PLASTICITY))
        self.ahead = max(0, math.ceil(-earliest / period)) if earliest < 0.0 else 0
        if self.ahead > 1000:
            raise OptionError(
                f"the jitter reaches {self.ahead} presentations back: it must be small beside the period of "
                f"{period:g} {schedule.unit}"
            )

    def _earliest(self, kind: int) -> float:
        """Lower bound of the times of one kind of event, from the start of the presentation."""
        schedule, nominal = self.schedule, self.nominal
        draws = [schedule.jitters[kind], schedule.unit_delay]
        if kind == PLASTICITY and schedule.plasticity_follows:
            draws.append(schedule.jitter_feedback)
        times = (nominal.feedforward, nominal.feedback, nominal.plasticity)[kind]
        return min(times) + sum(d.earliest for d in draws if d is not None)

    @staticmethod
    def _fixed(distribution: Distribution | None, stream: np.uint64, units: int) -> np.ndarray | None:
        if distribution is None or distribution.parameters[0] == 0:
            return None
        delays = np.zeros(units)
        add_draws(delays, *distribution.parameters, stream)
        return delays

    def _extension(self, distribution: Distribution | None, presentation: int, kind: int) -> float:
        if distribution is None or distribution.parameters[0] == 0:
            return 0.0
        return draw(*distribution.parameters, key(*self.words, presentation, 0, kind), 0)

    def _extend(self, presentation: int) -> None:
        schedule, nominal = self.schedule, self.nominal
        while len(self._forward) <= presentation:
            here = len(self._forward)
            forward = self._extension(schedule.forward_extension, here, FORWARD_PHASE)
            back = self._extension(schedule.feedback_extension, here, FEEDBACK_PHASE)
            self._forward.append(forward)
            self._starts.append(self._starts[-1] + (nominal.period + forward + back))

    def start(self, presentation: int) -> float:
        """S_n: when image n appears."""
        if presentation > 0:
            self._extend(presentation - 1)
        return self._starts[presentation]

    def forward_extension(self, presentation: int) -> float:
        """Random addition to the first phase of a presentation."""
        self._extend(presentation)
        return self._forward[presentation]

    def unshifted(self, presentation: int, kind: int, place: int) -> float:
        """Time of a layer's events before the shifts of single units; ``place`` counts populations from 0."""
        nominal = self.nominal
        if kind == FEEDFORWARD:
            return self.start(presentation) + nominal.feedforward[place]
        if kind == FEEDBACK:
            return self.start(presentation) + (self.forward_extension(presentation) + nominal.feedback[place])
        later = presentation + self.whole_lag
        own = self.forward_extension(later) + nominal.plasticity[place]
        return self.start(later) + (own + self.part_lag)

    def moves(self, kind: int, place: int) -> bool:
        """True if the events of this kind and layer do not all happen at one time."""
        schedule = self.schedule
        if self._delays[place] is not None:
            return True
        draws = [schedule.jitters[kind]]
        if kind == FEEDBACK and schedule.replacement < 1.0 and self.layout.kinds[place] in REPLACED:
            return True
        if kind == PLASTICITY and schedule.plasticity_follows:
            draws.append(schedule.jitter_feedback)
        return any(d is not None and d.parameters[0] != 0 for d in draws)

    def fill(self, presentation: int, kind: int, place: int, times: np.ndarray) -> None:
        """Set times (float64, one entry a unit) of the events of one kind, layer and presentation; inf: never."""
        schedule = self.schedule
        times[:] = self.unshifted(presentation, kind, place)
        if self._delays[place] is not None:
            times += self._delays[place]
        self._jitter(presentation, kind, place, times)
        if kind == PLASTICITY and schedule.plasticity_follows:
            self._jitter(presentation, FEEDBACK, place, times)
        if kind == FEEDBACK and schedule.replacement < 1.0 and self.layout.kinds[place] in REPLACED:
            never(times, 1.0 - schedule.replacement, key(*self.words, presentation, place, REPLACEMENT))

    def _jitter(self, presentation: int, kind: int, place: int, times: np.ndarray) -> None:
        jitter = self.schedule.jitters[kind]
        if jitter is not None and jitter.parameters[0] != 0:
            add_draws(times, *jitter.parameters, key(*self.words, presentation, place, kind))

    def arrays(self, presentations: Sequence[int]) -> dict[tuple[int, int, int], np.ndarray]:
        """Times by (presentation, place, kind), for the populations that have such events."""
        result = {}
        for presentation in presentations:
            for place, units in enumerate(self.layout.units):
                for kind in (FEEDFORWARD, FEEDBACK, PLASTICITY):
                    if kind != PLASTICITY or self.layout.plastic[place]:
                        times = np.empty(units)
                        self.fill(presentation, kind, place, times)
                        result[presentation, place, kind] = times
        return result
