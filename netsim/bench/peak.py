"""This machine's limit: the rate of numpy's sgemm, to which every other rate is compared."""

from __future__ import annotations

import contextlib
import time

import numpy as np

#: Rows and columns of the square matrices, and the calls among which at least the best is taken.
_SIDE, _FEWEST = 2048, 3


def sgemm(threads: int, seconds: float = 1.0) -> dict[str, float]:
    """GFLOP/s (multiplications and additions, float32) of the best of several products of 2048 x 2048 matrices.

    ``seconds`` : spent on them at least.
    """
    from threadpoolctl import threadpool_limits

    stream = np.random.default_rng(0)
    a, b = (stream.random((_SIDE, _SIDE), dtype=np.float32) for _ in range(2))
    product = np.empty_like(a)
    with threadpool_limits(limits=threads, user_api="blas"):
        np.matmul(a, b, out=product)
        taken: list[float] = []
        while len(taken) < _FEWEST or sum(taken) < seconds:
            start = time.perf_counter()
            np.matmul(a, b, out=product)
            taken.append(time.perf_counter() - start)
    return {"threads": threads, "gflops": 2 * _SIDE**3 / min(taken) / 1e9}


def machine() -> dict[str, object]:
    """Processor and versions: what a figure must be read with."""
    import os
    import platform
    from importlib import metadata

    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        processor = named[0] if named else processor
    versions = {}
    for package in ("numpy", "numba", "torch"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": processor, "processors": available, "python": platform.python_version(), **versions}
