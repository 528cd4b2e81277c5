"""A training step with imperfect circuits: thresholds that differ, gates that leak, signals that are noisy.

`Trainer.increments` hands over to this where its components are not ideal. The order of the algorithm is the
engine's; the gate is latched from the input h when a unit's feedforward activity is set, and applied when the
feedback replaces it. Layers do their products with the engine's kernels, without saturation and gate, which are
done here by `netsim.components` for whole layers. Chunks, threads and resumption change no random number: a unit's
own thresholds belong to (seed, layer), what varies to (seed, epoch, batch, layer).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from netsim.activity import Span
from netsim.arrays import check_images, check_labels
from netsim.components import Components
from netsim.errors import OptionError
from netsim.geometry import INPUT
from netsim.kernels import chance
from netsim.workspace import Workspace, chunk_size

if TYPE_CHECKING:
    from netsim.engine import StepResult, Trainer

#: Last words of the random streams of a layer.
_THRESHOLDS, _GATES, _SIGNALS = 1, 2, 3


class Imperfection:
    """The step of one trainer with `components`.

    Raises
    ------
    OptionError : the components change the output error, but the loss is not the hinge loss, which alone has the
        local error of eq. 6
    """

    def __init__(self, trainer: Trainer, components: Components):
        self.trainer, self.components = trainer, components
        wrong_error = any((components.error_width, components.error_bias, components.error_spread))
        if trainer.loss_name != "hinge" and (wrong_error or components.error_noise):
            raise OptionError(
                f"circuits change the output error of the hinge loss (eq. 6); the loss is {trainer.loss_name!r}"
            )
        net = trainer.net
        #: the net's layers as they are, but storing h and ungated signals
        self._layers = tuple(copy.copy(layer) for layer in net.layers)
        self._space: Workspace | None = None
        self._thresholds = {
            layer.name: components.thresholds(
                layer.units, self._random(position, _THRESHOLDS), output=position == len(net.layers) - 1
            )
            for position, layer in enumerate(net.layers)
            if layer.saturates or position == len(net.layers) - 1
        }

    def _random(self, *words: int) -> np.random.Generator:
        """Random numbers of a place: (seed, words)."""
        return np.random.default_rng([self.trainer.seed, *words])

    def increments(self, images, labels) -> tuple[dict[str, np.ndarray], StepResult]:
        """The Hebbian increments of a batch, as `Trainer.increments`."""
        from netsim.engine import StepResult

        trainer, net = self.trainer, self.trainer.net
        images = check_images(images, net.input_shape)
        labels = check_labels(labels, len(images), net.classes)
        signals = self._randoms(_SIGNALS)
        loss, wrong = np.empty(len(images)), 0
        for offset, span, errors, open_gates in self._presented(images, labels, loss, signals):
            wrong += errors
            for position in range(len(self._layers) - 1, -1, -1):
                layer = self._layers[position]
                if layer.name not in trainer._reached:
                    break
                if layer.name in trainer._increments:
                    (below,), own = self._space.parents(layer), self._space.at[layer.name]
                    layer.hebbian(below, own, trainer._increments[layer.name].reshape(-1), offset == 0, span)
                if net.layers[position] is not trainer._lowest:
                    self._feedback(position, span, open_gates, signals[position - 1])
        return trainer._increments, StepResult(float(loss.mean()), wrong / len(images))

    def signals(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """What each unit carries at the end of the feedback phase, as `Trainer.signals`; checked arrays."""
        random = self._randoms(_SIGNALS)
        result = {layer.name: np.empty((len(images), *layer.shape), np.float32) for layer in self._layers}
        for offset, span, _, open_gates in self._presented(images, labels, np.empty(len(images)), random):
            for position in range(len(self._layers) - 1, 0, -1):
                self._feedback(position, span, open_gates, random[position - 1])
            self.trainer._collect(result, self._space, offset, span.last)
        return result

    def _randoms(self, which: int) -> dict[int, np.random.Generator]:
        """Random numbers of every layer in this batch, by its position."""
        place = (self.trainer.epoch, self.trainer.batch)
        return {position: self._random(*place, position, which) for position in range(len(self._layers))}

    def _presented(self, images: np.ndarray, labels: np.ndarray, loss: np.ndarray, signals: dict):
        """Yield (first image, span, wrong answers, open gates) for chunk after chunk: its feedforward phase and output
        error are done.
        """
        gates = self._randoms(_GATES)
        for offset in self._begin(len(images)):
            chunk = images[offset : offset + self._space.images]
            span = Span(0, len(chunk), self.trainer._workers)
            self._draw(offset)
            open_gates = self._feedforward(chunk, span, gates)
            seen = slice(offset, offset + len(chunk))
            wrong = self._output_error(labels[seen], loss[seen], signals[len(self._layers) - 1])
            yield offset, span, wrong, open_gates

    def _begin(self, batch: int) -> range:
        """Lay out the weights as they are now; offsets of the chunks."""
        trainer, net = self.trainer, self.trainer.net
        for layer in net.weighted:
            layer.prepare(trainer._workers, feedback=INPUT not in layer.parents)
        for ours, theirs in zip(self._layers, net.layers, strict=True):
            ours.__dict__.update(theirs.__dict__)  # arrays that were replaced since, such as R of symmetric nets
            ours.saturates = False
        size = min(trainer._chunk or chunk_size(net.layers, net.input_shape, batch), batch)
        if self._space is None or self._space.images != size:
            self._space = Workspace(self._layers, net.input_shape, size)
        return range(0, batch, size)

    def _draw(self, offset: int) -> None:
        """Choose the masks of dropped units, the ones that an ideal step would have."""
        trainer = self.trainer
        for position, layer in enumerate(self._layers):
            if layer.kind == "drop":
                stream = chance.key(trainer.seed, trainer.epoch, trainer.batch, position)
                layer.draw(self._space.at[layer.name], trainer.drop, stream, offset)

    def _feedforward(
        self, chunk: np.ndarray, span: Span, random: dict[int, np.random.Generator]
    ) -> dict[str, np.ndarray]:
        """x = sigma(h) upward (eq. 1); each unit latches the gate of its h (eq. 3). Returns layer -> (n, units)."""
        self._space.at[INPUT].array(len(chunk))[...] = chunk
        latched = {}
        for position, layer in enumerate(self._layers):
            own = self._space.at[layer.name]
            layer.feedforward(self._space.parents(layer), own, span)
            if self.trainer.net.layers[position].saturates:
                h = own.array(len(chunk))
                h *= layer.slope
                flat = h.reshape(len(chunk), -1)
                latched[layer.name] = self.components.gate(flat, self._thresholds[layer.name], random[position])
                np.clip(h, -1, 1, out=h)
        return latched

    def _output_error(self, labels: np.ndarray, loss: np.ndarray, random: np.random.Generator) -> int:
        """The output error REPLACES the activity of the output layer; return the number of wrong answers."""
        trainer, name = self.trainer, self._layers[-1].name
        top = self._space.at[name].array(len(labels))
        wrong = int(np.count_nonzero(top.argmax(axis=1) != labels))
        delta, loss[...] = trainer._loss(top, labels, trainer.mu)
        if trainer.loss_name == "hinge":
            delta = self.components.output_error(top, labels, trainer.mu, self._thresholds[name], random)
        top[...] = delta
        return wrong

    def _feedback(self, position: int, span: Span, latched: dict[str, np.ndarray], random: np.random.Generator) -> None:
        """The signal of a layer REPLACES the units below (eq. 2), through the gates that they latched."""
        self._space.feedback(self._layers[position], span)
        below = self.trainer.net.layers[position - 1]
        if below.saturates:
            signal = self._space.at[below.name].array(span.last)
            flat = signal.reshape(span.last, -1) * below.slope
            signal[...] = self.components.through_gate(flat, latched[below.name], random).reshape(signal.shape)
