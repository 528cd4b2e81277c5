"""`netsim train --device`: a run on a GPU (here mostly its simulator), and what is said where there is none."""

import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import small_runs
from cuda_setting import needs_cuda

import netsim
from netsim import devices
from netsim.cli import run

NET = "conv 2 2x2; drop .3; full 3; output"


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return small_runs.write_data(tmp_path / "small.npz", images=14, side=3)


@needs_cuda
def test_a_run_on_the_device_learns_what_one_on_the_cpu_does(data, capsys):
    arguments = ["train", NET, "--data", data, "--batch", "5", "--epochs", "2", "--validation", "2", "--quiet"]
    for device in ("cpu", "cuda"):
        assert run([*arguments, "--device", device, "--out", device]) == 0
    with open("cuda/run.toml", "rb") as file:
        written = tomllib.load(file)
    assert written["device"] == "cuda" and written["versions"]["device"].startswith("CUDA: ")
    nets = [netsim.load(f"{device}/last.safetensors") for device in ("cpu", "cuda")]
    for one, other in zip(*(net.weighted for net in nets), strict=True):
        np.testing.assert_allclose(one.W, other.W, rtol=0, atol=1e-5)
    first, second = (
        json.loads(Path(f"{device}/metrics.jsonl").read_text().splitlines()[-1]) for device in ("cpu", "cuda")
    )
    assert list(first) == list(second)
    assert first["train_loss"] == pytest.approx(second["train_loss"], abs=1e-5)
    start = netsim.Network(NET, (3, 3, 1), 3)
    assert np.abs(start["full1"].W - nets[1]["full1"].W).max() > 1e-3
    capsys.readouterr()
    assert run(["train", "--resume", "cuda", "--device", "cpu", "--epochs", "3", "--quiet"]) == 0
    note = capsys.readouterr().err
    assert "device was 'CUDA: " in note and "now 'CPU': the run may not repeat bit for bit" in note
    assert run(["eval", "cuda"]) == 0


def test_without_a_gpu_cuda_is_refused_and_auto_says_why(data, capsys, monkeypatch):
    monkeypatch.setattr(devices, "_missing", lambda simulator: "no NVIDIA GPU was found")
    arguments = ["train", NET, "--data", data, "--epochs", "1", "--quiet", "--out"]
    assert run([*arguments, "cuda", "--device", "cuda"]) == 2
    assert capsys.readouterr().err == "netsim: error: --device cuda: no NVIDIA GPU was found\n"
    assert not Path("cuda").exists()
    assert run([*arguments, "auto", "--device", "auto"]) == 0
    assert "netsim: note: device: CPU (no NVIDIA GPU was found)" in capsys.readouterr().err
    assert run([*arguments, "cpu"]) == 0
    assert small_runs.bits_of("auto") == small_runs.bits_of("cpu")


@needs_cuda
def test_event_times_on_the_device_are_those_of_the_cpu(data, capsys):
    arguments = ["train", NET, "--data", data, "--batch", "5", "--epochs", "2", "--validation", "2", "--quiet"]
    times = ["--schedule", "desynchronised:0.7", "--engine", "batched", "--streams", "5"]
    for device in ("cpu", "cuda"):
        assert run([*arguments, *times, "--device", device, "--out", device]) == 0
    nets = [netsim.load(f"{device}/last.safetensors") for device in ("cpu", "cuda")]
    for one, other in zip(*(net.weighted for net in nets), strict=True):
        np.testing.assert_allclose(one.W, other.W, rtol=0, atol=1e-5)
    assert run([*arguments, "--out", "nominal"]) == 0
    assert np.abs(netsim.load("nominal/last.safetensors")["full1"].W - nets[1]["full1"].W).max() > 1e-3
    capsys.readouterr()
    assert run([*arguments, *times[:2], "--device", "cuda", "--out", "exact"]) == 2
    assert "the exact engine runs on the CPU only; --engine batched" in capsys.readouterr().err
    assert not Path("exact").exists()


@needs_cuda
def test_a_sweep_on_the_device_finds_what_one_on_the_cpu_finds(data, capsys):
    arguments = ["timing", NET, "--data", data, "--batch", "5", "--epochs", "1", "--validation", "2", "--quiet"]
    sweep = ["--sweep", "p=1,0.6", "--engine", "batched", "--streams", "5", "--measured", "8"]
    for device in ("cpu", "cuda"):
        assert run([*arguments, *sweep, "--device", device, "--out", device]) == 0
    texts = [Path(device, "timing.csv").read_text() for device in ("cpu", "cuda")]
    tables = [list(csv.DictReader(text.splitlines())) for text in texts]
    assert len(tables[0]) == 2 and float(tables[0][1]["cosine.full1"]) < 0.99
    for one, other in zip(*tables, strict=True):
        for name, value in one.items():
            try:
                assert float(other[name]) == pytest.approx(float(value), abs=2e-4, nan_ok=True), name
            except ValueError:
                assert other[name] == value, name


def test_the_exact_engine_is_refused_on_a_gpu_and_stays_on_the_cpu_with_auto(monkeypatch):
    from netsim.errors import OptionError
    from netsim.events.engines import on_device

    gpu, found = devices.Device("cuda", "CUDA: some"), devices.Device("cuda", "CUDA: some", "a GPU was found")
    with pytest.raises(OptionError, match="runs on the CPU only"):
        on_device("exact", gpu)
    assert on_device("exact", found).choice == "device: CPU (the exact engine runs on the CPU)"
    assert on_device("batched", gpu) is gpu and on_device("exact", devices.CPU) is devices.CPU
