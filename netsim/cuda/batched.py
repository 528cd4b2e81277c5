"""The batched event engine on the device: the draws of `netsim.events.batched`, between the kernels of the step.

Where the CPU computes a read part by part, here each location reads that of several mixtures which is its part's, in
one product. The same draws give the same mixtures as on the CPU; sums run in another order. ``streams=None`` shows a
whole batch at once, which the CPU does only where its chunks are as large: results depend on it.
"""

from __future__ import annotations

import numpy as np

from netsim.cuda import units
from netsim.cuda.connections import TOGETHER, Together
from netsim.cuda.drawn import DeviceDrawn
from netsim.cuda.jit import empty
from netsim.cuda.layers import Downward, Draw
from netsim.cuda.network import DeviceNet
from netsim.cuda.trainer import CudaTrainer
from netsim.engine import Trainer
from netsim.events.drawing import Drawing
from netsim.events.parts import learning_parts, reading_parts, returning_parts
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY


class CudaBatchedTrainer(Drawing, CudaTrainer):
    """Trains a net under a schedule on a GPU: `netsim.events.batched.BatchedTrainer` there.

    Its parameters are those of `Drawing`; ``tiled`` as for `CudaTrainer`.
    """

    def _check_engine(self) -> None:
        Trainer._check_engine(self)

    def begin_epoch(self, epoch: int) -> None:
        """Set the counters to the first batch of an epoch; all streams start at rest."""
        drawn = getattr(self, "_drawn", None)
        super().begin_epoch(epoch)
        if drawn is not None:  # its arrays stay where they are: graphs of steps know them by their place
            drawn.rest()
            self._drawn = drawn

    def begin_on_device(self, images: int) -> None:
        """Take the weights to the device, with room for the streams of batches of so many images."""
        if self._reads.locked:
            super().begin_on_device(images)
            return
        if self._drawn is not None and self._shown:
            super().begin_on_device(self._width)
            return
        width = min(self.streams or images, images)
        super().begin_on_device(width)
        if self._drawn is None or self._width != width:
            self._make_room(width)

    def _make_room(self, streams: int) -> None:
        """Streams at rest, and how the parts of each layer's units read."""
        self.device_net.reserve(streams)
        self._width = streams
        drawn = self._drawn = DeviceDrawn(self._reads, self.device_net, streams)
        self._through: dict[str, object] = {}
        for layer in self.net.layers:
            if layer.kind == "drop":
                continue
            if drawn.parts(layer.name, FEEDFORWARD) > 1:
                parts = reading_parts(layer, drawn.parts(layer.name, FEEDFORWARD), self._reads.place[layer.name])
                drawn.set_parts(layer.name, FEEDFORWARD, parts)
            if layer.name in self.reached and layer is not self.lowest:
                reader = self._reader(layer)
                parts = drawn.parts(reader.name, FEEDBACK)
                if parts > 1:
                    place, tied = self._reads.place[reader.name], self._reads.tied(reader.name)
                    drawn.set_parts(reader.name, FEEDBACK, returning_parts(reader, layer, parts, place, tied))
            parts = drawn.parts(layer.name, PLASTICITY)
            if parts > 1:
                drawn.set_parts(layer.name, PLASTICITY, learning_parts(layer, parts))

    def _prepare(self, batch: int) -> None:
        if self._drawn is None:
            self.begin_on_device(batch)

    def expect(self, batches: list[int]) -> None:
        """Draw for batches of these sizes, the ones that come next."""
        if self._reads.locked:
            return
        numbers = [number for images in batches for _, number in self.turns(images)]
        turns = list(enumerate(numbers, self._shown))
        self._drawn.expect(turns, self.timing_seed, self.epoch)

    def turns(self, images: int) -> list[tuple[int, int]]:
        """(first, number) of the images of a batch, in the order of `order`, that are shown together."""
        if self._reads.locked:
            return super().turns(images)
        sizes = [len(turn) for turn in self._turns(images)]
        return list(zip(np.cumsum([0, *sizes[:-1]]).tolist(), sizes, strict=True))

    def move_on(self, images: int) -> None:
        """The streams have seen a batch of so many images."""
        self._shown += 0 if self._reads.locked else len(self.turns(images))

    def finish(self) -> None:
        """Every update is a minus, where units carry the derivative."""
        if self.schedule.factor < 0 and not self._reads.locked:
            for layer in self.learning:
                device = self.device_net.at[layer.name]
                units.negate.over(device.connections.weights, device.increment)

    def signals(self, images, labels) -> dict[str, np.ndarray]:
        """As `netsim.Trainer.signals`, on a device net of its own: the streams stay as they are."""
        apart = CudaTrainer.__new__(CudaTrainer)
        apart.__dict__.update(self.__dict__, device_net=DeviceNet(self.net, self._tiled))
        return apart.signals(images, labels)

    # ------------------------------------------------------------------------------------- one turn, launched
    def present(self, images: int, draw: Draw, losses, wrong, batch) -> None:
        """One presentation in every stream, and its increments; see `CudaTrainer.present`."""
        if self._reads.locked:
            super().present(images, draw, losses, wrong, batch)
            return
        layers = [layer for layer in self.net.layers if layer.kind != "drop"]
        for layer in layers:
            self._drawn.draw(layer.name, images)
            self._arrive_at(layer, images, draw)
        top = layers[-1]
        signal = self._drawn.signal[top.name]
        self._drawn.put_at_own_feedback(signal, top.name, images)
        self.device_net.output_error(images, self.loss_name, self.mu, losses, wrong, batch, signal)
        if self.schedule.factor < 0:
            units.negate.over(images * top.units, signal)
        for layer in reversed(layers):
            if layer.name not in self.reached:
                break
            if layer is not self.lowest:
                self._return_from(layer, images, draw)
            if layer.name in self.sums:
                self._learn_apart(layer, images, draw)
        self._drawn.go_on(images)

    def _arrive_at(self, layer, images: int, draw: Draw) -> None:
        """Feedforward events of a layer: it reads what its parents show; x of its units is set."""
        belows, strides = zip(
            *(self._seen(layer, FEEDFORWARD, *source, images, draw) for source in self._sources[layer.name]),
            strict=True,
        )
        reads: Together = TOGETHER
        if self._drawn.parts(layer.name, FEEDFORWARD) > 1 and any(strides):
            columns = layer.kind in ("full", "output")
            reads = self._drawn.apart(layer.name, FEEDFORWARD, strides[0], sum(strides[1:]), columns)
        self.device_net.at[layer.name].feedforward(belows, draw, images, reads)

    def _seen(self, layer, kind: int, name: str, drops: list, images: int, draw: Draw) -> tuple[object, int]:
        """What a population shows to a layer, through drops: the array, or one for each part of the layer's units and
        how far they lie apart.
        """
        drawn, key = self._drawn, (layer.name, kind, name)
        seen, stride = drawn.show(key, images), drawn.stride(name)
        parts = 1 if drawn.plain(key) else drawn.parts(layer.name, kind)
        for drop in reversed(drops):
            below, seen = seen, self._scratch(drop.name, parts * stride)
            for part in range(parts):
                begin = part * stride
                self.device_net.at[drop.name].silence(seen[begin:], below[begin:], draw, images)
        return seen, 0 if parts == 1 else stride

    def _scratch(self, name: str, numbers: int):
        """Room for what passes a drop; the larger of what was asked for."""
        room = self._through.get(name)
        if room is None or room.size < numbers:
            room = self._through[name] = empty(numbers)
        return room

    def _return_from(self, layer, images: int, draw: Draw) -> None:
        """Feedback events of the units below a layer: they read what it shows; their gates are those of their x."""
        drawn, net, reader = self._drawn, self.device_net, self._reader(layer)
        falling, sums = self._falling(layer)
        target, size = drawn.signal[reader.name], images * reader.units
        if reader.saturates:
            units.put.over(size, target, drawn.x[reader.name])
        for step, each in enumerate(falling):
            last = each is falling[-1]
            into = target if last else net.at[falling[step + 1].name].own
            gate = last and reader.saturates
            above = self.net.layers[self.net.layers.index(each) + 1] if each is not self.net.layers[-1] else None
            name = above.name if above is not None and above.name in sums else None
            also = target if name is None else drawn.show((reader.name, FEEDBACK, name), images)
            also_stride = 0 if name is None else self._stride((reader.name, FEEDBACK, name))
            down = Downward(into, also, name is not None, gate, reader.slope)
            key = (reader.name, FEEDBACK, layer.name)
            strides = (0 if step else self._stride(key), also_stride)
            reads: Together = TOGETHER
            if any(strides):
                reads = drawn.apart(reader.name, FEEDBACK, *strides, layer.kind in ("full", "output"))
            if step:
                net.at[each.name].feedback(down, draw, images, reads)
            else:
                net.at[layer.name].send(drawn.show(key, images), down, images, reads)

    def _stride(self, key) -> int:
        """How far what a population shows to the parts of a reader lies apart; 0 where they see the same."""
        several = not self._drawn.plain(key) and self._drawn.parts(*key[:2]) > 1
        return self._drawn.stride(key[2]) if several else 0

    def _learn_apart(self, layer, images: int, draw: Draw) -> None:
        """Plasticity events of a layer: the product of what its units and their inputs show."""
        below, stride = self._seen(layer, PLASTICITY, *self._sources[layer.name][0], images, draw)
        own, reads = self._drawn.show_own(layer.name, images), TOGETHER
        if stride:
            reads = self._drawn.apart(layer.name, PLASTICITY, stride, 0, layer.kind in ("full", "output"))
        self.device_net.at[layer.name].hebbian_of(own, below, images, draw.before == 0, reads)
