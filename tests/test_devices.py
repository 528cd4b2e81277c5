"""The choice of a device: what is asked for is taken or refused in one line; the CPU knows nothing of CUDA."""

import json
import os
import subprocess
import sys
from importlib import util

import numpy as np
import pytest
import small_runs
from cuda_setting import HARDWARE, INSTALLED, needs_cuda

import netsim
from netsim import devices
from netsim.cli import run
from netsim.configuration import Configuration
from netsim.data.dataset import Split
from netsim.errors import OptionError


def test_the_cpu_is_taken_without_a_word():
    chosen = devices.choose("cpu")
    assert (chosen.name, chosen.why) == ("cpu", "")
    assert chosen.notices(Configuration(batch=1), (4, 4, 1), 2) == ()


@pytest.mark.parametrize("asked", ["gpu", "CUDA", "", "cuda:0", None])
def test_unknown_devices(asked):
    with pytest.raises(OptionError, match="--device is"):
        devices.choose(asked)


def test_auto_says_what_it_took_and_why():
    chosen = devices.choose("auto")
    assert chosen.name == ("cuda" if HARDWARE else "cpu")
    assert chosen.why
    (first, *_) = chosen.notices(Configuration(batch=1), (4, 4, 1), 2)
    assert first == f"device: {chosen.text} ({chosen.why})"


@pytest.mark.skipif(not INSTALLED, reason="numba-cuda is not installed")
def test_a_net_too_small_gets_a_hint():
    chosen = devices.choose("cuda")
    assert chosen.why == ""
    (hint,) = chosen.notices(Configuration(net="output", batch=50), (8, 8, 1), 10)
    assert hint.startswith("this net is small: 0.064 million multiply-adds a batch")
    assert chosen.notices(Configuration(net="simpnet", batch=500), (32, 32, 3), 10) == ()


@pytest.mark.parametrize("asked, status", [("cuda", 2), ("auto", 0)])
def test_without_a_gpu(asked, status):
    """In a fresh process with no simulator: one line for cuda, the CPU for auto."""
    if HARDWARE:
        pytest.skip("there is a GPU here")
    done = choose_in_a_process(asked, NUMBA_ENABLE_CUDASIM="0")
    assert done.returncode == status
    why = "no NVIDIA GPU was found" if INSTALLED else "numba-cuda is not installed"
    assert why in (done.stderr if status else done.stdout)
    assert len(done.stderr.splitlines()) == (1 if status else 0)


def test_auto_does_not_take_the_simulator():
    if not INSTALLED:
        pytest.skip("numba-cuda is not installed")
    done = choose_in_a_process("auto", NUMBA_ENABLE_CUDASIM="1")
    assert "CPU the CUDA simulator is turned on" in done.stdout


def choose_in_a_process(asked, **environment):
    program = (
        "import sys\nfrom netsim import devices\nfrom netsim.errors import NetsimError\n"
        "try:\n    device = devices.choose(sys.argv[1]); print(device.text, device.why)\n"
        "except NetsimError as error:\n    print(error, file=sys.stderr); sys.exit(error.exit_status)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, asked], capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_numba_cuda_missing(monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    why = "numba-cuda is not installed: pip install '.[cuda]' in netsim's checkout"
    with pytest.raises(OptionError) as refusal:
        devices.choose("cuda")
    assert str(refusal.value) == f"--device cuda: {why}"
    assert devices.choose("auto").why == why


def test_the_host_learns_as_the_trainer_does():
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (7, 3, 3, 1)).astype(np.uint8), rng.integers(0, 2, 7), 1 / 255)
    nets = [netsim.Network("full 4; output", (3, 3, 1), 2) for _ in range(2)]
    trainer, single = (netsim.Trainer(net) for net in nets)
    learner, order = devices.make_learner(trainer, split, 3), rng.permutation(7)
    learner.begin_epoch(order)
    found = [learner.learn(first, min(first + 3, 7)) for first in (0, 3, 6)]
    assert learner.tell() == learner.settle() == []
    expected = [single.step(*split.batch(order[first : first + 3])) for first in (0, 3, 6)]
    assert found == [[(3, expected[0])], [(3, expected[1])], [(1, expected[2])]]
    for name, array in nets[0].state().items():
        np.testing.assert_array_equal(array, nets[1].state()[name])


def test_training_on_the_cpu_imports_nothing_of_cuda():
    program = (
        "import sys, numpy as np, netsim\nfrom netsim import devices\n"
        "net = netsim.Network('output', (2, 2, 1), 2)\n"
        "trainer = devices.make_trainer(devices.choose('cpu'), net)\n"
        "trainer.step(np.zeros((2, 2, 2, 1), np.float32), [0, 1])\n"
        "print([name for name in sys.modules if name.startswith('netsim.cuda')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


@needs_cuda
def test_eval_on_the_device_is_that_on_the_cpu(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = small_runs.write_data(tmp_path / "small.npz", images=14, side=3)
    asked = ["train", "conv 2 2x2; full 3; output", "--data", data, "--epochs", "1", "--validation", "4", "--quiet"]
    assert run([*asked, "--out", "mine"]) == 0
    capsys.readouterr()
    reports = []
    for device in ("cpu", "cuda", "auto"):
        assert run(["eval", "mine", "--json", "--device", device]) == 0
        said = capsys.readouterr()
        reports.append(json.loads(said.out)["splits"]["validation"])
        assert ("netsim: note: device: " in said.err) == (device == "auto")
    assert reports[1]["confusion"] == reports[0]["confusion"]
    assert reports[1]["loss"] == pytest.approx(reports[0]["loss"], rel=1e-5)
    assert reports[2] == reports[HARDWARE]
