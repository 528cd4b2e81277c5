"""A net on the device: its weights, its units for a batch, and the phases of a step, launch by launch."""

from __future__ import annotations

import numpy as np

from netsim.arrays import check_images
from netsim.cuda.jit import empty, fetch, upload, within_memory, zeros
from netsim.cuda.layers import DeviceWeighted, Downward, Draw, make_layer
from netsim.cuda.units import OUTPUT_ERRORS
from netsim.geometry import INPUT, units
from netsim.network import Network

#: Images at once where nothing has to be learned from them.
_IMAGES = 500


class DeviceNet:
    """A `netsim.Network` on the device.

    The host's arrays are the truth: `take` brings them here, `give` back. Between the two the weights here may change.

    Parameters
    ----------
    net : the net on the host
    tiled : products by tiles, or plain ones

    Attributes
    ----------
    x_0, labels : the images and classes at hand, on the device
    at : layer name -> `DeviceLayer`
    """

    def __init__(self, net: Network, tiled: bool = True):
        self.net, self.classes, self.layers, self.weighted = net, net.classes, net.layers, net.weighted
        self._tiled, self._room, self._off = tiled, 0, None

    def reserve(self, images: int) -> None:
        """Make room for batches of so many images. Raises `OptionError` where they do not fit into the GPU's memory."""
        if images <= self._room:
            return
        net, places = self.net, {}
        with within_memory(f"{images} images of this net"):
            self.at, self._downs = {}, {}  # what was there before is let go first
            self.x_0, self.labels = empty(images * units(net.input_shape)), empty(images, np.int64)
            self.at = {
                layer.name: make_layer(layer, position, images, len(net.layers), places, self._tiled)
                for position, layer in enumerate(net.layers)
            }
        self._room = images
        nothing = zeros(1)
        for number, layer in enumerate(net.layers[1:], 1):
            below = net.layers[number - 1]
            above = net.layers[number + 1] if number + 1 < len(net.layers) else None
            also = above is not None and above.kind == "sum"
            signal = self.at[above.name].own if also else nothing
            self._downs[layer.name] = Downward(self.at[below.name].own, signal, also, below.saturates, below.slope)

    def of_weights(self) -> list[DeviceWeighted]:
        """The layers with weights, bottom up."""
        return [self.at[layer.name] for layer in self.weighted]

    def take(self) -> None:
        """The weights of the host, to the device."""
        with within_memory("the weights of this net"):
            for layer in self.of_weights():
                layer.take()

    def give(self) -> None:
        """The weights of the device, to the host: not checked, so that a run can tell where they diverged."""
        for device in self.of_weights():
            for which in ("W", "R"):
                target = getattr(device.layer, which)
                target[...] = fetch(getattr(device, which)).reshape(target.shape)
            if device.R_epoch is not None:
                device.layer.R_epoch = fetch(device.R_epoch).reshape(device.layer.weights_shape)

    def parents(self, layer) -> tuple:
        """What the layers carry that a layer reads."""
        return tuple(self.x_0 if name == INPUT else self.at[name].own for name in layer.parents)

    def feedforward(self, images: int, draw: Draw) -> None:
        """The feedforward phase: from x_0 upward, each layer sets its units (section 3.1, eq. 1)."""
        for layer in self.layers:
            self.at[layer.name].feedforward(self.parents(layer), draw, images)

    def output_error(self, images: int, loss: str, mu: float, losses, wrong, batch, top=None) -> None:
        """The output error REPLACES the activity of the output layer (eq. 6), or the scores ``top``."""
        if top is None:
            top = self.at[self.layers[-1].name].own
        OUTPUT_ERRORS[loss].over(images, top, self.labels, losses, wrong, batch, np.float64(mu), self.classes)

    def down(self, layer) -> Downward:
        """Where the feedback of a layer goes."""
        return self._downs[layer.name]

    def feedback(self, layer, images: int, draw: Draw, by_epoch: bool = False, clip: float | None = None) -> None:
        """One step of the feedback phase: the signal of ``layer`` REPLACES the units below it (eq. 2).

        ``by_epoch`` : it comes down through the R of when the epoch began. ``clip`` : what comes down from a layer
        whose units have sigma is clipped, so scaled (`netsim.variants`).
        """
        device, down = self.at[layer.name], self.down(layer)
        if not layer.has_weights:
            device.feedback(down, draw, images)
            return
        R = device.R_epoch if by_epoch else None
        if clip is None or not layer.saturates:
            device.feedback(down, draw, images, R)
        else:
            device.clipped_feedback(down, images, clip, R)

    def direct_feedback(self, layer, images: int) -> None:
        """The output error, through the layer's own matrix D, REPLACES the units of a hidden layer (DFA)."""
        self.at[layer.name].direct_feedback(self.at[self.layers[-1].name].own, images)

    def hebbian(self, layer, images: int, positive: bool = False) -> None:
        """The increment of a layer with weights, from its signal and the activity below (section 3.1).

        ``positive`` : R learns from the positive part of that activity (`netsim.variants`).
        """
        device, parents = self.at[layer.name], self.parents(layer)
        device.hebbian(*parents, images)
        if positive:
            device.hebbian_of_R(*parents, images)

    def carried(self, name: str, images: int) -> np.ndarray:
        """What the units of a layer carry, on the host: float32 (B, *shape)."""
        device = self.at[name]
        return fetch(device.own, images * device.layer.units).reshape(images, *device.layer.shape)

    # ------------------------------------------------------------------------ what a net answers, dropout off
    def _answers(self, images):
        """Yield (first image, number) of part after part, fed forward with the weights that are here."""
        images = check_images(images, self.net.input_shape)
        if not self._room:
            self.reserve(min(len(images), _IMAGES))
        if self.of_weights()[0].W is None:
            self.take()
        if self._off is None:
            self._off = Draw(zeros(len(self.layers), np.uint64), zeros(1, np.int64), "off")
        for first in range(0, len(images), self._room):
            part = images[first : first + self._room]
            upload(part, self.x_0)
            self.feedforward(len(part), self._off)
            yield first, len(part)

    def scores(self, images, threads: int | None = None) -> np.ndarray:
        """As `netsim.Network.scores`, with the weights on the device. ``threads`` is not used."""
        scores = np.empty((len(images), self.classes), np.float32)
        for first, number in self._answers(images):
            scores[first : first + number] = self.carried(self.layers[-1].name, number)
        return scores

    def activity(self, images, threads: int | None = None) -> dict[str, np.ndarray]:
        """As `netsim.Network.activity`, with the weights on the device. ``threads`` is not used."""
        result = {layer.name: np.empty((len(images), *layer.shape), np.float32) for layer in self.layers}
        for first, number in self._answers(images):
            for name, array in result.items():
                array[first : first + number] = self.carried(name, number)
        return result
