"""Measurements of our own engine. Each function is a task of `netsim.bench.processes`."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from typing import Any

import netsim
from netsim import summary
from netsim.bench.job import Job
from netsim.bench.layer_times import PHASES, LayerTimes
from netsim.bench.measures import images_and_labels, peak_memory, speed, times


def measure(job: dict, started: float | None = None) -> dict[str, Any]:
    """Training and inference of a job: images/s each, peak memory of training, and the time to the first batch.

    ``started`` : wall-clock time at which the process was asked for; the first batch counts from it.
    """
    asked = Job.from_json(job)
    net, trainer = _net_and_trainer(asked)
    images, labels = images_and_labels(asked)
    before = time.perf_counter()
    trainer.step(images, labels)
    first_step = time.perf_counter() - before
    first_batch = None if started is None else time.time() - started
    training = speed(lambda: trainer.step(images, labels), asked)
    memory = peak_memory()
    net.scores(images, threads=asked.threads)
    inference = speed(lambda: net.scores(images, threads=asked.threads), asked)
    return {
        "training": training,
        "inference": inference,
        "peak_memory": memory,
        "first_step_s": first_step,
        "first_batch_s": first_batch,
        "kernels": compiled_kernels(),
    }


def _net_and_trainer(job: Job):
    net = netsim.Network(job.architecture, job.input_shape, job.classes, seed=0)
    return net, netsim.Trainer(net, job.protocol, drop=job.drop, threads=job.threads)


def compiled_kernels() -> dict[str, int]:
    """How many kernels this process compiled, and how many it loaded from the cache on disk."""
    loaded = signatures = 0
    for thing in gc.get_objects():
        if type(thing).__name__ == "CPUDispatcher" and thing.__module__.startswith("netsim"):
            signatures += len(thing.signatures)
            loaded += sum(thing.stats.cache_hits.values())
    return {"compiled": signatures - loaded, "loaded": loaded}


def measure_layers(job: dict) -> dict[str, Any]:
    """Milliseconds a step of every layer and phase, with the GFLOP/s of the products that the phase stands for."""
    asked = Job.from_json(job)
    clock = LayerTimes(asked.threads)
    net = netsim.Network(asked.architecture, asked.input_shape, asked.classes, seed=0)
    for layer in net.layers:
        clock.watch(layer, layer.name)
    trainer = netsim.Trainer(net, asked.protocol, drop=asked.drop, threads=asked.threads)
    clock.watch(trainer, "update", ("apply",), "other")
    images, labels = images_and_labels(asked)

    def step() -> None:
        trainer.step(images, labels)
        clock.end_step()

    step()
    clock.forget()
    taken = times(step, asked.steps, asked.seconds)
    milliseconds = clock.milliseconds()
    counted = summary.summarize(asked.architecture, asked.input_shape, asked.classes)
    whole = 1e3 * sorted(taken)[len(taken) // 2]
    flops = products(counted, asked.batch)
    layers = []
    for layer in counted.layers:
        row = {"layer": layer.name, "other": {"ms": milliseconds.get((layer.name, "other"), 0.0)}}
        for phase in PHASES:
            row[phase] = _rate(milliseconds.get((layer.name, phase), 0.0), flops.get((layer.name, phase), 0))
        layers.append(row)
    update = milliseconds.get(("update", "other"), 0.0)
    return {
        "layers": layers,
        "update": {"ms": update},
        "rest": {"ms": max(whole - sum(milliseconds.values()), 0.0)},
        "step": _rate(whole, sum(flops.values())),
        "steps": len(taken),
    }


def products(counted: summary.Summary, batch: int) -> dict[tuple[str, str], int]:
    """(layer, phase) -> floating-point operations of its product for a batch, two for each multiply-add.

    The lowest layer gives no feedback, so it has no such product.
    """
    flops = {}
    for layer in counted.layers:
        if layer.feedforward:
            gives_feedback = layer.step > 2 * layer.feedforward
            for phase in PHASES if gives_feedback else ("feedforward", "hebbian"):
                flops[layer.name, phase] = 2 * batch * layer.feedforward
    return flops


def _rate(milliseconds: float, flops: int) -> dict[str, float | None]:
    return {"ms": milliseconds, "gflops": flops / milliseconds / 1e6 if flops and milliseconds else None}


def measure_batches(job: dict, batches: list[int]) -> dict[str, Any]:
    """Training and inference of a job, one batch size after another in one process."""
    asked = Job.from_json(job)
    net, trainer = _net_and_trainer(asked)
    rows = []
    for batch in batches:
        part = replace(asked, batch=batch)
        images, labels = images_and_labels(part)
        trainer.step(images, labels)
        training = speed(lambda images=images, labels=labels: trainer.step(images, labels), part)
        net.scores(images, threads=asked.threads)
        inference = speed(lambda images=images: net.scores(images, threads=asked.threads), part)
        rows.append({"batch": batch, "training": training, "inference": inference})
    return {"batches": rows}
