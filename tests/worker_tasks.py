"""Tasks for worker processes, and a parent of two of them: `python tests/worker_tasks.py TASK FOLDER [PATIENCE]`.

Each task notes in the folder that it is under way (PID.started) and what becomes of it.
"""

import os
import signal
import sys
import time
from pathlib import Path

from netsim import processes
from netsim.errors import OptionError


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def refuse(number: int) -> None:
    raise OptionError(f"{number} is no number for me")


def stumble(number: int) -> None:
    raise ZeroDivisionError(number)


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _note(folder: str, what: str) -> None:
    Path(folder, f"{os.getpid()}.{what}").touch()


def save(folder: str) -> None:
    """Go on until asked to stop; then save, which takes a while."""
    with processes.stop_on_signals() as stop:
        _note(folder, "started")
        while not stop():
            time.sleep(0.01)
        time.sleep(0.3)
        _note(folder, "saved")


def go_on(folder: str) -> None:
    """Go on for ever."""
    _note(folder, "started")
    while True:
        time.sleep(0.01)


def ignore(folder: str) -> None:
    """Go on, whatever one is asked."""
    with processes.stop_on_signals() as stop:
        _note(folder, "started")
        while not stop():
            time.sleep(0.01)
        _note(folder, "asked")
        while True:
            time.sleep(0.01)


if __name__ == "__main__":
    name, folder, *patience = sys.argv[1:]
    with processes.interrupt_on_signals():
        try:
            processes.run_tasks(globals()[name], [folder] * 2, 2, patience=float((*patience, 60)[0]))
        except KeyboardInterrupt:
            sys.exit(processes.INTERRUPTED)
