"""The grid of a timing sweep: which schedules, protocols and seeds to train under, and the text that names them.

Swept quantities, times in units of the layer delay tau:

jitter : scale of the jitter of every event, or, where the schedule has jitter of its own, the factor by which that is
scaled; lag : plasticity lag in presentations; tag : time constant of the synaptic tag (0: no tag); p : probability that
a unit's feedback arrives; delay : mean of exponential fixed delays of units, or the factor of the schedule's own;
skew : added to the times of every second population.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from netsim.errors import OptionError, nearest, shown
from netsim.events.distributions import CODES, Distribution, number
from netsim.events.presets import check_fit, resolve
from netsim.events.schedule import EVENTS, Schedule

QUANTITIES = ("jitter", "lag", "tag", "p", "delay", "skew")

#: Most values of one sweep, and most points of a grid.
_MOST = 1000

#: What computes nothing, so that a change there leaves the points of a sweep as they are.
_BESIDE = ("bench", "cli", "plots.py", "raster.py")


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
                if not step > 0 or not stop >= start:
                    raise ValueError
                many = (stop - start) / step + 1e-9
                numbers = () if many >= _MOST else tuple(round(start + n * step, 12) for n in range(int(many) + 1))
            else:
                numbers = tuple(float(part) for part in values.split(","))
        except (ValueError, OverflowError):
            raise OptionError(
                f"cannot read the sweep {str(text)!r}: it must be like {quantity}=0:2:0.25 (start:stop:step) or "
                f"{quantity}=0,1,4"
            ) from None
        if not 1 <= len(numbers) <= _MOST:
            raise OptionError(f"the sweep {str(text)!r} has more than {_MOST} values: take a longer step")
        return cls(quantity, numbers)


@dataclass(frozen=True, slots=True)
class Start:
    """The schedule that a sweep, or a picture of events, starts from.

    name : of a preset, or of the file that it is from; base : what that says; schedule : with what is fixed beside it
    fixed : quantity -> value; distribution : of a jitter that the schedule does not have yet; None is normal
    """

    name: str
    base: Schedule
    schedule: Schedule
    fixed: tuple[tuple[str, float], ...] = ()
    distribution: str | None = None

    @classmethod
    def resolve(
        cls, name: str, distribution: str | None, fixed: Mapping[str, float | None], sign: str | None = None
    ) -> Start:
        """A preset or a .toml file, with quantities and sign set where they are not None. Raises what these raise."""
        if distribution is not None and distribution not in CODES:
            raise OptionError(f"unknown distribution {shown(distribution)}{nearest(distribution, CODES)}")
        given = tuple((quantity, value) for quantity, value in fixed.items() if value is not None)
        base = resolve(name) if sign is None else resolve(name).changed(sign=sign)
        schedule = base
        for quantity, value in given:
            schedule = altered(schedule, quantity, value, distribution)
        return cls(name, base, schedule, given, distribution)

    @property
    def text(self) -> str:
        """One phrase: the schedule, and what was set beside it."""
        words = [f"{Path(self.name).name} schedule"]
        for quantity, value in self.fixed:
            if quantity == "jitter":
                words.append(
                    f"{value:g} times its jitter" if self.jitter == "own" else f"{self.jitter} jitter {value:g} τ"
                )
            elif quantity == "lag":
                words.append(f"plasticity lag {value:g}")
            else:
                words.append(f"tag {value:g} τ" if value else "no tag")
        if self.schedule.sign != "plus":
            words.append(f"{self.schedule.sign} sign")
        return ", ".join(words)

    @property
    def jitter(self) -> str:
        """What a jitter is: a distribution, or the schedule's own."""
        return "own" if _has_jitter(self.base) else self.distribution or "normal"

    def check_distribution(self, swept: Sequence[str] = ()) -> None:
        """Raise OptionError for a distribution of no jitter; ``swept`` : quantities that are yet to be set."""
        if self.distribution is not None and "jitter" not in (*dict(self.fixed), *swept):
            if _has_jitter(self.base):
                raise OptionError(_OWN_JITTER)
            raise OptionError(f"--distribution {self.distribution} is of a jitter, and there is none: say --jitter J")

    def label(self, quantity: str) -> str:
        """What stands below an axis of this quantity."""
        if quantity == "jitter" and self.jitter == "own":
            return "jitter (times the schedule's own)"
        if quantity == "delay" and self.base.unit_delay is not None:
            return "fixed delays of units (times the schedule's own)"
        return {
            "jitter": f"{self.jitter} jitter (units of the layer delay τ)",
            "lag": "plasticity lag (presentations)",
            "tag": "time constant of the synaptic tag (τ; 0: no tag)",
            "p": "probability that the feedback arrives",
            "delay": "mean fixed delay of a unit (τ)",
            "skew": "skew of every second layer (τ)",
        }[quantity]

    def notes(self, axes: Sequence[Axis]) -> list[str]:
        """What a user may not expect of these sweeps: one line each."""
        swept = {axis.quantity for axis in axes}
        found = []
        if "jitter" in swept and self.jitter == "own":
            found.append(f"{self.name} has a jitter of its own: the sweep scales it, 1 is the schedule as it is")
        if "delay" in swept and self.base.unit_delay is not None:
            found.append(f"{self.name} has fixed delays of its own: the sweep scales them, 1 is the schedule as it is")
        return found


_OWN_JITTER = "the schedule has a jitter of its own, which is scaled: leave out --distribution"


def _has_jitter(schedule: Schedule) -> bool:
    return any(draw is not None and draw.scale > 0 for draw in schedule.jitters)


def altered(
    schedule: Schedule, quantity: str, value: float, distribution: str | None = None, names: Sequence[str] = ()
) -> Schedule:
    """The schedule with one swept quantity set.

    distribution : of a jitter that the schedule does not have yet; None is normal. names : of the populations, bottom
    up. Raises OptionError for a value that cannot be.
    """
    tau = schedule.layer_delay
    if quantity in ("jitter", "delay"):
        value = number(value, quantity, 0.0)
    if quantity == "jitter":
        return _jittered(schedule, value, distribution)
    if quantity == "lag":
        return schedule.changed(plasticity_lag=value)
    if quantity == "tag":
        return schedule.changed(tag_decay=None if value == 0 else value * tau)
    if quantity == "p":
        return schedule.changed(replacement=value)
    if quantity == "delay":
        own = schedule.unit_delay
        return schedule.changed(unit_delay=own.scaled(value) if own else Distribution("exponential", value * tau))
    if quantity == "skew":
        own = dict(schedule.skew)
        return schedule.changed(skew={**own, **{name: own.get(name, 0.0) + value * tau for name in names[1::2]}})
    raise OptionError(f"cannot set {quantity!r}{nearest(quantity, QUANTITIES)}")


def _jittered(schedule: Schedule, value: float, distribution: str | None) -> Schedule:
    if not _has_jitter(schedule):
        kind, scale = distribution or "normal", value * schedule.layer_delay
        if kind == "wald" and value == 0:
            return schedule.changed(jitter=None)
        return schedule.changed(jitter=Distribution(kind, scale, scale if kind == "wald" and value > 0 else None))
    if distribution is not None:
        raise OptionError(_OWN_JITTER)
    scaled = {
        f"jitter_{event}": None if draw is None else draw.scaled(value)
        for event, draw in zip(EVENTS, schedule.jitters, strict=True)
    }
    return schedule.changed(**scaled)


@functools.cache
def version() -> str:
    """A digest of all that computes: points of another version are not those of this one."""
    import netsim

    folder, digest = Path(netsim.__file__).parent, hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        place = file.relative_to(folder)
        if not {*place.parts} & {*_BESIDE}:
            digest.update(place.as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:6]


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
        """A file name for the point, in any version: its swept values, protocol, seed and a digest of everything."""
        values = dict(self.configuration)
        text = json.dumps([self.configuration, self.schedule, self.engine, self.streams, self.stream, self.measured])
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        swept = "-".join(f"{quantity}{value:g}" for quantity, value in self.swept)
        return f"{swept or 'point'}-{values['protocol']}-seed{values['seed']}-{digest}"


def points(
    axes: Sequence[Axis],
    start: Start,
    configuration: dict[str, object],
    protocols: Sequence[str],
    seeds: Sequence[int],
    *,
    engine: str,
    streams: int | None,
    stream: str,
    measured: int,
    names: Sequence[str],
) -> list[Point]:
    """All points of a grid, the last axis fastest; each schedule is checked against the populations ``names``."""
    swept = [axis.quantity for axis in axes]
    for quantity in swept:
        if swept.count(quantity) > 1:
            raise OptionError(f"{quantity} is swept twice")
        if quantity in dict(start.fixed):
            raise OptionError(f"{quantity} is both fixed and swept: leave out --{quantity}")
    many = len(protocols) * math.prod(len(axis.values) for axis in axes)
    if many > _MOST or len(seeds[: _MOST + 1]) * many > _MOST:  # a range may be longer than len() can say
        raise OptionError(f"the sweep has more than {_MOST} points: fewer values, protocols or seeds")
    check_fit(start.name, names)
    start.check_distribution(swept)
    result = []
    for values in _values(axes):
        here = start.schedule
        for quantity, value in values:
            here = altered(here, quantity, value, start.distribution, names)
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
