"""The command line as a whole: help, versions, usage errors, eval and plot."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import small_runs
from PIL import Image

import netsim
from netsim import cli, evaluation, plots, preparation
from netsim.cli import evaluate as evaluate_command
from netsim.cli import run


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture
def data(tmp_path):
    return small_runs.write_data(tmp_path / "small.npz")


@pytest.fixture
def refused(capsys):
    """Run a command line that must be refused: one line on stderr, nothing on stdout; returns the line."""

    def refuse(*arguments: object, status: int = 2) -> str:
        assert run([str(argument) for argument in arguments]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("netsim: error: ")
        assert captured.err.count("\n") == 1
        return captured.err.removeprefix("netsim: error: ").rstrip("\n")

    return refuse


def test_python_with_the_package_runs_the_command():
    command = [sys.executable, "-m", "netsim", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"netsim {netsim.__version__}\n", "")


def test_help_names_every_command_and_imports_nothing_heavy():
    code = """
import sys
from netsim.cli import run
status = run(["--help"])
heavy = {"numpy", "numba", "matplotlib", "sklearn", "scipy", "pydantic", "brian2", "pooch"} & set(sys.modules)
print(status, sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=60)
    lines = done.stdout.splitlines()
    assert lines[-1] == "0 []"
    for name in cli.COMMANDS:
        assert bool(re.search(rf"│ {name} ", done.stdout)) == cli.exists(name), name


def test_no_arguments_show_the_help(capsys):
    assert run([]) == 0
    assert "Usage: netsim" in capsys.readouterr().out


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"netsim {netsim.__version__}\n"


@pytest.mark.parametrize("command", [name for name in cli.COMMANDS if cli.exists(name)])
def test_every_command_has_help(capsys, command):
    assert run([command, "--help"]) == 0
    assert f"netsim {command}" in capsys.readouterr().out


def test_help_breaks_no_sentence(capsys, monkeypatch):
    """Lines of a docstring are joined: only the terminal's width breaks them."""
    monkeypatch.setenv("COLUMNS", "400")
    assert run(["train", "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("The run folder gets") and line.endswith("bit for bit.") for line in lines)
    for name in cli.COMMANDS:
        assert "\n" not in cli._load(name).help.replace("\n\n", "")


def test_a_group_has_no_options_of_its_own_and_names_the_nearest_command(capsys, refused):
    assert run(["data", "--help"]) == 0
    assert re.findall(r"--[a-z-]+", capsys.readouterr().out) == ["--help"]
    assert refused("data", "lst") == "no command is named 'lst' (did you mean 'list'?)"
    assert refused("data", "zzz") == "no command is named 'zzz'; known: list, fetch, show"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], r"no command is named 'trian' \(did you mean 'train'\?\)"),
        (["--verbos"], r"(?i)no such option: --verbos"),
        (["train", "--epoch", "3"], "--epochs"),
        (["train", "--epochs", "many"], "^--epochs is .*: it must be a whole number"),
        (["train", "--step-size", "big"], "^--step-size is 'big': it must be a number"),
        (["train", "--epochs"], "--epochs"),
        (["train", "simpnet", "deepnet"], "deepnet"),
        (["eval"], "(?i)missing.*RUN"),
        (["plot"], "(?i)missing.*RUN"),
    ],
)
def test_usage_errors_are_one_line(refused, arguments, words):
    assert re.search(words, refused(*arguments))


def test_a_reader_that_goes_away_is_no_traceback():
    process = subprocess.Popen(
        [*small_runs.COMMAND, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait() in (0, 1)
    assert error == b""


@pytest.mark.parametrize("option", ["--circuits", "--schedule", "--config", "--from", "--resume"])
def test_a_place_of_any_length_is_a_line_of_bounded_length(refused, option):
    line = refused("train", option, "a" * 100_000 + ".toml")
    assert len(line) < 2_000 and "a" * 200 in line


# eval


def test_eval_measures_the_best_and_the_last_weights(tmp_path, data, capsys):
    outcome = small_runs.start(tmp_path / "run", data, epochs=4)
    best = min(outcome.records, key=lambda r: (r["validation_error"], r["validation_loss"]))
    for which, record in {"best": best, "last": outcome.records[-1]}.items():
        assert run(["eval", str(tmp_path / "run"), "--json", "--checkpoint", which]) == 0
        report = json.loads(capsys.readouterr().out)
        split = report["splits"]["validation"]
        assert (report["epoch"], split["images"]) == (record["epoch"], 6)
        assert split["loss"] == pytest.approx(record["validation_loss"], rel=1e-12)
        assert split["error"] == record["validation_error"]
        confusion = np.array(split["confusion"])
        assert confusion.sum() == 6
        assert 1 - np.trace(confusion) / 6 == pytest.approx(split["error"])


def test_eval_on_test_images_and_on_other_data(tmp_path, capsys):
    random = np.random.default_rng(0)
    arrays = {}
    for part, number in (("train", 40), ("test", 20)):
        arrays[f"{part}_images"] = random.integers(0, 256, (number, 5, 5, 1), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(number) % 3
    np.savez(tmp_path / "split.npz", **arrays)
    name = f"npz:{tmp_path / 'split.npz'}"
    small_runs.start(tmp_path / "run", name, epochs=1)
    assert run(["eval", str(tmp_path / "run"), "--json"]) == 0
    splits = json.loads(capsys.readouterr().out)["splits"]
    assert {part: split["images"] for part, split in splits.items()} == {"validation": 4, "test": 20}

    net = netsim.load(tmp_path / "run" / "best.safetensors")
    scores = net.scores((arrays["test_images"] / np.float32(255)).astype(np.float32))
    assert splits["test"]["error"] == np.mean(scores.argmax(axis=1) != arrays["test_labels"])

    other = small_runs.write_data(tmp_path / "other.npz", images=30, side=5, seed=3)
    assert run(["eval", str(tmp_path / "run"), "--data", other, "--json"]) == 0
    splits = json.loads(capsys.readouterr().out)["splits"]
    assert {part: split["images"] for part, split in splits.items()} == {"train": 30}


def test_eval_prints_a_table_and_the_confusions(tmp_path, data, capsys):
    small_runs.start(tmp_path / "run", data, epochs=1)
    assert run(["eval", str(tmp_path / "run")]) == 0
    output = capsys.readouterr().out
    assert "best weights (epoch 1)" in output
    assert re.search(r"validation\D+6\D", output)
    assert "most often confused" in output


def test_confusions_are_sorted_by_number():
    confusion = [[5, 1, 0], [3, 0, 3], [0, 0, 9]]
    found = evaluate_command.confusions(confusion, ["a", "b", "c"])
    assert found == ["b taken for a: 3", "b taken for c: 3", "a taken for b: 1"]


def test_eval_refuses(tmp_path, data, refused):
    small_runs.start(tmp_path / "run", data, epochs=1)
    assert "no such run folder" in refused("eval", tmp_path / "nowhere")
    assert "did you mean 'best'" in refused("eval", tmp_path / "run", "--checkpoint", "bests")
    larger = small_runs.write_data(tmp_path / "larger.npz", side=9)
    assert "does not fit" in refused("eval", tmp_path / "run", "--data", larger)
    (tmp_path / "run" / "best.safetensors").write_bytes(b"")
    assert "best.safetensors is damaged" in refused("eval", tmp_path / "run")


def test_eval_of_a_run_that_has_finished_no_epoch_names_the_last_weights(tmp_path, data, refused, capsys):
    batches = iter(range(100))
    small_runs.start(tmp_path / "run", data, stop=lambda: next(batches) == 2)
    message = refused("eval", tmp_path / "run")
    assert message == (
        f"{tmp_path / 'run'} has finished no epoch yet, so no weights are its best: --checkpoint last takes the newest"
    )
    assert run(["eval", str(tmp_path / "run"), "--checkpoint", "last"]) == 0
    assert "last weights (epoch 0)" in capsys.readouterr().out
    (tmp_path / "run" / "last.safetensors").unlink()
    for which in ("best", "last"):
        line = f"has no {which} weights: there is no {which}.safetensors in it"
        assert line in refused("eval", tmp_path / "run", "--checkpoint", which)


def test_eval_without_images_to_evaluate_on_is_refused_and_not_offered(tmp_path, data, refused, capsys):
    arguments = ["train", small_runs.NET, "--data", data, "--batch", "8", "--epochs", "1", "--out"]
    assert run([*arguments, str(tmp_path / "all"), "--validation", "0"]) == 0
    offered = capsys.readouterr().out
    assert "netsim plot" in offered and "netsim eval" not in offered
    message = refused("eval", tmp_path / "all")
    assert "set no validation images aside" in message and "--data NAME evaluates on other images" in message
    other = small_runs.write_data(tmp_path / "other.npz", images=30, seed=3)
    assert run(["eval", str(tmp_path / "all"), "--data", other]) == 0
    capsys.readouterr()
    assert run([*arguments, str(tmp_path / "some"), "--validation", "5"]) == 0
    assert "netsim eval" in capsys.readouterr().out


def test_evaluation_does_not_depend_on_the_batch(data, monkeypatch):
    prepared = preparation.prepare(small_runs.settings(data))
    one = evaluation.evaluate(prepared.network, prepared.train, "softmax", 0.5)
    saturated = evaluation.saturation(prepared.network, prepared.train)
    monkeypatch.setattr(evaluation, "BATCH", 7)
    monkeypatch.setattr(evaluation, "SATURATION_BATCH", 7)
    other = evaluation.evaluate(prepared.network, prepared.train, "softmax", 0.5)
    assert (one.loss, one.error) == (other.loss, other.error)
    assert np.array_equal(one.confusion, other.confusion)
    assert saturated == evaluation.saturation(prepared.network, prepared.train)


# plot


def test_plot_draws_one_run_and_several(tmp_path, data, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in ("bp", "urfb", "frfb"):
        small_runs.start(tmp_path / protocol, data, protocol=protocol)
    curves = (tmp_path / "urfb" / "curves.png").read_bytes()
    assert run(["plot", "urfb"]) == 0
    assert (tmp_path / "urfb" / "curves.png").read_bytes() == curves
    assert run(["plot", "bp", "urfb", "frfb", "--labels", "BP,URFB,FRFB"]) == 0
    assert capsys.readouterr().out.splitlines() == ["urfb/curves.png", "runs.png"]
    pixels = np.asarray(Image.open("runs.png").convert("RGB"), dtype=int)
    for color in ((44, 160, 44), (31, 119, 180), (214, 39, 40)):  # green, blue, red
        assert (np.abs(pixels - color).max(axis=2) < 8).sum() > 50


def test_labels_tell_runs_apart(tmp_path, data, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "overlay", lambda curves, kind: drawn.extend(curve.label for curve in curves) or b"")
    options = {
        "bp": {"protocol": "bp"}, "urfb": {}, "other seed": {"seed": 6}, "decay": {"decay": 0.01},
    }  # fmt: skip
    for name, chosen in options.items():
        small_runs.start(tmp_path / name, data, epochs=1, **chosen)
    monkeypatch.chdir(tmp_path)
    assert run(["plot", *options, "--out", "runs.png"]) == 0
    assert drawn == [
        "net-npz-small-bp", "net-npz-small-urfb-seed5 (urfb)", "net-npz-small-urfb-seed6",
        "net-npz-small-urfb-seed5 (decay)",
    ]  # fmt: skip
    assert run(["plot", "bp", "urfb", "--out", "runs.png"]) == 0
    assert drawn[4:] == ["net-npz-small-bp", "net-npz-small-urfb"]


@pytest.mark.parametrize("protocols", [["urfb"] * 90, ["bp", "urfb", "dfa"] * 9, ["urfb"], ["dfa", "urfb", "bp"]])
def test_no_two_runs_look_alike(protocols):
    looks = plots.looks(protocols)
    assert len(looks) == len(set(looks)) == len(protocols)
    colors = {protocol: {color for (color, _), each in zip(looks, protocols, strict=True) if each == protocol}
              for protocol in set(protocols)}  # fmt: skip
    if len(colors) > 1:  # each protocol has one color of its own
        assert [len(found) for found in colors.values()] == [1] * len(colors) and len(set.union(*colors.values())) == 3
    assert plots.COLORS.get(protocols[0], "tab:purple") == looks[0][0]


@pytest.mark.parametrize("number", [1, 4, 5])
def test_runs_of_one_epoch_are_points(number):
    records = [{"epoch": 1, "train_error": 0.5, "validation_error": 0.25}]
    with plots._defaults():
        figure = plots._overlay_figure([plots.Curve(records, "urfb", f"run {n}") for n in range(number)])
        figure.draw_without_rendering()
    (axes,) = figure.axes
    assert len(axes.lines) == 2 * number and all(line.get_marker() != "" for line in axes.lines)
    assert [line.get_ydata()[0] for line in axes.lines[:2]] == [50, 25]
    assert axes.get_ylim() == (0, 52.5) and axes.get_xlim() == (0, 2)
    legend = figure.legends[0] if number > 4 else axes.get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[-1] == ("run 4" if number > 4 else f"run {number - 1} validation")


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_pictures_are_the_same_bytes(tmp_path, data, kind):
    small_runs.start(tmp_path / "run", data, epochs=1)
    for name in ("a", "b"):
        assert run(["plot", str(tmp_path / "run"), "--out", str(tmp_path / f"{name}.{kind}")]) == 0
    content = (tmp_path / f"a.{kind}").read_bytes()
    assert content == (tmp_path / f"b.{kind}").read_bytes()
    assert content.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind])
    assert not re.search(rb"20\d\d-\d\d-\d\d", content)  # no date


def test_the_users_matplotlib_settings_do_not_matter(tmp_path, data):
    import matplotlib

    small_runs.start(tmp_path / "run", data)
    before = (tmp_path / "run" / "curves.png").read_bytes()
    with matplotlib.rc_context({"axes.facecolor": "yellow", "lines.linewidth": 9, "savefig.dpi": 30}):
        assert run(["plot", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "curves.png").read_bytes() == before


def test_plot_refuses(tmp_path, data, refused):
    small_runs.start(tmp_path / "run", data, epochs=1)
    folder = tmp_path / "run"
    assert "names 1 runs, but 2" in refused("plot", folder, folder, "--labels", "a")
    (tmp_path / "link").symlink_to(folder)
    assert "link is given twice" in refused("plot", folder, tmp_path / "link")
    assert "must end in .png, .pdf or .svg" in refused("plot", folder, "--out", tmp_path / "a.jpeg")
    assert "no such run folder" in refused("plot", folder, tmp_path / "other")
    assert re.search("there is no folder .*nowhere$", refused("plot", folder, "--out", tmp_path / "nowhere" / "a.png"))
    (folder / "metrics.jsonl").unlink()
    assert "no epoch to draw yet" in refused("plot", folder)


def test_the_entry_point_is_main():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert EntryPoint("netsim", project["scripts"]["netsim"], "console_scripts").load() is cli.main
