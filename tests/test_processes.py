"""Worker processes: results and errors come back; nothing outlives the parent, however that one ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import worker_tasks

from netsim.errors import OptionError
from netsim.processes import WorkerError, run_tasks, stop_on_signals

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


class Parent:
    """A process with two workers, each in the middle of a task."""

    def __init__(self, folder: Path, task: str, *more: str):
        self.folder = folder
        command = [sys.executable, worker_tasks.__file__, task, str(folder), *more]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert until(lambda: len(self.noted("started")) == 2), self.process.stderr.read()
        self.workers = self.noted("started")
        assert all(map(is_alive, self.workers))

    def noted(self, what: str) -> set[int]:
        return {int(path.stem) for path in self.folder.glob(f"*.{what}")}

    def end(self) -> int:
        """Wait for the end of parent and workers; the parent's exit status. Nothing may be said."""
        _, said = self.process.communicate(timeout=60)
        assert said == "" and until(lambda: not any(map(is_alive, self.workers)))
        return self.process.returncode


def test_results_come_back_with_their_numbers():
    found = {}
    run_tasks(worker_tasks.square, range(7), 2, found.__setitem__)
    assert {number: result for number, (result, _) in found.items()} == {n: n * n for n in range(7)}
    assert len({process for _, process in found.values()} - {os.getpid()}) == 2
    run_tasks(worker_tasks.square, [], 2)


def test_what_a_task_raises_is_raised_here():
    with pytest.raises(OptionError, match=r"^1 is no number for me$"):
        run_tasks(worker_tasks.refuse, [1], 1)
    with pytest.raises(ZeroDivisionError) as caught:
        run_tasks(worker_tasks.stumble, [1], 1)
    assert "in stumble" in caught.value.__notes__[0]


def test_what_the_listener_raises_ends_the_workers():
    found = {}

    def done(number, result):
        found[number] = result[1]
        if len(found) == 2:
            raise OptionError("enough")

    with pytest.raises(OptionError, match="enough"):
        run_tasks(worker_tasks.square, range(9), 2, done)
    assert len(found) == 2 and not any(map(is_alive, found.values()))


def test_a_worker_that_was_killed_is_named():
    with pytest.raises(WorkerError, match=r"^a worker process was ended by SIGKILL, perhaps for want of memory$"):
        run_tasks(worker_tasks.die, [1], 1)


@SIGNALS
def test_a_signal_to_the_parent_alone_ends_its_workers(tmp_path, number):
    parent = Parent(tmp_path, "go_on")
    parent.process.send_signal(number)
    assert parent.end() == 130


@SIGNALS
@pytest.mark.parametrize("whom", [os.kill, os.killpg], ids=["the parent", "all of them"])
def test_workers_that_save_have_time_to(tmp_path, number, whom):
    parent = Parent(tmp_path, "save")
    whom(parent.process.pid, number)
    assert parent.end() == 130 and parent.noted("saved") == parent.workers


@pytest.mark.parametrize("task", ["go_on", "save"])
def test_workers_end_with_a_parent_that_was_killed(tmp_path, task):
    parent = Parent(tmp_path, task)
    parent.process.kill()
    assert parent.end() == -signal.SIGKILL
    assert parent.noted("saved") == (parent.workers if task == "save" else set())


def test_workers_that_do_not_end_are_killed(tmp_path):
    """After the time they have, or at the second signal; if the parent is gone, they do it themselves."""
    for name, patience in (("short", "0.5"), ("long", "1000")):
        (tmp_path / name).mkdir()
        parent = Parent(tmp_path / name, "ignore", patience)
        parent.process.terminate()
        assert until(lambda parent=parent: parent.noted("asked") == parent.workers)
        if name == "long":
            assert all(map(is_alive, parent.workers))
            parent.process.terminate()
        assert parent.end() == 130
    (tmp_path / "orphans").mkdir()
    parent = Parent(tmp_path / "orphans", "ignore", "0.5")
    parent.process.kill()
    assert parent.end() == -signal.SIGKILL


def test_a_second_signal_does_not_wait_for_the_flag_to_be_read():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before
