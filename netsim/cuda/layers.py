"""The kinds of layers on the device: feedforward, Hebbian and feedback one under another, as in `netsim.layers`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from netsim.cuda import pools, products, units
from netsim.cuda.connections import TOGETHER, Connections, Together
from netsim.cuda.jit import copy, empty, upload
from netsim.kernels import chance
from netsim.layers import Layer


@dataclass(slots=True)
class Draw:
    """Where a step is, for the masks of dropped units; all on the device.

    Attributes
    ----------
    keys : uint64, the streams of every batch and layer (batch * layers + layer)
    turn : int64 (1,), the batch
    mode : "sample", "batch" or "off"
    before : images of the batch that were shown before these
    """

    keys: object
    turn: object
    mode: str
    before: int = 0


@dataclass(slots=True)
class Downward:
    """Where a layer's feedback goes: see `netsim.layers.Downward`. Arrays on the device."""

    below: object
    also: object
    use_also: bool
    gate: bool
    slope: np.float32


class DeviceLayer:
    """A layer of a net on the device. ``own`` : what its units carry, float32, an image after another, row-major.

    Every kind has ``feedforward`` (sets ``own``) and ``feedback`` (REPLACES the units of the layer below).
    """

    def __init__(self, layer: Layer, position: int, images: int):
        self.layer, self.position, self.name = layer, position, layer.name
        self.own = empty(images * layer.units)


class DeviceWeighted(DeviceLayer):
    """A layer with weights: tied, untied or full connections."""

    def __init__(self, layer: Layer, position: int, images: int, places: dict, tiled: bool):
        super().__init__(layer, position, images)
        self.connections = Connections(layer, images, places, tiled)
        self._straight, self._options, self.D = None, (images, places, tiled), None
        self.W = self.R = self.R_epoch = self.W_mask = self.R_mask = None
        self.increment = self.increment_R = self._positive = self._product = self._more = None

    def take(self) -> None:
        """The weights and connections of the host."""
        layer = self.layer
        self.W = upload(layer.W, self.W)
        if layer.is_symmetric:
            self.R = self.W
        else:
            self.R = upload(layer.R, None if self.R is self.W else self.R)
        self.W_mask, self.R_mask = (
            None if mask is None else upload(mask.astype(np.uint8)) for mask in (layer.W_mask, layer.R_mask)
        )
        if layer.is_symmetric:
            self.R_mask = self.W_mask
        self.R_epoch = None if layer.R_epoch is None else upload(layer.R_epoch, self.R_epoch)
        if layer.direct is not None:
            self.D = upload(layer.D, self.D)

    def keep_R(self, anew: bool) -> None:
        """Keep R as it is now for the signals of an epoch; ``anew`` : also where one was kept before."""
        if anew or self.R_epoch is None:
            if self.R_epoch is None:
                self.R_epoch = empty(self.connections.weights)
            copy(self.R_epoch, self.R)

    def feedforward(self, parents: tuple, draw: Draw, images: int, reads: Together = TOGETHER) -> None:
        """x = sigma(W x_below) (eq. 1)."""
        self.connections.feedforward(self.own, *parents, self.W, images, self.layer.saturates, self.layer.slope, reads)

    def hebbian(self, below, images: int) -> None:
        """increment = sum over images of delta x_below (section 3.1)."""
        self.hebbian_of(self.own, below, images, fresh=True)

    def hebbian_of(self, own, below, images: int, fresh: bool, reads: Together = TOGETHER) -> None:
        """The same for signals ``own``; ``fresh`` : else it is added to the increment that stands there."""
        if self.increment is None:
            self.increment = self.increment_R = empty(self.connections.weights)
        if fresh:
            self.connections.hebbian(self.increment, below, own, images, reads)
            return
        if self._more is None:
            self._more = empty(self.connections.weights)
        self.connections.hebbian(self._more, below, own, images, reads)
        products.add.over(self.connections.weights, self.increment, self._more)

    def hebbian_of_R(self, below, images: int) -> None:
        """increment_R = sum over images of delta max(x_below, 0) (`netsim.variants`)."""
        if self._positive is None:
            self._positive, self.increment_R = empty(below.size), empty(self.connections.weights)
        units.positive.over(images * int(np.prod(self.layer.below)), self._positive, below)
        self.connections.hebbian(self.increment_R, self._positive, self.own, images)

    def feedback(self, down: Downward, draw: Draw, images: int, R=None) -> None:
        """x_below <- gate * (R delta [+ also]) (eq. 2 with R for the transposed W); ``R`` : in place of the layer's."""
        self.send(self.own, down, images, TOGETHER, R)

    def clipped_feedback(self, down: Downward, images: int, scale: float, R=None) -> None:
        """x_below <- gate * (clip(scale * R delta, -1, 1) [+ also]) (`netsim.variants`)."""
        if self._product is None:
            self._product = empty(down.below.size)
        self.send(self.own, replace(down, below=self._product, use_also=False, gate=False), images, TOGETHER, R)
        number, ends = images * int(np.prod(self.layer.below)), (down.use_also, down.gate, down.slope)
        units.clipped_feedback.over(number, down.below, down.also, self._product, np.float32(scale), *ends)

    def send(self, own, down: Downward, images: int, reads: Together, R=None) -> None:
        """The same with the signals ``own``, or several arrays of them; ``reads`` : which of them reach whom."""
        R, ends = self.R if R is None else R, (down.use_also, down.gate, down.slope)
        self.connections.feedback(down.below, down.also, own, R, images, *ends, reads)

    def direct_feedback(self, top, images: int) -> None:
        """x <- gate * (D delta_L): the output error, straight from the top, REPLACES the layer's own units (DFA)."""
        if self._straight is None:
            self._straight = Connections(self.layer.direct, *self._options)
        saturates, slope = self.layer.saturates, self.layer.slope
        self._straight.feedback(self.own, top, top, self.D, images, False, saturates, slope)

    def follow(self, scale: float) -> None:
        """R = scale * sign(W) (sign-symmetry)."""
        products.signs.over(self.connections.weights, self.R, self.W, np.float32(scale))

    def update(self, rate: float, keep: float, feedback_rate: float) -> None:
        """W += rate * increment, R += feedback_rate * rate * increment (eq. 7); first both shrink to ``keep``."""
        self._update(self.W, self.W_mask, self.increment, np.float32(rate), np.float32(keep))
        if feedback_rate > 0 and self.R is not self.W:
            self._update(self.R, self.R_mask, self.increment_R, np.float32(feedback_rate * rate), np.float32(keep))

    def _update(self, weights, mask, increment, rate: np.float32, keep: np.float32) -> None:
        size = self.connections.weights
        if mask is None:
            products.update.over(size, weights, increment, rate, keep)
        else:
            products.update_connected.over(size, weights, mask, increment, rate, keep)


class DeviceMaxpool(DeviceLayer):
    """Max pooling, by the paper's rules or others (`netsim.layers.PoolRules`)."""

    def __init__(self, layer: Layer, position: int, images: int):
        super().__init__(layer, position, images)
        window, rules = layer.spec.window, getattr(layer, "rules", None)
        low = 0 if rules is not None and rules.anchor == "corner" else (window - 1) // 2
        all_ties, number = rules is not None and rules.ties == "all", images * layer.units
        # of the two only one is kept
        self.winner = empty(1 if all_ties else number, np.uint8 if window * window <= 256 else np.int32)
        self.largest = empty(number if all_ties else 1)
        self._geometry = (*layer.below[:2], *layer.shape, window, layer.spec.stride, low, all_ties)

    def feedforward(self, parents: tuple, draw: Draw, images: int, reads: Together = TOGETHER) -> None:
        """x = the largest x_below of the window; the unit latches the winner's place, or the maximum."""
        arrays = (self.own, self.winner, self.largest, *parents, reads.table, reads.stride)
        pools.pool_feedforward.over(images * self.layer.units, *arrays, *self._geometry)

    def feedback(self, down: Downward, draw: Draw, images: int) -> None:
        """x_below <- gate * (sum of the signals of the windows that the unit won [+ also])."""
        self.send(self.own, down, images, TOGETHER)

    def send(self, own, down: Downward, images: int, reads: Together) -> None:
        """The same with the signals ``own``, or several arrays of them; ``reads`` : which of them reach whom."""
        number, distances = images * int(np.prod(self.layer.below)), (reads.table, reads.stride, reads.also_stride)
        arrays = (down.below, down.also, own, self.winner, self.largest, *distances)
        pools.pool_feedback.over(number, *arrays, *self._geometry, down.use_also, down.gate, down.slope)


class DeviceDrop(DeviceLayer):
    """Dropout: the masks are drawn from the counter hash on both ways and never stored."""

    def __init__(self, layer: Layer, position: int, images: int, layers: int):
        super().__init__(layer, position, images)
        self._layers = layers

    def _mask(self, draw: Draw, images: int) -> tuple:
        """keys, turn, layers, layer, limit, scale, mask, begin of the kernels."""
        fraction, own = 0.0 if draw.mode == "off" else self.layer.spec.fraction, draw.mode != "batch"
        limit, scale = chance.threshold(fraction), np.float32(1 / (1 - fraction))
        mask, begin = (self.layer.units * number for number in ((images, draw.before) if own else (1, 0)))
        return draw.keys, draw.turn, self._layers, self.position, limit, scale, mask, begin

    def feedforward(self, parents: tuple, draw: Draw, images: int) -> None:
        """x = x_below / (1 - p) where kept, else 0."""
        self.silence(self.own, *parents, draw, images)

    def silence(self, own, below, draw: Draw, images: int) -> None:
        """The same into an array of the caller's."""
        units.drop_feedforward.over(images * self.layer.units, own, below, *self._mask(draw, images))

    def feedback(self, down: Downward, draw: Draw, images: int, reads: Together = TOGETHER) -> None:
        """x_below <- gate * (signal / (1 - p) where kept [+ also]); ``reads`` : which of several ``also``."""
        units.drop_feedback.over(
            images * self.layer.units, down.below, down.also, self.own, *self._mask(draw, images),
            reads.table, reads.also_stride, self.layer.shape[-1], down.use_also, down.gate, down.slope,
        )  # fmt: skip


class DeviceSum(DeviceLayer):
    """Adds the two layers before it; its feedback replaces the second, and reaches the first as ``also``."""

    def feedforward(self, parents: tuple, draw: Draw, images: int, reads: Together = TOGETHER) -> None:
        """x = x_first + x_second."""
        distances = (reads.table, reads.stride, reads.also_stride, self.layer.shape[-1])
        units.sum_feedforward.over(images * self.layer.units, self.own, *parents, *distances)

    def feedback(self, down: Downward, draw: Draw, images: int) -> None:
        """x_second <- gate * (signal [+ also])."""
        self.send(self.own, down, images, TOGETHER)

    def send(self, own, down: Downward, images: int, reads: Together) -> None:
        """The same with the signals ``own``, or several arrays of them; ``reads`` : which of them reach whom."""
        distances = (reads.table, reads.stride, reads.also_stride, self.layer.shape[-1])
        ends = (down.use_also, down.gate, down.slope)
        units.sum_feedback.over(images * self.layer.units, down.below, down.also, own, *distances, *ends)


def make_layer(layer: Layer, position: int, images: int, layers: int, places: dict, tiled: bool) -> DeviceLayer:
    """The layer ``position`` of ``layers``, on the device, with room for ``images`` images."""
    if layer.has_weights:
        return DeviceWeighted(layer, position, images, places, tiled)
    if layer.kind == "maxpool":
        return DeviceMaxpool(layer, position, images)
    if layer.kind == "drop":
        return DeviceDrop(layer, position, images, layers)
    return DeviceSum(layer, position, images)
