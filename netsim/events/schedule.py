"""Schedules: when the events of each layer happen, and how that varies. Frozen, self-checking, TOML in and out.

A schedule file (every entry may be left out; times in ``unit``, counted from the start of the presentation)::

    unit = "tau"               # or "ms"
    layer_delay = 1.0          # tau: from one layer to the next
    settling = 0.0             # before the first arrival of each phase
    plasticity_delay = 0.5     # from b to c of a layer; layer_delay / 2 if left out
    forward_phase = 4.0        # length P of the first phase; settling + L layer_delay if left out
    feedback_phase = 5.0       # length of the second; settling + (L + 1) layer_delay if left out
    weights = "batch"          # or "online"
    sign = "plus"              # units carry minus the derivative of the loss, and every update is a plus (the paper);
                               # "minus": they carry the derivative, and every update is a minus (the author's code)
    replacement = 1.0          # probability that a unit of a hidden layer with weights gets its event b at all
    plasticity_lag = 0.0       # presentations
    tag_decay = 20.0           # time constant of the synaptic tag (inf: it does not fade); left out: no tag
    plasticity_follows = false # true: a unit's event c moves with the jitter of its own event b
    feedback_first = false     # true: some layer's feedback arrives before its feedforward, on purpose
    overlap = false            # true: events may nominally fall into the next presentation, on purpose

    [feedforward]              # times of single layers, in place of the rule; also [feedback], [plasticity]
    conv1 = 1.0
    [skew]                     # added to all three times of a layer
    conv1 = 0.25
    [jitter]                   # of each unit, presentation and event; or one table for each kind of event:
    distribution = "normal"    # [jitter.feedforward], [jitter.feedback], [jitter.plasticity]
    scale = 0.5
    [unit_delay]               # fixed delay of each unit, drawn once, added to all its events
    distribution = "exponential"
    scale = 0.1
    [forward_extension]        # random addition to the length of a phase; also [feedback_extension]
    distribution = "wald"
    scale = 2.0
    shape = 1.0
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from netsim import toml_text
from netsim.errors import DataError, OptionError, nearest, shown
from netsim.events.distributions import Distribution, number

EVENTS = ("feedforward", "feedback", "plasticity")
UNITS = ("tau", "ms")
WEIGHTS = ("batch", "online")
SIGNS = {"plus": 1, "minus": -1}
_TIMES = (*EVENTS, "skew")
_DRAWS = ("unit_delay", "forward_extension", "feedback_extension")
_JITTERS = tuple(f"jitter_{event}" for event in EVENTS)

#: Characters of a schedule file: far above any that is meant.
_LONGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class NominalTimes:
    """Times of a schedule for given populations: tuples of floats bottom up, in the schedule's unit."""

    names: tuple[str, ...]
    feedforward: tuple[float, ...]
    feedback: tuple[float, ...]
    plasticity: tuple[float, ...]
    forward_phase: float
    feedback_phase: float

    @property
    def period(self) -> float:
        return self.forward_phase + self.feedback_phase


@dataclass(frozen=True, slots=True)
class Schedule:
    """When feedforward, feedback and plasticity events happen. Fields: see the module's text.

    The per-layer times (``feedforward``, ``feedback``, ``plasticity``, ``skew``) are mappings from layer names to
    times, kept as sorted tuples of pairs. Raises OptionError for a value that cannot be.
    """

    unit: str = "tau"
    layer_delay: float = 1.0
    settling: float = 0.0
    plasticity_delay: float | None = None
    forward_phase: float | None = None
    feedback_phase: float | None = None
    weights: str = "batch"
    sign: str = "plus"
    replacement: float = 1.0
    plasticity_lag: float = 0.0
    tag_decay: float | None = None
    plasticity_follows: bool = False
    feedback_first: bool = False
    overlap: bool = False
    feedforward: tuple[tuple[str, float], ...] = ()
    feedback: tuple[tuple[str, float], ...] = ()
    plasticity: tuple[tuple[str, float], ...] = ()
    skew: tuple[tuple[str, float], ...] = ()
    jitter_feedforward: Distribution | None = None
    jitter_feedback: Distribution | None = None
    jitter_plasticity: Distribution | None = None
    unit_delay: Distribution | None = None
    forward_extension: Distribution | None = None
    feedback_extension: Distribution | None = None

    def __post_init__(self) -> None:
        for name, known in (("unit", UNITS), ("weights", WEIGHTS), ("sign", SIGNS)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise OptionError(f"unknown {name} {shown(value)} of a schedule{nearest(shown(value), known)}")
        self._keep("layer_delay", number(self.layer_delay, "layer_delay", 0.0, 1e6))
        if self.layer_delay == 0.0:
            raise OptionError("layer_delay is 0: it must be above 0")
        self._keep("settling", number(self.settling, "settling", 0.0, 1e6))
        for name in ("plasticity_delay", "forward_phase", "feedback_phase"):
            if getattr(self, name) is not None:
                self._keep(name, number(getattr(self, name), name, 0.0, 1e6))
        self._keep("replacement", number(self.replacement, "replacement (a probability)", 0.0, 1.0))
        self._keep("plasticity_lag", number(self.plasticity_lag, "plasticity_lag (in presentations)", 0.0, 1e4))
        self._check_tag()
        for name in ("plasticity_follows", "feedback_first", "overlap"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} is {shown(getattr(self, name))}: it must be true or false")
        for name in _TIMES:
            self._keep(name, _pairs(getattr(self, name), name, -1e6 if name == "skew" else 0.0))
        for name in (*_JITTERS, *_DRAWS):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Distribution):
                raise OptionError(f"{name} must be a Distribution or None, got {shown(value)}")
        for name in _DRAWS[1:]:
            draw = getattr(self, name)
            if draw is not None and draw.earliest < 0.0:
                raise OptionError(f"{name} may only lengthen a phase: use exponential, wald or absolute = true")

    def _keep(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_tag(self) -> None:
        if self.tag_decay is None:
            return
        if self.tag_decay != math.inf:
            self._keep("tag_decay", number(self.tag_decay, "tag_decay", 0.0))
        if self.tag_decay < self.layer_delay:
            raise OptionError(
                f"tag_decay is {self.tag_decay:g}: a tag must last at least one layer_delay ({self.layer_delay:g})"
            )

    # ------------------------------------------------------------------------------------- with a network
    def nominal(self, names: Sequence[str]) -> NominalTimes:
        """The times without anything random, for populations of these names (bottom up, the output last).

        Raises OptionError for a layer that does not exist, a negative time, feedback before feedforward without
        ``feedback_first``, an event beyond the presentation without ``overlap``.
        """
        names = tuple(names)
        for table in _TIMES:
            for name, _ in getattr(self, table):
                if name not in names:
                    no_layer = f"no layer {shown(name)} in the net{nearest(name, names)}"
                    raise OptionError(f"[{table}] of the schedule: {no_layer}")
        top, delay = len(names), self.layer_delay
        forward_phase = self.settling + top * delay if self.forward_phase is None else self.forward_phase
        feedback_phase = self.settling + (top + 1) * delay if self.feedback_phase is None else self.feedback_phase
        skew = dict(self.skew)
        after = delay / 2 if self.plasticity_delay is None else self.plasticity_delay
        given = {event: dict(getattr(self, event)) for event in EVENTS}
        a, b, c = [], [], []
        for place, name in enumerate(names, start=1):
            shift = skew.get(name, 0.0)
            a.append(given["feedforward"].get(name, self.settling + place * delay) + shift)
            late = forward_phase + self.settling + (top + 1 - place) * delay
            back = given["feedback"].get(name, late)
            b.append(back + shift)
            c.append(given["plasticity"].get(name, back + after) + shift)
        times = NominalTimes(names, tuple(a), tuple(b), tuple(c), forward_phase, feedback_phase)
        self._check(times)
        return times

    def _check(self, times: NominalTimes) -> None:
        for event in EVENTS:
            for name, time in zip(times.names, getattr(times, event), strict=True):
                if time < 0.0:  # only a skew can do that
                    least = dict(self.skew)[name] - time
                    raise OptionError(
                        f"{event} of {name} is at {time:g} {self.unit}, before the presentation starts: skew of {name} "
                        f"must be at least {least:g}"
                    )
                if time > times.period and not self.overlap:
                    raise OptionError(
                        f"{event} of {name} is at {time:g} {self.unit}, the presentation ends at {times.period:g}: "
                        f"lengthen feedback_phase by {time - times.period:g} or say overlap = true"
                    )
        for name, a, b in zip(times.names, times.feedforward, times.feedback, strict=True):
            if b <= a and not self.feedback_first:
                raise OptionError(
                    f"feedback of {name} (at {b:g} {self.unit}) is not after its feedforward (at {a:g}): "
                    "say feedback_first = true if this is meant"
                )

    def slack(self, names: Sequence[str], weighted: Sequence[str]) -> float:
        """A bound J such that shifts of every event by less than J leave each read in its nominal phase.

        Half the least distance between the nominal times of two events (or an event and the start of a
        presentation), over all populations; ``weighted`` are those with plasticity events. In ``unit``. For the hinge
        loss: softmax circuits read one another, so between the feedback events of output units there is no slack.
        """
        nominal = self.nominal(names)
        times = [*nominal.feedforward, *nominal.feedback]
        times += [c for name, c in zip(nominal.names, nominal.plasticity, strict=True) if name in weighted]
        times = sorted([*times, 0.0, nominal.period])
        gaps = [
            (later - earlier) / (1 if earlier in (0.0, nominal.period) or later in (0.0, nominal.period) else 2)
            for earlier, later in itertools.pairwise(times)
        ]
        return min(gaps)

    @property
    def jitters(self) -> tuple[Distribution | None, ...]:
        """The jitter of feedforward, feedback and plasticity events."""
        return tuple(getattr(self, name) for name in _JITTERS)

    @property
    def factor(self) -> int:
        """1 or -1: what the output error and every update are multiplied by. In phase it changes nothing."""
        return SIGNS[self.sign]

    @property
    def in_phase(self) -> bool:
        """True if nothing is random and nothing late: the schedule of the phase-locked engine."""
        random = (*self.jitters, *(getattr(self, name) for name in _DRAWS))
        quiet = all(draw is None or draw.parameters[0] == 0 for draw in random)
        return quiet and self.replacement == 1.0 and self.plasticity_lag == 0.0 and self.tag_decay is None

    def changed(self, **changes: object) -> Schedule:
        """A copy with some fields changed, checked anew; ``jitter`` sets the three jitters."""
        if "jitter" in changes:
            jitter = changes.pop("jitter")
            changes = {**dict.fromkeys(_JITTERS, jitter), **changes}
        names = [field.name for field in fields(self)]
        for name in changes:
            if name not in names:
                raise OptionError(f"a schedule has no field {shown(name)}{nearest(name, names)}")
        return replace(self, **changes)

    # -------------------------------------------------------------------------------------------- TOML
    def as_table(self) -> dict[str, object]:
        """The schedule as a TOML document's dict: only what differs from the nominal schedule."""
        table: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default or field.name in _JITTERS:
                continue
            if isinstance(value, Distribution):
                value = value.as_table()
            elif isinstance(value, tuple):
                value = dict(value)
            table[field.name] = value
        jitter = {event: draw.as_table() for event, draw in zip(EVENTS, self.jitters, strict=True) if draw is not None}
        if jitter:
            alike = len(jitter) == len(EVENTS) and len(set(self.jitters)) == 1
            table["jitter"] = jitter["feedforward"] if alike else jitter
        return table

    def to_toml(self) -> str:
        """The text of a schedule file that `from_toml` reads back as an equal schedule."""
        import tomli_w

        return tomli_w.dumps(self.as_table())

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> Schedule:
        """From the dict of a TOML document. Raises OptionError for an unknown entry or a wrong value."""
        names = [field.name for field in fields(cls) if field.name not in _JITTERS]
        values = dict(table)
        for name in values:
            if name not in (*names, "jitter"):
                raise OptionError(f"a schedule has no entry {shown(name)}{nearest(name, [*names, 'jitter'])}")
        for name in _DRAWS:
            if name in values:
                values[name] = Distribution.from_table(values[name], f"[{name}]")
        for name in _TIMES:
            if name in values and not isinstance(values[name], dict):
                raise OptionError(f"[{name}] must be a table of times by layer, such as conv1 = 1.0")
        values.update(_jitters(values.pop("jitter", None)))
        return cls(**values)

    @classmethod
    def from_toml(cls, text: str, where: str = "the schedule") -> Schedule:
        """From the text of a schedule file. Raises OptionError with one line that names ``where``."""
        if len(text) > _LONGEST:
            raise OptionError(f"{where} has more than {_LONGEST:,} characters: it is no schedule")
        try:
            table = toml_text.loads(text)
        except ValueError as error:  # also: deep nesting, a number of 5,000 digits
            raise OptionError(f"{where} is not TOML: {' '.join(str(error).split())[:160]}") from None
        try:
            return cls.from_table(table)
        except OptionError as error:
            raise OptionError(f"{where}: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> Schedule:
        """From a schedule file. Raises DataError if it cannot be read, OptionError if it is wrong."""
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read(_LONGEST + 1)
        except (OSError, ValueError) as error:  # a NUL byte in a path is a ValueError
            decoding = isinstance(error, UnicodeDecodeError)
            reason = "not UTF-8 text" if decoding else getattr(error, "strerror", None) or str(error)
            raise DataError(f"cannot read the schedule {str(path)!r}: {reason}") from None
        return cls.from_toml(text, str(path))


def _pairs(value: object, what: str, low: float) -> tuple[tuple[str, float], ...]:
    try:
        table = dict(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise OptionError(f"{what} must map layer names to times, got {shown(value)}") from None
    return tuple(sorted((str(name), number(time, _of(what, name), low, 1e6)) for name, time in table.items()))


def _of(what: str, name: object) -> str:
    """``feedback of conv1``; a name that no layer can have is quoted and cut, so that the message stays one line."""
    plain = str(name).isidentifier() and len(str(name)) <= 40
    return f"{what} of {name if plain else shown(name)}"


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _jitters(table: object) -> dict[str, Distribution]:
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise OptionError('[jitter] must be a table such as {distribution = "normal", scale = 0.5}')
    if not table or not set(table) <= set(EVENTS):
        unknown = [name for name in table if name not in EVENTS]
        # where an event is named, or a table stands where one could be, tables of events are meant
        if "distribution" not in table and (len(unknown) < len(table) or any(map(_is_table, table.values()))):
            raise OptionError(f"[jitter] has no entry {shown(unknown[0])}{nearest(unknown[0], EVENTS)}")
        draw = Distribution.from_table(table, "[jitter]")
        return dict.fromkeys(_JITTERS, draw)
    return {f"jitter_{event}": Distribution.from_table(draw, f"[jitter.{event}]") for event, draw in table.items()}
