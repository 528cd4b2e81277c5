"""The batched event engine: out-of-phase reads drawn with the schedule's probabilities, at matrix-product speed.

Each read sees each unit in a phase drawn from the probabilities of `netsim.events.probabilities`, by two random
numbers a unit and presentation: how late its feedforward arrival is, and its feedback. The products are those of the
phase-locked engine, over what was drawn. A unit that arrives early reads early: where more than a few reads are out
of phase, a layer's units read in `drawn.PARTS` groups, each at a time that fits its units' lateness, by products cut
accordingly (`netsim.events.parts`). What is lost: finer times than that (and one time an image and layer for
plasticity), that a signal can reach a feedforward read of its own presentation (the one before stands in for it),
and that jittered events can fall into the next presentation. How near this comes to the exact engine is measured, not
assumed: see docs/timing.md. Schedules of which more would be lost, such as fixed delays of units, are refused.

A chunk of S images is S streams side by side: stream s shows part s of the batch, image after image, so that
what a unit kept from before is that of the stream's last image.
"""

from __future__ import annotations

import copy as copies

import numpy as np

from netsim.activity import Activity, Span
from netsim.engine import Trainer
from netsim.events import parts as cuts
from netsim.events.drawing import Drawing
from netsim.events.drawn import Drawn, spread
from netsim.events.silence import draw_kept, reads_kept, silence
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY
from netsim.events.windows import Windows
from netsim.geometry import INPUT
from netsim.layers import Downward
from netsim.losses import wrong_answers
from netsim.steps.setting import StepResult
from netsim.workspace import Workspace, chunk_size

#: Images that a thread works on at once.
_BLOCK = 8


class BatchedTrainer(Drawing, Trainer):
    """Trains a net under a schedule by probabilities of out-of-phase reads: see `Drawing` for its parameters.

    Attributes
    ----------
    room : for the units of all streams, `Workspace`; ``space`` is that of the phase-locked step, which has no streams
    """

    def increments(self, images, labels) -> tuple[dict[str, np.ndarray], StepResult]:
        """As `Trainer.increments`, under the schedule; the streams move on by the batch."""
        if self._reads.locked:
            return super().increments(images, labels)
        images, labels = self._begin(images, labels)
        batch = len(images)
        self._prepare(batch)
        parts = self.sums.begin(min(self._width, batch))
        loss, wrong, done = np.empty(batch), 0, 0
        for now in self._turns(batch):
            self.draw_masks(self.room, done)
            seen = slice(done, done + len(now))
            wrong += self._present(images[now], labels[now], loss[seen], parts, done == 0)
            done += len(now)
        self.sums.finish(len(parts), self.workers)
        if self.schedule.factor < 0:
            for increment in self.sums.total.values():
                np.negative(increment, out=increment)
        return self.sums.total, StepResult(float(loss.mean()), wrong / batch)

    def _prepare(self, batch: int) -> None:
        net = self.net
        if self._drawn is None:
            self._make_room(min(self.streams or chunk_size(net.layers, net.input_shape, batch), batch))
        for layer in net.weighted:
            layer.prepare(self.workers, feedback=INPUT not in layer.parents)
        for reads in (*self._up_apart.values(), *self._down_apart.values()):
            for read in reads or ():
                read.prepare(self.workers)

    def _make_room(self, streams: int) -> None:
        """Streams at rest, and how the parts of each layer's units read."""
        self._width = streams
        self.room = Workspace(self.net.layers, self.net.input_shape, streams)
        self._drawn = Drawn(self._reads, self.room.at, self.workers)
        self._units: dict[tuple[str, int], np.ndarray] = {}
        self._up_apart: dict[str, list | None] = {}
        self._down_apart: dict[str, list | None] = {}
        self._down: dict[str, Downward] = {}
        self._down_whole: dict[str, Downward] = {}
        self._windows: dict[str, Windows] = {}
        self._learn_apart: dict[str, list] = {}
        for number, layer in enumerate(self.net.layers):
            if layer.kind != "drop":
                self._cut_reads(layer)
            if layer.name in self.reached and layer is not self.lowest:
                self._cut_returns(number, layer)
            if layer.name in self.sums:
                self._cut_learning(layer)
        for layer in self.net.layers:
            if layer.kind == "maxpool":
                (name, _), *_ = self._sources[layer.name]
                below = self.net[name] if name != INPUT else None
                self._windows[layer.name] = Windows(layer, name, below, self._drawn, self._units)

    def _cut_reads(self, layer) -> None:
        parts, own = self._drawn.parts(layer.name, FEEDFORWARD), self._drawn.x[layer.name]
        if parts > 1:
            units = cuts.reading_parts(layer, parts, self._reads.place[layer.name])
            self._units[layer.name, FEEDFORWARD] = units
            self._drawn.set_parts(layer.name, FEEDFORWARD, cuts.in_layout(units, own))
            self._up_apart[layer.name] = cuts.feedforward_reads(layer, own, units, parts)

    def _cut_returns(self, number: int, layer) -> None:
        """Where the feedback of a layer goes, and the parts of the units below that read it."""
        layers, drawn = self.net.layers, self._drawn
        below, reader = layers[number - 1], self._reader(layer)
        above = layers[number + 1] if number + 1 < len(layers) else None
        target = self.room.at[below.name] if below.kind == "drop" else drawn.signal[below.name]
        down = self._down[layer.name] = Downward(target, None, below.saturates, below.slope)
        if above is not None and above.kind == "sum":
            down.use_also, down.also = True, drawn.values_shown((reader.name, FEEDBACK, above.name))
        parts = drawn.parts(reader.name, FEEDBACK)
        if parts > 1 and layer.kind != "drop":
            place, tied = self._reads.place[reader.name], self._reads.tied(reader.name)
            units = cuts.returning_parts(reader, layer, parts, place, tied)
            self._units[reader.name, FEEDBACK] = units
            drawn.set_parts(reader.name, FEEDBACK, cuts.in_layout(units, drawn.signal[reader.name]))
            own = self.room.at[layer.name]
            self._down_apart[layer.name] = cuts.feedback_reads(layer, own, down, units, parts)

    def _cut_learning(self, layer) -> None:
        parts = self._drawn.parts(layer.name, PLASTICITY)
        if parts > 1:
            own = self.room.at[layer.name]
            self._learn_apart[layer.name] = cuts.learning_reads(layer, own, cuts.learning_parts(layer, parts), parts)

    def _present(self, images, labels, loss, parts, fresh: bool) -> int:
        """One presentation in every stream; return how many were answered wrong."""
        number, net, drawn = len(images), self.net, self._drawn
        drawn.begin(number, self.timing_seed, self.epoch, self._shown)
        drawn.x[INPUT].array()[:number] = images
        for stage in self.room.stages:
            self._up(stage, number)
        wrong = self._error(net.layers[-1].name, labels, loss)
        for stage in reversed(self.room.stages):
            layers = [layer for layer in reversed(stage) if layer.name in self.reached]
            if layers:
                self._down_through(layers, number, parts, fresh)
        drawn.keep(number)
        self._shown += 1
        return wrong

    def _up(self, stage, number: int) -> None:
        """Feedforward events of layers that are worked through together, a few images at a time."""

        def rise(first: int, last: int) -> None:
            for block in range(first, last, _BLOCK):
                for layer in stage:
                    self._rise(layer, Span(block, min(block + _BLOCK, last)))

        if stage[0].by_image:
            self.workers.run(rise, number, _BLOCK)
        else:
            self._rise(stage[0], Span(0, number, self.workers))

    def _down_through(self, layers, number: int, parts, fresh: bool) -> None:
        """Feedback and plasticity events of layers that are worked through together, downward."""

        def descend(span: Span, sums, first: bool) -> None:
            for layer in layers:
                if layer is not self.lowest and layer.kind != "drop":
                    self._fall(layer, span)
                if layer.name in self.sums:
                    self._learn(layer, sums[layer.name], first, span)

        if not layers[0].by_image:
            sums = {name: increment.reshape(-1) for name, increment in self.sums.total.items()}
            descend(Span(0, number, self.workers), sums, fresh)
            return

        def of_part(part: int, first: int, last: int) -> None:
            sums = {layer.name: self.sums.part(layer.name, part) for layer in layers if layer.name in self.sums}
            for block in range(first, last, _BLOCK):
                descend(Span(block, min(block + _BLOCK, last)), sums, fresh and block == first)

        pieces = [(part, a, min(b, number)) for part, (a, b) in enumerate(parts) if a < number]
        self.workers.run_tasks([lambda piece=piece: of_part(*piece) for piece in pieces])

    def _rise(self, layer, span: Span) -> None:
        """Feedforward events of a layer: it reads what its parents show; x of its units is set."""
        if layer.kind == "drop":
            draw_kept(layer, self.room.at[layer.name], span)  # the rest is done for its reader: from what that one sees
            return
        name, drawn = layer.name, self._drawn
        own, parts = drawn.x[name], drawn.parts(name, FEEDFORWARD)
        drawn.draw(name, span)
        source, drops = self._sources[name][0]
        if layer.kind == "maxpool" and not drops and not self._reads.plain[name, FEEDFORWARD, source]:
            self._windows[name].read(span)
        elif parts == 1:
            layer.feedforward(self._below(layer, FEEDFORWARD, 0, span), own, span)
        elif self._up_apart[name]:
            for part, read in enumerate(self._up_apart[name]):
                read(*self._below(layer, FEEDFORWARD, part, span), span)
        else:
            for part in range(parts):
                layer.feedforward(self._below(layer, FEEDFORWARD, part, span), self.room.at[name], span)
                drawn.take(own, self.room.at[name], name, FEEDFORWARD, part, span)

    def _below(self, layer, kind: int, part: int, span: Span) -> tuple[Activity, ...]:
        """What the populations that a layer reads show to one part of its units, through drops."""
        seen, drawn, at = [], self._drawn, self.room.at
        for name, drops in self._sources[layer.name]:
            key = (layer.name, kind, name)
            mixed = self._reads.plain[key] is None
            if mixed and len(drops) == 1 and reads_kept(layer, at[drops[0].name], at[name]):
                drawn.show_through(key, part, at[drops[0].name], span)
                seen.append(at[drops[0].name])
                continue
            shown = drawn.show(key, part, span)
            for drop in reversed(drops):
                below, shown = shown, at[drop.name]
                silence(below, shown, span)
            seen.append(shown)
        return tuple(seen)

    def _error(self, name: str, labels, loss) -> int:
        """Feedback events of the output layer: the error circuits answer from what the units carry then."""
        number = len(labels)
        top = self._drawn.at_own_feedback(name, Span(0, number)).array(number)
        wrong = wrong_answers(top, labels)
        delta, loss[...] = self.loss(top, labels, self.mu)
        self._drawn.signal[name].array(number)[...] = self.schedule.factor * delta
        return wrong

    def _fall(self, layer, span: Span) -> None:
        """Feedback events of the layer below: it reads what this layer shows; its gate is that of its own x."""
        drawn, reader = self._drawn, self._reader(layer)
        falling, sums = self._falling(layer)
        if layer.kind == "maxpool" and len(falling) == 1 and not sums:
            self._windows[layer.name].give_back(span)
            return
        signal, whole = drawn.signal[reader.name], self.room.at[reader.name]
        parts, apart = drawn.parts(reader.name, FEEDBACK), self._down_apart.get(layer.name)
        into = whole if parts > 1 and not apart else signal
        if reader.saturates and into is signal:
            drawn.copy(signal, drawn.x[reader.name], span)
        for part in range(parts):
            shown = drawn.show((reader.name, FEEDBACK, layer.name), part, span)
            for name in sums:
                drawn.show((reader.name, FEEDBACK, name), part, span)
            if apart:
                apart[part](shown, span)
                continue
            if into is whole and reader.saturates:
                drawn.copy(whole, drawn.x[reader.name], span)
            layer.feedback(shown, self._to(into, falling, 0), span)
            self._through_drops(falling, into, span)
            if into is whole:
                drawn.take(signal, whole, reader.name, FEEDBACK, part, span)
        if apart:
            self._through_drops(falling, signal, span)

    def _to(self, target: Activity, falling, step: int) -> Downward:
        """Where a step down goes: the last one to ``target``."""
        name = falling[step].name
        down = self._down[name]
        if step < len(falling) - 1 or down.activity is target:
            return down
        if name not in self._down_whole:
            self._down_whole[name] = copies.copy(down)
            self._down_whole[name].activity = target
        return self._down_whole[name]

    def _through_drops(self, falling, target: Activity, span: Span) -> None:
        for step, drop in enumerate(falling[1:], start=1):
            down, own = self._to(target, falling, step), self.room.at[drop.name]
            spread(span, lambda s, drop=drop, own=own, down=down: drop.feedback(own, down, s))

    def _learn(self, layer, increment: np.ndarray, fresh: bool, span: Span) -> None:
        """Plasticity events of a layer: the product of what its units and their inputs show, part by part."""
        drawn, key = self._drawn, (layer.name, PLASTICITY, layer.name)
        if layer.name not in self._learn_apart:
            (below,) = self._below(layer, PLASTICITY, 0, span)
            layer.hebbian(below, drawn.show(key, 0, span), increment, fresh, span)
            return
        for part, learn in enumerate(self._learn_apart[layer.name]):
            (below,) = self._below(layer, PLASTICITY, part, span)
            drawn.mix(self.room.at[layer.name].values, key, part, span, learn.begin, learn.end)
            learn(below, increment, fresh, span)
