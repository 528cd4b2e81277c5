"""Training: epochs over a data set, into a run folder. Nothing here knows about the terminal.

    prepared = netsim.preparation.prepare(netsim.configuration.build({"data": "digits", "epochs": 3}))
    with netsim.runs.create("runs/mine", prepared.configuration.to_toml()) as run:
        train(prepared, run)

The order of the images, the dropout masks and the sums are functions of the seed and of the position (epoch,
batch) alone. So a run that was killed and resumed gives the bits of one that was not.
"""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from netsim import devices, evaluation, inheritance, plots
from netsim.configuration import Configuration, differences, parse
from netsim.errors import DivergedError, NetsimError, RunError
from netsim.preparation import Prepared
from netsim.runs import Checkpoint, History, Run
from netsim.runs.records import merit
from netsim.training_events import EpochDone, Event, Notice, Started, Stepped

if TYPE_CHECKING:
    from netsim.data import Split
    from netsim.steps.setting import StepResult

#: Seconds between checkpoints within an epoch, and between drawings of the curves.
CHECKPOINT_SECONDS = 60.0
CURVES_SECONDS = 30.0
#: Seconds after which a device is asked for the results that it keeps back.
SETTLE_SECONDS = 0.5


@dataclass(frozen=True)
class Position:
    """Where a run stands between two batches: whole epochs, batches of the next one, and sums over these.

    `errors` counts images, `loss` is the float64 sum over images in the order they were learned.
    """

    epoch: int = 0
    batch: int = 0
    images: int = 0
    loss: float = 0.0
    errors: int = 0
    best_epoch: int = 0
    best_error: float | None = None
    best_loss: float | None = None

    def after_batch(self, images: int, loss: float, error_rate: float) -> Position:
        return replace(
            self,
            batch=self.batch + 1,
            images=self.images + images,
            loss=self.loss + loss * images,
            errors=self.errors + round(error_rate * images),
        )

    def after_epoch(self) -> Position:
        return replace(self, epoch=self.epoch + 1, batch=0, images=0, loss=0.0, errors=0)

    def means(self) -> tuple[float, float]:
        """Mean loss and error over the epoch's images so far."""
        return self.loss / self.images, self.errors / self.images

    def with_best(self, record: dict) -> tuple[Position, bool]:
        """Note whether `record` is the best so far (see `netsim.runs.records.merit`); of equals, the earliest is."""
        found = merit(record)
        if self.best_error is not None and found >= (self.best_error, self.best_loss):
            return self, False
        return replace(self, best_epoch=record["epoch"], best_error=found[0], best_loss=found[1]), True


@dataclass(frozen=True)
class Outcome:
    """How `train` ended: `finished`, or stopped in between; the records and times of all epochs done."""

    finished: bool
    records: list[dict]
    timings: list[dict]


def train(
    prepared: Prepared,
    run: Run,
    on_event: Callable[[Event], None] = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train up to `prepared.configuration.epochs` epochs, going on from what `run` holds.

    run: a locked run folder. on_event: told what happens. stop: asked after every batch; True saves and
    returns. Raises `DivergedError` where the loss or a weight is no longer finite (what was saved before
    stays), `RunError` where the folder cannot be written.
    """
    course = _Course(prepared, run, on_event, stop)
    epochs = prepared.configuration.epochs
    while course.position.epoch < epochs and not course.stopped:
        course.learn_epoch()
        if not course.stopped:
            course.end_epoch()
    course.draw_what_is_new()
    return Outcome(course.position.epoch >= epochs, course.history.records, run.timings())


class _Course:
    """A run on its way: where it stands, and what is done epoch by epoch.

    Attributes
    ----------
    position, history : where the run stands, and the metrics of its epochs
    stopped : whether somebody asked for the end; what was learned is saved then
    """

    def __init__(self, prepared: Prepared, run: Run, on_event: Callable[[Event], None], stop: Callable[[], bool]):
        self.prepared, self.run, self.on_event, self.stop = prepared, run, on_event, stop
        self.position, self.history, self.streams = _restore(prepared, run, on_event)
        self.stopped = False
        on_event(Started(prepared.configuration, self.position.epoch, self.position.images))
        self.learner = devices.make_learner(prepared.trainer, prepared.train, prepared.configuration.batch)
        self.orders = orders_of_presentations(prepared.configuration, prepared.train)
        self.clock = _Clock()
        self.saved = self.settled = self.drawn = time.monotonic()
        self.drawn_epochs = 0

    def learn_epoch(self) -> None:
        """Learn the images of an epoch, or what is left of them, batch by batch."""
        batch = self.prepared.configuration.batch
        order = self.orders(self.position.epoch)
        self._begin_epoch(order)
        for start in range(self.position.images, len(order), batch):
            end = min(start + batch, len(order))
            with self.clock.learning(end - start):
                known = self.learner.learn(start, end)
            self._tell(known)
            self.stopped = self.stop()
            saving = self.stopped or time.monotonic() - self.saved >= CHECKPOINT_SECONDS
            self._settle(wholly=saving or end == len(order))
            if saving:
                self._save()
            if self.stopped:
                return

    def _begin_epoch(self, order: np.ndarray) -> None:
        """Set trainer, learner and clock to where the run stands in its epoch."""
        trainer, position = self.prepared.trainer, self.position
        trainer.begin_epoch(position.epoch)
        trainer.batch = position.batch
        if self.streams:  # of a run resumed within an epoch
            trainer.restore(self.streams)
            self.streams = {}
        self.learner.begin_epoch(order, position.images)
        self.clock.begin_epoch()

    def _settle(self, wholly: bool) -> None:
        """Ask for the results that a device keeps back: all of them where the weights are needed, else now and then."""
        if not wholly and time.monotonic() - self.settled < SETTLE_SECONDS:
            return
        with self.clock.learning(0):
            known = self.learner.settle() if wholly else self.learner.tell()
        self._tell(known)
        self.settled = time.monotonic()

    def _tell(self, known: list[tuple[int, StepResult]]) -> None:
        """Go on by the steps whose results are known by now; everybody hears of each."""
        for images, result in known:
            _check_finite(result.loss, self.position, self.run)
            self.position = self.position.after_batch(images, result.loss, result.error_rate)
            loss, error = self.position.means()
            self.on_event(Stepped(self.position.epoch + 1, self.position.images, loss, error, self.clock.total))

    def _save(self) -> None:
        """Make a checkpoint of the run as it stands between two batches."""
        self.run.save(_checkpoint(self.prepared, self.position, self.history, self.run))
        self.saved = time.monotonic()

    def end_epoch(self) -> None:
        """Measure the net, save it with the epoch's record, and tell of it."""
        record, timing = _measure(self.prepared, self.learner.network, self.position, self.clock)
        for loss in (record["train_loss"], record["validation_loss"]):
            _check_finite(0.0 if loss is None else loss, self.position, self.run)
        self.position, improved = self.position.after_epoch().with_best(record)
        self.history.add(record)
        checkpoint = _checkpoint(self.prepared, self.position, self.history, self.run)
        self.run.append(record, timing)
        if improved:
            self.run.save_best(replace(checkpoint, metrics=""))
        self.run.save(checkpoint)
        self.saved = time.monotonic()
        self.on_event(EpochDone(record, timing))
        self.stopped = self.stop()
        # The first epoch is drawn at once, so that a long run has a picture from the start.
        if len(self.history.records) == 1 or time.monotonic() - self.drawn >= CURVES_SECONDS:
            self.draw_what_is_new()

    def draw_what_is_new(self) -> None:
        """Draw the epochs that the picture lacks."""
        if self.drawn_epochs != len(self.history.records):
            _draw(self.prepared, self.run, self.history)
            self.drawn, self.drawn_epochs = time.monotonic(), len(self.history.records)


def orders_of_presentations(configuration: Configuration, split: Split) -> Callable[[int], np.ndarray]:
    """What gives the images of an epoch in the order of the configuration's stream: epoch -> indices, int64."""
    if configuration.stream == "random":
        return lambda epoch: order_of_images(configuration.seed, epoch, len(split))
    from netsim.events.streams import Stream

    stream = Stream.parse(configuration.stream).of(split)
    return lambda epoch: stream.order(split.labels, configuration.seed, epoch)


def order_of_images(seed: int, epoch: int, images: int) -> np.ndarray:
    """Permutation of 0..images-1 for an epoch: int64, a function of (seed, epoch) alone.

    The raw 64-bit numbers of a Philox generator are sorted; numpy promises that stream for ever, which it
    does not for `Generator.permutation`.
    """
    key = np.array([seed, epoch], dtype=np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(images), kind="stable")


class _Clock:
    """Seconds that learning took, without what is done between batches, and images learned in them.

    ``seconds``, ``images``: of the epoch; ``total``: seconds since training began or went on.
    """

    def __init__(self) -> None:
        self.seconds, self.images, self.total = 0.0, 0, 0.0

    def begin_epoch(self) -> None:
        self.seconds, self.images = 0.0, 0

    @contextlib.contextmanager
    def learning(self, images: int) -> Iterator[None]:
        began = time.perf_counter()
        with np.errstate(all="ignore"):  # what is not finite is found later, and told in one line
            yield
        spent = time.perf_counter() - began
        self.seconds, self.images, self.total = self.seconds + spent, self.images + images, self.total + spent


def _measure(prepared: Prepared, answering, position: Position, clock: _Clock) -> tuple[dict, dict]:
    """The epoch's line of metrics.jsonl (a function of seed and data alone) and of timings.jsonl.

    answering: the net, or the net as it stands on a device.
    """
    began = time.perf_counter()
    network, loss, error = prepared.network, None, None
    shown = prepared.train if prepared.validation is None else prepared.validation
    if prepared.validation is not None:
        configuration = prepared.configuration
        result = evaluation.evaluate(
            answering, prepared.validation, configuration.loss, prepared.trainer.mu, configuration.threads
        )
        loss, error = result.loss, result.error
    train_loss, train_error = position.means()
    correlations, angles = evaluation.alignment(network)
    if prepared.trainer.protocol.direct:  # no signal passes R
        correlations, angles = dict.fromkeys(correlations), dict.fromkeys(angles)
    record = {
        "epoch": position.epoch + 1,
        "train_loss": train_loss,
        "train_error": train_error,
        "validation_loss": loss,
        "validation_error": error,
        "correlation": correlations,
        "angle_degrees": angles,
        "saturated": evaluation.saturation(answering, shown),
    }
    timing = {
        "epoch": position.epoch + 1,
        "images_per_second": clock.images / clock.seconds if clock.seconds > 0 else None,
        "seconds": clock.seconds,
        "evaluation_seconds": time.perf_counter() - began,
    }
    return record, timing


def _check_finite(loss: float, position: Position, run: Run) -> None:
    if not math.isfinite(loss):
        raise DivergedError(_diverged("the loss is no longer finite", position, run))


def _diverged(what: str, position: Position, run: Run) -> str:
    kept = f"{run.last_path} keeps the last good weights" if run.last_path.exists() else "nothing was saved yet"
    return f"{what} (epoch {position.epoch + 1}, batch {position.batch + 1}): try a smaller step size; {kept}"


def _checkpoint(prepared: Prepared, position: Position, history: History, run: Run) -> Checkpoint:
    """The state of the run now. Raises `DivergedError` rather than save a weight that is not finite."""
    state = prepared.network.state()
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DivergedError(_diverged(f"a weight of {name} is no longer finite", position, run))
    decisive = prepared.configuration.decisive()
    data = prepared.configuration.resolved["data_sha256"]
    return Checkpoint(
        state,
        {**asdict(position), "configuration": decisive, "data_sha256": data},
        history.text,
        prepared.network.description(),
        prepared.trainer.state() if position.batch and prepared.configuration.schedule is not None else {},
    )


def _draw(prepared: Prepared, run: Run, history: History) -> None:
    """Write curves.png from the metrics alone, so that a resumed run draws the same bytes."""
    configuration = prepared.configuration
    curve = plots.Curve(history.records, configuration.protocol, configuration.run_name)
    run.write_curves(plots.curves(curve))
    gc.collect()  # a figure is a web of cycles: without this, memory would grow by megabytes a picture


def _restore(prepared: Prepared, run: Run, on_event: Callable[[Event], None]) -> tuple[Position, History, dict]:
    """Put net and position where the newest whole checkpoint of `run` has them; under a schedule, also the streams.

    A new run that starts from another's weights saves them first: from then on it needs that run no more.
    """
    checkpoint = run.restore(lambda text: on_event(Notice(text)))
    if checkpoint is None:
        position, history = Position(), History()
        source, protocol = prepared.configuration.source, prepared.configuration.protocol
        if source is not None:
            on_event(Notice(inheritance.inherit(prepared.network, source, protocol)))
            run.save(_checkpoint(prepared, position, history, run))
        return position, history, {}
    facts = checkpoint.position
    before = prepared.configuration.as_decided(facts.get("configuration", {}))
    changed = list(differences(before, prepared.configuration.decisive()))
    if changed:
        raise RunError(
            f"{run.configuration_path} was changed since the run began ({changed[0]}): "
            f"start a new run by `netsim train --config {run.configuration_path}`"
        )
    if facts.get("data_sha256") != prepared.configuration.resolved["data_sha256"]:
        raise RunError(f"{run.path}: the data {prepared.configuration.data} are not those that the run began with")
    before = parse(run.configuration(), str(run.configuration_path)).get("versions", {})
    before, now = ({"device": "CPU", **versions} for versions in (before, prepared.configuration.versions))
    for difference in differences(before, now):
        on_event(Notice(f"{difference}: the run may not repeat bit for bit"))
    try:
        position = Position(**{field.name: facts[field.name] for field in fields(Position)})
        prepared.network.restore(checkpoint.weights)
    except (KeyError, TypeError, NetsimError) as error:
        raise RunError(f"{run.path}: the checkpoint does not belong to this run: {error}") from error
    return position, History(checkpoint.metrics), checkpoint.streams
