"""The demos of figures 4 to 12: each draws its picture and writes its numbers; runs are shared, resumed and checked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from netsim import configuration, runs
from netsim.errors import OptionError, RunError
from netsim.likeness import filter_likeness, interior

ROOT = Path(__file__).parents[1]
DEMOS = ROOT / "demos"
sys.path.insert(0, str(DEMOS))

import experiments  # noqa: E402
import fig04_simpnet_curves  # noqa: E402
import fig05_simpnet_errors  # noqa: E402
import fig06_deep_errors  # noqa: E402
import fig07_deepernet_curves  # noqa: E402
import fig08_filters  # noqa: E402
import fig09_untied_errors  # noqa: E402
import fig10_simpnet_alignment  # noqa: E402
import fig11_deepnet_s_alignment  # noqa: E402

#: Figures in an order in which each finds some runs of the ones before it.
FIGURES = {
    "fig04_simpnet_curves": (fig04_simpnet_curves, 3),
    "fig05_simpnet_errors": (fig05_simpnet_errors, 6),
    "fig06_deep_errors": (fig06_deep_errors, 6),
    "fig07_deepernet_curves": (fig07_deepernet_curves, 3),
    "fig08_filters": (fig08_filters, 2),
    "fig09_untied_errors": (fig09_untied_errors, 12),
    "fig10_simpnet_alignment": (fig10_simpnet_alignment, 2),
    "fig11_deepnet_s_alignment": (fig11_deepnet_s_alignment, 2),
}
THREE = ["--methods", "BP-H,URFB,FRFB"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of runs and results that all figures share."""
    return tmp_path_factory.mktemp("demos")


@pytest.fixture(scope="module")
def made(folder):
    """Every figure, in order: name -> its numbers, and what it printed is thrown away."""
    found = {}
    for name, (module, _) in FIGURES.items():
        more = THREE if name == "fig06_deep_errors" else []
        module.main(quick(folder, *more))
        found[name] = json.loads((folder / f"{name}.json").read_text())
    return found


def quick(folder: Path, *more: str, epochs: int = 1) -> list[str]:
    """The smallest setting: a hundred images, one epoch, no processes."""
    places = ["--runs", str(folder / "runs"), "--out", str(folder), "--cores", "1"]
    return ["--quick", "--images", "100", "--epochs", str(epochs), *places, *more]


def metrics(folder: Path, name: str) -> list[dict]:
    return runs.find(folder / "runs" / name).metrics()


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_has_its_picture_its_numbers_and_its_caption(folder, made, name):
    picture = (folder / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    found, (_, expected) = made[name], FIGURES[name]
    assert len(found["runs"]) == expected
    assert all(run["epochs"] == 1 and run["seconds"] > 0 for run in found["runs"])
    for fact in ("100 images to learn", "360 to validate", "1 epochs", "seed 1", f"over {expected} runs"):
        assert fact in found["caption"]


def test_the_numbers_are_those_of_the_runs(folder, made):
    for figure in ("fig04_simpnet_curves", "fig05_simpnet_errors"):
        for run in made[figure]["runs"]:
            (record,) = metrics(folder, run["run"])
            shown = made[figure]["numbers"][run["method"]]["validation_error_percent"]
            assert np.ravel(shown).tolist() == [round(100 * record["validation_error"], 2)]
    (record,) = metrics(folder, "simpnet-digits-100-frfb-seed1")
    shown = made["fig10_simpnet_alignment"]["numbers"]["FRFB"]
    for key in ("correlation", "angle_degrees"):
        assert shown[key] == {layer: [[round(value, 4)]] for layer, value in record[key].items()}
    (record,) = metrics(folder, "deepnet_s-untied-digits-100-urfb-seed1")
    layers = made["fig11_deepnet_s_alignment"]["numbers"]["URFB"]["correlation"]
    assert layers == {layer: [[round(record["correlation"][layer], 4)]] for layer in layers} and len(layers) == 7


def test_every_method_is_a_run_of_its_own(folder, made):
    names = {run["run"] for found in made.values() for run in found["runs"]}
    # simpnet 6, deepnet, deepernet, deepnet_s and the untied two 3 each, simpnet from copies 1
    assert len(names) == 6 + 5 * 3 + 1
    # in two steps URFB and FRFB go apart only by the second change of W, which no training batch has seen
    losses = {metrics(folder, run["run"])[0]["validation_loss"] for run in made["fig05_simpnet_errors"]["runs"]}
    assert len(losses) == 6


def test_figures_share_runs(folder, made, capsys):
    for module in (fig04_simpnet_curves, fig10_simpnet_alignment, fig09_untied_errors, fig11_deepnet_s_alignment):
        module.main(quick(folder))
    assert "epoch 1" not in capsys.readouterr().out


def test_the_untied_net_keeps_the_first_layer_and_draws_the_rest_anew(folder, made):
    import netsim

    tied, untied = (
        netsim.load(folder / "runs" / f"{net}-digits-100-urfb-seed1" / "last.safetensors")
        for net in ("deepnet_s", "deepnet_s-untied")
    )
    assert np.array_equal(tied["conv1"].W, untied["conv1"].W)
    assert [layer.name for layer in untied.weighted][1:-2] == [f"untied{number}" for number in range(1, 6)]
    drawn = netsim.Network(untied.architecture, untied.input_shape, untied.classes, untied.seed)
    change = np.abs(untied["untied1"].W - drawn["untied1"].W).max()
    assert 0 < change < 0.1 * np.abs(drawn["untied1"].W).max()


def test_a_longer_figure_goes_on_with_the_runs(folder, made, tmp_path, capsys):
    """One epoch and then another are the two epochs of a run that was not stopped."""
    fig04_simpnet_curves.main(quick(folder, "--methods", "URFB", epochs=2))
    assert "epoch 2" in (said := capsys.readouterr().out) and "epoch 1," not in said
    fig04_simpnet_curves.main(quick(tmp_path, "--methods", "URFB", epochs=2))
    name = "simpnet-digits-100-urfb-seed1"
    assert metrics(folder, name) == metrics(tmp_path, name) and len(metrics(folder, name)) == 2
    # A shorter figure then shows the first epochs alone.
    fig10_simpnet_alignment.main(quick(folder))
    assert (
        json.loads((folder / "fig10_simpnet_alignment.json").read_text())["numbers"]
        == (made["fig10_simpnet_alignment"]["numbers"])
    )


def test_seeds_are_runs_of_their_own(tmp_path):
    fig05_simpnet_errors.main(quick(tmp_path, "--methods", "BP-H", "--seeds", "2"))
    found = json.loads((tmp_path / "fig05_simpnet_errors.json").read_text())
    assert [run["seed"] for run in found["runs"]] == [1, 2] and "seeds 1 to 2" in found["caption"]
    one, other = (metrics(tmp_path, run["run"]) for run in found["runs"])
    assert one != other


@pytest.mark.parametrize("method", experiments.RULES)
def test_rules_beyond_the_paper(folder, method):
    for module in (fig05_simpnet_errors, fig06_deep_errors):
        module.main(quick(folder, "--rules", "--methods", method))
        found = json.loads((folder / f"{module.__name__}.json").read_text())
        assert {run["method"] for run in found["runs"]} == {method}
    path = folder / "runs" / f"simpnet-digits-100-{method.lower()}-seed1"
    stands = configuration.parse(runs.find(path).configuration())
    assert stands["protocol"] == experiments.RULES[method]["protocol"]


def test_another_run_in_the_folder_is_refused(folder, made, tmp_path):
    other = tmp_path / "runs" / "simpnet-digits-100-urfb-seed1"
    (folder / "runs" / "simpnet-digits-100-frfb-seed1").rename(other.parent.parent / "kept")
    try:
        other.parent.mkdir()
        (tmp_path / "kept").rename(other)
        with pytest.raises(OptionError, match="was trained with protocol 'frfb', not 'urfb': choose another --runs"):
            fig04_simpnet_curves.main(quick(tmp_path, "--methods", "URFB"))
    finally:
        other.rename(folder / "runs" / "simpnet-digits-100-frfb-seed1")


def test_unknown_methods_and_folders_are_refused(tmp_path):
    with pytest.raises(OptionError, match=r"unknown method 'urfb'.*URFB"):
        fig04_simpnet_curves.main(quick(tmp_path, "--methods", "urfb"))
    with pytest.raises(RunError):
        (tmp_path / "runs" / "simpnet-digits-100-urfb-seed1").mkdir(parents=True)
        (tmp_path / "runs" / "simpnet-digits-100-urfb-seed1" / "mine").touch()
        fig04_simpnet_curves.main(quick(tmp_path, "--methods", "URFB"))


# As a command


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(DEMOS / f"{name}.py"), *arguments]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--data", "cifar10", "--data-dir", "nowhere"], "fig04_simpnet_curves: error: "),
        (["--epochs", "0"], "--epochs must be 1 or more"),
        (["--methods", "nothing"], "fig04_simpnet_curves: error: unknown method 'nothing'"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, words):
    done = subprocess.run(
        command("fig04_simpnet_curves", "--cores", "1", *arguments),
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 or "usage:" in done.stderr


def test_processes_make_the_same_runs_and_ctrl_c_saves_them(tmp_path, folder, made):
    """Two runs in two processes, stopped in the middle, then finished: the same bits as one after the other."""
    arguments = ["--quick", "--images", "100", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path), "--cores", "2"]
    arguments += ["--methods", "BP-H,FRFB"]
    started = subprocess.Popen(
        command("fig04_simpnet_curves", *arguments, "--epochs", "100000"),
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        seen = set()
        while len(seen) < 2:  # until both have learned something
            line = started.stdout.readline()
            assert line, started.stderr.read()
            seen.add(line.partition(":")[0])
        os.killpg(started.pid, signal.SIGINT)
        _, said = started.communicate(timeout=60)
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
    assert started.returncode == 130 and "stopped and saved; the same command goes on" in said
    assert "Traceback" not in said
    names = ("simpnet-digits-100-bp-h-seed1", "simpnet-digits-100-frfb-seed1")
    for name in names:
        done = metrics(tmp_path, name)
        assert done[:1] == metrics(folder, name)[:1]
        assert runs.find(tmp_path / "runs" / name).last_path.exists()
    epochs = max(
        len(metrics(tmp_path, name)) for name in ("simpnet-digits-100-bp-h-seed1", "simpnet-digits-100-frfb-seed1")
    )
    subprocess.run(
        command("fig04_simpnet_curves", *arguments, "--epochs", str(epochs + 1)),
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads((tmp_path / "fig04_simpnet_curves.json").read_text())
    assert [run["epochs"] for run in found["runs"]] == [epochs + 1] * 2


def test_the_linear_figure(tmp_path):
    done = subprocess.run(
        command("fig12_linear", "--quick", "--iterations", "120", "--out", str(tmp_path)),
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "wrote" in done.stdout
    assert (tmp_path / "fig12_linear.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "fig12_linear.json").read_text())
    ends = [facts["error_end"][0] for facts in found["summary"].values()]
    assert ends[1:] == sorted(ends[1:], reverse=True)  # after BP, epsilon from 0 to 1


# The measure of figure 8


def test_likeness_is_the_mean_over_all_pairs():
    W = np.random.default_rng(0).normal(size=(5, 6, 3, 2, 2, 4))
    inside = W[1:4, 0:5].reshape(-1, 12, 4)  # windows that lie within the grid: offsets -1..1 and 0..1
    assert np.array_equal(interior(W).reshape(-1, 12, 4), inside)
    for filter_, likeness in enumerate(filter_likeness(W)):
        pairs = np.corrcoef(inside[:, :, filter_])[np.triu_indices(len(inside), 1)]
        assert likeness == pytest.approx(pairs.mean(), abs=1e-12)


def test_likeness_of_copies_is_one_and_of_independent_filters_near_zero():
    random = np.random.default_rng(1)
    one = random.normal(size=(5, 5, 3, 7))
    size = random.uniform(0.5, 2, (12, 12, 1, 1, 1, 1))
    assert filter_likeness(size * one + 3) == pytest.approx(np.ones(7))
    apart = random.normal(size=(12, 12, 5, 5, 3, 7))
    assert np.abs(filter_likeness(apart)).max() < 0.02
    # Half of the variance in common: the correlation of any two is one half.
    assert filter_likeness(one + apart) == pytest.approx(0.5 * np.ones(7), abs=0.1)


def test_likeness_leaves_constant_filters_out():
    W = np.random.default_rng(2).normal(size=(6, 6, 3, 3, 1, 2))
    W[1:-1, 1:-1, ..., 0] = W[2, 2, ..., 0]
    W[2, 3, ..., 0] = 0
    W[..., 1] = 1
    likeness = filter_likeness(W)
    assert likeness[0] == pytest.approx(1) and np.isnan(likeness[1])
    with pytest.raises(ValueError, match="expected"):
        filter_likeness(W[0])
    with pytest.raises(ValueError, match="fewer than two windows"):
        filter_likeness(W[:3, :3])
