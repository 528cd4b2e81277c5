"""What the populations carry in a turn of presentations on the device, and what is drawn for them.

What `netsim.events.drawn.Drawn` is on the CPU. The chances of all turns of an epoch are drawn on the host, where they
cost little (a few numbers an image and read), and taken to the device at once; what is drawn for units is drawn there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from netsim.cuda import mixing
from netsim.cuda.connections import Together
from netsim.cuda.jit import empty, fetch, upload, zeros
from netsim.cuda.network import DeviceNet
from netsim.cuda.units import count, put
from netsim.events.drawn import Key, Reads, ending, free_bits, group_bits
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY
from netsim.geometry import INPUT
from netsim.geometry import units as units_of
from netsim.workspace import Workspace

_KINDS = (FEEDFORWARD, FEEDBACK)


class Apart(Together):
    """Units that read apart, by location: see `Together`."""

    def __init__(self, table, stride: int, also_stride: int):
        self.stride, self.also_stride, self._table = stride, also_stride, table

    @property
    def table(self):
        return self._table


class Stretches(Together):
    """Units that read apart, stretch by stretch of a location's columns. part : of each column."""

    def __init__(self, part: np.ndarray, stride: int, also_stride: int):
        self._strides = stride, also_stride
        edges = [0, *(np.flatnonzero(np.diff(part)) + 1), part.size]
        self._stretches = [(int(part[first]), int(first), int(last)) for first, last in itertools.pairwise(edges)]

    def stretches(self, columns: int, *arrays) -> list[tuple]:
        return [
            (first, last, *(array[part * stride :] for array, stride in zip(arrays, self._strides, strict=False)))
            for part, first, last in self._stretches
        ]


class DeviceDrawn:
    """Streams at rest, ``width`` of them.

    Attributes
    ----------
    x, signal, kept : population -> float32 on the device, an image after another
    """

    def __init__(self, reads: Reads, net: DeviceNet, width: int):
        self.reads, self.width = reads, width
        layout = Workspace(net.layers, net.net.input_shape, 1).at
        names = [name for name in layout if name in reads.place]
        self._layout = {name: layout[name] for name in names}
        self.units = {name: units_of(layout[name].shape) for name in names}
        rooms = {name: width * number for name, number in self.units.items()}
        self.x = {name: net.x_0 if name == INPUT else net.at[name].own for name in names}
        self.signal = {name: zeros(rooms[name]) for name in names}
        self.kept = {name: zeros(rooms[name]) for name in names if name in reads.remembered}
        self._late = {name: (zeros(rooms[name], np.uint16), zeros(rooms[name], np.uint16)) for name in names}
        self._group = {(name, kind): zeros(self.units[name], np.uint16) for name in names for kind in _KINDS}
        self._orders = {name: tuple(map(upload, order)) for name, order in reads.order.items() if order}
        self._shown: dict[str, object] = {}
        self._parts: dict[tuple[str, int], np.ndarray] = {}
        self._tables: dict[tuple[str, int], object] = {}
        self._by_location: dict[tuple[str, int], object] = {}
        # where the images of each read, and of each turning of groups, begin in the tables of a turn
        self._at: dict[Key, int] = {}
        self._block = 0
        for key in [*reads.phases, *(ending(name) for name in sorted(reads.remembered))]:
            self._at[key], self._block = self._block, self._block + reads.parts.get(key[:2], 1) * width
        turning = [key for key, parts in reads.parts.items() if parts > 1]
        self._turned_at = {key: width * number for number, key in enumerate(turning, 1)}
        self._turned_block = width * (1 + len(turning))
        self._streams = [name for name in reads.place if name in reads.drawn]
        self._turn, self._most = zeros(1, np.int64), 0

    # ------------------------------------------------------------------------------------- what is drawn
    def set_parts(self, reader: str, kind: int, part: np.ndarray) -> None:
        """Part of each unit of a population (int64, flat) at its events of one kind."""
        self._parts[reader, kind] = part
        if kind == PLASTICITY:  # nobody else finds a unit by the time at which it learns
            self._tables[reader, kind] = upload(part.astype(np.int32))
        else:
            upload(group_bits(part), self._group[reader, kind])

    def expect(self, turns: Sequence[tuple[int, int]], *words: int) -> None:
        """Draw for turns (number of the turn, presentations in it), the ones that come next."""
        low, high = np.zeros((2, len(turns), self._block), np.int32)
        turned = np.zeros((len(turns), self._turned_block), np.uint16)
        streams = np.zeros((len(turns), max(len(self._streams), 1)), np.uint64)
        for row, (turn, number) in enumerate(turns):
            chance = self.reads.draw(number, *words, turn)
            for key, limits in chance.limits.items():
                for table, values in zip((low, high), limits, strict=True):
                    for part, found in enumerate(values):
                        begin = self._at[key] + part * self.width
                        table[row, begin : begin + number] = found
            for key, at in self._turned_at.items():
                turned[row, at : at + number] = group_bits(chance.turns[key])
            streams[row, : len(self._streams)] = [chance.streams[name] for name in self._streams]
        if len(turns) > self._most:
            self._most = len(turns)
            self._low, self._high = empty(low.size, np.int32), empty(low.size, np.int32)
            self._turned, self._keys = empty(turned.size, np.uint16), empty(streams.size, np.uint64)
        for values, target in (
            (low, self._low), (high, self._high), (turned, self._turned), (streams, self._keys),
            (np.zeros(1, np.int64), self._turn),
        ):  # fmt: skip
            upload(values, target)

    def draw(self, name: str, images: int) -> None:
        """The random numbers of a population's units, where some read depends on them."""
        if name not in self._streams:
            return
        own, number = self._layout[name], self.units[name]
        groups = [self._group[name, kind] for kind in _KINDS]
        turned = [self._turned_at.get((name, kind), 0) for kind in _KINDS]
        free = [np.uint64(free_bits(self.parts(name, kind))) for kind in _KINDS]
        mixing.draw_units.over(
            images * number, *self._late[name], self._keys, self._turned, self._turn, max(len(self._streams), 1),
            self._streams.index(name), self._turned_block, *turned, *groups, *free,
            -(-own.image // 4), own.origin, own.row, own.row_length, number,
        )  # fmt: skip
        if name in self._orders:
            mixing.set_right.over(images * number, *self._late[name], *self._orders[name])

    # ------------------------------------------------------------------------------------- what is shown
    def parts(self, reader: str, kind: int) -> int:
        return self.reads.parts.get((reader, kind), 1)

    def plain(self, key: Key) -> bool:
        """Whether a read sees the same phase of all units."""
        return self.reads.plain[key] is not None

    def show(self, key: Key, images: int):
        """What a population shows to a read: an array, or, where it is not plain, one for each of the reader's parts,
        `stride` numbers from one to the next.
        """
        plain, source = self.reads.plain[key], key[2]
        if plain is not None:
            return (self.x if plain == "x" else self.signal)[source]
        out = self._room(source)
        for part in range(self.parts(*key[:2])):
            self._mix(out[part * self.stride(source) :], key, part, images)
        return out

    def show_own(self, name: str, images: int):
        """What the units of a layer carry when they learn, each at the time of its part."""
        key = (name, PLASTICITY, name)
        if self.plain(key) or self.parts(name, PLASTICITY) == 1:
            return self.show(key, images)
        out, table = self._room(name), self._tables[name, PLASTICITY]
        tables = (self._low, self._high, self._turn, self._block, self._at[key], table, self.width)
        mixing.mix_parts.over(images * self.units[name], out, *self._phases_of(key), *tables, self.units[name])
        return out

    def stride(self, name: str) -> int:
        """Numbers from what a population shows to one part to what it shows to the next."""
        return self.width * self.units[name]

    def _room(self, source: str):
        """Room for all that a population shows to the parts of a reader."""
        if source not in self._shown:
            most = max(self.reads.parts[read[:2]] for read in self.reads.phases if read[2] == source)
            self._shown[source] = empty(most * self.stride(source))
        return self._shown[source]

    def _mix(self, out, key: Key, part: int, images: int) -> None:
        name, at = key[2], self._at[key] + part * self.width
        tables = (self._low, self._high, self._turn, self._block, at)
        mixing.mix.over(images * self.units[name], out, *self._phases_of(key), *tables, self.units[name])

    def _phases_of(self, key: Key) -> tuple:
        """What a source kept, its x, its signal, and the two numbers of its units."""
        name = key[2]
        kept = self.kept.get(name, self.x[name])
        # the signal of its own presentation cannot be known to a feedforward read: the one before stands in for it
        return kept, self.x[name], kept if key[1] == FEEDFORWARD else self.signal[name], *self._late[name]

    def put_at_own_feedback(self, out, name: str, images: int) -> None:
        """out = what the units of a population carry when their own feedback comes."""
        size = images * self.units[name]
        if self.reads.order[name] is None:
            put.over(size, out, self.show((name, FEEDBACK, name), images))
        else:
            kept = self.kept.get(name, self.x[name])
            mixing.mix_at_own_feedback.over(size, out, kept, self.x[name], self._late[name][1])

    def apart(self, reader: str, kind: int, stride: int, also_stride: int, columns: bool) -> Together:
        """How the units of a population read in parts. ``columns`` : each part is a stretch of its units."""
        part = self._parts[reader, kind]
        if columns:
            return Stretches(part, stride, also_stride)
        if (reader, kind) not in self._by_location:
            by_location = part[:: self._layout[reader].shape[-1]]
            self._by_location[reader, kind] = upload(np.tile(by_location.astype(np.int32), self.width))
        return Apart(self._by_location[reader, kind], stride, also_stride)

    # ------------------------------------------------------------------------------- from turn to turn
    def go_on(self, images: int) -> None:
        """Keep what the populations carry when the next presentation starts; on to the next turn."""
        for name, kept in self.kept.items():
            self._mix(kept, ending(name), 0, images)
        count.launch((1,), 1, self._turn, 1)

    def rest(self) -> None:
        """All streams at rest, as before the first presentation."""
        for name, kept in self.kept.items():
            upload(np.zeros(self.stride(name), np.float32), kept)

    def kept_of(self, name: str) -> np.ndarray:
        """What a population kept, float32 (streams, *shape)."""
        return fetch(self.kept[name]).reshape(self.width, *self._layout[name].shape)

    def keep_these(self, name: str, values: np.ndarray) -> None:
        """Set what a population kept. Raises ValueError for another shape."""
        shape = (self.width, *self._layout[name].shape)
        if values.shape != shape:
            raise ValueError(f"{name} keeps {shape}, not {values.shape}")
        upload(values.astype(np.float32), self.kept[name])
