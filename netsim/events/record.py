"""One presentation on record: all its events, and what each of them found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from netsim.events.exact import EventTrainer
from netsim.events.times import EventTimes

if TYPE_CHECKING:
    from netsim.data import Split


def presentations_before(times: EventTimes) -> int:
    """How many presentations before one can still have arrivals while events of it happen.

    What the events find does not depend on any presentation before these: that is an earlier one's, whichever.
    """
    schedule, nominal = times.schedule, times.nominal
    delay = 0.0 if schedule.unit_delay is None else schedule.unit_delay.latest
    jitters = [0.0 if jitter is None else jitter.latest for jitter in schedule.jitters]
    latest = max(max(nominal.feedforward) + jitters[0], max(nominal.feedback) + jitters[1]) + delay
    return int(latest / nominal.period) + times.ahead


def record(
    trainer: EventTrainer, split: Split, order: np.ndarray, presentation: int, told: Callable[[int], None]
) -> tuple[list[dict], EventTimes]:
    """Replay a stream until all events of a presentation are over.

    trainer : of one stream, new, with ``logged`` : the presentation. order : of the images; it is gone through again
    where it ends. told : hears the number of each presentation that is replayed, from the first that matters on.

    Returns `EventStream.log` and the times of the stream.
    """
    times = trainer.times_of(0)
    shown = max(0, presentation - presentations_before(times))
    trainer.begin_with(shown)
    log: list[dict] = []
    while not log:
        told(shown)
        trainer.increments(*split.batch(order[[shown % len(order)]]))
        (log,) = trainer.event_log()
        shown += 1
    return log, times
