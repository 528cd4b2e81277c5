"""Milliseconds of every layer and phase, taken from outside: the engine holds no clock.

The public methods of a layer are called through stand-ins that read a clock before and after. What a layer does on
behalf of another (phases may be fused) is counted where it is done.
"""

from __future__ import annotations

import inspect
import statistics
import threading
import time
from collections import defaultdict

PHASES = ("feedforward", "feedback", "hebbian")


class LayerTimes:
    """Clock of the methods of layers.

    ``threads`` : threads that may call a method at once. Where several did, their times are divided by this number.
    """

    def __init__(self, threads: int = 1):
        self._threads = threads
        self._callers: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._seconds: dict[tuple[str, str], float] = defaultdict(float)
        self._lock, self._nested = threading.Lock(), threading.local()
        self._steps: list[dict[tuple[str, str], float]] = []

    def watch(self, thing: object, name: str, methods: tuple[str, ...] | None = None, phase: str | None = None) -> None:
        """Take the time of the public methods of ``thing``, or of those named, from now on."""
        for method in dir(type(thing)) if methods is None else methods:
            if not method.startswith("_") and inspect.isfunction(inspect.getattr_static(type(thing), method)):
                key = (name, phase or phase_of(method))
                setattr(thing, method, self._timed(getattr(thing, method), key))

    def _timed(self, method, key: tuple[str, str]):
        def timed(*arguments, **options):
            within = self._nested.__dict__.setdefault("seconds", [])
            within.append(0.0)
            start = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                taken = time.perf_counter() - start
                own = taken - within.pop()
                if within:  # the caller is watched as well: this time is not its own
                    within[-1] += taken
                with self._lock:
                    self._seconds[key] += own
                    self._callers[key].add(threading.get_ident())

        return timed

    def end_step(self) -> None:
        """Close the account of a step."""
        self._steps.append(dict(self._seconds))
        self._seconds.clear()

    def forget(self) -> None:
        """Leave the steps so far out (they warmed up)."""
        self._steps.clear()

    def milliseconds(self) -> dict[tuple[str, str], float]:
        """(layer, phase) -> median over the steps of the milliseconds a step. Phases: `PHASES`, and "other"."""
        keys = {key for step in self._steps for key in step}
        return {
            key: 1e3
            * statistics.median(step.get(key, 0.0) for step in self._steps)
            / (self._threads if len(self._callers[key]) > 1 else 1)
            for key in sorted(keys)
        }


def phase_of(method: str) -> str:
    """The phase that a method's name begins with, or "other" (weights laid out, masks drawn)."""
    return next((phase for phase in PHASES if method.startswith(phase)), "other")
