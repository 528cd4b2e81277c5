"""The exact event engine as a trainer: every event of every unit in time order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netsim.engine import Trainer
from netsim.errors import ArrayError, OptionError
from netsim.events import weights as orders
from netsim.events.presets import resolve
from netsim.events.schedule import Schedule
from netsim.events.state import (
    FEEDBACK_RATE,
    LOGGED,
    MU,
    ONLINE,
    RATE,
    SIGN,
    SLOPE,
    SOFTMAX,
    SYMMETRIC,
    TAGGED,
    Weights,
)  # fmt: skip
from netsim.events.stream import EventStream
from netsim.events.times import EventTimes
from netsim.events.wiring import plan
from netsim.kernels import chance
from netsim.losses import wrong_answers
from netsim.network import Network
from netsim.steps.setting import StepResult
from netsim.values import check_seed

#: Streams of a batch, where nothing else is said: so many presentations go on at once.
STREAMS = 4


class EventTrainer(Trainer):
    """Trains a net whose units have their own event times; the model: `netsim.events`.

    A batch is cut into ``streams`` consecutive parts of (nearly) equal size (where it is smaller than that, some are
    empty); each stream shows its part, image after image, and goes on from batch to batch until the epoch ends. A new
    epoch starts all streams at rest.

    Parameters
    ----------
    net, protocol, loss, ... : as for `netsim.Trainer`
    schedule : `Schedule`, the name of a preset, or the path of a .toml file
    streams : number of streams; None is 4, or 1 where weights change online. Results depend on it, never on
        ``threads``: so many streams go on in parallel.
    dtype : float32, or float64 to check against slower programs
    timing_seed : of the event times; None takes ``seed``
    logged : presentation (of every stream) of which all events are kept, see `event_log`; None for none

    Raises
    ------
    OptionError : a value out of range; a schedule that does not fit the net; online weights with several streams
    """

    phase_locked = False

    def __init__(
        self,
        net: Network,
        schedule: Schedule | str = "nominal",
        protocol: str = "urfb",
        loss: str = "hinge",
        step_size: float = 0.1,
        mu: float | None = None,
        *,
        streams: int | None = None,
        dtype=np.float32,
        timing_seed: int | None = None,
        logged: int | None = None,
        **options,
    ):
        if options.get("circuits") is not None:
            raise OptionError("the event engines have ideal circuits: imperfect ones go with the phase-locked engine")
        super().__init__(net, protocol, loss, step_size, mu, **options)
        self.schedule = resolve(schedule)
        self.online = self.schedule.weights == "online"
        if self.online and self.protocol.name == "sign-symmetry":
            raise OptionError("sign-symmetry sets R after every batch: it does not go with weights that change online")
        if streams is None:
            streams = 1 if self.online else STREAMS
        if isinstance(streams, bool) or not isinstance(streams, int) or not 1 <= streams <= 4096:
            raise OptionError(f"streams is {streams!r}: it must be a whole number from 1 to 4096")
        if self.online and streams > 1:
            raise OptionError(f"streams is {streams}: weights that change online are those of 1 stream")
        self.streams, self.dtype = streams, np.dtype(dtype)
        self.timing_seed = self.seed if timing_seed is None else check_seed(timing_seed, "timing_seed")
        self._logged, self._first = logged, 0
        self._plan = plan(net.layers, net.input_shape)
        self._under_way: list[EventStream] = []
        self._epoch_under_way = -1
        size = self._plan.weights_size
        self._flat = Weights(
            forward=np.zeros(size, self.dtype),
            backward=np.zeros(size, self.dtype),
            forward_mask=np.zeros(0, np.uint8),
            backward_mask=np.zeros(0, np.uint8),
            learns=np.array([0, *(layer.name in self.sums for layer in self._plan.layers)], np.uint8),
        )
        self.times_of(0)  # refuses a schedule that does not fit

    # ---------------------------------------------------------------------------------------------- a batch
    def increments(self, images, labels) -> tuple[dict[str, np.ndarray], StepResult]:
        """As `Trainer.increments`, under the schedule; the streams move on by the batch.

        Online, the increment is what the weights changed by, divided by eta / B.
        """
        increments, result = self._pass(images, labels)
        if self.online:
            rate = self.step_size / len(images)
            for layer, forward, _ in self._flat_layers():
                if layer.name in increments and rate > 0:
                    increments[layer.name][...] = (forward - layer.W * self._keep) / rate
        return increments, result

    def step(self, images, labels) -> StepResult:
        """As `Trainer.step`, under the schedule."""
        increments, result = self._pass(images, labels)
        if self.online:
            for layer, forward, backward in self._flat_layers():
                if layer.name in increments:
                    layer.W[...] = forward
                    if not layer.is_symmetric and self.protocol.feedback_rate > 0:
                        layer.R[...] = backward
        else:
            self.apply(increments, len(labels))
        self.batch += 1
        return result

    @property
    def _keep(self) -> float:
        return 1 - self.step_size * self.decay

    def _pass(self, images, labels) -> tuple[dict[str, np.ndarray], StepResult]:
        images, labels = self._begin(images, labels)
        batch = len(images)
        self._lay_out_weights()
        streams = self._streams(batch)
        scores = np.zeros((batch, self.net.classes), self.dtype)
        edges = [s * batch // self.streams for s in range(self.streams + 1)]
        self.workers.run_tasks([
            lambda s=s: self._play(streams[s], images, labels, edges[s], edges[s + 1], scores)
            for s in range(self.streams)
        ])  # fmt: skip
        for layer, at, size in self._places():
            if layer.name in self.sums:
                total = streams[0].state.delta[at : at + size]
                for stream in streams[1:]:
                    total = total + stream.state.delta[at : at + size]
                self.sums.total[layer.name][...] = orders.from_unit(layer.kind, total, layer.weights_shape)
        _, loss = self.loss(scores, labels, self.mu)
        return self.sums.total, StepResult(float(loss.mean()), wrong_answers(scores, labels) / batch)

    def _play(self, stream: EventStream, images, labels, first: int, last: int, scores) -> None:
        """Show images[first:last] in one stream."""
        stream.state.delta[:] = 0
        masks = np.ones(stream.state.mask.size, self.dtype)
        for b in range(first, last):
            self._draw_masks(masks, b)
            image = images[b].reshape(-1).astype(self.dtype, copy=False)
            scores[b] = stream.show(image, int(labels[b]), masks, self._flat)
        stream.finish(self._flat)

    def _draw_masks(self, masks: np.ndarray, image: int) -> None:
        if self.drop == "off":
            return
        for mask in self._plan.masks:
            part = masks[mask.at : mask.at + mask.units]
            part[:] = 1
            for position, fraction in mask.drops:
                kept = np.empty(mask.units, np.uint8)
                begin = image * mask.units if self.drop == "sample" else 0
                chance.kept_units(kept, self.key(position), chance.threshold(fraction), begin, 0, mask.units)
                part *= kept * np.float32(1 / (1 - fraction))

    # -------------------------------------------------------------------------------------- what it works on
    def _streams(self, batch: int) -> list[EventStream]:
        if self._epoch_under_way != self.epoch or not self._under_way:
            self._under_way = [self._new_stream(number) for number in range(self.streams)]
            self._epoch_under_way = self.epoch
        for stream in self._under_way:
            rate = self.step_size / batch
            stream.state.constants[RATE] = rate
            stream.state.constants[FEEDBACK_RATE] = rate * self.protocol.feedback_rate
        return self._under_way

    def times_of(self, stream: int) -> EventTimes:
        """The event times of a stream in this epoch."""
        return EventTimes(self.schedule, self._plan.layout, self.timing_seed, self.epoch, stream)

    def _new_stream(self, number: int) -> EventStream:
        times = self.times_of(number)
        constants = {SLOPE: self.net.options["slope"], MU: self.mu, SIGN: self.schedule.factor}
        flags = {
            SOFTMAX: self.loss_name == "softmax",
            ONLINE: self.online,
            SYMMETRIC: self.protocol.symmetric,
            TAGGED: self.schedule.tag_decay is not None,
            LOGGED: self._logged is not None,
        }
        return EventStream(self._plan, times, self.dtype, constants, flags, self._first, self._logged)

    def begin_epoch(self, epoch: int) -> None:
        """Set the counters to the first batch of an epoch; all streams start at rest."""
        super().begin_epoch(epoch)
        self._under_way, self._first = [], 0

    def begin_with(self, presentation: int) -> None:
        """Let the streams of this epoch start with a later presentation; they are at rest before it."""
        self._under_way, self._first = [], presentation

    def state(self) -> dict[str, np.ndarray]:
        """The streams between two batches of an epoch, by name: `restore` goes on from there, bit for bit."""
        return {
            f"stream{number}.{name}": array
            for number, stream in enumerate(self._under_way)
            for name, array in stream.snapshot().items()
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over what `state` gave; ``epoch`` and ``batch`` must be set as they were. {} : all at rest.

        Raises ArrayError where the state is not that of such streams.
        """
        self._under_way = []
        if not state:
            return
        streams = [self._new_stream(number) for number in range(self.streams)]
        for number, stream in enumerate(streams):
            prefix = f"stream{number}."
            own = {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
            try:
                stream.resume(own)
            except (KeyError, ValueError, IndexError, TypeError):
                raise ArrayError(f"the state of stream {number} is not that of this net and schedule") from None
        self._under_way, self._epoch_under_way = streams, self.epoch

    def _places(self):
        """Yield (layer, where its weights begin, how many) for the weighted layers."""
        for p, layer in enumerate(self._plan.layers, start=1):
            at = int(self._plan.wiring.weights_at[p])
            if at >= 0:
                yield layer, at, int(np.prod(layer.weights_shape))

    def _flat_layers(self):
        """Yield (layer, W, R) with the weights that the kernels hold, in the public shapes (views)."""
        for layer, at, size in self._places():
            forward = orders.from_unit(layer.kind, self._flat.forward[at : at + size], layer.weights_shape)
            backward = orders.from_source(layer.kind, self._flat.backward[at : at + size], layer.weights_shape)
            yield layer, forward, backward

    def _lay_out_weights(self) -> None:
        flat, keep = self._flat, np.float32(self._keep)
        if self.online and any(layer.W_mask is not None or layer.R_mask is not None for layer in self.net.weighted):
            size = flat.forward.size
            flat = self._flat = flat._replace(
                forward_mask=np.ones(size, np.uint8), backward_mask=np.ones(size, np.uint8)
            )
        for layer, at, size in self._places():
            part = slice(at, at + size)
            flat.forward[part] = orders.by_unit(layer.kind, layer.W).reshape(-1)
            flat.backward[part] = orders.by_source(layer.kind, layer.R).reshape(-1)
            if self.online and layer.name in self.sums:
                flat.forward[part] *= keep
                if self.protocol.feedback_rate > 0:
                    flat.backward[part] *= keep
            if flat.forward_mask.size:
                for mask, order, target in (
                    (layer.W_mask, orders.by_unit, flat.forward_mask),
                    (layer.R_mask, orders.by_source, flat.backward_mask),
                ):
                    target[part] = 1 if mask is None else order(layer.kind, mask).reshape(-1)

    # ------------------------------------------------------------------------------------------- what it saw
    def phases(self) -> dict[str, dict[str, tuple[float, int]]]:
        """Share of in-phase reads since the epoch began: layer -> event -> (share, number of events).

        An event's share is the mean, over the populations that it reads, of the share of units that carry what the
        algorithm means at this point: x of the same presentation for events a and c, the signal for b. A plasticity
        event that comes whole presentations late, without a tag, is meant to read those of the presentation in which
        it comes; with a tag, of its own.
        """
        result: dict[str, dict[str, tuple[float, int]]] = {}
        for p, layer in enumerate(self._plan.layers, start=1):
            result[layer.name] = {}
            for kind, event in enumerate(("feedforward", "feedback", "plasticity")):
                reads = sum(int(stream.state.reads[p, kind]) for stream in self._under_way)
                share = sum(float(stream.state.in_phase[p, kind]) for stream in self._under_way)
                if reads:
                    result[layer.name][event] = (share / reads, reads)
        return result

    def event_log(self) -> list[list[dict]]:
        """With ``logged``: for each stream `EventStream.log`, empty until all events of the presentation are over."""
        return [stream.log for stream in self._under_way]
