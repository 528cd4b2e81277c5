"""A training step with imperfect circuits: thresholds that differ, gates that leak, signals that are noisy.

The order of the algorithm is that of `netsim.steps.ideal`; the gate is latched from the input h when a unit's
feedforward activity is set, and applied when the feedback replaces it. Layers do their products with the engine's
kernels, without saturation and gate, which are done here (`netsim.kernels.components`). Chunks, threads, devices and
resumption change no random number: a unit's own thresholds belong to (seed, layer), what varies to (seed, epoch,
batch, layer, image, unit).
"""

from __future__ import annotations

import copy

import numpy as np

from netsim.activity import Span
from netsim.components import Components
from netsim.errors import OptionError
from netsim.geometry import INPUT
from netsim.kernels.components import answer_all, latch, pass_gates
from netsim.losses import wrong_answers
from netsim.steps.setting import Setting, StepResult
from netsim.steps.signals import Signals
from netsim.workspace import Workspace, chunk_size

#: Last word of the random numbers of a layer's own thresholds.
_THRESHOLDS = 1


def check_loss(components: Components, loss: str) -> None:
    """Raise `OptionError` where components change the output error, but the loss is not the hinge loss, which alone
    has the local error of eq. 6.
    """
    wrong_error = any((components.error_width, components.error_bias, components.error_spread, components.error_noise))
    if loss != "hinge" and wrong_error:
        raise OptionError(f"circuits change the output error of the hinge loss (eq. 6); the loss is {loss!r}")


def own_thresholds(setting: Setting) -> dict[str, np.ndarray]:
    """The thresholds of every unit that has some, float32 (2, units), upper then lower, by layer: fixed for a run."""
    layers = setting.net.layers
    top = len(layers) - 1
    return {
        layer.name: setting.components.thresholds(
            layer.units, np.random.default_rng([setting.seed, position, _THRESHOLDS]), output=position == top
        )
        for position, layer in enumerate(layers)
        if layer.saturates or position == top
    }


class ImperfectStep:
    """The step of a setting with its `components`. Raises what `check_loss` does."""

    def __init__(self, setting: Setting):
        self.setting, self.components = setting, setting.components
        check_loss(self.components, setting.loss_name)
        #: the net's layers as they are, but storing h and ungated signals
        self._layers = tuple(copy.copy(layer) for layer in setting.net.layers)
        self._space: Workspace | None = None
        self._thresholds = {name: values.reshape(-1) for name, values in own_thresholds(setting).items()}
        self._shut: dict[str, np.ndarray] = {}

    def increments(self, images: np.ndarray, labels: np.ndarray) -> tuple[dict[str, np.ndarray], StepResult]:
        """As `Trainer.increments`, of checked arrays."""
        setting, net = self.setting, self.setting.net
        loss, wrong = np.empty(len(images)), 0
        for offset, span, errors in self._presented(images, labels, loss):
            wrong += errors
            for position in range(len(self._layers) - 1, -1, -1):
                layer = self._layers[position]
                if layer.name not in setting.reached:
                    break
                if layer.name in setting.sums:
                    (below,), own = self._space.parents(layer), self._space.at[layer.name]
                    layer.hebbian(below, own, setting.sums.total[layer.name].reshape(-1), offset == 0, span)
                if net.layers[position] is not setting.lowest:
                    self._feedback(position, span, offset)
        return setting.sums.total, StepResult(float(loss.mean()), wrong / len(images))

    def signals(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """As `Trainer.signals`, of checked arrays."""
        signals = Signals(self.setting.net, len(images))
        for offset, span, _ in self._presented(images, labels, np.empty(len(images))):
            for position in range(len(self._layers) - 1, 0, -1):
                self._feedback(position, span, offset)
            signals.note(self._space, offset, span.last)
        return signals.found

    def _presented(self, images: np.ndarray, labels: np.ndarray, loss: np.ndarray):
        """Yield (first image, span, wrong answers) for chunk after chunk: its feedforward phase and output error are
        done.
        """
        for offset in self._begin(len(images)):
            chunk = images[offset : offset + self._space.images]
            span = Span(0, len(chunk), self.setting.workers)
            self.setting.draw_masks(self._space, offset)
            self._feedforward(chunk, span, offset)
            seen = slice(offset, offset + len(chunk))
            yield offset, span, self._output_error(labels[seen], loss[seen], offset)

    def _begin(self, batch: int) -> range:
        """Lay out the weights as they are now; offsets of the chunks."""
        setting, net = self.setting, self.setting.net
        for layer in net.weighted:
            layer.prepare(setting.workers, feedback=INPUT not in layer.parents)
        for ours, theirs in zip(self._layers, net.layers, strict=True):
            ours.__dict__.update(theirs.__dict__)  # arrays that were replaced since, such as R of symmetric nets
            ours.saturates = False
        size = min(setting.chunk or chunk_size(net.layers, net.input_shape, batch), batch)
        if self._space is None or self._space.images != size:
            self._space = Workspace(self._layers, net.input_shape, size)
            self._shut = {layer.name: np.empty(size * layer.units, np.uint8) for layer in net.layers if layer.saturates}
        return range(0, batch, size)

    def _feedforward(self, chunk: np.ndarray, span: Span, offset: int) -> None:
        """x = sigma(h) upward (eq. 1); each unit latches the gate of its h (eq. 3)."""
        self._space.at[INPUT].array(len(chunk))[...] = chunk
        for position, layer in enumerate(self._layers):
            layer.feedforward(self._space.parents(layer), self._space.at[layer.name], span)
            if self.setting.net.layers[position].saturates:
                parts = (self._thresholds[layer.name], self.components.gate_width, layer.slope)
                self._for_units(latch, position, span, offset, *parts)

    def _for_units(self, kernel, position: int, span: Span, offset: int, *parts) -> None:
        """Run a kernel over the units of a layer that have gates."""
        layer, stream = self._layers[position], self.setting.key(position)
        own, shut = self._space.at[layer.name], self._shut[layer.name]
        where = (own.values, own.image, own.row, own.origin, own.height, own.row_length, shut)
        span.workers.run(lambda a, b: kernel(*where, *parts, stream, offset, a, b), span.last, 4)

    def _output_error(self, labels: np.ndarray, loss: np.ndarray, offset: int) -> int:
        """The output error REPLACES the activity of the output layer; return the number of wrong answers."""
        setting, found, name = self.setting, self.components, self._layers[-1].name
        top = self._space.at[name].array(len(labels))
        wrong = wrong_answers(top, labels)
        delta, loss[...] = setting.loss(top, labels, setting.mu)
        if setting.loss_name == "hinge":
            answer_all(
                delta, np.ascontiguousarray(top), labels, self._thresholds[name], found.error_width, found.error_noise,
                found.noise_onset, float(setting.mu), setting.key(len(self._layers) - 1), offset,
            )  # fmt: skip
        top[...] = delta
        return wrong

    def _feedback(self, position: int, span: Span, offset: int) -> None:
        """The signal of a layer REPLACES the units below (eq. 2), through the gates that they latched."""
        self._space.feedback(self._layers[position], span)
        below = self.setting.net.layers[position - 1]
        if below.saturates:
            found = self.components
            parts = (found.gate_leak, found.gate_noise, found.noise_onset, below.slope)
            self._for_units(pass_gates, position - 1, span, offset, *parts)
