"""One point of a timing sweep: train under a schedule, and compare what it learns with the in-phase algorithm."""

from __future__ import annotations

import math

import numpy as np

from netsim.events.grid import Point

#: An epoch number that training never reaches: draws of the comparisons.
_COMPARISON = 1 << 40


def run(point: Point) -> dict[str, object]:
    """Train and measure. Returns a flat row, the columns of the sweep's table:

    quantity swept, protocol, seed, stream, engine, epochs, images, batch, streams, step_size, loss, drop, measured;
    train_loss, train_error, diverged, validation_error (None where the loss is no longer finite);
    out_of_phase (share of all reads), and by layer: cosine_start.L, cosine.L (of the update with the in-phase update of
    the same weights and images, before and after training), length.L (the ratio of their lengths after training),
    alignment.L (correlation of W and R), out_of_phase.L (of the reads of plasticity events).

    The comparisons and the shares are of plasticity events that come while so many images are shown, in batches as in
    training; with a plasticity lag, so many presentations go before them that no event of theirs is missing.
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
    check_length(schedule, len(split), learner.streams or 1)
    driver = devices.make_learner(learner, split, configuration.batch)
    stream = Stream.parse(point.stream).of(split)
    row: dict[str, object] = {
        **dict(point.swept), "protocol": configuration.protocol, "seed": configuration.seed, "stream": str(stream),
        "sign": schedule.sign, "engine": point.engine, "epochs": configuration.epochs, "images": len(split),
        "batch": configuration.batch,
        "streams": learner.streams, "step_size": configuration.step_size, "loss": configuration.loss,
        "drop": configuration.drop, "measured": point.measured,
    }  # fmt: skip
    row.update(_compared(point, prepared, schedule, stream, "cosine_start"))
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
        row["validation_error"] = None if diverged else evaluation.evaluate(
            net, prepared.validation, configuration.loss, learner.mu, configuration.threads
        ).error  # fmt: skip
    if not diverged:
        row.update(_compared(point, prepared, schedule, stream, "cosine"))
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


def _compared(point: Point, prepared, schedule, stream, what: str) -> dict[str, object]:
    """Cosine of each layer's update with the in-phase update, for the present weights; shares of reads."""
    import netsim
    from netsim.events.engines import trainer

    configuration, split = prepared.configuration, prepared.train
    options, seed = configuration.trainer_options(), configuration.seed
    events = trainer(
        prepared.network, schedule, point.engine, prepared.device, streams=point.streams, timing_seed=seed, seed=seed,
        **options,
    )  # fmt: skip
    plain = netsim.Trainer(prepared.network, seed=seed, **options)
    for each in (events, plain):
        each.begin_epoch(_COMPARISON)
    size = min(configuration.batch, point.measured)
    # plasticity in the first presentations is still that of presentations before them, which there are not
    before = math.ceil(math.ceil(schedule.plasticity_lag) / max(1, size // (events.streams or 1)))
    order = _order(stream, split, seed, before * size, point.measured)
    found, meant, earlier = {}, {}, {}
    for number, start in enumerate(range(0, len(order), size)):
        images, labels = split.batch(order[start : start + size])
        events.batch = plain.batch = number
        if number == before:
            earlier = events.phases()
        same = events.order(len(labels)) if hasattr(events, "order") else np.arange(len(labels))
        with np.errstate(all="ignore"):
            _add(events.increments(images, labels)[0], found if number >= before else {})
            if number >= before:
                _add(plain.increments(images[same], labels[same])[0], meant)
    row: dict[str, object] = {}
    for name in meant:
        row[f"{what}.{name}"], ratio = _cosine(found[name], meant[name])
        if what == "cosine":
            row[f"length.{name}"] = ratio
    if what == "cosine_start":
        row.update(_shares(events, earlier))
    return row


def _order(stream, split, seed: int, before: int, measured: int) -> np.ndarray:
    """Indices of images, in the order of the stream: so many that go before, and the measured ones, an epoch at most.

    Where an epoch is too short for both, others follow it.
    """
    orders = [stream.order(split.labels, seed, _COMPARISON)]
    wanted = before + min(measured, len(orders[0]))
    while sum(map(len, orders)) < wanted:
        orders.append(stream.order(split.labels, seed, _COMPARISON + len(orders)))
    return np.concatenate(orders)[:wanted]


def _add(increments: dict[str, np.ndarray], sums: dict[str, np.ndarray]) -> None:
    for name, array in increments.items():
        sums[name] = sums.get(name, 0.0) + array.astype(np.float64)


def _cosine(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Cosine of two updates, and the ratio of their lengths; nan where one is all 0."""
    lengths = math.sqrt(float((one * one).sum())), math.sqrt(float((other * other).sum()))
    if not all(0.0 < length < math.inf for length in lengths):
        return math.nan, math.nan
    return float((one * other).sum()) / lengths[0] / lengths[1], lengths[0] / lengths[1]


def _shares(events, earlier) -> dict[str, object]:
    """Shares of out-of-phase reads, without those of ``earlier``, what `phases` told before."""
    row: dict[str, object] = {}
    missed = total = 0.0
    for name, kinds in events.phases().items():
        for event, (share, reads) in kinds.items():
            share_before, reads_before = earlier.get(name, {}).get(event, (0.0, 0))
            weight = reads - reads_before if reads else events.net[name].units  # a probability: each unit counts once
            if not weight:
                continue
            if reads_before:
                share = (share * reads - share_before * reads_before) / weight
            missed, total = missed + (1.0 - share) * weight, total + weight
            if event == "plasticity":
                row[f"out_of_phase.{name}"] = 1.0 - share
    return {"out_of_phase": missed / total if total else 0.0, **row}
