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


def run_to_the_end(folder: Path, data: str) -> float:
    """Run until it ends by itself; return the seconds between its first line and its end."""
    with subprocess.Popen(command(folder, data), stdout=subprocess.PIPE, text=True, env=environment()) as process:
        process.stdout.readline()
        began = time.monotonic()
        process.stdout.read()
    assert process.returncode == 0
    return time.monotonic() - began


def run_and_kill(folder: Path, data: str, instant: float) -> str:
    """Kill the process `instant` seconds after training began (if negative: after the process did).

    Returns where the kill fell: "start", "training", "writing" (a file was left aside), or "finished" if the run
    ended before.
    """
    process = subprocess.Popen(command(folder, data), stdout=subprocess.PIPE, text=True, env=environment())
    with process.stdout:
        if instant >= 0:
            process.stdout.readline()  # printed when training begins
        time.sleep(abs(instant))
        process.send_signal(signal.SIGKILL)
        status = process.wait()
    if status == 0:
        return "finished"
    assert status == -signal.SIGKILL
    if instant < 0:
        return "start"
    return "writing" if list(folder.glob(".*.tmp")) else "training"


def campaign(place: Path, kills: int, seed: int) -> collections.Counter:
    """Kill `kills` times, in as many runs as it takes; every finished run must be the same bits."""
    instants = random.Random(seed)
    data = small_runs.write_data(place / "small.npz")
    seconds = run_to_the_end(place / "whole", data)
    whole = small_runs.bits(place / "whole")
    seen: collections.Counter = collections.Counter()
    ordinal = 0
    while seen.total() < kills:
        folder = place / f"run{ordinal}"
        ordinal += 1
        finished = False
        while not finished and seen.total() < kills:
            # One kill in six falls into the start of the process; the others into the training, which gets on.
            early = instants.random() < 1 / 6
            instant = -instants.uniform(0.0, 0.5) if early else instants.uniform(0.0, seconds / 8)
            where = run_and_kill(folder, data, instant)
            finished = where == "finished"
            if not finished:
                seen[where] += 1
        run_to_the_end(folder, data)
        assert small_runs.bits(folder) == whole, f"run {ordinal} differs after {dict(seen)}"
    seen["runs"] = ordinal
    seen["bytes compared"] = ordinal * sum(map(len, whole.values()))
    return seen


def test_thirty_kills(tmp_path):
    seen = campaign(tmp_path, KILLS, seed=1)
    kills = seen["start"] + seen["training"] + seen["writing"]
    assert kills == KILLS
    assert seen["training"] + seen["writing"] >= KILLS // 2  # most kills fell into the training itself


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        number, chosen = (int(argument) for argument in [*sys.argv[1:], "30", "1"][:2])
        print(dict(campaign(Path(temporary), number, chosen)))
