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
from netsim.training_events import EpochDone, Event, Notice, Started, Stepped

if TYPE_CHECKING:
    from netsim.engine import StepResult

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
        """Note whether `record` is the best so far: the smallest error, then loss, then the earliest.

        On the validation images; without any, on the training images.
        """
        kind = "validation" if record["validation_error"] is not None else "train"
        found = record[f"{kind}_error"], record[f"{kind}_loss"]
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
    configuration, trainer = prepared.configuration, prepared.trainer
    split, batch = prepared.train, configuration.batch
    position, history, streams = _restore(prepared, run, on_event)
    on_event(Started(configuration, position.epoch, position.images))
    learner = devices.make_learner(trainer, split, batch)
    saved = drawn = settled = time.monotonic()
    drawn_epochs = -1
    for epoch in range(position.epoch, configuration.epochs):
        order = order_of_presentations(configuration, epoch, split.labels)
        trainer.begin_epoch(epoch)
        trainer.batch = position.batch
        if streams:
            trainer.restore(streams)
            streams = {}
        learner.begin_epoch(order, position.images)
        clock = _Clock()
        for start in range(position.images, len(order), batch):
            end = min(start + batch, len(order))
            with clock.learning(end - start):
                known = learner.learn(start, end)
            position = _told(known, position, run, on_event)
            stopped, saving = stop(), time.monotonic() - saved >= CHECKPOINT_SECONDS
            settling = stopped or saving or end == len(order)
            if settling or time.monotonic() - settled >= SETTLE_SECONDS:
                with clock.learning(0):
                    known = learner.settle() if settling else learner.tell()
                position, settled = _told(known, position, run, on_event), time.monotonic()
            if stopped or saving:
                run.save(_checkpoint(prepared, position, history, run))
                saved = time.monotonic()
            if stopped:
                _draw(prepared, run, history)
                return Outcome(False, history.records, run.timings())
        record, timing = _measure(prepared, learner.network, position, clock)
        for loss in (record["train_loss"], record["validation_loss"]):
            _check_finite(0.0 if loss is None else loss, position, run)
        position, improved = position.after_epoch().with_best(record)
        history.add(record)
        checkpoint = _checkpoint(prepared, position, history, run)
        run.append(record, timing)
        if improved:
            run.save_best(replace(checkpoint, metrics=""))
        run.save(checkpoint)
        saved = time.monotonic()
        on_event(EpochDone(record, timing))
        stopped = stop()
        # The first epoch is drawn at once, so that a long run has a picture from the start.
        if stopped or len(history.records) == 1 or time.monotonic() - drawn >= CURVES_SECONDS:
            _draw(prepared, run, history)
            drawn, drawn_epochs = time.monotonic(), len(history.records)
        if stopped:
            break
    if drawn_epochs != len(history.records):
        _draw(prepared, run, history)
    return Outcome(position.epoch >= configuration.epochs, history.records, run.timings())


def order_of_presentations(configuration: Configuration, epoch: int, labels: np.ndarray) -> np.ndarray:
    """Indices of the images of an epoch in the order of the configuration's stream, int64."""
    if configuration.stream == "random":
        return order_of_images(configuration.seed, epoch, len(labels))
    from netsim.events.streams import Stream

    return Stream.parse(configuration.stream).order(labels, configuration.seed, epoch)


def order_of_images(seed: int, epoch: int, images: int) -> np.ndarray:
    """Permutation of 0..images-1 for an epoch: int64, a function of (seed, epoch) alone.

    The raw 64-bit numbers of a Philox generator are sorted; numpy promises that stream for ever, which it
    does not for `Generator.permutation`.
    """
    key = np.array([seed, epoch], dtype=np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(images), kind="stable")


class _Clock:
    """Seconds that an epoch's learning took, without what is done between batches, and images learned in them."""

    def __init__(self) -> None:
        self.seconds, self.images = 0.0, 0

    @contextlib.contextmanager
    def learning(self, images: int) -> Iterator[None]:
        began = time.perf_counter()
        with np.errstate(all="ignore"):  # what is not finite is found later, and told in one line
            yield
        self.seconds, self.images = self.seconds + time.perf_counter() - began, self.images + images


def _told(known: list[tuple[int, StepResult]], position: Position, run: Run, on_event) -> Position:
    """The position after steps whose results are known by now; everybody hears of each."""
    for images, result in known:
        _check_finite(result.loss, position, run)
        position = position.after_batch(images, result.loss, result.error_rate)
        on_event(Stepped(position.epoch + 1, position.images, *position.means()))
    return position


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
    if history.records:
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
