"""kill -9 of real `netsim train` processes at random instants, then --resume: the bits of an uninterrupted run.

The suite kills 30 times. A longer campaign:

    python tests/test_kill_resume.py 1000 [seed]
"""

import collections
import contextlib
import multiprocessing.connection
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import small_runs

KILLS = 30
#: Enough epochs that about ten kills fall into one run, few enough that the run itself takes a second or two.
EPOCHS = 40
PATH = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])


def command(folder: Path, data: str) -> list[str]:
    """Arguments of `netsim` that begin the run in `folder`, or go on with it if it was begun."""
    if (folder / "run.toml").exists():
        return ["train", "--resume", str(folder)]
    options = ["--data", data, "--batch", "8", "--epochs", str(EPOCHS), "--seed", "5", "--out", str(folder)]
    return ["train", small_runs.NET, *options]


class Command:
    """A `netsim` process from the first instruction of its interpreter on."""

    def __init__(self, arguments: list[str]):
        command = [*small_runs.COMMAND, *arguments]
        environment = {**os.environ, "PYTHONPATH": PATH}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.stdout = self.process.stdout

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def wait(self) -> int:
        """Exit status; minus the signal's number after a kill."""
        self.process.communicate()
        return self.process.returncode


def run_netsim(arguments: list[str], output: multiprocessing.connection.Connection) -> None:
    """What a forked process does: `netsim` with its output into a pipe."""
    from netsim.cli import run

    with os.fdopen(os.dup(output.fileno()), "w") as pipe, contextlib.redirect_stdout(pipe):
        status = run(arguments)
    sys.exit(status)


class Forked:
    """A `netsim` process forked from one that has the imports behind it: as real, and cheaper by most of a second."""

    def __init__(self, arguments: list[str]):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["warm_netsim"])
        ours, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=run_netsim, args=(arguments, theirs))
        self.process.start()
        theirs.close()
        self.stdout = os.fdopen(os.dup(ours.fileno()))
        ours.close()

    def kill(self) -> None:
        self.process.kill()  # SIGKILL; nothing if it has ended

    def wait(self) -> int:
        self.stdout.read()
        self.stdout.close()
        self.process.join()
        return self.process.exitcode


def wait_for_an_epoch(running: Command | Forked) -> None:
    """Read what the process prints up to the first line of an epoch, or to its end."""
    for line in running.stdout:
        if line.startswith("epoch "):
            return


def run_to_the_end(folder: Path, data: str) -> float:
    """Run until it ends by itself; return the seconds after its first epoch."""
    running = Forked(command(folder, data))
    wait_for_an_epoch(running)
    began = time.monotonic()
    assert running.wait() == 0
    return time.monotonic() - began


def run_and_kill(folder: Path, data: str, phase: str, seconds: float) -> bool:
    """Kill the process `seconds` after the beginning of a phase; return whether it was still running.

    phase: "start" (of the interpreter), "resume" (training is about to begin), "epochs" (one is done).
    """
    running = (Command if phase == "start" else Forked)(command(folder, data))
    if phase == "resume":
        running.stdout.readline()
    elif phase == "epochs":
        wait_for_an_epoch(running)
    time.sleep(seconds)
    running.kill()
    status = running.wait()
    assert status in (0, -signal.SIGKILL)
    return status != 0


def campaign(place: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill `kills` times, in as many runs as it takes; every finished run must be the same bits."""
    chance = random.Random(seed)
    os.environ["PYTHONPATH"] = PATH  # for the fork server, which starts with the first process
    data = small_runs.write_data(place / "small.npz")
    seconds = run_to_the_end(place / "whole", data)
    whole = small_runs.bits(place / "whole")
    seen: collections.Counter = collections.Counter()
    runs = 0
    while seen.total() < kills:
        folder = place / f"run{runs}"
        runs += 1
        alive = True
        while alive and seen.total() < kills:
            phase = chance.choice(("start", "resume", "epochs", "epochs", "epochs", "epochs"))
            # So long that about ten kills fall into a run, spread over it.
            longest = {"start": 0.8, "resume": 0.2, "epochs": seconds / 5}[phase]
            alive = run_and_kill(folder, data, phase, chance.uniform(0, longest))
            if alive:
                seen["while writing" if list(folder.glob(".*.tmp")) else f"in {phase}"] += 1
        run_to_the_end(folder, data)
        assert small_runs.bits(folder) == whole, f"run {runs} differs after {dict(seen)}"
    return {**seen, "runs": runs, "bytes compared": runs * sum(map(len, whole.values()))}


def test_thirty_kills(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PATH)
    seen = campaign(tmp_path, KILLS, seed=1)
    compared, runs = seen.pop("bytes compared"), seen.pop("runs")
    assert sum(seen.values()) == KILLS
    assert seen["in epochs"] + seen.get("while writing", 0) >= KILLS // 3  # many fell into the midst of training
    assert compared > 100_000 * runs


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        number, chosen = (int(argument) for argument in [*sys.argv[1:], "30", "1"][:2])
        print(campaign(Path(temporary), number, chosen))
