"""The same seed gives the same bits: across processes, threads, chunks, and with nobody watching.

To compare versions of Python or machines, run this file on each and compare what it prints:

    python tests/test_promises_bits.py
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import small_runs

import netsim
from netsim import configuration, preparation, protocols, training

#: A net with every kind of layer but `full` above maps twice: sums, untied, pools, drops.
NET = "conv 4 3x3; conv 4 3x3; sum; maxpool 2; drop .3; untied 3 2x2; full 10; drop .2; output"
WEIGHTS_AND_METRICS = ("metrics.jsonl", "last.safetensors", "best.safetensors", "curves.png")


@pytest.fixture
def data(tmp_path, monkeypatch):
    small_runs.hasten(monkeypatch)
    return small_runs.write_data(tmp_path / "small.npz")


def in_a_process(folder, data, **variables: str) -> None:
    """One run in a process of its own, with these environment variables."""
    arguments = ["train", NET, "--data", data, "--batch", "8", "--epochs", "3", "--seed", "5", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
    subprocess.run(
        [*small_runs.COMMAND, *arguments, "--out", str(folder)], check=True, env=environment, capture_output=True
    )


def test_processes_with_other_hash_seeds_and_other_thread_settings(tmp_path, data):
    in_a_process(tmp_path / "a", data, PYTHONHASHSEED="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    in_a_process(tmp_path / "b", data, PYTHONHASHSEED="2", OMP_NUM_THREADS="4", OPENBLAS_NUM_THREADS="4")
    found = small_runs.bits(tmp_path / "a", WEIGHTS_AND_METRICS)
    assert found == small_runs.bits(tmp_path / "b", WEIGHTS_AND_METRICS)
    assert all(found.values())


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_any_number_of_threads(tmp_path, data, protocol):
    for threads in (1, 2, 3, 5):
        small_runs.start(tmp_path / str(threads), data, net=NET, protocol=protocol, threads=threads)
    one = small_runs.bits(tmp_path / "1")
    for threads in (2, 3, 5):
        assert small_runs.bits(tmp_path / str(threads)) == one


#: Gates and errors that vary from unit to unit and from one presentation to the next.
CIRCUITS = {"gate_width": 0.1, "gate_spread": 0.1, "gate_leak": 0.05, "gate_noise": 0.1, "error_noise": 0.1}


@pytest.mark.parametrize(
    "options",
    [*({"protocol": name} for name in protocols.PROTOCOLS), {"circuits": CIRCUITS}, {"loss": "softmax"}],
    ids=str,
)
def test_a_run_resumed_with_another_number_of_threads(tmp_path, data, options):
    small_runs.start(tmp_path / "whole", data, net=NET, threads=1, **options)
    steps = iter(range(100))
    small_runs.start(tmp_path / "cut", data, stop=lambda: next(steps) == 9, net=NET, threads=3, **options)
    small_runs.resume(tmp_path / "cut", threads=2)
    assert small_runs.bits(tmp_path / "cut") == small_runs.bits(tmp_path / "whole")


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_any_size_of_chunk_and_no_metrics_at_all(tmp_path, data, chunk):
    """A bare loop over `Trainer.step`, without run, metrics or checkpoints, ends with the same weights."""
    small_runs.start(tmp_path / "run", data, net=NET)
    prepared = preparation.prepare(small_runs.settings(data, net=NET))
    net = netsim.Network(NET, (6, 6, 1), 3, seed=5)
    before = {name: array.copy() for name, array in net.state().items()}
    trainer = netsim.Trainer(net, chunk=chunk)
    for epoch in range(3):
        trainer.begin_epoch(epoch)
        order = training.order_of_images(5, epoch, 54)
        for start in range(0, 54, 8):
            trainer.step(*prepared.train.batch(order[start : start + 8]))
    saved = netsim.load(tmp_path / "run" / "last.safetensors").state()
    for name, array in net.state().items():
        assert np.array_equal(array, saved[name]), name
        assert not np.array_equal(array, before[name]), name  # something was learned


def test_another_seed_gives_other_bits(tmp_path, data):
    for seed in (5, 6):
        small_runs.start(tmp_path / str(seed), data, seed=seed)
    five, six = small_runs.bits(tmp_path / "5"), small_runs.bits(tmp_path / "6")
    assert all(five[name] != six[name] for name in five)


def test_metrics_say_nothing_of_the_clock(tmp_path, data):
    small_runs.start(tmp_path / "run", data, epochs=1)
    record = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    keys = "epoch train_loss train_error validation_loss validation_error correlation angle_degrees saturated"
    assert list(record) == keys.split()
    timing = json.loads((tmp_path / "run" / "timings.jsonl").read_text())
    assert list(timing) == ["epoch", "images_per_second", "seconds", "evaluation_seconds"]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of weights and metrics after runs of each protocol on digits: `simpnet`, five epochs."""
    found = {}
    for protocol in ("urfb", "frfb", "bp"):
        small_runs.start(folder / protocol, "digits", net="simpnet", protocol=protocol, batch=50, epochs=5)
        digest = hashlib.sha256()
        for name, array in sorted(netsim.load(folder / protocol / "last.safetensors").state().items()):
            digest.update(name.encode() + array.tobytes())
        digest.update((folder / protocol / "metrics.jsonl").read_bytes())
        found[protocol] = digest.hexdigest()
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps({**configuration.versions(), **digests(Path(temporary))}, indent=2))
