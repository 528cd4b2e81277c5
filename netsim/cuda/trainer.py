"""The phase-locked step on the device, and epochs over data that stay there."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from netsim.cuda.imperfection import DeviceImperfection
from netsim.cuda.jit import empty, fetch, upload, zeros
from netsim.cuda.layers import Draw
from netsim.cuda.network import DeviceNet
from netsim.engine import Trainer
from netsim.kernels import chance
from netsim.layers import Layer, Weighted
from netsim.network import Network
from netsim.protocols.sign_symmetry import SignSymmetry, scale
from netsim.steps.setting import StepResult


class CudaTrainer(Trainer):
    """`netsim.Trainer` on a GPU: the same algorithm, options, counters and bits of chance.

    Sums are added in another order than on the CPU, in one that depends on the batch and the net alone: the same
    seed gives the same weights, run after run. `step`, `increments` and `signals` take the weights of the net and
    leave them there; `learn` keeps weights and data on the device (see `netsim.cuda.learner`).

    Parameters
    ----------
    net, protocol, ... : as for `netsim.Trainer`; ``threads`` and ``chunk`` are not used
    tiled : products by tiles (default), or the plain ones that these are tested against
    """

    def __init__(self, net: Network, *arguments, tiled: bool = True, **options):
        super().__init__(net, *arguments, **options)
        self._tiled, self.device_net = tiled, DeviceNet(net, tiled)
        self._circuits = None if self.components.ideal else DeviceImperfection(self, self.device_net)
        #: layers through which signals have to go, top down; nothing below the lowest that learns needs one
        self._descent = [*reversed(list(itertools.dropwhile(lambda layer: layer is not self.lowest, net.layers)))]

    def _check_engine(self) -> None:
        """This engine does everything that the CPU's does."""

    # ------------------------------------------------------------------------------------- one step, launched
    def present(self, images: int, draw: Draw, losses, wrong, batch) -> None:
        """Both phases and the increments, in the paper's order. ``losses``, ``wrong`` : by image, from ``batch`` on."""
        self._rise(images, draw, losses, wrong, batch)
        for layer in self._descent:
            if self.protocol.direct and layer.name in self.sums and layer is not self.net.layers[-1]:
                self.device_net.direct_feedback(layer, images)
            self._learn(layer, images)
            if layer is not self.lowest and not self.protocol.direct:
                self._send_down(layer, images, draw)

    def _rise(self, images: int, draw: Draw, losses, wrong, batch) -> None:
        """The feedforward phase, and the output error."""
        if self._circuits is None:
            self.device_net.feedforward(images, draw)
            self.device_net.output_error(images, self.loss_name, self.mu, losses, wrong, batch)
        else:
            self._circuits.feedforward(images, draw)
            self._circuits.output_error(images, draw, self.mu, losses, wrong, batch)

    def _learn(self, layer: Layer, images: int) -> None:
        """The increments of a layer that learns; where signals take its new weights, also its update."""
        if layer.name in self.sums:
            self.device_net.hebbian(layer, images, self.variants.feedback_input == "positive")
            if self.variants.feedback_through == "updated":
                self._update(layer, images)

    def _send_down(self, layer: Layer, images: int, draw: Draw) -> None:
        """The signal of a layer REPLACES the units right below it (eq. 2)."""
        if self._circuits is not None:
            self._circuits.feedback(layer, images, draw)
            return
        self.device_net.feedback(layer, images, draw, self._by_epoch(layer), self.variants.feedback_clip)

    def _by_epoch(self, layer: Layer) -> bool:
        """Whether a layer's signals come down through its R of when the epoch began."""
        return layer.kind == "untied" and self.variants.untied_feedback == "epoch"

    def update(self, images: int) -> None:
        """The update of all layers, unless each was updated before its signal went down."""
        if self.variants.feedback_through != "updated":
            for layer in self.learning:
                self._update(layer, images)

    def _update(self, layer: Weighted, images: int) -> None:
        """W += (eta / B) increment; R += epsilon times the same (section 3.1, eq. 7); with decay both shrink first."""
        device, keep = self.device_net.at[layer.name], np.float32(1 - self.step_size * self.decay)
        device.update(self.step_size / images, keep, self.protocol.feedback_rate)
        if isinstance(self.protocol, SignSymmetry):
            device.follow(scale(layer))

    def begin_epoch_on_device(self) -> None:
        """Keep R of when the epoch begins, of layers whose signals come down through it."""
        for layer in self.net.weighted:
            if self._by_epoch(layer):
                self.device_net.at[layer.name].keep_R(anew=self.batch == 0)

    def begin_on_device(self, images: int) -> None:
        """Take the weights to the device, with room for batches of so many images."""
        self.begin_step()
        self.device_net.reserve(images)
        if self._circuits is not None:
            self._circuits.reserve(images)
        self.device_net.take()

    # ----------------------------------------------------------------------------------- batches, and their turns
    def expect(self, batches: list[int]) -> None:
        """Batches of these sizes come next."""

    def turns(self, images: int) -> list[tuple[int, int]]:
        """(first, number) of the images of a batch that are worked through at once: here, all."""
        return [(0, images)]

    def order(self, images: int) -> np.ndarray:
        """The order in which the images of a batch are taken, int64 (B,)."""
        return np.arange(images)

    def finish(self) -> None:
        """All turns of a batch are over; its increments are whole."""

    def move_on(self, images: int) -> None:
        """A batch of so many images was presented."""

    # -------------------------------------------------------------------------------- as on the CPU, from the host
    def _arrive(self, images, labels) -> tuple[np.ndarray, np.ndarray, Draw]:
        """A batch from the host, checked and in order; room for it on the device."""
        images, labels = self._checked(images, labels)
        self.begin_on_device(len(images))
        self.begin_epoch_on_device()
        self.expect([len(images)])
        order = self.order(len(images))
        draw = Draw(upload(keys(self, self.batch, 1)), zeros(1, np.int64), self.drop)
        return images[order], labels[order], draw

    def _present_all(self, images, labels) -> StepResult:
        """Both phases and the increments of a batch from the host."""
        images, labels, draw = self._arrive(images, labels)
        losses, wrong, net = empty(len(images), np.float64), empty(len(images), np.uint8), self.device_net
        for first, number in self.turns(len(images)):
            upload(images[first : first + number], net.x_0)
            upload(labels[first : first + number], net.labels)
            here = replace(draw, before=first)
            self.present(number, here, losses, wrong, upload(np.array([first], np.int64)))
        self.finish()
        self.move_on(len(images))
        return result(fetch(losses), fetch(wrong))

    def increments(self, images, labels) -> tuple[dict[str, np.ndarray], StepResult]:
        """As `netsim.Trainer.increments`."""
        seen, found = self._present_all(images, labels), {}
        for layer in self.learning:
            device = self.device_net.at[layer.name]
            found[layer.name] = fetch(device.increment).reshape(layer.weights_shape)
            if device.increment_R is not device.increment:
                found[f"{layer.name}.R"] = fetch(device.increment_R).reshape(layer.weights_shape)
        return found, seen

    def step(self, images, labels) -> StepResult:
        """As `netsim.Trainer.step`: the net's arrays have the new weights when it returns."""
        seen = self._present_all(images, labels)
        self.update(len(labels))
        self.device_net.give()
        self.batch += 1
        return seen

    def signals(self, images, labels) -> dict[str, np.ndarray]:
        """As `netsim.Trainer.signals`."""
        images, labels, draw = self._arrive(images, labels)
        net, number = self.device_net, len(images)
        upload(images, net.x_0)
        upload(labels, net.labels)
        self._rise(number, draw, empty(number, np.float64), empty(number, np.uint8), zeros(1, np.int64))
        if self.protocol.direct:
            for layer in self.net.weighted[:-1]:
                net.direct_feedback(layer, number)
        else:
            for layer in reversed(self.net.layers[1:]):
                if self.variants.feedback_through == "updated":
                    self._learn(layer, number)
                self._send_down(layer, number, draw)
        found = {layer.name: net.carried(layer.name, number) for layer in self.net.layers}
        for position, layer in enumerate(self.net.layers):
            if layer.kind == "drop" and self.drop != "off":  # a dropped unit stays silent
                found[layer.name] *= self._kept(position, layer, number)
        return found

    def _kept(self, position: int, layer, images: int) -> np.ndarray:
        """The mask of a layer that drops units, as on the CPU: uint8 (B, *shape), or (1, *shape) if they share one."""
        units = np.arange((images if self.drop == "sample" else 1) * layer.units, dtype=np.uint64)
        bits = getattr(chance.bits, "py_func", chance.bits)(self.key(position), units)
        return (bits >= chance.threshold(layer.spec.fraction)).astype(np.uint8).reshape(-1, *layer.shape)


def result(losses: np.ndarray, wrong: np.ndarray) -> StepResult:
    """The mean loss and the share of wrong answers of a batch."""
    return StepResult(float(losses.mean()), int(wrong.sum()) / len(wrong))


def keys(trainer: Trainer, first: int, batches: int) -> np.ndarray:
    """The random streams of layers (of masks, or of imperfect circuits) in batches from ``first`` on: uint64
    (batches, layers).
    """
    places = [(first + row, position) for row in range(batches) for position in range(len(trainer.net.layers))]
    streams = [chance.key(trainer.seed, trainer.epoch, *place) for place in places]
    return np.array(streams, np.uint64).reshape(batches, -1)
