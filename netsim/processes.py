"""Tasks in worker processes that end with their parent; Ctrl-C and SIGTERM as a flag, or as an interruption.

Workers are born with both signals blocked: what to do about them is the parent's to decide. It stops its workers by
closing a pipe, which the system also does when the parent is killed. Then a worker ends at once; within
`stop_on_signals` its flag is set instead, and it has some time to save.
"""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker

from netsim.errors import NetsimError

#: Exit status after an interruption.
INTERRUPTED = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class WorkerError(NetsimError, RuntimeError):
    """A worker process that ended in the middle of a task."""


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """While open, Ctrl-C and SIGTERM set a flag, read by calling what is yielded; a second one interrupts at once."""
    asked = False

    def ask(number, frame):
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    with _handled(_SIGNALS, ask):
        yield lambda: asked


@contextlib.contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """While open, SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""
    with _handled(_SIGNALS, _interrupt):
        yield


@contextlib.contextmanager
def _handled(numbers: Iterable[int], handler) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _interrupt(number, frame):
    raise KeyboardInterrupt


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    pipe: connection.Connection
    task: int = -1


def run_tasks(
    task: Callable,
    arguments: Iterable,
    workers: int,
    done: Callable[[int, object], None] = lambda number, result: None,
    patience: float = 60.0,
) -> None:
    """Call task(argument) for each argument, ``workers`` at a time, in fresh processes.

    task : a function of a module; arguments and results are pickled. done : told the number of each argument and its
    result, here, as they come. patience : seconds that a worker within `stop_on_signals` has to save and end.

    What a task or ``done`` raises, KeyboardInterrupt too, ends all workers and is raised here. Raises WorkerError where
    a worker was killed.
    """
    waiting = deque(enumerate(arguments))
    context = multiprocessing.get_context("spawn")  # a fork of a process that has threads may hang
    watched, line = context.Pipe(duplex=False)
    crew: list[_Worker] = []
    try:
        for _ in range(min(workers, len(waiting))):
            crew.append(_start(context, task, watched, patience))
            _give(crew[-1], waiting)
        while busy := {worker.pipe: worker for worker in crew if worker.task >= 0}:
            for pipe in connection.wait(list(busy)):
                worker = busy[pipe]
                number, result = worker.task, _result(worker)
                _give(worker, waiting)
                done(number, result)
    except BaseException:
        line.close()
        raise
    finally:
        _end(crew, patience)
        line.close()
        watched.close()


def _start(context, task: Callable, watched: connection.Connection, patience: float) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(task, theirs, watched, patience), daemon=True)
    resource_tracker.ensure_running()  # starting it unblocks signals
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # a new process has the mask of the one that makes it
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, waiting: deque) -> None:
    """The next task, if there is one, for a worker that has none."""
    worker.task = -1
    if waiting:
        worker.task, argument = waiting.popleft()
        with contextlib.suppress(ConnectionError):  # it has ended: that is told where its result is waited for
            worker.pipe.send(argument)


def _result(worker: _Worker):
    try:
        result, error = worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        raise WorkerError(f"a worker process was ended {_how(worker.process.exitcode)}") from None
    if error is not None:
        raise error
    return result


def _how(status: int) -> str:
    if status >= 0:
        return f"with exit status {status}"
    name = signal.Signals(-status).name
    return f"by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")


def _end(crew: list[_Worker], patience: float) -> None:
    """Wait until all have ended; kill those that take too long, or all after another Ctrl-C."""
    until = time.monotonic() + patience
    try:
        for worker in crew:
            worker.pipe.close()
        for worker in crew:
            worker.process.join(max(0.0, until - time.monotonic()))
    finally:
        for worker in crew:
            worker.process.kill()
            worker.process.join()


# ------------------------------------------------------------------------------------------ in a worker process
def _serve(task: Callable, pipe: connection.Connection, watched: connection.Connection, patience: float) -> None:
    """Answer each argument that comes through the pipe with (result, None) or (None, exception)."""
    threading.Thread(target=_stop_with_parent, args=(watched, patience), daemon=True).start()
    try:
        while True:
            pipe.send(_answer(task, pipe.recv()))
    except (EOFError, ConnectionError):  # no more tasks, or no more parent
        pass
    except KeyboardInterrupt:  # what a task raises that was asked to stop, and has saved
        sys.exit(INTERRUPTED)


def _answer(task: Callable, argument) -> tuple[object, Exception | None]:
    try:
        return task(argument), None
    except Exception as error:
        if not isinstance(error, NetsimError):
            error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        return None, error


def _stop_with_parent(watched: connection.Connection, patience: float) -> None:
    """End this process when the other end of the pipe is closed; later, where somebody listens to SIGTERM."""
    watched.poll(None)
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(patience)
    os._exit(INTERRUPTED)
