"""What reads see, as probabilities: in which phase a schedule finds a unit when another one reads it.

Of presentation n a unit carries first what it kept from before (EARLIER), then x (PRESENT), then its signal
(SIGNAL); if its feedback comes before its feedforward, or never, it ends with x. A late reader finds more units in
later phases than an early one; so the probabilities are given for each of STRATA equal parts of the readers' times.
They are shares among many draws of event times, through the counter hash: the same for every run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netsim.errors import OptionError
from netsim.events.draws import add_draws, never
from netsim.events.schedule import Schedule
from netsim.events.times import _REPLACED, FEEDBACK, FEEDFORWARD, PLASTICITY, Layout
from netsim.kernels.chance import key

#: Draws of each event's time. The standard error of a share is at most 0.5 / sqrt(DRAWS) = 0.002.
DRAWS = 1 << 16

#: Parts of the readers' times, equally probable.
STRATA = 64


@dataclass(frozen=True, slots=True, eq=False)
class Phases:
    """Probabilities, float64 (STRATA,), that a read finds a unit with what it kept, with x, with its signal."""

    earlier: np.ndarray
    present: np.ndarray
    signal: np.ndarray

    @classmethod
    def always(cls, earlier: float, present: float, signal: float) -> Phases:
        """The same at all readers' times."""
        return cls(np.full(STRATA, earlier), np.full(STRATA, present), np.full(STRATA, signal))

    @property
    def all_present(self) -> bool:
        return bool(np.all(self.present == 1.0))

    @property
    def all_signal(self) -> bool:
        return bool(np.all(self.signal == 1.0))

    def without_signal(self) -> Phases:
        """Where the signal cannot be known yet: what was kept from before stands in for it."""
        return Phases(self.earlier + self.signal, self.present, np.zeros(STRATA))


class PhaseTable:
    """Probabilities of the phases of every kind of read of a net under a schedule.

    Places count populations from 0 (-1: the image). Raises OptionError for what probabilities of single presentations
    cannot hold: plasticity lags, synaptic tags, weights that change online, random lengths of phases.
    """

    def __init__(self, schedule: Schedule, layout: Layout):
        for wrong, what in (
            (schedule.weights == "online", 'weights = "online"'),
            (schedule.plasticity_lag > 0, "a plasticity lag"),
            (schedule.tag_decay is not None, "a synaptic tag"),
            (schedule.forward_extension or schedule.feedback_extension, "a random length of the phases"),
        ):
            if wrong:
                raise OptionError(f"the batched engine cannot do {what}: take the exact one")
        self.schedule, self.layout = schedule, layout
        self.nominal = schedule.nominal(layout.names)
        self._times = [self._draws(place) for place in range(len(layout.names))]

    def _draws(self, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times of the events a, b, c of DRAWS units of one layer."""
        schedule, nominal = self.schedule, self.nominal
        delay = np.zeros(DRAWS)
        if schedule.unit_delay is not None:
            add_draws(delay, *schedule.unit_delay.parameters, key(place, 9))
        jitters = []
        for kind in (FEEDFORWARD, FEEDBACK, PLASTICITY):
            shift = np.zeros(DRAWS)
            if schedule.jitters[kind] is not None:
                add_draws(shift, *schedule.jitters[kind].parameters, key(place, kind))
            jitters.append(shift)
        if schedule.plasticity_follows:
            jitters[PLASTICITY] = jitters[PLASTICITY] + jitters[FEEDBACK]
        at = (nominal.feedforward, nominal.feedback, nominal.plasticity)
        a, b, c = (at[kind][place] + delay + jitters[kind] for kind in (FEEDFORWARD, FEEDBACK, PLASTICITY))
        if schedule.replacement < 1.0 and self.layout.kinds[place] in _REPLACED:
            never(b, 1.0 - schedule.replacement, key(place, 8))
        return a, b, c

    @staticmethod
    def _found(at, a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
        """Shares of what units with events a, b carry at the times ``at``."""
        seen_a, seen_b = a < at, b < at
        signal = seen_b & (~seen_a | (b > a))
        present = seen_a & ~signal
        return tuple(np.count_nonzero(state) / a.size for state in (~(signal | present), present, signal))

    def _reader_times(self, reader: int, kind: int) -> np.ndarray:
        """The middle of each stratum of the times of a layer's events of one kind."""
        times = np.sort(self._times[reader][kind])
        return times[(2 * np.arange(STRATA) + 1) * times.size // (2 * STRATA)]

    def of_source(self, reader: int, kind: int, source: int) -> Phases:
        """What an event of layer ``reader`` finds in a unit of another layer, or of its own but independent of it."""
        shares = []
        for at in self._reader_times(reader, kind):
            if source < 0:
                shares.append((0.0, 1.0, 0.0) if at > 0.0 else (1.0, 0.0, 0.0))
            else:
                a, b, _ = self._times[source]
                shares.append(self._found(at, a, b))
        return Phases(*np.array(shares).T)

    def of_own(self, place: int, kind: int) -> Phases:
        """What an event of a unit finds in the unit itself.

        A plasticity event comes at the time at which it also reads the inputs, so that the two go together; an event
        that moves with the unit's own feedback, and the error circuit of an output unit, have a time of their own.
        """
        if kind == PLASTICITY and not self.schedule.plasticity_follows:
            return self.of_source(place, kind, place)
        a, b, _ = self._times[place]
        return Phases.always(*self._found(self._times[place][kind], a, b))

    def at_the_end(self, place: int) -> Phases:
        """What a unit carries when the next presentation starts."""
        a, b, _ = self._times[place]
        return Phases.always(*self._found(self.nominal.period, a, b))
