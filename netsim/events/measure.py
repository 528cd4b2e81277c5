"""One point of a timing sweep: train under a schedule, and compare what it learns with the in-phase algorithm."""

from __future__ import annotations

import math

import numpy as np

from netsim.events.grid import Point

#: An epoch number that training never reaches: draws of the comparisons.
_COMPARISON = 1 << 40


def run(point: Point) -> dict[str, object]:
    """Train and measure. Returns a flat row, the columns of the sweep's table:

    quantity swept, protocol, seed, stream, engine, epochs, images, train_loss, train_error, validation_error,
    diverged; out_of_phase (share of all reads), and by layer: cosine_start.L, cosine.L (of the update with the
    in-phase update of the same weights and images, before and after training), length.L (the ratio of their lengths
    after training), alignment.L (correlation of W and R), out_of_phase.L (of the reads of plasticity events).
    """
    from netsim import configuration as configurations
    from netsim import devices, evaluation, preparation
    from netsim.events.engines import check_length, trainer
    from netsim.events.schedule import Schedule
    from netsim.events.streams import Stream

    prepared = preparation.prepare(configurations.build(dict(point.configuration)))
    configuration, net, split = prepared.configuration, prepared.network, prepared.train
    schedule = Schedule.from_toml(point.schedule)
    learner = trainer(
        net, schedule, point.engine, prepared.device, streams=point.streams, timing_seed=configuration.seed,
        seed=configuration.seed, **configuration.trainer_options(),
    )  # fmt: skip
    check_length(schedule, len(split), getattr(learner, "streams", None) or 1)
    driver = devices.make_learner(learner, split, configuration.batch)
    stream = Stream.parse(point.stream)
    row: dict[str, object] = {
        **dict(point.swept), "protocol": configuration.protocol, "seed": configuration.seed, "stream": str(stream),
        "engine": point.engine, "epochs": configuration.epochs, "images": len(split),
    }  # fmt: skip
    shown = split.batch(stream.order(split.labels, configuration.seed, _COMPARISON)[: point.measured])
    row.update(_compared(point, prepared, schedule, shown, "cosine_start"))
    loss, error, diverged = math.nan, math.nan, False
    for epoch in range(configuration.epochs):
        learner.begin_epoch(epoch)
        order = stream.order(split.labels, configuration.seed, epoch)
        loss, error = _epoch(driver, order, configuration.batch)
        diverged = not math.isfinite(loss) or not all(np.isfinite(layer.W).all() for layer in net.weighted)
        if diverged:
            break
    row.update({"train_loss": loss, "train_error": error, "diverged": diverged})
    if prepared.validation is not None:
        result = None if diverged else evaluation.evaluate(
            net, prepared.validation, configuration.loss, learner.mu, configuration.threads
        )  # fmt: skip
        # a net whose weights are no longer finite answers at random
        row["validation_error"] = 1 - 1 / net.classes if result is None else result.error
    if not diverged:
        row.update(_compared(point, prepared, schedule, shown, "cosine"))
        correlations, _ = evaluation.alignment(net)
        row.update({f"alignment.{name}": value for name, value in correlations.items()})
    return row


def _epoch(driver, order, batch: int) -> tuple[float, float]:
    """One epoch; mean loss and error."""
    loss = wrong = images = 0.0
    driver.begin_epoch(order)
    for start in range(0, len(order), batch):
        end = min(start + batch, len(order))
        with np.errstate(all="ignore"):
            known = driver.learn(start, end)
            known += driver.settle() if end == len(order) else []
        for number, result in known:
            loss, wrong, images = loss + result.loss * number, wrong + result.error_rate * number, images + number
        if not math.isfinite(loss):
            break
    return loss / images, wrong / images


def _compared(point: Point, prepared, schedule, shown, what: str) -> dict[str, object]:
    """Cosine of each layer's update with the in-phase update, for the present weights; shares of reads."""
    import netsim
    from netsim.events.engines import trainer

    images, labels = shown
    options = prepared.configuration.trainer_options()
    seed = prepared.configuration.seed
    events = trainer(
        prepared.network, schedule, point.engine, prepared.device, streams=point.streams, timing_seed=seed, seed=seed,
        **options,
    )  # fmt: skip
    plain = netsim.Trainer(prepared.network, seed=seed, **options)
    for each in (events, plain):
        each.begin_epoch(_COMPARISON)
    order = events.order(len(labels)) if hasattr(events, "order") else np.arange(len(labels))
    with np.errstate(all="ignore"):
        found, _ = events.increments(images, labels)
        meant, _ = plain.increments(images[order], labels[order])
    row: dict[str, object] = {}
    for name in meant:
        row[f"{what}.{name}"], ratio = _cosine(found[name], meant[name])
        if what == "cosine":
            row[f"length.{name}"] = ratio
    row.update(_shares(events, what))
    return row


def _cosine(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Cosine of two updates, and the ratio of their lengths; nan where one is all 0."""
    one, other = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    lengths = math.sqrt(float((one * one).sum())), math.sqrt(float((other * other).sum()))
    if not all(0.0 < length < math.inf for length in lengths):
        return math.nan, math.nan
    return float((one * other).sum()) / lengths[0] / lengths[1], lengths[0] / lengths[1]


def _shares(events, what: str) -> dict[str, object]:
    if what != "cosine_start" or not hasattr(events, "phases"):
        return {}
    row: dict[str, object] = {}
    missed = total = 0.0
    for name, kinds in events.phases().items():
        for event, (share, reads) in kinds.items():
            weight = reads or events.net[name].units
            missed, total = missed + (1.0 - share) * weight, total + weight
            if event == "plasticity":
                row[f"out_of_phase.{name}"] = 1.0 - share
    return {"out_of_phase": missed / total if total else 0.0, **row}
