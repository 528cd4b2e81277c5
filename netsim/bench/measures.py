"""Clocks, peak memory, and the data that a measurement learns from."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from netsim.bench.job import Job

#: Timed calls: at least and at most so many where only the seconds are given.
_FEWEST, _MOST = 2, 500


def times(act: Callable[[], object], steps: int | None, seconds: float) -> list[float]:
    """Seconds of each timed call of ``act``: ``steps`` calls, or as many as fit into ``seconds`` (two or more)."""
    taken: list[float] = []
    while len(taken) < (steps or _FEWEST) or (steps is None and sum(taken) < seconds and len(taken) < _MOST):
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return taken


def speed(act: Callable[[], object], job: Job, steps: int | None = None) -> dict[str, float]:
    """Median speed of ``act``, which works through one batch: images/s, milliseconds a batch, and their number."""
    taken = times(act, steps or job.steps, job.seconds)
    median = statistics.median(taken)
    return {"images_per_s": job.batch / median, "ms": 1e3 * median, "least_ms": 1e3 * min(taken), "steps": len(taken)}


def peak_memory() -> int:
    """Peak resident memory of this process, bytes.

    Linux keeps it for each program that a process runs (VmHWM). The figure of getrusage, used elsewhere, starts
    with that of the process which started this one.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def images_and_labels(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """A batch of uniform random pixels in [0, 1), (B, H, W, C) float32, and random labels, (B,) int64."""
    stream = np.random.default_rng(0)
    images = stream.random((job.batch, *job.input_shape), dtype=np.float32)
    return images, stream.integers(0, job.classes, job.batch)
