"""A step with imperfect circuits on the device: what `netsim.steps.imperfect` is on the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from netsim.cuda import components as kernels
from netsim.cuda.jit import empty, upload, within_memory
from netsim.cuda.layers import Draw
from netsim.cuda.network import DeviceNet
from netsim.cuda.units import put
from netsim.engine import Trainer
from netsim.steps.imperfect import check_loss, own_thresholds


class DeviceImperfection:
    """Both phases of one trainer with its components. Raises what `netsim.steps.imperfect.check_loss` does."""

    def __init__(self, trainer: Trainer, net: DeviceNet):
        self.net, self.components, self._loss = net, trainer.components, trainer.loss_name
        check_loss(self.components, self._loss)
        self._thresholds = {name: upload(values) for name, values in own_thresholds(trainer).items()}
        self._place = {layer.name: position for position, layer in enumerate(net.layers)}
        self._room = 0

    def reserve(self, images: int) -> None:
        """Make room for the gates of so many images."""
        if images <= self._room:
            return
        with within_memory(f"the gates of {images} images of this net"):
            gated = (layer for layer in self.net.layers if layer.saturates)
            self._shut = {layer.name: empty(images * layer.units, np.uint8) for layer in gated}
            self._delta = empty(images * self.net.classes)
        self._room = images

    def _stream(self, layer, draw: Draw) -> tuple:
        """keys, turn, layers, layer of the kernels."""
        return draw.keys, draw.turn, len(self.net.layers), self._place[layer.name]

    def feedforward(self, images: int, draw: Draw) -> None:
        """x = sigma(h) upward (eq. 1); each unit latches the gate of its h (eq. 3)."""
        for layer in self.net.layers:
            device, parents = self.net.at[layer.name], self.net.parents(layer)
            if not layer.saturates:
                device.feedforward(parents, draw, images)
                continue
            device.connections.feedforward(device.own, *parents, device.W, images, False, layer.slope)
            arrays = (device.own, self._shut[layer.name], self._thresholds[layer.name], *self._stream(layer, draw))
            width = np.float64(self.components.gate_width)
            kernels.latch.over(images * layer.units, *arrays, width, layer.slope, layer.units)

    def output_error(self, images: int, draw: Draw, mu: float, losses, wrong, batch) -> None:
        """The output error REPLACES the activity of the output layer (eq. 6)."""
        layer, found = self.net.layers[-1], self.components
        top, hinge = self.net.at[layer.name].own, self._loss == "hinge"
        if hinge:
            kernels.answer.over(
                images * layer.units, self._delta, top, self.net.labels, self._thresholds[layer.name],
                *self._stream(layer, draw), np.float64(found.error_width), np.float64(found.error_noise),
                np.float64(found.noise_onset), np.float64(mu), self.net.classes,
            )  # fmt: skip
        self.net.output_error(images, self._loss, mu, losses, wrong, batch)
        if hinge:
            put.over(images * layer.units, top, self._delta)

    def feedback(self, layer, images: int, draw: Draw) -> None:
        """The signal of a layer REPLACES the units below (eq. 2), through the gates that they latched."""
        down = self.net.down(layer)
        self.net.at[layer.name].feedback(replace(down, gate=False), draw, images)
        if down.gate:
            below = self.net.layers[self._place[layer.name] - 1]
            found = self.components
            parts = [np.float64(value) for value in (found.gate_leak, found.gate_noise, found.noise_onset)]
            arrays = (down.below, self._shut[below.name], *self._stream(below, draw))
            kernels.pass_gates.over(images * below.units, *arrays, *parts, below.slope)
