"""Measurements of our engine on a GPU. Each function is a task of `netsim.bench.processes`.

Times are those between two events of the device, after warming up: medians over groups of steps, since in a run the
host is steps ahead of the device.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np

import netsim
from netsim import geometry, summary
from netsim.bench.job import Job
from netsim.bench.layer_times import PHASES, phase_of
from netsim.bench.measures import images_and_labels
from netsim.cuda import jit
from netsim.cuda.layers import Draw
from netsim.cuda.learner import CudaLearner
from netsim.cuda.trainer import CudaTrainer, keys
from netsim.data.dataset import Split
from netsim.errors import NetsimError

#: Images of the step that is compared with the CPU's; step size, tolerance and draws as for the peer on the CPU.
_IMAGES, _STEP_SIZE, TOLERANCE, _DRAWS = 4, 64.0, 1e-4, 3

#: Steps before the first that counts: the kernels are compiled in the first, the graph is captured in the second.
_WARM = 2 if jit.simulated else 5

#: Groups of steps that are timed where their number is not given, and steps of a group.
_STEPS, GROUP = 20, 1 if jit.simulated else 5

#: Numbers of the arrays that are copied to measure the bandwidth.
_COPIED = 1 << 10 if jit.simulated else 1 << 28


class DisagreementError(NetsimError, ArithmeticError):
    """The GPU and the CPU do not do the same."""


def measure(job: dict, images: int) -> dict[str, Any]:
    """Check one step against the CPU; then time whole steps, layers and phases, and an epoch of ``images`` images."""
    asked = Job.from_json(job)
    found = {"equality": check(asked)}
    trainer = _trainer(asked)
    split = _split(asked, asked.batch * 4)
    learner = CudaLearner(trainer, split, asked.batch)
    found["training"] = _speed(asked, _steps(learner, asked))
    found["graphs"] = learner.graphs
    found["memory"] = jit.memory_used()
    found["layers"] = measure_layers(asked)
    found["epoch"] = epoch(asked, min(images, 2 * asked.batch + 1) if jit.simulated else images)
    return found | {"device": jit.device_name(), "simulated": jit.simulated}


def _trainer(job: Job) -> CudaTrainer:
    net = netsim.Network(job.architecture, job.input_shape, job.classes, seed=0)
    return CudaTrainer(net, job.protocol, drop=job.drop)


def _split(job: Job, images: int) -> Split:
    """Random images as bytes, and random labels."""
    stream = np.random.default_rng(0)
    pixels = stream.integers(0, 256, (images, *job.input_shape), dtype=np.uint8)
    return Split(pixels, stream.integers(0, job.classes, images), 1 / 255)


def check(job: Job) -> dict[str, Any]:
    """The largest difference of a layer's W and R after one step on both, relative to their change (norms).

    Sums in another order may fall on two sides of a threshold; then another draw decides. A wrong rule fails in all.
    Raises `DisagreementError` where it is above `TOLERANCE` in every draw.
    """
    for draw in range(_DRAWS):
        where, difference = _difference(replace(job, batch=_IMAGES), draw)
        if difference <= TOLERANCE:
            return {"difference": difference, "weights": where, "tolerance": TOLERANCE, "images": _IMAGES}
    raise DisagreementError(
        f"{job.name}: after one step of {job.protocol}, {where} on the GPU and on the CPU differ by {difference:.1e} "
        f"of their change, more than {TOLERANCE:g}; nothing was timed"
    )


def _difference(job: Job, seed: int) -> tuple[str, float]:
    images, labels = images_and_labels(job)
    images, states = np.roll(images, seed, axis=2), []
    for kind in (netsim.Trainer, CudaTrainer):
        net = netsim.Network(job.architecture, job.input_shape, job.classes, seed=seed)
        before = net.state()
        kind(net, job.protocol, step_size=_STEP_SIZE, drop=job.drop).step(images, labels)
        states.append(net.state())
    worst = ("", -1.0)
    for name, ours in states[1].items():
        change, difference = (float(np.linalg.norm(states[0][name] - one)) for one in (before[name], ours))
        relative = difference / change if change else (np.inf if difference else 0.0)
        if not relative <= worst[1]:
            worst = (name, relative)
    return worst


def _steps(learner: CudaLearner, job: Job):
    """Train batch after batch, epoch after epoch; yields after every step is asked for."""
    trainer, images = learner.trainer, len(learner._split)
    order, number = np.arange(images), 0
    while True:
        trainer.begin_epoch(number)
        learner.begin_epoch(order)
        for first in range(0, images, job.batch):
            learner.learn(first, min(first + job.batch, images))
            yield
        number += 1


def _speed(job: Job, steps) -> dict[str, float]:
    """Median time of a step, and what it makes of images/s."""
    watch, taken, number = jit.Stopwatch(), [], job.steps or _STEPS
    for _ in range(_WARM):
        next(steps)
    for _ in range(number):
        watch.start()
        for _ in range(GROUP):
            next(steps)
        watch.stop()
        taken.append(watch.milliseconds() / GROUP)
    median = statistics.median(taken)
    return {"ms": median, "least_ms": min(taken), "images_per_s": 1e3 * job.batch / median, "groups": number}


def measure_layers(job: Job) -> dict[str, Any]:
    """Milliseconds of every layer and phase of a step, launched kernel by kernel, with its work and traffic.

    The bytes of a phase are what it must read and write at least once: units, weights, increments, in float32.
    """
    trainer = _trainer(job)
    trainer.begin_on_device(job.batch)
    images, labels = images_and_labels(job)
    net = trainer.device_net
    jit.upload(images, net.x_0)
    jit.upload(labels, net.labels)
    clock = _Phases(net.at)
    draw = Draw(jit.upload(keys(trainer, 0, 1)), jit.zeros(1, np.int64), job.drop)
    losses, wrong = jit.zeros(job.batch, np.float64), jit.zeros(job.batch, np.uint8)
    number = job.steps or _STEPS
    for step in range(number + 2):
        trainer.present(job.batch, draw, losses, wrong, jit.zeros(1, np.int64))
        trainer.update(job.batch)
        clock.end_step(count=step >= 2)
    rows = []
    for layer in summary.summarize(job.architecture, job.input_shape, job.classes).layers:
        row: dict[str, Any] = {"layer": layer.name}
        for phase in (*PHASES, "update"):
            if (layer.name, phase) in clock.taken:
                work = 2 * job.batch * layer.feedforward if phase in PHASES else 0
                row[phase] = {
                    "ms": statistics.median(clock.taken[layer.name, phase]),
                    "flops": work,
                    "bytes": _traffic(layer, net.at[layer.name].layer, phase, job.batch),
                }
        rows.append(row)
    return {"rows": rows, "steps": number}


def _traffic(counted: summary.LayerSummary, layer, phase: str, batch: int) -> int:
    own, below, weights = batch * counted.units, batch * geometry.units(layer.below), counted.weights
    below *= len(layer.parents)
    numbers = {
        "feedforward": below + own + weights,
        "feedback": own + 2 * below + weights,
        "hebbian": below + own + weights,
        "update": 3 * weights,
    }
    return summary.NUMBER_BYTES * numbers[phase]


class _Phases:
    """Stopwatches around the phases of all layers."""

    def __init__(self, layers: dict):
        self.taken: dict[tuple[str, str], list[float]] = {}
        self._running: list[tuple[tuple[str, str], jit.Stopwatch]] = []
        for name, layer in layers.items():
            for method in ("feedforward", "feedback", "direct_feedback", "hebbian", "update"):
                if hasattr(layer, method):
                    phase = "feedback" if method == "direct_feedback" else method
                    key = (name, phase if phase == "update" else phase_of(phase))
                    setattr(layer, method, self._timed(getattr(layer, method), key))

    def _timed(self, method, key: tuple[str, str]):
        def timed(*arguments):
            watch = jit.Stopwatch()
            watch.start()
            method(*arguments)
            watch.stop()
            self._running.append((key, watch))

        return timed

    def end_step(self, count: bool) -> None:
        """Read the stopwatches of a step; ``count`` : it is no step to warm up."""
        for key, watch in self._running:
            milliseconds = watch.milliseconds()
            if count:
                self.taken.setdefault(key, []).append(milliseconds)
        self._running = []


def epoch(job: Job, images: int) -> dict[str, float]:
    """Seconds of a whole epoch of so many images, from its order to the weights on the host, after one to warm up."""
    trainer = _trainer(job)
    learner = CudaLearner(trainer, _split(job, images), job.batch)
    seconds = 0.0
    for number in range(2):
        start = time.perf_counter()
        trainer.begin_epoch(number)
        learner.begin_epoch(np.random.default_rng(number).permutation(images))
        for first in range(0, images, job.batch):
            learner.learn(first, min(first + job.batch, images))
        learner.settle()
        seconds = time.perf_counter() - start
    return {"images": images, "seconds": seconds}


def bandwidth() -> dict[str, float]:
    """GB/s of copies within the GPU's memory: bytes read and written."""
    source, target, watch, taken = jit.zeros(_COPIED), jit.empty(_COPIED), jit.Stopwatch(), []
    for _ in range(_WARM + 20):
        watch.start()
        jit.copy(target, source)
        watch.stop()
        taken.append(watch.milliseconds())
    return {"gb_per_s": 2 * 4 * _COPIED / statistics.median(taken[_WARM:]) / 1e6}
