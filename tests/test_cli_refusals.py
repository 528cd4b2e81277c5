"""What `netsim train` refuses: one line that says what would be right, status 2, nothing written."""

import os
import re

import pytest
import small_runs

from netsim import preparation
from netsim.cli import run

SMALL = [small_runs.NET, "--batch", "8", "--epochs", "3", "--seed", "5"]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Data of 60 images; the working folder is an empty one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return small_runs.write_data(tmp_path / "small.npz")


@pytest.fixture
def refused(capsys):
    """Run a command line that must be refused in one line, with nothing written; returns the line."""

    def refuse(*arguments: object, status: int = 2, leaves: tuple[str, ...] = ()) -> str:
        assert run(["train", *map(str, arguments)]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("netsim: error: ")
        assert captured.err.count("\n") == 1
        assert sorted(os.listdir()) == sorted(leaves)
        return captured.err.removeprefix("netsim: error: ").rstrip("\n")

    return refuse


BAD_VALUES = {
    "--epochs": ["0", "-1", "99999999999"], "--batch": ["0", "-5"], "--seed": ["-1", str(2**63)],
    "--step-size": ["-0.1", "nan", "inf", "1e999"], "--mu": ["-1", "nan"], "--decay": ["-1", "inf"],
    "--feedback-rate": ["-0.1", "1.1", "nan"], "--connectivity": ["0", "1.5", "nan"],
    "--slope": ["0", "-1", "1e7", "1e-7"],
    "--threads": ["0", "-1", "99999"], "--validation": ["-1", "60", "1000"], "--train-images": ["0"],
    "--protocol": ["urbf", "", "URFB!"], "--loss": ["hing", ""], "--drop": ["sampel", ""],
    "--device": ["gpu", "CUDA", ""],
    "--freeze": ["conv7", "maxpool1", ",x", "", ",", "conv1,full1,output"],
    "--data": ["digit", "", "npz:", "npz:/nowhere/a.npz"],
    "--net": ["", "conv 4", "simpnet2", "conv 4 3x3; maxpool 9; output", "sum; output", "full 3"],
}  # fmt: skip


@pytest.mark.parametrize(("option", "value"), [(o, v) for o, values in BAD_VALUES.items() for v in values])
def test_bad_values_are_refused_before_anything_is_written(data, refused, option, value):
    net = [] if option == "--net" else [small_runs.NET]
    given = [] if option == "--data" else ["--data", data]
    message = refused(*net, *given, f"{option}={value}")
    assert len(message) < 400


def test_messages_name_what_would_be_right(data, refused):
    net = [small_runs.NET, "--data", data]
    assert refused(*net, "--step-size", "-1") == "--step-size is -1.0: it must be at least 0"
    assert refused(*net, "--protocol", "urbf") == "unknown protocol 'urbf' (did you mean 'urfb'?)"
    assert refused(*net, "--loss", "hing") == "unknown loss 'hing' (did you mean 'hinge'?)"
    assert "did you mean 'conv1'" in refused(*net, "--freeze", "conv2")
    assert "did you mean 'simpnet'" in refused("simpnt", "--data", data)
    assert "did you mean 'digits'" in refused("--data", "digit")
    assert "is given twice" in refused("simpnet", "--net", "deepnet")


def test_messages_name_options_as_they_are_typed(data, refused):
    net = [small_runs.NET, "--data", data]
    cases = {
        ("--validation", "60"): f"--validation is 60 images, but {data} has 60 in all",
        ("--protocol", "bp", "--feedback-rate", ".5"): "--feedback-rate is 0.5, but bp has no feedback weights",
        ("--protocol", "frfb", "--feedback-rate", "1"): "--feedback-rate is 1.0, but the protocol is frfb",
        ("--loss", "softmax", "--mu", "0.7"): "--mu is 0.7, but the softmax loss has no off-class factor",
        ("--freeze", ""): "--freeze names no layer",
        ("--freeze", "conv1,full1,output"): "--freeze is conv1,full1,output: these are all layers with weights",
        ("--pool-anchor", "middle"): "--pool-anchor is 'middle'; known: center, corner",
        ("--feedback-through", "new"): "--feedback-through is 'new'",
        ("--engine", "batched"): "--engine goes with a schedule",
    }  # fmt: skip
    for arguments, words in cases.items():
        assert refused(*net, *arguments).startswith(words)


def test_a_value_that_is_no_number_is_refused_in_our_words(data, refused, capsys):
    for option, value, words in [
        ("--epochs", "1.5", "--epochs is 1.5: it must be a whole number"),
        ("--epochs", "many", "--epochs is 'many': it must be a whole number"),
        ("--step-size", "big", "--step-size is 'big': it must be a number"),
        ("--seed", "1e3", "--seed is 1e3: it must be a whole number"),
        ("--seed", "", "--seed is '': it must be a whole number"),
    ]:
        assert refused(small_runs.NET, "--data", data, option, value) == words
    for threads, words in {
        "0": "must be at least 1",
        "9999": "must be at most 1024",
        "x": "must be a whole number",
    }.items():
        assert run(["eval", "run", "--threads", threads]) == 2
        assert capsys.readouterr().err.rstrip("\n").endswith(f": it {words}")


def test_a_net_too_large_for_memory_is_called_by_its_name_or_not_at_all(data, refused, monkeypatch):
    monkeypatch.setattr(preparation, "memory_bytes", lambda: 10_000)
    assert refused(small_runs.NET, "--data", data).startswith("this net has ")
    assert refused("simpnet", "--data", data).startswith("the net simpnet has ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stepsize = 1", r"unknown key 'stepsize' \(did you mean 'step_size'\?\)"),
        ("step_size = 'big'", r"step_size is 'big': it must be a number"),
        ("step_size = nan", "step_size is nan: it must be a finite number"),
        ("epochs = 2.5", r"epochs is 2\.5: it must be a whole number"),
        ("epochs = true", "epochs is True: it must be a whole number"),
        ("frozen = 'conv1'", "frozen is 'conv1': it must be a list of names"),
        ("thin_output = 1", "thin_output is 1: it must be true or false"),
        ("net = 5", "net is 5: it must be text"),
        ("net = 'convv 3 3x3'", "run.toml: .*convv"),
        ("epochs = ", "not valid TOML: Invalid value"),
        ("epochs = 1\nepochs = 2", "not valid TOML: .*"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ("seed = " + "9" * 5000, "(not valid TOML|more than 40 digits)"),
        ("\x00", "not valid TOML"),
    ],
)
def test_a_bad_run_toml_is_one_line_that_names_the_file(data, refused, text, words):
    with open("run.toml", "w") as file:
        file.write(text)
    message = refused("--config", "run.toml", leaves=("run.toml",))
    assert message.startswith("run.toml: ")
    assert re.search(words, message)


def test_a_run_toml_that_is_no_text_or_not_there(data, refused, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refused("--config", tmp_path / "binary")
    assert "cannot be read" in refused("--config", tmp_path / "nowhere")
    assert "cannot be read" in refused("--config", tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "circuits.json: No such file"),
        ("gate_leak = 1", "circuits.json is not JSON"),
        ("[1]", "circuits.json must hold a JSON object"),
        ('{"gate_leek": 0.1}', r"no component is named 'gate_leek' \(did you mean 'gate_leak'\?\)"),
        ('{"gate_leak": 2}', "gate_leak is 2: it must be from 0 to 1"),
        ('{"gate_leak": "big"}', "gate_leak is 'big': it must be a number"),
        ('{"format": "other"}', "circuits.json: expected format"),
        ('{"format": "netsim circuit calibration", "version": 2}', "the calibration has no gate.width"),
    ],
)
def test_bad_circuits(data, refused, text, words):
    if text is not None:
        with open("circuits.json", "w") as file:
            file.write(text)
    leaves = () if text is None else ("circuits.json",)
    assert re.search(words, refused(*SMALL, "--data", data, "--circuits", "circuits.json", leaves=leaves))


def test_circuits_that_change_the_error_need_the_hinge_loss(data, refused):
    with open("noisy.json", "w") as file:
        file.write('{"error_noise": 0.1}')
    arguments = [*SMALL, "--data", data, "--loss", "softmax", "--circuits", "noisy.json"]
    assert "the loss is 'softmax'" in refused(*arguments, leaves=("noisy.json",))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("gate_leek = 0.1", "no component is named 'gate_leek'"),
        ("gate_leak = 2.0", "gate_leak is 2: it must be from 0 to 1"),
        ("gate_leak = 'big'", "circuits gate_leak is 'big': it must be a number"),
    ],
)
def test_bad_circuits_in_a_run_toml(data, refused, table, words):
    with open("run.toml", "w") as file:
        file.write(f"[circuits]\n{table}")
    message = refused("--config", "run.toml", leaves=("run.toml",))
    assert message.startswith("run.toml: ") and words in message


def test_resume_refuses(data, refused, capsys):
    assert run(["train", *SMALL, "--data", data, "--out", "run", "--quiet"]) == 0
    capsys.readouterr()
    before = small_runs.bits_of("run")
    cases = {
        ("--seed", "3"): "--seed cannot go with --resume",
        ("simpnet",): "NET cannot go with --resume",
        ("--out", "other"): "--out cannot go with --resume",
        ("--epochs", "2"): "--epochs is 2, but run has done 3 epochs already",
        ("--epochs", "-2"): "--epochs is -2: it must be at least 1",
    }
    for arguments, words in cases.items():
        assert words in refused("--resume", "run", *arguments, leaves=("run",))
    assert "no such run folder (did you mean 'run'?)" in refused("--resume", "rum", leaves=("run",))
    assert small_runs.bits_of("run") == before


def test_out_refuses_an_empty_name_and_a_folder_with_other_files(data, refused):
    assert refused(*SMALL, "--data", data, "--out=") == "--out is empty: expected the folder of the run"
    os.mkdir("mine")
    with open("mine/thesis.tex", "w") as file:
        file.write("all of it")
    for name in ("mine", "."):
        assert "is not empty" in refused(*SMALL, "--data", data, "--out", name, leaves=("mine",))
    assert os.listdir("mine") == ["thesis.tex"]


def test_out_refuses_a_folder_in_use(data, refused, capsys):
    assert run(["train", *SMALL, "--data", data, "--out", "run", "--quiet"]) == 0
    capsys.readouterr()
    assert "already holds a run" in refused(*SMALL, "--data", data, "--out", "run", leaves=("run",))
