"""The batched event engine: out-of-phase reads drawn with the schedule's probabilities, at matrix-product speed.

Each read sees each unit in a phase drawn from the probabilities of `netsim.events.probabilities`, by one random
number a unit and presentation. The products are those of the phase-locked engine, over what was drawn. What is lost:
that each unit reads at its own time (all units of a layer share one, drawn for every image and kind of event), that a
signal can reach a feedforward read of its own presentation (it finds what the unit kept from before instead), and
that events can fall into the next presentation. How near this comes to the exact engine is measured, not assumed:
see docs/timing.md.

A chunk of S images is S streams side by side: stream s shows part s of the batch, image after image, so that
what a unit kept from before is that of the stream's last image.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netsim.activity import Span
from netsim.arrays import check_images, check_labels
from netsim.engine import StepResult, Trainer
from netsim.errors import ArrayError, OptionError
from netsim.events.mixing import copy, draw_units, mix, strata, take_part
from netsim.events.presets import resolve
from netsim.events.probabilities import STRATA, Phases, PhaseTable
from netsim.events.schedule import Schedule
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY
from netsim.events.wiring import plan
from netsim.geometry import INPUT
from netsim.kernels import chance
from netsim.network import Network, check_seed
from netsim.workspace import Workspace, chunk_size

_BLOCK = 4


#: Parts of a layer's units, by their times, that read by products of their own ...
_PARTS = 2

#: ... where more than this share of their reads is out of phase; below, products for all of them are as good.
_UNLIKE = 0.1

_PRESENT = Phases.always(0.0, 1.0, 0.0)


def _spread(span: Span, work) -> None:
    """Call ``work`` for the images of a span: by all its workers, or, inside a thread, at once."""
    if span.workers is None:
        work(span)
    else:
        span.workers.run(lambda a, b: work(Span(span.first + a, span.first + b)), span.last - span.first, _BLOCK)


class BatchedTrainer(Trainer):
    """Trains a net under a schedule by probabilities of out-of-phase reads.

    Parameters
    ----------
    net, protocol, loss, ... : as for `netsim.Trainer`
    schedule : `Schedule`, the name of a preset, or the path of a .toml file
    streams : presentations that go on side by side; None chooses by memory. Results depend on it.
    timing_seed : of the draws; None takes ``seed``

    Raises
    ------
    OptionError : a value out of range; a schedule that does not fit the net, or that only the exact engine can do
    """

    phase_locked = False

    def __init__(
        self,
        net: Network,
        schedule: Schedule | str = "nominal",
        protocol: str = "urfb",
        loss: str = "hinge",
        step_size: float = 0.1,
        mu: float | None = None,
        *,
        streams: int | None = None,
        timing_seed: int | None = None,
        **options,
    ):
        if options.get("circuits") is not None:
            raise OptionError("the event engines have ideal circuits: imperfect ones go with the phase-locked engine")
        super().__init__(net, protocol, loss, step_size, mu, **options)
        self.schedule = resolve(schedule)
        if streams is not None and (isinstance(streams, bool) or not isinstance(streams, int) or streams < 1):
            raise OptionError(f"streams is {streams!r}: it must be a whole number of at least 1")
        self.streams = streams
        self.timing_seed = self.seed if timing_seed is None else check_seed(timing_seed, "timing_seed")
        layout = plan(net.layers, net.input_shape).layout
        self._place = {INPUT: -1, **{name: place for place, name in enumerate(layout.names)}}
        self._table = PhaseTable(self.schedule, layout)
        self._reads: dict[tuple[str, int, str], Phases] = {}
        self._kept: dict[str, np.ndarray] = {}
        self._shown = 0

    def begin_epoch(self, epoch: int) -> None:
        """Set the counters to the first batch of an epoch; all streams start at rest."""
        super().begin_epoch(epoch)
        self._kept, self._shown = {}, 0

    # -------------------------------------------------------------------------------------------- the batch
    def increments(self, images, labels) -> tuple[dict[str, np.ndarray], StepResult]:
        """As `Trainer.increments`, under the schedule; the streams move on by the batch."""
        if self.schedule.in_phase:
            return super().increments(images, labels)
        images = check_images(images, self.net.input_shape)
        labels = check_labels(labels, len(images), self.net.classes)
        self._begin()
        batch = len(images)
        self._prepare(batch)
        parts = self._begin_parts(min(self._width, batch))
        loss, wrong, done = np.empty(batch), 0, 0
        for now in self._turns(batch):
            self._draw_masks(done)
            seen = slice(done, done + len(now))
            wrong += self._present(images[now], labels[now], loss[seen], parts, done == 0)
            done += len(now)
        self._add_parts(len(parts))
        return self._increments, StepResult(float(loss.mean()), wrong / batch)

    def _turns(self, batch: int) -> list[np.ndarray]:
        """Indices of the images that are shown together, turn after turn: stream s shows part s of the batch."""
        streams = min(self._width, batch)
        edges = [s * batch // streams for s in range(streams + 1)]
        sizes = np.diff(edges)
        longest_first = np.argsort(-sizes, kind="stable")
        return [
            np.array([edges[s] + turn for s in longest_first if sizes[s] > turn]) for turn in range(int(sizes.max()))
        ]

    def order(self, batch: int) -> np.ndarray:
        """Indices of a batch's images in the order in which drop masks are given out, int64 (B,).

        Image order[i] gets the mask that the phase-locked engine gives to image i of a batch.
        """
        self._prepare(batch)
        return np.arange(batch) if self.schedule.in_phase else np.concatenate(self._turns(batch))

    def _prepare(self, batch: int) -> None:
        net = self.net
        if not self._kept:
            self._make_room(min(self.streams or chunk_size(net.layers, net.input_shape, batch), batch))
        for layer in net.weighted:
            layer.prepare(self._workers, feedback=INPUT not in layer.parents)

    def _make_room(self, streams: int) -> None:
        """Streams at rest: what the units keep, their x and their signal, laid out as in the workspace."""
        self._width = streams
        self._space = Workspace(self.net.layers, self.net.input_shape, streams)
        names = [name for name in self._space.at if name in self._place]
        self._kept = {name: np.zeros_like(self._space.at[name].values) for name in names}
        self._x = {name: np.zeros_like(values) for name, values in self._kept.items()}
        self._signal = {name: np.zeros_like(values) for name, values in self._kept.items()}
        self._units = {name: np.zeros(values.size, np.uint16) for name, values in self._kept.items()}
        self._own_units = np.zeros(self._kept[self.net.layers[-1].name].size, np.uint16)

    def _draw_masks(self, offset: int) -> None:
        for position, layer in enumerate(self.net.layers):
            if layer.kind == "drop":
                stream = chance.key(self.seed, self.epoch, self.batch, position)
                layer.draw(self._space.at[layer.name], self.drop, stream, offset)

    def _present(self, images, labels, loss, parts, fresh: bool) -> int:
        """One presentation in every stream; return how many were answered wrong."""
        number, net = len(images), self.net
        self._draw_units(number)
        self._drawn: dict[tuple[str, int, int, int] | None, np.ndarray] = {}
        self._space.at[INPUT].array()[:number] = images
        self._save(self._x, INPUT, Span(0, number, self._workers))
        for layer in net.layers:
            self._over(layer, number, lambda span, layer=layer: self._rise(layer, span))
        wrong = self._error(net.layers[-1].name, labels, loss)
        for layer in reversed(net.layers):
            if layer.name not in self._reached:
                break
            if layer is not self._lowest and layer.kind != "drop":
                self._over(layer, number, lambda span, layer=layer: self._fall(layer, span))
            if layer.name in self._increments:
                self._learn(layer, number, parts, fresh)
        for name in self._kept:
            self._keep(name, number)
        self._shown += 1
        return wrong

    def _draw_units(self, number: int) -> None:
        """The random number of each unit in this presentation; of the output units a second one."""
        top = self.net.layers[-1].name
        for apart, (name, units) in enumerate([*self._units.items(), (top, self._own_units)]):
            stream = chance.key(self.timing_seed, self.epoch, self._shown, apart, 11)
            image = self._space.at[name].image
            # pieces of 4 images begin at a multiple of 4
            self._workers.run(lambda a, b: draw_units(units, stream, a * image, b * image), number, 4)  # noqa: B023

    def _over(self, layer, number: int, work) -> None:
        if not layer.by_image:
            work(Span(0, number, self._workers))
            return

        def blocks(first: int, last: int) -> None:
            for block in range(first, last, _BLOCK):
                work(Span(block, min(block + _BLOCK, last)))

        self._workers.run(blocks, number, _BLOCK)

    def _rise(self, layer, span: Span) -> None:
        """Feedforward events of a layer: it reads what its parents show, x of its own units is set."""
        if layer.kind == "drop":
            return  # done for its reader, from what that one sees
        parts = max(self._parts_of(layer.name, FEEDFORWARD, name) for name in self._sources(layer))
        for part in range(parts):
            self._show_parents(layer, FEEDFORWARD, span, part, parts)
            layer.feedforward(self._space.parents(layer), self._space.at[layer.name], span)
            self._save(self._x, layer.name, span, part, parts)

    def _show_parents(self, layer, kind: int, span: Span, part: int = 0, parts: int = 1) -> None:
        for name in layer.parents:
            drops = []
            while name not in self._place:
                drops.append(self.net[name])
                (name,) = drops[-1].parents
            self._show(name, self._phases(layer.name, kind, name), span, (layer.name, kind, part, parts))
            for drop in reversed(drops):
                parents, own = self._space.parents(drop), self._space.at[drop.name]
                _spread(span, lambda part, d=drop, p=parents, o=own: d.feedforward(p, o, part))

    def _error(self, name: str, labels, loss) -> int:
        """Feedback events of the output layer: the error circuits answer from what the units carry then."""
        number = len(labels)
        span = Span(0, number)
        self._show(name, self._phases(name, FEEDBACK, name), span, (name, FEEDBACK, 0, 1))
        top = self._space.at[name].array(number)
        wrong = int(np.count_nonzero(top.argmax(axis=1) != labels))
        top[...], loss[...] = self._loss(top, labels, self.mu)
        self._save(self._signal, name, span)
        return wrong

    def _fall(self, layer, span: Span) -> None:
        """Feedback events of the layer below: it reads what this layer shows; its gate is that of its own x."""
        layers = self.net.layers
        falling = [layer]  # and the drops right below it
        below = layers[layers.index(layer) - 1]
        while below.kind == "drop":
            falling.append(below)
            below = layers[layers.index(below) - 1]
        phases = self._phases(below.name, FEEDBACK, layer.name)
        parts = self._parts_of(below.name, FEEDBACK, layer.name)
        for part in range(parts):
            # units that are early read early: each part of them by a product of its own
            self._show(layer.name, phases, span, (below.name, FEEDBACK, part, parts))
            self._show(below.name, _PRESENT, span)
            self._space.feedback(layer, span)
            for drop in falling[1:]:
                _spread(span, lambda images, drop=drop: self._space.feedback(drop, images))
            self._save(self._signal, below.name, span, part, parts)

    def _learn(self, layer, number: int, parts, fresh: bool) -> None:
        """Plasticity events of a layer: the product of what its units and their inputs show."""

        def ready(span: Span) -> None:
            self._show_parents(layer, PLASTICITY, span)
            phases = self._phases(layer.name, PLASTICITY, layer.name)
            self._show(layer.name, phases, span, (layer.name, PLASTICITY, 0, 1))

        (below,), own = self._space.parents(layer), self._space.at[layer.name]
        if not layer.by_image:
            span = Span(0, number, self._workers)
            ready(span)
            layer.hebbian(below, own, self._increments[layer.name].reshape(-1), fresh, span)
            return

        def task(part: int, first: int, last: int) -> None:
            span = Span(first, last)
            ready(span)
            layer.hebbian(below, own, self._parts[layer.name][part], fresh, span)

        pieces = [(part, a, min(b, number)) for part, (a, b) in enumerate(parts) if a < number]
        self._workers.run_tasks([lambda piece=piece: task(*piece) for piece in pieces])

    # ------------------------------------------------------------------------------------------- the phases
    def _phases(self, reader: str, kind: int, source: str) -> Phases:
        """Probabilities of a read, as drawn: a feedforward read finds no signal, but what was kept from before."""
        if (reader, kind, source) not in self._reads:
            table, place = self._table, self._place[source]
            own = reader == source
            found = table.of_own(place, kind) if own else table.of_source(self._place[reader], kind, place)
            if kind == FEEDFORWARD or (own and kind == FEEDBACK):
                found = found.without_signal()
            self._reads[reader, kind, source] = found
        return self._reads[reader, kind, source]

    def _sources(self, layer) -> list[str]:
        """The populations that a layer reads."""
        found = []
        for name in layer.parents:
            while name not in self._place:
                (name,) = self.net[name].parents
            found.append(name)
        return found

    def _parts_of(self, reader: str, kind: int, source: str) -> int:
        """In how many parts the units of a layer read: early ones apart from late ones, where it matters."""
        found = self._phases(reader, kind, source)
        meant = found.present if kind == FEEDFORWARD else found.signal
        return _PARTS if 1.0 - meant.mean() > _UNLIKE else 1

    def _show(self, name: str, phases: Phases, span: Span, reads: tuple[str, int, int, int] | None = None) -> None:
        """Set what a population shows, in the workspace, to the reads of (layer, kind of event, part, parts)."""
        self._mix(self._space.at[name].values, name, phases, span, reads)

    def _mix(self, out, name: str, phases: Phases, span: Span, reads: tuple[str, int, int, int] | None) -> None:
        image = self._space.at[name].image
        if phases.all_present or phases.all_signal:
            shown = (self._x if phases.all_present else self._signal)[name]
            _spread(span, lambda part: copy(out, shown, part.first * image, part.last * image))
            return
        low = np.round(phases.earlier * 2**16).astype(np.int32)
        high = np.round(np.minimum(phases.earlier + phases.present, 1.0) * 2**16).astype(np.int32)
        # what an output unit's own error circuit finds is drawn apart: a unit that others find with its signal may
        # have made it from what it kept
        own = reads == (name, FEEDBACK, 0, 1)
        stratum, units = self._strata(reads), self._own_units if own else self._units[name]
        x, signal, kept = self._x[name], self._signal[name], self._kept[name]
        _spread(span, lambda part: mix(out, kept, x, signal, units, low, high, stratum, image, part.first, part.last))

    def _strata(self, reads: tuple[str, int, int, int] | None) -> np.ndarray:
        """The stratum of the readers' times in each image: the same for all that these events read."""
        if reads not in self._drawn:
            drawn = np.zeros(self._width, np.int64)
            if reads is not None:
                name, kind, part, parts = reads
                words = (self.timing_seed, self.epoch, self._shown, self._place[name], kind, 12, part)
                strata(drawn, chance.key(*words), part * STRATA // parts, STRATA // parts)
            self._drawn[reads] = drawn
        return self._drawn[reads]

    def _save(self, where: dict[str, np.ndarray], name: str, span: Span, part: int = 0, parts: int = 1) -> None:
        """Note what a population carries; with parts, of one part of its units."""
        values, image, saved = self._space.at[name].values, self._space.at[name].image, where[name]
        if parts == 1:
            _spread(span, lambda images: copy(saved, values, images.first * image, images.last * image))
            return
        # the first part are the early units: those with the largest bits show the latest phases
        units, edges = self._units[name], [2**16 - k * 2**16 // parts for k in range(parts + 1)]
        low, high = edges[part + 1], edges[part]
        _spread(
            span, lambda images: take_part(saved, values, units, low, high, images.first * image, images.last * image)
        )

    def _keep(self, name: str, number: int) -> None:
        """What a population carries when the next presentation starts."""
        phases = _PRESENT if name == INPUT else self._table.at_the_end(self._place[name])
        self._mix(self._kept[name], name, phases, Span(0, number, self._workers), None)

    def state(self) -> dict[str, np.ndarray]:
        """The streams between two batches of an epoch, by name: `restore` goes on from there, bit for bit."""
        if not self._kept:
            return {}
        numbers = np.array([self._shown, self._width], np.int64)
        return {"numbers": numbers, **{f"kept.{name}": values.copy() for name, values in self._kept.items()}}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over what `state` gave; ``epoch`` and ``batch`` must be set as they were. {} : all at rest.

        Raises ArrayError where the state is not that of such streams.
        """
        self._kept, self._shown = {}, 0
        if not state:
            return
        try:
            shown, width = (int(number) for number in state["numbers"])
            self._make_room(width)
            for name, values in self._kept.items():
                values[...] = state[f"kept.{name}"]
        except (KeyError, ValueError, TypeError):
            raise ArrayError("the state of the streams is not that of this net") from None
        self._shown = shown

    def phases(self) -> dict[str, dict[str, tuple[float, int]]]:
        """Probability of in-phase reads, as `EventTrainer.phases` counts them: layer -> event -> (share, 0)."""
        meant = {FEEDFORWARD: "present", FEEDBACK: "signal", PLASTICITY: "present"}
        names = ("feedforward", "feedback", "plasticity")
        shares: dict[str, dict[str, list[np.ndarray]]] = {}
        for (reader, kind, source), found in self._reads.items():
            own = reader == source
            phase = ("signal" if kind == PLASTICITY else "present") if own else meant[kind]
            shares.setdefault(reader, {}).setdefault(names[kind], []).append(getattr(found, phase))
        return {
            reader: {event: (float(np.prod(found, axis=0).mean()), 0) for event, found in events.items()}
            for reader, events in shares.items()
        }
