"""What reads see, as probabilities: in which phase a schedule finds a unit when another one reads it.

Of presentation n a unit carries first what it kept from before (EARLIER), then x (PRESENT), then its signal
(SIGNAL); if its feedback comes before its feedforward, or never, it ends with x. A late reader finds more units in
later phases than an early one; so the probabilities are given for each of PARTS equal parts of the readers' times, the
earliest first.
They are shares among many event times, spread over each distribution in equal parts and paired by the counter hash: the
same for every run.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from netsim.errors import OptionError
from netsim.events.draws import add_equally, uniforms
from netsim.events.schedule import Schedule
from netsim.events.times import PLASTICITY, REPLACED, REPLACEMENT, Layout
from netsim.kernels.chance import key

#: Times of each kind of event.
DRAWS = 1 << 16

#: Parts of the readers' times, equally probable; a power of two.
PARTS = 4

#: Share of units whose feedback comes before their arrival that may be overlooked.
_RARE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Phases:
    """Probabilities, float64 (PARTS,), that a read finds a unit with what it kept, with x, with its signal.

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
        return cls(*(np.full(PARTS, share) for share in shares))

    def over(self, parts: int) -> Phases:
        """The same for ``parts`` equal parts of the readers' times, the mean over each."""
        if parts == PARTS:
            return self
        edges = np.linspace(0, PARTS, parts + 1)
        return Phases(*(_means(getattr(self, field.name), edges) for field in fields(self)))

    @property
    def all_present(self) -> bool:
        return bool(np.all(self.present == 1.0))

    @property
    def all_signal(self) -> bool:
        return bool(np.all(self.signal == 1.0))

    def without_signal(self) -> Phases:
        """Where the signal cannot be known yet and is nothing: what was kept from before stands in for it."""
        none, earlier = np.zeros(PARTS), self.earlier + self.signal
        return Phases(earlier, self.present, none, np.where(self.present < 1.0, earlier, 0.0), none)


def _means(shares: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means of steps of width 1 between edges."""
    sums = np.interp(edges, np.arange(len(shares) + 1), np.concatenate([[0.0], np.cumsum(shares)]))
    return np.diff(sums) / np.diff(edges)


def in_any_order(stream: np.uint64) -> np.ndarray:
    """A permutation of 0 to DRAWS - 1, int64, of a stream of random bits."""
    return np.argsort(np.argsort(uniforms(stream, DRAWS), kind="stable"), kind="stable")


class PhaseTable:
    """Probabilities of the phases of every kind of read of a net under a schedule.

    Places count populations from 0 (-1: the image). Raises OptionError for what probabilities of single presentations
    cannot hold: plasticity lags, synaptic tags, weights that change online, random lengths of phases, fixed delays of
    units, events that nominally fall into the next presentation, feedback that is nominally not after the feedforward
    of its own layer (`check_order`: and of layers that read it).
    """

    def __init__(self, schedule: Schedule, layout: Layout):
        self.schedule, self.layout = schedule, layout
        self.nominal = nominal = schedule.nominal(layout.names)
        latest = max(*nominal.feedforward, *nominal.feedback, *nominal.plasticity)
        for wrong, what in (
            (schedule.weights == "online", 'weights = "online"'),
            (schedule.plasticity_lag > 0, "a plasticity lag"),
            (schedule.tag_decay is not None, "a synaptic tag"),
            (schedule.forward_extension or schedule.feedback_extension, "a random length of the phases"),
            (schedule.unit_delay is not None, "a fixed delay of units"),
            (latest > nominal.period, "events that nominally fall into the next presentation"),
        ):
            if wrong:
                raise OptionError(f"the batched engine cannot do {what}: take the exact one")
        for place in range(len(layout.names)):
            self.check_order(place, place)
        self._times = [self._draws(place) for place in range(len(layout.names))]
        self._sorted: dict[int, list[np.ndarray]] = {}

    def check_order(self, reader: int, source: int) -> None:
        """Raise OptionError where the feedback of a population is nominally not after the feedforward of a reader.

        The reader would find a signal of its own presentation, and signals are computed after all feedforward reads.
        """
        names, unit = self.layout.names, self.schedule.unit
        arrival, back = self.nominal.feedforward[reader], self.nominal.feedback[source]
        if back <= arrival:
            whose = "its own feedforward" if reader == source else f"the feedforward of {names[reader]}, which reads it"
            raise OptionError(
                f"the batched engine cannot do feedback of {names[source]} (nominally at {back:g} {unit}) that is not "
                f"after {whose} (at {arrival:g}): take the exact one"
            )

    @property
    def tied(self) -> bool:
        """Whether a unit's plasticity event comes so long after its feedback, whenever that is."""
        jitter = self.schedule.jitters[PLASTICITY]
        return self.schedule.plasticity_follows and (jitter is None or jitter.parameters[0] == 0)

    def _draws(self, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times of the events a, b, c of DRAWS units of one layer."""
        schedule, nominal = self.schedule, self.nominal
        times = []
        for kind, at in enumerate((nominal.feedforward, nominal.feedback, nominal.plasticity)):
            times.append(np.full(DRAWS, at[place]))
            if schedule.jitters[kind] is not None:
                stream = key(place, kind)
                add_equally(times[kind], in_any_order(stream), *schedule.jitters[kind].parameters, stream)
        a, b, c = times
        if schedule.plasticity_follows:
            c = c + b - nominal.feedback[place]
        if schedule.replacement < 1.0 and self.layout.kinds[place] in REPLACED:
            b = np.where(in_any_order(key(place, REPLACEMENT)) < round(schedule.replacement * DRAWS), b, np.inf)
        return a, b, c

    def _found(self, place: int, at: np.ndarray) -> np.ndarray:
        """The five shares of `Phases` (5, len(at)) of a layer's units at times ``at``."""
        if place not in self._sorted:
            a, b, _ = self._times[place]
            wrong = b <= a  # these end with x, which comes after the signal
            self._sorted[place] = [np.sort(times) for times in (a, np.minimum(a, b), b[~wrong], b[wrong], a[wrong])]
        arrived, first, after_x, before_x, x_last = (np.searchsorted(times, at) for times in self._sorted[place])
        signal = after_x + before_x - x_last
        return np.stack([DRAWS - first, first - signal, signal, DRAWS - arrived, after_x + before_x]) / DRAWS

    def _earliest_first(self, reader: int, kind: int) -> np.ndarray:
        """Places of a layer's events of one kind, in the order of their times."""
        return np.argsort(self._times[reader][kind], kind="stable")

    def of_source(self, reader: int, kind: int, source: int) -> Phases:
        """What an event of layer ``reader`` finds in a unit of another layer, or of its own but independent of it."""
        at = self._times[reader][kind][self._earliest_first(reader, kind)]
        if source < 0:
            early, none = (at <= 0.0).astype(float), np.zeros(DRAWS)
            shares = np.stack([early, 1.0 - early, none, early, none])
        else:
            shares = self._found(source, at)
        return Phases(*shares.reshape(5, PARTS, -1).mean(2))

    def of_own(self, place: int, kind: int) -> Phases:
        """What an event of a unit finds in the unit itself.

        The time of a plasticity event does not depend on those of its unit's other events, unless it follows the
        feedback; the error circuit of an output unit has a time of its own.
        """
        if kind == PLASTICITY and not self.schedule.plasticity_follows:
            return self.of_source(place, kind, place)
        order = self._earliest_first(place, kind)
        return self._carried(place, self._times[place][kind], order)

    def at_the_end(self, place: int) -> Phases:
        """What a unit carries when the next presentation starts."""
        return self._carried(place, np.full(DRAWS, self.nominal.period), np.arange(DRAWS))

    def _carried(self, place: int, at: np.ndarray, order: np.ndarray) -> Phases:
        """Shares of what a layer's units carry, each at its own time ``at``, in that order."""
        a, b, _ = self._times[place]
        arrived, returned = a < at, b < at
        signal = returned & (~arrived | (b > a))
        present = arrived & ~signal
        shares = np.stack([~(signal | present), present, signal, ~arrived, returned]).astype(float)
        return Phases(*shares[:, order].reshape(5, PARTS, -1).mean(2))

    def order(self, place: int) -> tuple[np.ndarray, np.ndarray] | None:
        """The times of arrival and of feedback, float32 (DRAWS,) descending, where feedback that is nominally later
        comes first in more than `_RARE` of the units; else None."""
        a, b, _ = self._times[place]
        arrivals, returns = np.sort(a), np.sort(b)
        if 1.0 - np.searchsorted(arrivals, returns).mean() / DRAWS < _RARE:
            return None
        return arrivals[::-1].astype(np.float32), returns[::-1].astype(np.float32)
