"""A training step with `netsim.variants`: the whole batch at once, layer after layer from the top.

A layer learns from all images of the batch before
its signal goes down, so that the signal can take the weights of after the update. No weight changes here: the
weights of after the update are copies, made by the arithmetic that the update itself will use; they stand in the
place of R while the signal goes down, and R is what it was at the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from netsim.errors import OptionError
from netsim.layers import Downward, Layer, Weighted
from netsim.steps.setting import Setting, StepResult
from netsim.steps.signals import Signals
from netsim.variants import Variants
from netsim.workspace import Workspace


class VariantStep:
    """The step of a setting with variants. It takes the whole batch at once.

    Raises
    ------
    OptionError : variants that do not go with the protocol, or with imperfect circuits
    """

    def __init__(self, setting: Setting, variants: Variants):
        self.setting, self.variants = setting, variants
        protocol = setting.protocol
        if protocol.direct:
            raise OptionError(f"{self.variants.chosen[0]} is about signals from layer to layer, not {protocol.name}")
        if not setting.components.ideal:
            raise OptionError(f"{self.variants.chosen[0]} goes with ideal circuits")
        self._positive = self.variants.feedback_input == "positive"
        if self._positive and (protocol.symmetric or protocol.feedback_rate == 0):
            raise OptionError(f"feedback_input is about how R learns, and under {protocol.name} it does not")
        if self._positive:
            self._of_R = {layer.name: np.zeros(layer.weights_shape, np.float32) for layer in setting.learning}

    def increments(self, images: np.ndarray, labels: np.ndarray) -> tuple[dict[str, np.ndarray], StepResult]:
        """As `Trainer.increments`, of checked arrays; with "positive" also those of R, as ``"conv1.R"``."""
        setting, loss = self.setting, np.empty(len(images))
        space, wrong = self._present(images, labels, loss)
        for layer in reversed(setting.net.layers):
            if layer.name not in setting.reached:
                break
            self._learn(space, layer, len(images))
            if layer is not setting.lowest:
                self._send_down(space, layer, len(images))
        found = dict(setting.sums.total)
        if self._positive:
            found.update({f"{name}.R": increment for name, increment in self._of_R.items()})
        return found, StepResult(float(loss.mean()), wrong / len(images))

    def signals(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """As `Trainer.signals`, of checked arrays."""
        setting = self.setting
        space, _ = self._present(images, labels, np.empty(len(images)))
        for layer in reversed(setting.net.layers[1:]):
            self._learn(space, layer, len(images))
            self._send_down(space, layer, len(images))
        signals = Signals(setting.net, len(images))
        signals.note(space, 0, len(images))
        return signals.found

    def _present(self, images: np.ndarray, labels: np.ndarray, loss: np.ndarray) -> tuple[Workspace, int]:
        """The feedforward phase and the output error of a batch; the number of wrong answers."""
        setting = self.setting
        if self.variants.untied_feedback == "epoch":
            for layer in setting.net.weighted:
                if layer.kind == "untied" and (setting.batch == 0 or layer.R_epoch is None):
                    layer.R_epoch = layer.R.copy()
        self._parts = setting.sums.begin(len(images))
        [(space, _, batch)] = setting.chunks(images, whole=True)
        space.feedforward(batch, setting.workers)
        return space, setting.output_error(space, labels, loss)

    def _learn(self, space: Workspace, layer: Layer, number: int) -> None:
        """The increment of a layer, over the whole batch: its units carry their signal, those below still x."""
        setting = self.setting
        if layer.name not in setting.sums:
            return
        self._sum(space, layer, setting.sums.total[layer.name])
        if self._positive:
            (below,) = space.parents(layer)
            with _for_now(below.values, np.maximum(below.values, 0)):
                self._sum(space, layer, self._of_R[layer.name])

    def _sum(self, space: Workspace, layer: Weighted, total: np.ndarray) -> None:
        """total = sum over the batch of delta x_below."""
        setting, parts = self.setting, self._parts
        space.run((layer,), lambda span: setting.sums.add(space, layer, span, 0, parts, total), parts, setting.workers)
        if layer.by_image:
            setting.sums.add_up(layer, total, len(parts), setting.workers)

    def _send_down(self, space: Workspace, layer: Layer, number: int) -> None:
        """The signal of a layer REPLACES the units right below it (eq. 2), through the variant's weights."""
        setting = self.setting
        if isinstance(layer, Weighted):
            with _for_now(layer.R, self._through(layer, number)):
                layer.prepare(setting.workers, feedback=True)
                if self.variants.feedback_clip is not None and layer.saturates:
                    self._clipped_feedback(space, layer, number)
                else:
                    self._feedback(space, layer, space.down(layer))
        else:
            self._feedback(space, layer, space.down(layer))

    def _feedback(self, space: Workspace, layer: Layer, down: Downward) -> None:
        own = space.at[layer.name]
        space.run((layer,), lambda span: layer.feedback(own, down, span), self._parts, self.setting.workers)

    def _clipped_feedback(self, space: Workspace, layer: Weighted, number: int) -> None:
        """x_below <- gate * (clip(s R delta, -1, 1) [+ also]): what a product gives is clipped before all else."""
        down, scale = space.down(layer), np.float32(self.variants.feedback_clip)
        size = number * down.activity.image
        units = down.activity.values[:size]
        x = units.copy() if down.gate else None
        self._feedback(space, layer, Downward(down.activity, None, False, down.slope))
        np.clip(np.multiply(units, scale, out=units), -1, 1, out=units)
        if down.use_also:
            units += down.also[:size]
        if x is not None:
            units *= np.where(np.abs(x) < 1, down.slope, np.float32(0))

    def _through(self, layer: Weighted, number: int) -> np.ndarray:
        """The feedback weights that a layer's signal comes down through."""
        setting, variants = self.setting, self.variants
        if variants.untied_feedback == "epoch" and layer.R_epoch is not None:
            return layer.R_epoch
        if variants.feedback_through == "old" or layer.name not in setting.sums:
            return layer.R
        W, R = layer.W.copy(), layer.R.copy()
        of_R = self._of_R[layer.name] if self._positive else setting.sums.total[layer.name]
        setting.update_layer(layer, W, R, setting.sums.total[layer.name], of_R, number)
        derived = setting.protocol.derived(layer, W)
        return R if derived is None else derived


@contextlib.contextmanager
def _for_now(array: np.ndarray, values: np.ndarray) -> Iterator[None]:
    """Let an array hold other values for a while: products keep the array, so it must stay the same one."""
    if values is array:
        yield
        return
    kept = array.copy()
    array[...] = values
    try:
        yield
    finally:
        array[...] = kept
