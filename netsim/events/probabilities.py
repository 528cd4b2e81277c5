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

#: Share of units whose feedback comes before their arrival that may be overlooked.
_RARE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Phases:
    """Probabilities, float64 (STRATA,), that a read finds a unit with what it kept, with x, with its signal.

    not_arrived, returned : probabilities that the unit's feedforward arrival has not come yet, and that its feedback
    has. A unit whose feedback came first ends with x: so ``returned`` is more than ``signal`` where that happens.
    """

    earlier: np.ndarray
    present: np.ndarray
    signal: np.ndarray
    not_arrived: np.ndarray
    returned: np.ndarray

    @classmethod
    def always(cls, *shares: float) -> Phases:
        """The same at all readers' times."""
        return cls(*(np.full(STRATA, share) for share in shares))

    @property
    def all_present(self) -> bool:
        return bool(np.all(self.present == 1.0))

    @property
    def all_signal(self) -> bool:
        return bool(np.all(self.signal == 1.0))

    def without_signal(self) -> Phases:
        """Where the signal cannot be known yet and is nothing: what was kept from before stands in for it."""
        none, earlier = np.zeros(STRATA), self.earlier + self.signal
        return Phases(earlier, self.present, none, np.where(self.present < 1.0, earlier, 0.0), none)


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
        self._sorted: dict[int, list[np.ndarray]] = {}

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

    def _found(self, place: int, at: np.ndarray) -> np.ndarray:
        """The five shares of `Phases` (5, len(at)) of a layer's units at ascending times ``at``."""
        if place not in self._sorted:
            a, b, _ = self._times[place]
            wrong = b <= a  # these end with x, which comes after the signal
            self._sorted[place] = [np.sort(times) for times in (a, np.minimum(a, b), b[~wrong], b[wrong], a[wrong])]
        arrived, first, after_x, before_x, x_last = (np.searchsorted(times, at) for times in self._sorted[place])
        signal = after_x + before_x - x_last
        return np.stack([DRAWS - first, first - signal, signal, DRAWS - arrived, after_x + before_x]) / DRAWS

    def of_source(self, reader: int, kind: int, source: int) -> Phases:
        """What an event of layer ``reader`` finds in a unit of another layer, or of its own but independent of it.

        Means over all times of a stratum, so that the rarest of events, early readers that meet late units, count.
        """
        at = np.sort(self._times[reader][kind])
        if source < 0:
            early, none = (at <= 0.0).astype(float), np.zeros(DRAWS)
            shares = np.stack([early, 1.0 - early, none, early, none])
        else:
            shares = self._found(source, at)
        return Phases(*shares.reshape(5, STRATA, -1).mean(2))

    def of_own(self, place: int, kind: int) -> Phases:
        """What an event of a unit finds in the unit itself.

        A plasticity event comes at the time at which it also reads the inputs, so that the two go together; an event
        that moves with the unit's own feedback, and the error circuit of an output unit, have a time of their own.
        """
        if kind == PLASTICITY and not self.schedule.plasticity_follows:
            return self.of_source(place, kind, place)
        return self._carried(place, self._times[place][kind])

    def at_the_end(self, place: int) -> Phases:
        """What a unit carries when the next presentation starts."""
        return self._carried(place, self.nominal.period)

    def _carried(self, place: int, at) -> Phases:
        """Shares of what a layer's units carry, each at its own time ``at``."""
        a, b, _ = self._times[place]
        arrived, returned = a < at, b < at
        signal = returned & (~arrived | (b > a))
        present = arrived & ~signal
        shares = (~(signal | present), present, signal, ~arrived, returned)
        return Phases.always(*(np.count_nonzero(share) / DRAWS for share in shares))

    def order(self, place: int) -> tuple[np.ndarray, np.ndarray] | None:
        """The times of arrival and of feedback, float32 (DRAWS,) descending, where feedback that is nominally later
        comes first in more than `_RARE` of the units; else None."""
        a, b, _ = self._times[place]
        arrivals, returns = np.sort(a), np.sort(b)
        first = 1.0 - np.searchsorted(arrivals, returns).mean() / DRAWS
        if first < _RARE or self.nominal.feedback[place] <= self.nominal.feedforward[place]:
            return None
        return arrivals[::-1].astype(np.float32), returns[::-1].astype(np.float32)
