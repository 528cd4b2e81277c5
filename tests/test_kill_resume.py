"""kill -9 of real `netsim train` processes at random instants, then --resume: the bits of an uninterrupted run.

The suite kills 30 times. A longer campaign:

    python tests/test_kill_resume.py 1000 [seed]
"""

import collections
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
#: Enough epochs that many kills fall into one run, few enough that the run itself takes seconds.
EPOCHS = 120


def command(folder: Path, data: str) -> list[str]:
    """`netsim train` that begins the run in `folder`, or goes on with it if it was begun."""
    if (folder / "run.toml").exists():
        return [*small_runs.COMMAND, "train", "--resume", str(folder)]
    options = ["--data", data, "--batch", "8", "--epochs", str(EPOCHS), "--seed", "5", "--out", str(folder)]
    return [*small_runs.COMMAND, "train", small_runs.NET, *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def process(folder: Path, data: str) -> subprocess.Popen:
    return subprocess.Popen(command(folder, data), stdout=subprocess.PIPE, text=True, env=environment())


def wait_for_an_epoch(running: subprocess.Popen) -> None:
    """Read what the process prints up to the first line of an epoch, or to its end."""
    for line in running.stdout:
        if line.startswith("epoch "):
            return


def run_to_the_end(folder: Path, data: str) -> float:
    """Run until it ends by itself; return the seconds after its first epoch."""
    with process(folder, data) as running:
        wait_for_an_epoch(running)
        began = time.monotonic()
        running.stdout.read()
    assert running.returncode == 0
    return time.monotonic() - began


def run_and_kill(folder: Path, data: str, phase: str, seconds: float) -> bool:
    """Kill the process `seconds` after the beginning of a phase; return whether it was still running.

    phase: "start" (of the process), "resume" (training is about to begin), "epochs" (one is done).
    """
    with process(folder, data) as running:
        if phase == "resume":
            running.stdout.readline()
        elif phase == "epochs":
            wait_for_an_epoch(running)
        time.sleep(seconds)
        running.send_signal(signal.SIGKILL)
    if running.returncode == 0:
        return False
    assert running.returncode == -signal.SIGKILL
    return True


def campaign(place: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill `kills` times, in as many runs as it takes; every finished run must be the same bits."""
    chance = random.Random(seed)
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
            # So long that about a dozen kills fall into a run, spread over it.
            longest = {"start": 0.5, "resume": 0.2, "epochs": seconds / 6}[phase]
            alive = run_and_kill(folder, data, phase, chance.uniform(0, longest))
            if alive:
                seen["while writing" if list(folder.glob(".*.tmp")) else f"in {phase}"] += 1
        run_to_the_end(folder, data)
        assert small_runs.bits(folder) == whole, f"run {runs} differs after {dict(seen)}"
    return {**seen, "runs": runs, "bytes compared": runs * sum(map(len, whole.values()))}


def test_thirty_kills(tmp_path):
    seen = campaign(tmp_path, KILLS, seed=1)
    compared, runs = seen.pop("bytes compared"), seen.pop("runs")
    assert sum(seen.values()) == KILLS
    assert seen["in epochs"] + seen.get("while writing", 0) >= KILLS // 3  # many fell into the midst of training
    assert compared > 100_000 * runs


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        number, chosen = (int(argument) for argument in [*sys.argv[1:], "30", "1"][:2])
        print(campaign(Path(temporary), number, chosen))
