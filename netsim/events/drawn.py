"""What each read of the batched engine sees: probabilities of every read, numbers of every unit, their mixture."""

from __future__ import annotations

import copy as copies
from dataclasses import dataclass

import numpy as np

from netsim.activity import Activity, Span
from netsim.events import mixing
from netsim.events import parts as cuts
from netsim.events.probabilities import PARTS, Phases, PhaseTable
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY
from netsim.geometry import INPUT
from netsim.kernels import chance
from netsim.kernels.memory import zeros
from netsim.kernels.workers import Workers

#: A unit's number is 16 bits, of which the highest tell its group: one of `PARTS`.
_SHIFT = 16 - (PARTS.bit_length() - 1)

#: A layer's units read in parts, early ones before late ones, where more than this share of their reads is out of
#: phase; below, one time for all of them is as good.
_UNLIKE = 1e-3

#: Words of the counter hash, after those of a turn: a unit's numbers, the turning of groups, limits of reads.
_UNITS, _TURN, _LIMITS, _ENDS = 11, 13, 14, 15

_ONE = np.float32(1)

#: A read: reader, kind of event, source. With None in place of the source: the events of a layer.
Key = tuple[str, int, str]


def spread(span: Span, work) -> None:
    """Call ``work`` for the images of a span: by all its workers, or, inside a thread, at once."""
    if span.workers is None:
        work(span)
    else:
        span.workers.run(lambda a, b: work(Span(span.first + a, span.first + b)), span.last - span.first, 4)


@dataclass(frozen=True, slots=True)
class Chance:
    """What is drawn for a turn of presentations.

    Attributes
    ----------
    turns : (layer, kind of event) -> int64 (images,), by which the groups of its units are turned
    limits : read -> int32 (parts, images) low and high, as `netsim.events.mixing.mix` takes them
    streams : population -> uint64, of its units' two numbers; where some read depends on them
    """

    turns: dict[tuple[str, int], np.ndarray]
    limits: dict[Key, tuple[np.ndarray, np.ndarray]]
    streams: dict[str, np.uint64]


class Reads:
    """Every read of a net: the probabilities of what it sees, and in how many parts the units of a layer read.

    layers : of the net; sources : reader -> populations that it reads; place : population -> its number, -1 for the
    image; learning : names of the layers that learn
    """

    def __init__(self, table: PhaseTable, layers, sources: dict[str, list[str]], place: dict[str, int], learning):
        self.place, self._tied = place, table.tied
        self.phases: dict[Key, Phases] = {}
        for reader, names in sources.items():
            own = place[reader]
            for source in names:
                below = place[source]
                self.phases[reader, FEEDFORWARD, source] = table.of_source(own, FEEDFORWARD, below)
                if source != INPUT:
                    table.check_order(own, below)
                    self.phases[source, FEEDBACK, reader] = table.of_source(below, FEEDBACK, own)
                if reader in learning:
                    self.phases[reader, PLASTICITY, source] = table.of_source(own, PLASTICITY, below)
                    self.phases[reader, PLASTICITY, reader] = table.of_own(own, PLASTICITY)
        top = layers[-1].name
        self.phases[top, FEEDBACK, top] = table.of_own(place[top], FEEDBACK).without_signal()
        self.order = {name: table.order(at) for name, at in place.items() if name != INPUT}
        self.ends = {name: table.at_the_end(at) for name, at in place.items() if name != INPUT}
        self.ends[INPUT] = Phases.always(0.0, 1.0, 0.0, 0.0, 0.0)
        #: reads that always see x, or the signal, of the same presentation
        self.plain = {
            key: "x" if found.all_present else "signal" if found.all_signal else None
            for key, found in self.phases.items()
        }
        #: whether every read sees what it does in the phase-locked engine
        self.locked = all(self.plain[key] == _meant(*key, top) for key in self.phases)
        self.parts = self._parts({layer.name: layer for layer in layers}, learning, top)
        self._limits = {key: found.over(self.parts[key[:2]]) for key, found in self.phases.items()}
        #: populations whose units may show one thing or another
        self.drawn = {source for (_, _, source), plain in self.plain.items() if plain is None and source != INPUT}
        #: populations of which some read sees what they kept from the presentation before
        self.remembered = {source for (_, kind, source), found in self.phases.items() if _sees_kept(kind, found)}

    def _parts(self, layers, learning, top: str) -> dict[tuple[str, int], int]:
        """In how many parts the units of a layer have their events of a kind."""
        parts: dict[tuple[str, int], int] = {}
        lowest = next((name for name in layers if name in learning), "")
        for (reader, kind, source), found in self.phases.items():
            meant = found.present if kind == FEEDFORWARD else found.signal
            # what is not passed on need not be told apart: scores upward, signals of the lowest layer downward
            ends = reader == (top if kind == FEEDFORWARD else lowest)
            apart = kind != PLASTICITY and reader != source and not ends and 1.0 - meant.mean() > _UNLIKE
            parts[reader, kind] = max(parts.get((reader, kind), 1), PARTS if apart else 1)
        for reader in learning:
            parts[reader, PLASTICITY] = self._parts_of_plasticity(layers[reader], parts[reader, FEEDBACK])
        return parts

    def tied(self, reader: str) -> bool:
        """Whether the units of a layer learn in the parts in which their feedback comes, at times that go with it."""
        return self._tied and self.parts.get((reader, PLASTICITY), 1) > 1

    def _parts_of_plasticity(self, layer, returning: int) -> int:
        """In how many parts the units of a layer learn; ``returning`` : parts in which their feedback comes.

        A late event finds more of its units returned, and more of their inputs gone. Where both occur, late and early
        ones are told apart; also where a unit's event goes with its feedback: late units have the better signals.
        """
        reads = {key[2]: found for key, found in self.phases.items() if key[:2] == (layer.name, PLASTICITY)}
        own = 1.0 - reads.pop(layer.name).signal.mean()
        below = max(1.0 - found.present.mean() for found in reads.values())
        number = cuts.most_parts(layer)
        if self._tied:
            return number if below > _UNLIKE and number == returning == PARTS else 1
        return number if min(own, below) > _UNLIKE else 1

    def draw(self, number: int, *words: int) -> Chance:
        """The times at which the parts of each layer read in ``number`` presentations, and the limits of all reads."""
        turns: dict[tuple[str, int], np.ndarray] = {}
        for key, parts in self.parts.items():
            turns[key] = np.zeros(number, np.int64)
            if parts > 1:
                kind = FEEDBACK if key[1] == PLASTICITY and self._tied else key[1]
                mixing.turns(turns[key], chance.key(*words, self.place[key[0]], kind, _TURN), parts)
        limits = {
            key: _limits(found, turns[key[:2]], chance.key(*words, place, _LIMITS), key[2] == INPUT)
            for place, (key, found) in enumerate(self._limits.items())
        }
        nothing = np.zeros(number, np.int64)
        for place, name in enumerate(sorted(self.remembered)):
            limits[ending(name)] = _limits(self.ends[name].over(1), nothing, chance.key(*words, place, _ENDS), False)
        streams = {name: chance.key(*words, self.place[name], _UNITS) for name in self.place if name in self.drawn}
        return Chance(turns, limits, streams)

    def in_phase(self) -> dict[str, dict[str, tuple[float, int]]]:
        """Probability of in-phase reads, as `EventTrainer.phases` counts them: layer -> event -> (share, 0)."""
        meant = {FEEDFORWARD: "present", FEEDBACK: "signal", PLASTICITY: "present"}
        names = ("feedforward", "feedback", "plasticity")
        shares: dict[str, dict[str, list[np.ndarray]]] = {}
        for (reader, kind, source), found in self.phases.items():
            own = reader == source
            phase = ("signal" if kind == PLASTICITY else "present") if own else meant[kind]
            shares.setdefault(reader, {}).setdefault(names[kind], []).append(getattr(found, phase))
        return {
            reader: {event: (float(np.prod(found, axis=0).mean()), 0) for event, found in events.items()}
            for reader, events in shares.items()
        }


def ending(name: str) -> Key:
    """The read of what a population carries when the next presentation starts."""
    return name, -1, name


def group_bits(part: np.ndarray) -> np.ndarray:
    """The highest bits of the numbers of units, uint16, that tell the groups ``part``."""
    return (part << _SHIFT).astype(np.uint16)


def free_bits(parts: int) -> np.uint16:
    """The bits of a unit's number that are random, where a layer's units are so many parts."""
    return np.uint16(0xFFFF >> (16 - _SHIFT) if parts > 1 else 0xFFFF)


def _meant(reader: str, kind: int, source: str, top: str) -> str:
    """What a read sees in phase."""
    if kind == FEEDFORWARD or (reader == source == top != "" and kind == FEEDBACK):
        return "x"
    return "signal" if kind == FEEDBACK or reader == source else "x"


def _sees_kept(kind: int, found: Phases) -> bool:
    return bool(np.any(found.earlier > 0.0) or (kind == FEEDFORWARD and np.any(found.signal > 0.0)))


class Drawn:
    """What the populations carry in a turn of presentations, and what is drawn for them.

    at : the workspace's activities, used for mixtures. x, signal : population -> `Activity`, the same layout;
    kept : population -> float32 as laid out, what it carried when the presentation began
    """

    def __init__(self, reads: Reads, at: dict[str, Activity], workers: Workers):
        self.reads, self.at, self._workers = reads, at, workers
        names = [name for name in at if name in reads.place]
        self.kept = {name: zeros(at[name].values.size) for name in names}
        self.x, self.signal = ({name: _alike(at[name]) for name in names} for _ in range(2))
        self._late = {name: np.zeros((2, at[name].values.size), np.uint16) for name in names}
        self._groups = {(name, kind): np.zeros(at[name].image, np.uint16) for name in names for kind in range(2)}

    def set_parts(self, reader: str, kind: int, placed: np.ndarray) -> None:
        """Part of each unit of an image, as laid out, at its events of one kind."""
        self._groups[reader, kind] = group_bits(placed)

    def parts(self, reader: str, kind: int) -> int:
        return self.reads.parts.get((reader, kind), 1)

    def begin(self, number: int, *words: int) -> None:
        """Draw for a turn of ``number`` presentations."""
        self.chance = self.reads.draw(number, *words)
        self._draws = {name: self._units_of(name, number) for name in self.chance.streams}

    def _units_of(self, name: str, number: int) -> tuple:
        """What `mixing.draw_units` needs to know of a population."""
        kinds, nothing = (FEEDFORWARD, FEEDBACK), np.zeros(number, np.int64)  # nothing turns what is no reader
        free = [free_bits(self.parts(name, kind)) for kind in kinds]
        turn = [group_bits(self.chance.turns.get((name, kind), nothing)) for kind in kinds]
        groups = [self._groups[name, kind] for kind in kinds]
        return (*self._late[name], self.chance.streams[name], self.at[name].image, *groups, *turn, *free)

    def draw(self, name: str, span: Span) -> None:
        """The random numbers of a population's units, where some read depends on them."""
        if name not in self._draws:
            return
        arguments, image, order = self._draws[name], self.at[name].image, self.reads.order[name]
        spread(span, lambda s: mixing.draw_units(*arguments, s.first, s.last))
        if order:
            spread(span, lambda s: mixing.set_right(*self._late[name], *order, s.first * image, s.last * image))

    def kept_of(self, name: str) -> np.ndarray:
        """What a population kept, float32 (streams, *shape)."""
        return self._kept_map(name).copy()

    def keep_these(self, name: str, values: np.ndarray) -> None:
        """Set what a population kept. Raises ValueError for another shape."""
        kept = self._kept_map(name)
        if kept.shape != values.shape:
            raise ValueError(f"{name} keeps {kept.shape}, not {values.shape}")
        kept[...] = values

    def _kept_map(self, name: str) -> np.ndarray:
        kept = copies.copy(self.at[name])
        kept.values = self.kept[name]
        return kept.array()

    # --------------------------------------------------------------------------------------------- shown
    def show(self, key: Key, part: int, span: Span) -> Activity:
        """What a population shows to one part of a reader's units."""
        plain, source = self.reads.plain[key], key[2]
        if plain is not None:
            return (self.x if plain == "x" else self.signal)[source]
        self.mix(self.at[source].values, key, part, span)
        return self.at[source]

    def at_own_feedback(self, name: str, span: Span) -> Activity:
        """What the units of a population carry when their own feedback comes."""
        if self.reads.order[name] is None:
            return self.show((name, FEEDBACK, name), 0, span)
        arrays = (self.at[name].values, self.kept[name], self.x[name].values, self._late[name][1])
        spread(span, lambda s: mixing.mix_at_own_feedback(*arrays, self.at[name].image, s.first, s.last))
        return self.at[name]

    def mix(
        self, out: np.ndarray, key: Key, part: int, span: Span, begin: int = 0, end: int | None = None, scale=_ONE
    ) -> None:
        """Set ``out``, laid out as the source, to ``scale`` times what it shows; or but a stretch of each image."""
        source, (low, high) = key[2], self.chance.limits[key]
        arrays, image = (out, *self._phases_of(key)), self.at[source].image
        ends = begin, image if end is None else end
        spread(span, lambda s: mixing.mix(*arrays, low[part], high[part], scale, image, *ends, s.first, s.last))

    def _phases_of(self, key: Key) -> tuple[np.ndarray, ...]:
        """What a source kept, its x, its signal, and the two numbers of its units."""
        kept, x, signal = (held[key[2]] for held in (self.kept, self.x, self.signal))
        # the signal of its own presentation cannot be known to a feedforward read: the one before stands in for it
        return kept, x.values, kept if key[1] == FEEDFORWARD else signal.values, *self._late[key[2]]

    def show_through(self, key: Key, part: int, drop: Activity, span: Span) -> None:
        """Set a drop that lists the units it keeps to what all units below show: the others are not read."""
        self.mix(drop.values, key, part, span, scale=drop.scale)

    def values_shown(self, key: Key) -> np.ndarray:
        """Where `show` will have what it shows."""
        return {"x": self.x, "signal": self.signal, None: self.at}[self.reads.plain[key]][key[2]].values

    def late(self, name: str, kind: int) -> np.ndarray:
        """uint16, as laid out: small for a unit whose events of this kind are late."""
        return self._late[name][kind]

    def take(self, to: Activity, whole: Activity, reader: str, kind: int, part: int, span: Span) -> None:
        """Copy the units of one part."""
        wanted = ((part + self.chance.turns[reader, kind]) % self.parts(reader, kind)).astype(np.uint16)
        arguments = (to.values, whole.values, self._late[reader][kind], np.uint16(_SHIFT), wanted, to.image)
        spread(span, lambda s: mixing.take_group(*arguments, s.first, s.last))

    def copy(self, to: Activity, source: Activity, span: Span) -> None:
        image = to.image
        spread(span, lambda s: mixing.copy(to.values, source.values, s.first * image, s.last * image))

    def keep(self, number: int) -> None:
        """What the populations carry when the next presentation starts."""
        for name in sorted(self.reads.remembered):
            self.mix(self.kept[name], ending(name), 0, Span(0, number, self._workers))


def _alike(activity: Activity) -> Activity:
    """The same layout and tables, other numbers."""
    other = copies.copy(activity)
    other.values = zeros(activity.values.size)
    return other


def _limits(found: Phases, turn: np.ndarray, stream, together: bool) -> tuple[np.ndarray, np.ndarray]:
    """Limits of each part of a reader's units in each image, int32 (parts, images)."""
    low, high = np.empty((2, len(found.returned), len(turn)), np.int32)
    mixing.limits(low, high, found.not_arrived, found.returned, turn, stream, together)
    return low, high
