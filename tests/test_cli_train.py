"""`netsim train` from the command line: options, output, refusals, interruptions."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest
import small_runs

import netsim
from netsim import configuration
from netsim.cli import run
from netsim.cli.train import OPTION_NAMES
from netsim.configuration import Configuration

SMALL = [small_runs.NET, "--batch", "8", "--epochs", "3", "--seed", "5"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm"}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Data of 60 images; the working folder is an empty one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return small_runs.write_data(tmp_path / "small.npz")


def test_options_are_those_of_the_configuration():
    information = {"name", "resolved", "versions"}
    assert set(OPTION_NAMES) == set(Configuration.model_fields) - information


def test_lines_folder_and_what_can_be_done_next(data, capsys):
    assert run(["train", *SMALL, "--data", data]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "54 images to learn, 6 to validate, batches of 8, seed 5" in lines[0]
    for epoch in (1, 2, 3):
        pattern = rf"epoch {epoch}/3  train \S+ loss / \S+ %  validation \S+ loss / \S+ %  [\d,]+ images/s"
        assert re.fullmatch(pattern, lines[epoch])
    folder = "runs/net-npz-small-urfb-seed5"
    assert f"run folder: {folder}" in lines
    assert f"  netsim train --resume {folder} --epochs 6   # go on" in lines
    assert f"  netsim eval {folder}" in lines
    assert f"  netsim plot {folder}" in lines
    names = "best.safetensors curves.png last.safetensors metrics.jsonl previous.safetensors run.toml timings.jsonl"
    assert sorted(os.listdir(folder)) == [".lock", *names.split()]
    for command in [f"train --resume {folder} --epochs 6", f"eval {folder}", f"plot {folder}"]:
        assert run(command.split()) == 0  # what is printed works


def test_a_second_run_gets_a_folder_of_its_own(data, capsys):
    for _ in range(2):
        assert run(["train", *SMALL, "--data", data, "--quiet"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert (first, second) == ("runs/net-npz-small-urfb-seed5", "runs/net-npz-small-urfb-seed5-2")
    assert small_runs.bits_of(first) == small_runs.bits_of(second)


#: Every option of a run but those that name its net, data and source. Options of two sets do not go together.
_EVERYWHERE = {
    "validation": 7, "train_images": 40, "protocol": "urfb", "epochs": 2, "batch": 9,
    "step_size": 0.05, "feedback_rate": 0.5, "decay": 0.01, "drop": "batch",
    "connectivity": 0.7, "thin_output": True, "symmetric": True, "slope": 0.9, "frozen": "conv1,full1",
    "seed": 9, "threads": 1, "device": "cpu", "stream": "blocked:3",
}  # fmt: skip
_SETS = {
    "variants": {
        "pool_anchor": "corner", "pool_ties": "all", "feedback_through": "updated", "untied_feedback": "epoch",
        "untied_start": "spread", "feedback_input": "positive", "feedback_clip": 5.0, "loss": "softmax",
    },
    "event times": {"schedule": "desynchronised:0.9", "engine": "batched", "streams": 2, "loss": "hinge", "mu": 0.2},
}  # fmt: skip


def test_every_option_is_tried():
    tried = set().union(_EVERYWHERE, *_SETS.values())
    assert tried == set(OPTION_NAMES) - {"net", "data", "data_dir", "circuits", "source"}


@pytest.mark.parametrize("together", _SETS.values(), ids=_SETS)
def test_every_option_reaches_the_run(together, data, capsys):
    options = {**_EVERYWHERE, **together}
    arguments = []
    for key, value in options.items():
        arguments += [OPTION_NAMES[key]] if value is True else [OPTION_NAMES[key], str(value)]
    assert run(["train", small_runs.NET, "--data", data, "--out", "run", "--quiet", *arguments]) == 0
    with open("run/run.toml", "rb") as file:
        written = tomllib.load(file)
    expected = {**options, "frozen": ["conv1", "full1"]}
    assert {key: written[key] for key in options} == expected
    assert written["net"] == small_runs.NET
    assert written["resolved"]["train"] == 40


def test_a_configuration_file_and_options_that_override_it(data, capsys):
    assert run(["train", *SMALL, "--data", data, "--out", "first", "--quiet"]) == 0
    again = ["train", "--config", "first/run.toml", "--quiet", "--out"]
    assert run([*again, "second"]) == 0
    assert small_runs.bits_of("second") == small_runs.bits_of("first")
    assert run([*again, "third", "--seed", "6", "--epochs", "1"]) == 0
    with open("third/run.toml", "rb") as file:
        written = tomllib.load(file)
    assert (written["seed"], written["epochs"], written["batch"]) == (6, 1, 8)
    assert run([*again, "fourth", "--epochs", "1", "full 5; output"]) == 0
    assert "full 5" in Path("fourth/run.toml").read_text()


def test_an_authors_parameter_file(data, capsys):
    with open("tiny.txt", "w") as file:
        file.write(
            "seed:7\nnum_epochs:2\ndata_set:cifar10\nbatch_size:8\nstep_size:.05\nhinge:True\n"
            "force_global_prob:(1.,0.)\nnonlin_scale:.5\nname:input1\n"
            "name:conv1;num_filters:4;filter_size:(3,3);non_linearity:tanh;parent:input1\n"
            "name:pool1;pool_size:(2,2);stride:(2,2);parent:conv1\n"
            "name:densf;num_units:10;parent:pool1;final:final\n"
        )
    assert run(["train", "tiny.txt", "--data", data, "--out", "run"]) == 0
    with open("run/run.toml", "rb") as file:
        written = tomllib.load(file)
    assert written["net"] == "conv 4 3x3; maxpool 2; output"
    assert (written["name"], written["seed"], written["epochs"]) == ("tiny", 7, 2)
    assert (written["protocol"], written["step_size"], written["slope"]) == ("frfb", 0.05, 0.5)


def test_the_untied_phase_of_a_parameter_file_is_a_run_that_is_named(data, capsys):
    Path("two.txt").write_text(
        "seed:7\nnum_epochs:1\ndata_set:cifar10\nbatch_size:8\nhinge:True\nforce_global_prob:(1.,1.)\n"
        "nonlin_scale:.5\nsparse:conv1R\nnon_trainable:conv0R\nre_randomize:conv1R,densf\nnum_epochs_sparse:2\n"
        "sparse_batch_size:4\nsparse_step_size:.05\nsparse_global_prob:(1.,0.)\nshift:3\nname:input1\n"
        "name:conv0R;num_filters:4;filter_size:(3,3);non_linearity:tanh;parent:input1\n"
        "name:conv1R;num_filters:3;filter_size:(3,3);non_linearity:tanh;parent:conv0R\n"
        "name:densf;num_units:10;parent:conv1R;final:final\n"
    )
    assert run(["train", "two.txt", "--data", data, "--out", "first", "--preset", "author"]) == 0
    captured = capsys.readouterr()
    command = (
        "netsim train --from first --checkpoint last --untie conv2 --freeze conv1 --reinit conv2,output "
        "--untied-start spread --epochs 2 --batch 4 --step-size 0.05 --protocol frfb --connectivity 1"
    )
    assert captured.out.splitlines()[-1] == f"  {command}   # the file's untied phase"
    notes = captured.err.splitlines()
    assert f"netsim: note: then, for the untied phase: {command}" in notes
    assert any("shift is not used" in note for note in notes) and len(notes) == 2
    assert run([*command.split()[1:], "--out", "second"]) == 0
    with open("second/run.toml", "rb") as file:
        written = tomllib.load(file)
    assert written["net"] == "conv 4 3x3; untied 3 3x3; output" and written["frozen"] == ["conv1"]
    assert (written["protocol"], written["pool_ties"], written["batch"]) == ("frfb", "all", 4)
    np.testing.assert_array_equal(*(netsim.load(f"{n}/last.safetensors")["conv1"].W for n in ("first", "second")))


@pytest.mark.parametrize("first, second", [("1.,1.", ".5,1."), (".5,.3", "1.,0."), ("1.,-1.", ".5,1.")])
@pytest.mark.parametrize("anew", [True, False])
def test_the_command_for_an_untied_phase_does_what_the_file_says(data, capsys, first, second, anew):
    Path("two.txt").write_text(
        "seed:7\nnum_epochs:1\nbatch_size:8\nhinge:True\nsparse:conv1R,\nsym:False\nnon_trainable:conv0R\n"
        f"force_global_prob:({first})\nsparse_global_prob:({second})\n"
        + "re_randomize:conv1R\n" * anew + "name:input1\n"
        "name:conv0R;num_filters:4;filter_size:(3,3);non_linearity:tanh;parent:input1\n"
        "name:conv1R;num_filters:3;filter_size:(3,3);non_linearity:tanh;parent:conv0R\n"
        "name:densf;num_units:3;parent:conv1R;final:final\n"
    )  # fmt: skip
    assert run(["train", "two.txt", "--data", data, "--out", "first", "--step-size", "0"]) == 0
    command = capsys.readouterr().out.splitlines()[-1].partition("   #")[0].split()[1:]
    assert run([*command, "--out", "second", "--quiet"]) == 0
    before, after = (netsim.load(f"{name}/last.safetensors") for name in ("first", "second"))
    connectivity, rate = (float(part) for part in second.split(","))
    written = configuration.read("second/run.toml")
    assert written["connectivity"] == connectivity and written["protocol"] == ("urfb" if rate else "frfb")
    layer, filters = after["untied1"], before["conv2"].W
    kept = np.ones(layer.W.shape, bool) if layer.W_mask is None else layer.W_mask
    assert (kept.mean() == 1) if connectivity == 1 else (0.3 < kept.mean() < 0.7)
    mean = np.where(kept, layer.W, 0).sum(axis=(0, 1)) / kept.sum(axis=(0, 1))
    np.testing.assert_allclose(layer.W, np.where(kept, mean, 0), rtol=1e-4)  # one filter, whose connections are thinned
    assert anew or np.allclose(mean, filters, rtol=1e-4)
    assert ("drawn anew: conv2" in capsys.readouterr().err) == anew
    np.testing.assert_array_equal(after["output"].W, before["output"].W)


def test_a_parameter_file_without_epochs_of_the_first_phase(data, capsys):
    Path("two.txt").write_text(
        "seed:7\nnum_epochs:0\nbatch_size:8\nhinge:True\nsparse:conv1R,\nnum_epochs_sparse:2\nnon_trainable:conv0R\n"
        "sparse_step_size:0.01\nname:input1\n"
        "name:conv0R;num_filters:4;filter_size:(3,3);non_linearity:tanh;parent:input1\n"
        "name:conv1R;num_filters:3;filter_size:(3,3);non_linearity:tanh;parent:conv0R\n"
        "name:densf;num_units:3;parent:conv1R;final:final\n"
    )
    assert run(["train", "two.txt", "--data", data, "--out", "only"]) == 0
    captured = capsys.readouterr()
    assert "num_epochs is 0" in captured.err and "untied phase:" not in captured.err + captured.out
    written = configuration.read("only/run.toml")
    assert (written["net"], written["frozen"]) == ("conv 4 3x3; untied 3 3x3; output", ["conv1"])
    assert (written["epochs"], written["step_size"], written["untied_start"]) == (2, 0.01, "spread")
    drawn = netsim.Network(written["net"], (6, 6, 1), 3, seed=7, untied_start="spread", slope=0.5)
    learned = netsim.load("only/last.safetensors")
    np.testing.assert_array_equal(learned["conv1"].W, drawn["conv1"].W)
    assert 0 < np.abs(learned["untied1"].W - drawn["untied1"].W).max() < 0.1
    Path("none.txt").write_text("num_epochs:0\n" + "name:input1\nname:densf;num_units:3;parent:input1;final:final\n")
    assert run(["train", "none.txt", "--data", data]) == 2
    assert "line 1: num_epochs is 0, and without an untied phase" in capsys.readouterr().err
    assert not Path("runs").exists()


CALIBRATION = {
    "format": "netsim circuit calibration",
    "version": 2,
    "gate": {"width": 0.05, "bias": -0.02, "spread": 0.2, "leak": 0.1, "noise": 0.05},
    "noise_onset": 0.2,
    "error": {"width": 0.01, "bias": -0.02, "spread": 0.1, "noise": 0.05},
}


def test_circuits_that_were_calibrated_are_kept_in_the_run_and_need_no_file_again(data, capsys):
    Path("circuits.json").write_text(json.dumps(CALIBRATION))
    arguments = ["train", *SMALL, "--data", data, "--quiet", "--out"]
    assert run([*arguments, "ideal"]) == 0
    assert run([*arguments, "whole", "--circuits", "circuits.json"]) == 0
    with open("whole/run.toml", "rb") as file:
        kept = tomllib.load(file)["circuits"]
    assert kept["gate_leak"] == 0.1 and kept["error_spread"] == 0.1 and len(kept) == 10
    os.unlink("circuits.json")
    assert run(["train", "--config", "whole/run.toml", "--quiet", "--out", "again"]) == 0
    assert run(["train", "--config", "whole/run.toml", "--quiet", "--out", "longer", "--epochs", "1"]) == 0
    assert run(["train", "--resume", "longer", "--epochs", "3", "--quiet"]) == 0
    whole = small_runs.bits_of("whole")
    assert small_runs.bits_of("again") == small_runs.bits_of("longer") == whole
    assert small_runs.bits_of("ideal")["metrics.jsonl"] != whole["metrics.jsonl"]


def test_ideal_circuits_override_those_of_a_configuration(data, capsys):
    for name, leak in (("leaky", 0.3), ("ideal", 0)):
        Path(f"{name}.json").write_text(json.dumps({"gate_leak": leak}))
    arguments = ["train", *SMALL, "--data", data, "--quiet", "--out"]
    assert run([*arguments, "plain"]) == 0
    assert run([*arguments, "leaky", "--circuits", "leaky.json"]) == 0
    assert run(["train", "--config", "leaky/run.toml", "--circuits", "ideal.json", "--quiet", "--out", "ideal"]) == 0
    for name in ("plain", "ideal"):
        assert np.array_equal(*(netsim.load(f"{n}/last.safetensors")["full1"].W for n in ("plain", name)))
    leaky, plain = (netsim.load(f"{name}/last.safetensors")["full1"].W for name in ("leaky", "plain"))
    assert not np.array_equal(leaky, plain)


def test_quiet_and_loud_runs_are_the_same_bits(data, capsys):
    assert run(["train", *SMALL, "--data", data, "--out", "quiet", "--quiet"]) == 0
    assert capsys.readouterr() == ("quiet\n", "")
    assert run(["train", *SMALL, "--data", data, "--out", "loud"]) == 0
    assert small_runs.bits_of("quiet") == small_runs.bits_of("loud")


def on_a_terminal(command: list[str]) -> tuple[int, str]:
    """Run a process on a pseudo-terminal; return its status and everything that it showed."""
    ours, theirs = pty.openpty()
    wide = {**environment(), "COLUMNS": "120"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=wide)
    os.close(theirs)
    shown = bytearray()

    def read():
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the terminal was closed
                return
            if not part:
                return
            shown.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    status = process.wait(timeout=120)
    reader.join(timeout=30)
    os.close(ours)
    return status, shown.decode(errors="replace")


def test_the_progress_bar_of_a_terminal_changes_no_bit(data):
    assert run(["train", *SMALL, "--data", data, "--out", "plain", "--quiet"]) == 0
    status, shown = on_a_terminal([*small_runs.COMMAND, "train", *SMALL, "--data", data, "--out", "bar"])
    assert status == 0
    assert "\x1b[" in shown  # control sequences: this was a live bar
    assert small_runs.bits_of("bar") == small_runs.bits_of("plain")
    # What it shows in the end is the last epoch, though no batch of it took long enough to be shown by itself.
    last = json.loads(Path("bar/metrics.jsonl").read_text().splitlines()[-1])
    bars = re.findall(r"epoch (\d)/3 .* error: train (\S+) %, validation (\S+) % +[\d,-]+ images/s", plain(shown))
    expected = tuple(f"{100 * last[f'{kind}_error']:.1f}" for kind in ("train", "validation"))
    assert bars[-1] == ("3", *expected)
    assert bars[0][:1] != bars[-1][:1]


def plain(shown: str) -> str:
    """What a terminal showed, a line for each drawing of a line, without colors."""
    lines = re.split(r"\x1b\[2K|[\r\n]", shown)
    return "\n".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines)


def test_a_reader_that_goes_away_ends_the_run_and_loses_nothing(data):
    arguments = ["train", *SMALL, "--data", data, "--out"]
    command = [*small_runs.COMMAND, *arguments, "cut", "--epochs", "40"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        while not process.stdout.readline().startswith("epoch 2/"):
            pass
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, error) == (1, "")
    assert run(["train", "--resume", "cut", "--quiet"]) == 0
    assert run([*arguments, "whole", "--quiet", "--epochs", "40"]) == 0
    assert small_runs.bits_of("cut") == small_runs.bits_of("whole")


@pytest.mark.parametrize("name", ["σ and é", os.fsdecode(b"\xff")])
def test_a_folder_whose_name_the_terminal_cannot_show(data, name):
    command = [*small_runs.COMMAND, "train", *SMALL, "--data", data, "--out", name]
    done = subprocess.run(command, capture_output=True, env={**environment(), "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"run folder: \\" in done.stdout
    assert sorted(small_runs.bits_of(name)) == sorted(small_runs.COMPARED)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_says_how_to_go_on_and_resumes_to_the_same_bits(data, number):
    arguments = [*SMALL[:3], "--epochs", "60", "--seed", "5", "--data", data, "--out"]
    command = [*small_runs.COMMAND, "train", *arguments, "cut run"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    while not process.stdout.readline().startswith("epoch 3/"):
        pass
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "stopped and saved; go on with: netsim train --resume 'cut run'\n"
    done = len(Path("cut run/metrics.jsonl").read_text().splitlines())
    assert 3 <= done < 60
    assert run(["train", "--resume", "cut run", "--quiet"]) == 0
    assert run(["train", *arguments, "whole", "--quiet"]) == 0
    assert small_runs.bits_of("cut run") == small_runs.bits_of("whole")


def test_a_finished_run_is_resumed_to_itself(data, capsys):
    assert run(["train", *SMALL, "--data", data, "--out", "run", "--quiet"]) == 0
    before = small_runs.bits_of("run")
    os.unlink("run/curves.png")
    assert run(["train", "--resume", "run"]) == 0
    assert small_runs.bits_of("run") == before


def test_resume_from_another_folder(data, tmp_path, capsys, monkeypatch):
    os.rename(data.removeprefix("npz:"), "relative.npz")
    assert run(["train", *SMALL, "--data", "npz:relative.npz", "--out", "run", "--quiet"]) == 0
    here = os.getcwd()
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--resume", os.path.join(here, "run"), "--epochs", "4", "--quiet"]) == 0


def test_divergence_is_exit_status_3(data, capsys):
    status = run(["train", *SMALL, "--data", data, "--step-size", "1e38", "--out", "run"])
    captured = capsys.readouterr()
    assert status == 3
    assert captured.err.count("\n") == 1
    assert re.match(r"netsim: error: .* no longer finite \(epoch \d, batch \d\)", captured.err)


def test_metrics_are_json_without_nan(data, capsys):
    # All weights of a layer with one connection are one value: no correlation is defined.
    np.savez("one.npz", images=np.ones((20, 1, 1, 1), np.uint8), labels=np.arange(20) % 2)
    arguments = ["--data", "npz:one.npz", "--epochs", "1", "--out", "run"]
    assert run(["train", "full 1; output", *arguments]) == 0
    text = Path("run/metrics.jsonl").read_text()
    assert "NaN" not in text
    record = json.loads(text)
    assert record["correlation"]["full1"] is None
    assert abs(record["correlation"]["output"]) == pytest.approx(1)  # two points always lie on a line
    assert np.isfinite(record["train_loss"])
