"""The phase-locked step: all units of a layer in step, a batch of presentations at a time (section 3.1).

``Trainer.increments`` is the paper's algorithm in the paper's order. A unit carries one number, first its activity x,
then its feedback signal delta in the same place; so a layer's weights change after the layer's own units were
replaced and before the units below are (Remark 1).
"""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from netsim import direct, losses, protocols
from netsim.activity import Span
from netsim.arrays import check_images, check_labels
from netsim.components import Components
from netsim.errors import OptionError, nearest
from netsim.geometry import INPUT
from netsim.imperfection import Imperfection
from netsim.kernels import chance
from netsim.kernels.memory import empty, zeros
from netsim.kernels.weights import add_parts, update, update_connected
from netsim.kernels.workers import Workers
from netsim.layers import Layer, Weighted
from netsim.network import Network
from netsim.values import check_number, check_seed, check_whole
from netsim.variant_step import VariantStep
from netsim.variants import Variants
from netsim.workspace import Workspace, chunk_size

DROP_MODES = ("sample", "batch", "off")

#: The sum over a batch of the increments of tied layers is cut into so many parts, whatever the number of threads; ...
_PARTS = 16
#: ... into fewer where the parts of a layer would hold more than so many numbers.
_PART_NUMBERS = 1 << 24

#: Images of a chunk that holds any batch.
_ALL = 1 << 40


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step saw, before it changed a weight.

    Attributes
    ----------
    loss : mean over the batch
    error_rate : share of images whose largest score (the first, of equals) is not their class's
    """

    loss: float
    error_rate: float


class Trainer:
    """Trains a net by Hebbian updates with the feedback weights of a protocol.

    Parameters
    ----------
    net : `netsim.Network`; its weights change in place
    protocol : "bp" (R = W), "frfb" (R fixed), "urfb" (R updated like W), "kolen-pollack" (the same, with decay),
        "sign-symmetry" (R has the signs of W) or "dfa" (signals straight from the output): see `netsim.protocols`
    loss : "hinge" (eq. 4) or "softmax"
    step_size : eta, >= 0
    mu : off-class factor of the hinge loss, >= 0; None is 1 / (C - 1)
    feedback_rate : epsilon in [0, 1] (eq. 7), in place of URFB's 1
    decay : lambda >= 0; weights that learn shrink by the factor 1 - eta * lambda a step; None is the protocol's, 0
        but for "kolen-pollack"
    drop : "sample" (a mask for each image), "batch" (one for the whole batch), "off"
    frozen : names of layers whose W and R stay
    seed : of the dropout masks; None takes the net's
    threads : number of threads; None takes all processors. Results do not depend on it.
    chunk : images worked through at once; None chooses by memory. Results do not depend on it.
    feedback_through, untied_feedback, feedback_input, feedback_clip : where the step differs from the paper's text:
        see `netsim.variants.Variants`; "old", "current", "x" and None. A variant takes the whole batch at once
    circuits : imperfect gates and output errors: `netsim.components.Components`, a mapping of its attributes, or the
        path of a calibration (`netsim circuit calibrate`); None, and all zeros, are the paper's

    Attributes
    ----------
    epoch, batch : counters that, with the seed, determine the dropout masks; `step` adds 1 to ``batch``. Set them
        to go on with an earlier run: the trainer has no other hidden state. Whole numbers, or `OptionError`.

    Raises
    ------
    OptionError : a value out of range or unknown
    UnknownNameError : a frozen layer that the net does not have
    """

    #: False where a subclass moves events in time: there signals come down from layer to layer, in ideal circuits.
    phase_locked = True

    def __init__(
        self,
        net: Network,
        protocol: str = "urfb",
        loss: str = "hinge",
        step_size: float = 0.1,
        mu: float | None = None,
        *,
        feedback_rate: float | None = None,
        decay: float | None = None,
        drop: str = "sample",
        frozen: Iterable[str] = (),
        seed: int | None = None,
        threads: int | None = None,
        chunk: int | None = None,
        circuits=None,
        feedback_through: str = "old",
        untied_feedback: str = "current",
        feedback_input: str = "x",
        feedback_clip: float | None = None,
    ):
        self.net = net
        self.protocol = protocols.find(protocol, feedback_rate)
        self.loss_name, self._loss = loss, losses.find(loss)
        self.step_size = check_number("step_size", step_size, least=0)
        self.mu = 1 / (net.classes - 1) if mu is None else check_number("mu", mu, least=0)
        self.decay = self.protocol.decay if decay is None else check_number("decay", decay, least=0)
        if drop not in DROP_MODES:
            raise OptionError(f"unknown drop {drop!r}{nearest(drop, DROP_MODES)}")
        self.drop = drop
        try:
            self.frozen = frozenset([frozen] if isinstance(frozen, str) else frozen)
        except TypeError:
            raise OptionError(f"frozen is {frozen!r}: it must be names of layers") from None
        for name in self.frozen:
            if not isinstance(net[name], Weighted):
                raise OptionError(f"frozen layer {name!r} has no weights")
        self.seed = net.seed if seed is None else check_seed(seed)
        self.begin_epoch(0)
        self._workers = Workers(threads)
        self._chunk = None if chunk is None else check_whole("chunk", chunk, least=1)
        self._space: Workspace | None = None
        self._learning = [layer for layer in net.weighted if layer.name not in self.frozen]
        self._increments = {layer.name: zeros(layer.W.size).reshape(layer.weights_shape) for layer in self._learning}
        self._parts: dict[str, np.ndarray] = {}
        #: the lowest layer that learns, and the layers from it upward: nothing below needs a signal
        self._lowest = self._learning[0] if self._learning else None
        above = itertools.dropwhile(lambda layer: layer is not self._lowest, net.layers)
        self._reached = frozenset(layer.name for layer in above)
        tied = [layer.W.size for layer in self._learning if layer.by_image]
        self._most_parts = max(1, min(_PARTS, _PART_NUMBERS // max(tied, default=1)))
        if self.protocol.direct and not self.phase_locked:
            raise OptionError(f"{protocol} goes with the phase-locked engine: events carry signals from layer to layer")
        self._begin()
        self.components = Components() if circuits is None else Components.from_json(circuits)
        if self.protocol.direct and not self.components.ideal:
            raise OptionError(f"imperfect circuits go with signals from layer to layer, not with {self.protocol.name}")
        self._imperfection = None if self.components.ideal else Imperfection(self)
        self.variants = Variants(feedback_through, untied_feedback, feedback_input, feedback_clip)
        self._variation = None
        if self.variants.chosen:
            self._variation, self._chunk = VariantStep(self), _ALL
        self._check_engine()

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = check_whole("epoch", epoch)

    @property
    def batch(self) -> int:
        return self._batch

    @batch.setter
    def batch(self, batch: int) -> None:
        self._batch = check_whole("batch", batch)

    def _check_engine(self) -> None:
        """Engines that do the step in their own way do the paper's alone, with pools by the ordinary rules."""
        if type(self).increments is Trainer.increments:
            return
        chosen = [*self.variants.chosen, *([] if self.net.pools.ordinary else ["pool_anchor or pool_ties"])]
        if chosen:
            raise OptionError(f"{chosen[0]} goes with the phase-locked engine")

    def begin_epoch(self, epoch: int) -> None:
        """Set the counters to the first batch of an epoch."""
        self.epoch, self.batch = epoch, 0

    def _begin(self) -> None:
        """Set the feedback weights up, before every batch: another trainer may have had the net since."""
        self.protocol.begin(self.net.weighted)
        if self.protocol.direct:
            self.net.connect_directly()

    def step(self, images, labels) -> StepResult:
        """One batch: feedforward phase, output error, feedback phase, update of W and R.

        Parameters
        ----------
        images : (B, H, W, C), converted to float32
        labels : (B,) whole numbers, 0 to C - 1

        Returns
        -------
        StepResult, of the weights before the update

        Raises
        ------
        ArrayError : wrong shape or dtype, pixels that are not finite, labels out of range
        """
        increments, result = self.increments(images, labels)
        self.apply(increments, len(labels))
        self.batch += 1
        return result

    def increments(self, images, labels) -> tuple[dict[str, np.ndarray], StepResult]:
        """The Hebbian increments of a batch: for each layer that learns, the sum over the batch of delta x_below.

        Returns
        -------
        (layer name -> float32 array of the shape of W, StepResult). The arrays are overwritten by the next call.
        """
        images = check_images(images, self.net.input_shape)
        labels = check_labels(labels, len(images), self.net.classes)
        self._begin()
        if self._imperfection is not None:
            return self._imperfection.increments(images, labels)
        if self._variation is not None:
            return self._variation.increments(images, labels)
        batch, loss, wrong = len(images), np.empty(len(images)), 0
        parts = self._begin_parts(batch)
        for space, offset, chunk in self._chunks(images):
            seen = slice(offset, offset + len(chunk))
            space.feedforward(chunk, self._workers)
            wrong += self._output_error(space, labels[seen], loss[seen])
            here = [(max(a - offset, 0), min(b - offset, len(chunk))) for a, b in parts]
            here = [(a, b) for a, b in here if a < b]
            if self.protocol.direct:
                direct.descend(self, space, offset, len(chunk), parts, here)
                continue
            for stage in reversed(space.stages):
                layers = [layer for layer in reversed(stage) if layer.name in self._reached]
                if layers:

                    def descend(span: Span, space=space, offset=offset, layers=layers) -> None:
                        for layer in layers:
                            self._hebbian(space, layer, span, offset, parts)
                            if layer is not self._lowest:
                                space.feedback(layer, span)

                    space.run(stage, descend, here, self._workers)
        self._add_parts(len(parts))
        return self._increments, StepResult(float(loss.mean()), wrong / batch)

    def _hebbian(self, space: Workspace, layer: Layer, span: Span, offset: int, parts: list[tuple[int, int]]) -> None:
        """Add what the images of a span give to a layer's increment; a tied layer's goes to the part they belong to."""
        if layer.name not in self._increments:
            return
        (below,), own, first = space.parents(layer), space.at[layer.name], offset + span.first
        if layer.by_image:
            part = bisect.bisect_right(parts, first, key=operator.itemgetter(0)) - 1
            layer.hebbian(below, own, self._parts[layer.name][part], first == parts[part][0], span)
        else:
            layer.hebbian(below, own, self._increments[layer.name].reshape(-1), first == 0, span)

    def _part_edges(self, batch: int) -> list[int]:
        """Where the parts of a batch begin, and its end. They depend on the batch alone, and so do all sums."""
        number = min(self._most_parts, batch)
        return [part * batch // number for part in range(number + 1)]

    def _begin_parts(self, batch: int) -> list[tuple[int, int]]:
        """Cut a batch into parts; make room for the sum of each, in every tied layer that learns."""
        edges = self._part_edges(batch)
        for layer in self._learning:
            if layer.by_image and len(self._parts.get(layer.name, ())) < len(edges) - 1:
                self._parts[layer.name] = empty((len(edges) - 1) * layer.W.size).reshape(-1, layer.W.size)
        return list(itertools.pairwise(edges))

    def _add_parts(self, number: int) -> None:
        """The increment of each tied layer is the sum of its parts, one after another."""
        for name in self._parts:
            self._add_parts_of(self.net[name], self._increments[name].reshape(-1), number)

    def _add_parts_of(self, layer: Weighted, total: np.ndarray, number: int) -> None:
        parts, size = self._parts[layer.name].reshape(-1), layer.W.size
        self._workers.run(functools.partial(add_parts, total, parts, number, size), size, 1 << 14)

    def _output_error(self, space: Workspace, labels: np.ndarray, loss: np.ndarray) -> int:
        """The output error REPLACES the activity of the output layer (eq. 6); return the number of wrong answers."""
        top = space.at[self.net.layers[-1].name].array(len(labels))
        wrong = int(np.count_nonzero(top.argmax(axis=1) != labels))
        top[...], loss[...] = self._loss(top, labels, self.mu)
        return wrong

    def apply(self, increments: dict[str, np.ndarray], batch: int) -> None:
        """W += (eta / B) increment; R += epsilon times the same (section 3.1, eq. 7); with decay both shrink first."""
        for name, increment in increments.items():
            if not name.endswith(".R"):
                layer = self.net[name]
                self._update_layer(layer, layer.W, layer.R, increment, increments.get(f"{name}.R", increment), batch)
        self.protocol.follow(self._learning)

    def _update_layer(self, layer: Weighted, W, R, increment, of_R, batch: int) -> None:
        """The update of W and R, the arrays of a layer or copies of them."""
        rate, keep = self.step_size / batch, np.float32(1 - self.step_size * self.decay)
        self._update(W, layer.W_mask, increment, np.float32(rate), keep, W.size)
        epsilon = self.protocol.feedback_rate
        if epsilon > 0 and not layer.is_symmetric:
            self._update(R, layer.R_mask, of_R, np.float32(epsilon * rate), keep, R.size)

    def _update(self, weights, mask, increment, rate, keep, size) -> None:
        weights, increment = weights.reshape(-1), increment.reshape(-1)
        if mask is None:
            self._workers.run(lambda a, b: update(weights, increment, rate, keep, a, b), size, 1 << 14)
        else:
            mask = mask.reshape(-1)
            self._workers.run(lambda a, b: update_connected(weights, mask, increment, rate, keep, a, b), size, 1 << 14)

    def signals(self, images, labels) -> dict[str, np.ndarray]:
        """What each unit carries at the end of the feedback phase: layer name -> float32 (B, *shape)."""
        images = check_images(images, self.net.input_shape)
        labels = check_labels(labels, len(images), self.net.classes)
        self._begin()
        if self._imperfection is not None:
            return self._imperfection.signals(images, labels)
        if self._variation is not None:
            return self._variation.signals(images, labels)
        result = {layer.name: np.empty((len(images), *layer.shape), np.float32) for layer in self.net.layers}
        for space, offset, part in self._chunks(images):
            number = len(part)
            space.feedforward(part, self._workers)
            self._output_error(space, labels[offset : offset + number], np.empty(number))
            if self.protocol.direct:
                for layer in self.net.weighted[:-1]:
                    direct.reach(self, space, layer, number)
            else:
                for layer in reversed(self.net.layers[1:]):
                    space.feedback(layer, Span(0, number, self._workers))
            self._collect(result, space, offset, number)
        return result

    def _collect(self, result: dict[str, np.ndarray], space: Workspace, offset: int, number: int) -> None:
        """Note what the units carry for the images of a chunk; a dropped unit stays silent."""
        for name, array in result.items():
            array[offset : offset + number] = space.at[name].array(number)
            if space.at[name].kept is not None:
                array[offset : offset + number] *= self.net[name].masks(space.at[name], number)

    def _chunks(self, images: np.ndarray):
        """Yield (workspace, offset, images) for chunk after chunk of a batch, weights laid out and masks drawn."""
        net, workers = self.net, self._workers
        edges = self._chunk_edges(len(images))
        size = max(b - a for a, b in itertools.pairwise(edges))
        if self._space is None or self._space.images < size:
            self._space = Workspace(net.layers, net.input_shape, size)
        for layer in net.weighted:
            layer.prepare(workers, feedback=INPUT not in layer.parents)
        for offset, end in itertools.pairwise(edges):
            part = images[offset:end]
            for position, layer in enumerate(net.layers):
                if layer.kind == "drop":
                    stream = chance.key(self.seed, self.epoch, self.batch, position)
                    layer.draw(self._space.at[layer.name], self.drop, stream, offset)
            yield self._space, offset, part

    def _chunk_edges(self, batch: int) -> list[int]:
        """Where the chunks of a batch begin, and its end: whole parts, enough of them for all threads."""
        if self._chunk:
            return [*range(0, batch, self._chunk), batch]
        edges, threads = self._part_edges(batch), self._workers.threads
        number = len(edges) - 1
        size = chunk_size(self.net.layers, self.net.input_shape, batch)
        parts = -(-size * number // batch)
        return [*edges[: -1 : -(-parts // threads) * threads], batch]
