"""A small pool of threads for kernels that release the interpreter lock.

How work is cut never depends on the number of threads in a way that changes a sum: every task owns the numbers it
writes. So results have the same bits with 1 thread or 16.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from netsim.values import check_whole

#: Tasks a thread gets at most: enough that a slow core does not hold the others up.
_TASKS_PER_THREAD = 4


def available() -> int:
    """Number of processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


#: Multiply-adds, half of which take a thread longer than it takes to wake it.
_WORTH_A_THREAD = 1 << 22


class Workers:
    """Runs ``function(first, last)`` over a range, in parallel over at most ``threads`` threads.

    Parameters
    ----------
    threads : number of threads, the calling one included; None takes the processors this process may use.

    Raises
    ------
    OptionError : threads is not a whole number of at least 1.
    """

    def __init__(self, threads: int | None = None):
        if threads is None:
            threads = available()
        self.threads = check_whole("threads", threads, least=1, most=1024)
        self._executor: ThreadPoolExecutor | None = None

    def __reduce__(self):
        return Workers, (self.threads,)

    def run(self, function: Callable[[int, int], None], last: int, grain: int = 1) -> None:
        """Call ``function`` on pieces that cover range(last), each of ``grain`` or more; wait for all."""
        pieces = min(-(-last // grain), self.threads * _TASKS_PER_THREAD) if self.threads > 1 else 1
        if pieces <= 1 or last <= 1:
            if last > 0:
                function(0, last)
            return
        edges = [min(piece * last // pieces // grain * grain, last) for piece in range(pieces)] + [last]
        self.run_tasks([lambda a=a, b=b: function(a, b) for a, b in itertools.pairwise(edges) if b > a])

    def run_each(self, function: Callable[[int, int], None], last: int, work: int | None = None) -> None:
        """The same with one piece a thread: for pieces that cost something to begin.

        ``work`` : multiply-adds of all pieces together; where it is little, fewer threads are woken.
        """
        pieces = min(self.threads, last)
        if work is not None:
            pieces = min(pieces, 2 * work // _WORTH_A_THREAD)
        pieces = max(pieces, 1)
        edges = [piece * last // pieces for piece in range(pieces + 1)]
        self.run_tasks([lambda a=a, b=b: function(a, b) for a, b in itertools.pairwise(edges) if b > a])

    def run_tasks(self, tasks: list[Callable[[], None]]) -> None:
        """Call every task; wait for all; raise the first error."""
        helpers = min(self.threads, len(tasks)) - 1
        if helpers < 1:
            for task in tasks:
                task()
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.threads - 1, thread_name_prefix="netsim")
        queue = iter(tasks)  # next() on a list iterator is atomic under the interpreter lock

        def drain():
            for task in queue:
                task()

        futures = [self._executor.submit(drain) for _ in range(helpers)]
        try:
            drain()
        finally:
            for future in futures:
                future.result()
