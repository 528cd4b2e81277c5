"""The grid of a timing sweep: which schedules, protocols and seeds to train under, and the text that names them.

Swept quantities, times in units of the layer delay tau:

jitter : scale of the jitter of every event (the distribution is chosen apart); lag : plasticity lag in presentations;
tag : time constant of the synaptic tag (0: no tag); p : probability that a unit's feedback arrives; delay : mean of
exponential fixed delays of units; skew : added to the times of every second population.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from netsim.errors import OptionError, nearest
from netsim.events.distributions import Distribution
from netsim.events.schedule import Schedule

QUANTITIES = ("jitter", "lag", "tag", "p", "delay", "skew")

#: Most values of one sweep, and most points of a grid.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Axis:
    """One swept quantity with its values, ascending as given."""

    quantity: str
    values: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> Axis:
        """``jitter=0:2:0.25`` (both ends included) or ``lag=0,1,4``. Raises OptionError in one line."""
        quantity, equals, values = str(text).partition("=")
        if quantity not in QUANTITIES:
            raise OptionError(f"cannot sweep {quantity!r}{nearest(quantity, QUANTITIES)}")
        try:
            if not equals:
                raise ValueError
            if ":" in values:
                start, stop, step = (float(part) for part in values.split(":"))
                if not step > 0 or not stop >= start or (stop - start) / step > _MOST:
                    raise ValueError
                count = int((stop - start) / step + 1e-9) + 1
                numbers = tuple(round(start + n * step, 12) for n in range(count))
            else:
                numbers = tuple(float(part) for part in values.split(","))
        except (ValueError, OverflowError):
            raise OptionError(
                f"cannot read the sweep {str(text)!r}: it must be like {quantity}=0:2:0.25 (start:stop:step) or "
                f"{quantity}=0,1,4"
            ) from None
        return cls(quantity, numbers)


def altered(schedule: Schedule, quantity: str, value: float, distribution: str = "normal") -> Schedule:
    """The schedule with one swept quantity set. Raises OptionError for a value that cannot be."""
    tau = schedule.layer_delay
    if quantity == "jitter":
        shape = value * tau if distribution == "wald" and value > 0 else None
        if distribution == "wald" and value == 0:
            return schedule.changed(jitter=None)
        return schedule.changed(jitter=Distribution(distribution, value * tau, shape))
    if quantity == "lag":
        return schedule.changed(plasticity_lag=value)
    if quantity == "tag":
        return schedule.changed(tag_decay=None if value == 0 else value * tau)
    if quantity == "p":
        return schedule.changed(replacement=value)
    if quantity == "delay":
        return schedule.changed(unit_delay=Distribution("exponential", value * tau))
    raise OptionError(f"cannot set {quantity!r}{nearest(quantity, QUANTITIES)}")


@dataclass(frozen=True, slots=True)
class Point:
    """One training run of a sweep, as plain values: what it does depends on nothing else.

    configuration : keys of `netsim.configuration`; schedule : its TOML; swept : quantity -> value
    """

    configuration: tuple[tuple[str, object], ...]
    schedule: str
    engine: str
    streams: int | None
    stream: str
    measured: int
    swept: tuple[tuple[str, float], ...]

    @property
    def name(self) -> str:
        """A file name for the point: its swept values, protocol, seed and a digest of everything."""
        import hashlib

        values = dict(self.configuration)
        text = json.dumps([self.configuration, self.schedule, self.engine, self.streams, self.stream, self.measured])
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        swept = "-".join(f"{quantity}{value:g}" for quantity, value in self.swept)
        return f"{swept or 'point'}-{values['protocol']}-seed{values['seed']}-{digest}"


def points(
    axes: Sequence[Axis],
    schedule: Schedule,
    configuration: dict[str, object],
    protocols: Sequence[str],
    seeds: Sequence[int],
    *,
    engine: str,
    streams: int | None,
    stream: str,
    measured: int,
    distribution: str,
    names: Sequence[str],
) -> list[Point]:
    """All points of a grid, the last axis fastest; each schedule is checked against the populations ``names``."""
    if len({axis.quantity for axis in axes}) < len(axes):
        raise OptionError("a quantity is swept twice")
    many = len(protocols) * math.prod(len(axis.values) for axis in axes)
    if many > _MOST or len(seeds[: _MOST + 1]) * many > _MOST:  # a range may be longer than len() can say
        raise OptionError(f"the sweep has more than {_MOST} points: fewer values, protocols or seeds")
    result = []
    for values in _values(axes):
        here = schedule
        for quantity, value in values:
            if quantity == "skew":
                here = here.changed(skew={name: value * here.layer_delay for name in names[1::2]})
            else:
                here = altered(here, quantity, value, distribution)
        here.nominal(names)
        text = here.to_toml()
        for protocol, seed in itertools.product(protocols, seeds):
            own = {**configuration, "protocol": protocol, "seed": seed}
            result.append(Point(tuple(sorted(own.items())), text, engine, streams, stream, measured, values))
    return result


def _values(axes: Sequence[Axis]) -> Iterator[tuple[tuple[str, float], ...]]:
    for values in itertools.product(*(axis.values for axis in axes)):
        yield tuple((axis.quantity, value) for axis, value in zip(axes, values, strict=True))


def with_threads(point: Point, threads: int) -> Point:
    """The same point, trained with so many threads: its name and its results do not change."""
    values = {**dict(point.configuration), "threads": threads}
    return replace(point, configuration=tuple(sorted(values.items())))
