"""A trainer for a schedule: the exact engine, the batched one, or, where the schedule is nominal, the phase-locked."""

from __future__ import annotations

from netsim.engine import Trainer
from netsim.errors import OptionError, nearest
from netsim.events.presets import resolve
from netsim.events.schedule import Schedule
from netsim.network import Network

ENGINES = ("exact", "batched")


def trainer(net: Network, schedule: Schedule | str, engine: str = "exact", **options) -> Trainer:
    """`EventTrainer` or `BatchedTrainer` with the options of these.

    Raises OptionError for an unknown engine, and what the trainers raise.
    """
    check_engine(engine)
    if engine == "exact":
        from netsim.events.exact import EventTrainer as chosen
    else:
        from netsim.events.batched import BatchedTrainer as chosen
    return chosen(net, resolve(schedule), **options)


def check_engine(engine: str) -> None:
    """Raise OptionError for an engine that does not exist."""
    if engine not in ENGINES:
        raise OptionError(f"unknown engine {str(engine)[:40]!r}{nearest(str(engine)[:40], ENGINES)}")


def check_length(schedule: Schedule, presentations: int, streams: int = 1) -> None:
    """Refuse a lag beyond the stream: OptionError if no plasticity event would fall into an epoch.

    presentations : of an epoch, shared out among ``streams``.
    """
    each = presentations // streams
    if schedule.plasticity_lag >= each:
        raise OptionError(
            f"plasticity_lag is {schedule.plasticity_lag:g} presentations, a stream has {each}: no change would come"
        )
