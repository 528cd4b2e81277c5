"""What every way of making a step works with: the net, the rule, the counters of chance, and room for a batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from netsim import losses, protocols
from netsim.components import Components
from netsim.errors import OptionError, nearest
from netsim.geometry import INPUT
from netsim.kernels import chance
from netsim.kernels.weights import update, update_connected
from netsim.kernels.workers import Workers
from netsim.layers import Weighted
from netsim.network import Network
from netsim.steps.increments import Increments
from netsim.values import check_number, check_seed, check_whole
from netsim.workspace import Workspace, chunk_size

DROP_MODES = ("sample", "batch", "off")


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


class Setting:
    """The part of `netsim.Trainer` that its steps use; parameters and errors are described there.

    What is not described there is for the files beside this one, and for the engines: users have no need of it.

    Attributes
    ----------
    net : `netsim.Network`
    protocol : `netsim.protocols.Protocol`
    loss_name, loss : "hinge" or "softmax", and the function of `netsim.losses`
    step_size, mu, decay, drop, seed : as given, or what None stands for
    frozen : names of the layers that stay
    components : what circuits are imperfect in, `netsim.components.Components`
    epoch, batch : the counters that, with the seed, determine the dropout masks
    learning : the layers that learn, bottom up; lowest : the first of them, or None
    reached : names of ``lowest`` and the layers above it: nothing below needs a signal
    sums : the increments of a batch, `Increments`
    workers : the threads; chunk : images worked through at once, None chooses by memory
    space : room for the units of a chunk, `Workspace`; None before the first batch
    """

    #: False where a subclass moves events in time: there signals come down from layer to layer, in ideal circuits.
    phase_locked = True

    def __init__(
        self,
        net: Network,
        protocol: str,
        loss: str,
        step_size: float,
        mu: float | None,
        *,
        feedback_rate: float | None,
        decay: float | None,
        drop: str,
        frozen: Iterable[str],
        seed: int | None,
        threads: int | None,
        chunk: int | None,
        circuits,
    ):
        self.net = net
        self.protocol = protocols.find(protocol, feedback_rate)
        self.loss_name, self.loss = loss, losses.find(loss)
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
        self.workers = Workers(threads)
        self.chunk = None if chunk is None else check_whole("chunk", chunk, least=1)
        self.space: Workspace | None = None
        self.learning = [layer for layer in net.weighted if layer.name not in self.frozen]
        self.lowest = self.learning[0] if self.learning else None
        above = itertools.dropwhile(lambda layer: layer is not self.lowest, net.layers)
        self.reached = frozenset(layer.name for layer in above)
        self.sums = Increments(self.learning)
        direct, name = self.protocol.direct, self.protocol.name
        if direct and not self.phase_locked:
            raise OptionError(f"{name} goes with the phase-locked engine: events carry signals from layer to layer")
        self.components = Components() if circuits is None else Components.from_json(circuits)
        if direct and not self.components.ideal:
            raise OptionError(f"imperfect circuits go with signals from layer to layer, not with {name}")
        self.begin_step()  # after the checks: a trainer that is refused leaves the net as it was

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

    def begin_epoch(self, epoch: int) -> None:
        """Set the counters to the first batch of an epoch."""
        self.epoch, self.batch = epoch, 0

    def begin_step(self) -> None:
        """Set the feedback weights up, before every batch: another trainer may have had the net since."""
        self.protocol.begin(self.net.weighted)
        if self.protocol.direct:
            self.net.connect_directly()

    def key(self, position: int) -> np.uint64:
        """The random stream of the layer at this position, in this batch."""
        return chance.key(self.seed, self.epoch, self.batch, position)

    def draw_masks(self, space: Workspace, offset: int) -> None:
        """Choose the masks of dropped units for a chunk whose first image is number ``offset`` of the batch."""
        for position, layer in enumerate(space.layers):
            if layer.kind == "drop":
                layer.draw(space.at[layer.name], self.drop, self.key(position), offset)

    def chunks(self, images: np.ndarray, whole: bool = False) -> Iterator[tuple[Workspace, int, np.ndarray]]:
        """Yield (workspace, offset, images) for chunk after chunk of a batch, weights laid out and masks drawn.

        whole : all images are one chunk, whatever ``chunk`` says
        """
        net = self.net
        edges = [0, len(images)] if whole else self._chunk_edges(len(images))
        size = max(b - a for a, b in itertools.pairwise(edges))
        if self.space is None or self.space.images < size:
            self.space = Workspace(net.layers, net.input_shape, size)
        for layer in net.weighted:
            layer.prepare(self.workers, feedback=INPUT not in layer.parents)
        for offset, end in itertools.pairwise(edges):
            self.draw_masks(self.space, offset)
            yield self.space, offset, images[offset:end]

    def _chunk_edges(self, batch: int) -> list[int]:
        """Where the chunks of a batch begin, and its end: whole parts, enough of them for all threads."""
        if self.chunk:
            return [*range(0, batch, self.chunk), batch]
        edges, threads = self.sums.part_edges(batch), self.workers.threads
        number = len(edges) - 1
        size = chunk_size(self.net.layers, self.net.input_shape, batch)
        parts = -(-size * number // batch)
        return [*edges[: -1 : -(-parts // threads) * threads], batch]

    def output_error(self, space: Workspace, labels: np.ndarray, loss: np.ndarray) -> int:
        """The output error REPLACES the activity of the output layer (eq. 6); return the number of wrong answers.

        labels : (images,); loss : float64 (images,), set
        """
        top = space.at[self.net.layers[-1].name].array(len(labels))
        wrong = losses.wrong_answers(top, labels)
        top[...], loss[...] = self.loss(top, labels, self.mu)
        return wrong

    def update_layer(self, layer: Weighted, W, R, increment, of_R, batch: int) -> None:
        """W += (eta / B) increment; R += epsilon times the same (section 3.1, eq. 7); with decay both shrink first.

        W, R : the arrays of a layer or copies of them, changed in place; increment, of_R : of their shape
        """
        rate, keep = self.step_size / batch, np.float32(1 - self.step_size * self.decay)
        self._update(W, layer.W_mask, increment, np.float32(rate), keep, W.size)
        epsilon = self.protocol.feedback_rate
        if epsilon > 0 and not layer.is_symmetric:
            self._update(R, layer.R_mask, of_R, np.float32(epsilon * rate), keep, R.size)

    def _update(self, weights, mask, increment, rate, keep, size) -> None:
        weights, increment = weights.reshape(-1), increment.reshape(-1)
        if mask is None:
            self.workers.run(lambda a, b: update(weights, increment, rate, keep, a, b), size, 1 << 14)
        else:
            mask = mask.reshape(-1)
            self.workers.run(lambda a, b: update_connected(weights, mask, increment, rate, keep, a, b), size, 1 << 14)
