"""kill -9 of real `netsim train` processes at random instants, then --resume: the bits of an uninterrupted run.

Every kind of run in turn. The suite kills 30 times. A longer campaign:

    python tests/test_kill_resume.py 1000 [seed]
"""

import collections
import contextlib
import json
import multiprocessing.connection
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import small_runs

KILLS = 30
#: Kills that fall into one run at most, of the suite and of a longer campaign.
MOST, LONGEST = 3, 10
#: Epochs for every kill that falls into a run: few enough that the run itself takes a second or two.
EPOCHS = 2
PATH = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])


#: Kinds of runs: their options beside those that all have. Names of files and of the run from which another starts
#: stand in `place`, see `prepare`.
KINDS = {
    "plain": [small_runs.NET],
    "exact": [small_runs.NET, "--schedule", "late.toml", "--streams", "3"],
    "batched": [small_runs.NET, "--schedule", "desynchronised:0.7", "--engine", "batched", "--stream", "similar:4"],
    "stream": [small_runs.NET, "--stream", "one-at-a-time:0.2"],
    "inherited": ["--from", "tied", "--untie", "all", "--reinit", "output"],
    "circuits": [small_runs.NET, "--circuits", "circuits.json"],
    "preset": ["untied 3 3x3; maxpool 2; drop .3; full 10; output", "--preset", "author"],
    "dfa": [small_runs.NET, "--protocol", "dfa", "--loss", "softmax"],
    "sign-symmetry": [small_runs.NET, "--protocol", "sign-symmetry", "--connectivity", ".5"],
    "kolen-pollack": [small_runs.NET, "--protocol", "kolen-pollack", "--drop", "batch"],
}
LATE = """\
plasticity_lag = 1.5
tag_decay = inf
replacement = 0.8
[jitter]
distribution = "normal"
scale = 0.3
"""
CIRCUITS = {"gate_width": 0.1, "gate_spread": 0.1, "gate_leak": 0.02, "error_noise": 0.1, "noise_onset": 0.1}


def prepare(place: Path) -> str:
    """Write what the kinds of runs need into `place`; return the name of the data."""
    (place / "late.toml").write_text(LATE)
    (place / "circuits.json").write_text(json.dumps(CIRCUITS))
    data = small_runs.write_data(place / "small.npz")
    small_runs.start(place / "tied", data, epochs=1, threads=1)  # the fork server makes one, too
    return data


def command(folder: Path, data: str, kind: str, epochs: int) -> list[str]:
    """Arguments of `netsim` that begin the run in `folder`, or go on with it if it was begun."""
    if (folder / "run.toml").exists():
        return ["train", "--resume", str(folder)]
    place = folder.parent
    chosen = [str(place / word) if (place / word).exists() else word for word in KINDS[kind]]
    options = ["--data", data, "--batch", "8", "--epochs", str(epochs), "--seed", "5", "--out", str(folder)]
    return ["train", *chosen, *options]


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


def run_to_the_end(arguments: list[str]) -> float:
    """Run until it ends by itself; return the seconds after its first epoch."""
    running = Forked(arguments)
    wait_for_an_epoch(running)
    began = time.monotonic()
    assert running.wait() == 0, arguments
    return time.monotonic() - began


def run_and_kill(arguments: list[str], phase: str, seconds: float) -> bool:
    """Kill the process `seconds` after the beginning of a phase; return whether it was still running.

    phase: "start" (of the interpreter), "resume" (training is about to begin), "epochs" (one is done).
    """
    running = (Command if phase == "start" else Forked)(arguments)
    if phase == "resume":
        running.stdout.readline()
    elif phase == "epochs":
        wait_for_an_epoch(running)
    time.sleep(seconds)
    running.kill()
    status = running.wait()
    assert status in (0, -signal.SIGKILL), arguments
    return status != 0


def campaign(
    place: Path, kills: int, seed: int, most: int
) -> tuple[collections.Counter, collections.Counter, int, int]:
    """Kill `kills` times, in as many runs as it takes, `most` times a run at most; finished runs must be the same bits.

    The next run is of the kind that was killed least. Returns kills by when they fell, kills by kind, runs, and bytes
    compared.
    """
    chance = random.Random(seed)
    os.environ["PYTHONPATH"] = PATH  # for the fork server, which starts with the first process
    data, epochs = prepare(place), EPOCHS * most
    whole: dict[str, dict[str, bytes]] = {}
    seconds: dict[str, float] = {}
    seen: collections.Counter = collections.Counter()
    by_kind = collections.Counter(dict.fromkeys(KINDS, 0))
    runs = compared = 0
    while seen.total() < kills:
        kind = min(KINDS, key=by_kind.__getitem__)
        if kind not in whole:
            seconds[kind] = run_to_the_end(command(place / f"whole {kind}", data, kind, epochs))
            whole[kind] = small_runs.bits(place / f"whole {kind}")
        folder = place / f"run{runs}"
        runs += 1
        alive, left = True, most
        while alive and left and seen.total() < kills:
            phase = chance.choice(("start", "resume", "epochs", "epochs", "epochs", "epochs"))
            # So long that about as many kills fall into a run as may, spread over it.
            longest = {"start": 0.8, "resume": 0.2, "epochs": 1.5 * seconds[kind] / most}[phase]
            alive = run_and_kill(command(folder, data, kind, epochs), phase, chance.uniform(0, longest))
            if alive:
                left -= 1
                by_kind[kind] += 1
                seen["while writing" if list(folder.glob(".*.tmp")) else f"in {phase}"] += 1
        run_to_the_end(command(folder, data, kind, epochs))
        found = small_runs.bits(folder)
        assert found == whole[kind], f"run {runs} ({kind}) differs after {dict(by_kind)}"
        compared += sum(map(len, found.values()))
        shutil.rmtree(folder)
    return seen, by_kind, runs, compared


def test_thirty_kills(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PATH)
    seen, by_kind, runs, compared = campaign(tmp_path, KILLS, seed=1, most=MOST)
    assert seen.total() == by_kind.total() == KILLS
    assert min(by_kind.values()) >= 1  # of every kind
    assert seen["in epochs"] + seen["while writing"] >= KILLS // 3  # many fell into the midst of training
    assert compared > 50_000 * runs


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        number, chosen = (int(argument) for argument in [*sys.argv[1:], "30", "1"][:2])
        when, kinds, many, size = campaign(Path(temporary), number, chosen, LONGEST)
        print(f"{when.total()} kills: {dict(when)}; {dict(kinds)}; {many} runs, {size:,} bytes compared")
