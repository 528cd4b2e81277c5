"""The demos of figures 4 to 12: each draws its picture and writes its numbers; runs are shared, resumed and checked."""

from __future__ import annotations

import contextlib
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
import figures  # noqa: E402
import panels  # noqa: E402

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
    assert len(found["runs"]) == expected and found["figure"] == name
    for run in found["runs"]:
        assert run["seconds"] > 0
        assert (run["epochs"], run["images"], run["validation"], run["seed"]) == (1, 100, 360, 1)
    assert found["caption"].startswith("Handwritten digits, 100 images to learn, 360 to validate. ")
    nets = {run["run"].partition("-digits")[0].replace("-", ", ") for run in found["runs"]}
    for net in nets:
        number = sum(run["run"].partition("-digits")[0].replace("-", ", ") == net for run in found["runs"])
        assert f"{net}: 1 epoch, seed 1, {number} run{'s' * (number > 1)} in " in found["caption"]
    assert found["caption"].count(" in ") == len(nets)


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
    (record,) = metrics(folder, "deepnet_s-untied-digits-100-urfb-seed1-after1")
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
        netsim.load(folder / "runs" / f"{name}" / "last.safetensors")
        for name in ("deepnet_s-digits-100-urfb-seed1", "deepnet_s-untied-digits-100-urfb-seed1-after1")
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
    assert [run["seed"] for run in found["runs"]] == [1, 2] and "1 epoch, seeds 1 to 2, 2 runs in" in found["caption"]
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


def test_a_run_with_other_options_than_the_figure_asks_for_is_refused(tmp_path):
    """Also where the figure does not name the option, since it means the usual value."""
    fig04_simpnet_curves.main(quick(tmp_path, "--methods", "URFB"))
    path = tmp_path / "runs" / "simpnet-digits-100-urfb-seed1" / "run.toml"
    path.write_text(path.read_text().replace("slope = 1.0", "slope = 0.5"))
    with pytest.raises(OptionError, match=r"was trained with slope 0\.5, not 1\.0: choose another --runs"):
        fig04_simpnet_curves.main(quick(tmp_path, "--methods", "URFB"))


# Runs that start from others


FIG11 = ("--methods", "URFB")
DERIVED = "deepnet_s-untied-digits-100-urfb-seed1-after1"


def numbers(folder: Path, name: str = "fig11_deepnet_s_alignment") -> dict:
    return json.loads((folder / f"{name}.json").read_text())


def test_what_is_shown_does_not_depend_on_what_was_run_before(folder, made, tmp_path):
    """The tied run goes on after the other has started from it: the same command shows the same numbers."""
    fig11_deepnet_s_alignment.main(quick(tmp_path, *FIG11))
    first = numbers(tmp_path)
    assert first["numbers"]["URFB"] == made["fig11_deepnet_s_alignment"]["numbers"]["URFB"]
    fig09_untied_errors.main(quick(tmp_path, *FIG11, "--net", "deepnet_s", "--tied-epochs", "3"))
    assert len(metrics(tmp_path, "deepnet_s-digits-100-urfb-seed1")) == 3
    fig11_deepnet_s_alignment.main(quick(tmp_path, *FIG11))
    again = numbers(tmp_path)
    assert again["numbers"] == first["numbers"] and again["runs"] == first["runs"]
    assert first["runs"][0]["source"] == {
        "run": "deepnet_s-digits-100-urfb-seed1", "epochs": 1, "seconds": again["runs"][0]["source"]["seconds"],
    }  # fmt: skip
    fig11_deepnet_s_alignment.main(quick(tmp_path, *FIG11, "--tied-epochs", "3"))
    after3 = numbers(tmp_path)
    assert after3["runs"][0]["run"] == "deepnet_s-untied-digits-100-urfb-seed1-after3"
    assert after3["numbers"] != first["numbers"] and after3["runs"][0]["source"]["epochs"] == 3
    stands = configuration.parse(runs.find(tmp_path / "runs" / after3["runs"][0]["run"]).configuration())
    assert stands["source"]["epoch"] == 3


def test_a_source_that_has_gone_on_is_refused_before_anything_is_trained(tmp_path, capsys):
    fig04_simpnet_curves.main(quick(tmp_path, "--methods", "URFB", epochs=2))
    before = sorted((tmp_path / "runs").iterdir())
    with pytest.raises(OptionError) as caught:
        fig08_filters.main(quick(tmp_path))
    assert "has gone on to epoch 2, and its weights after epoch 1 are gone: give --tied-epochs 2" in str(caught.value)
    assert sorted((tmp_path / "runs").iterdir()) == before and not (tmp_path / "fig08_filters.json").exists()
    fig08_filters.main(quick(tmp_path, "--tied-epochs", "2"))
    found = numbers(tmp_path, "fig08_filters")
    fig09_untied_errors.main(quick(tmp_path, "--net", "simpnet", *FIG11, epochs=2))
    with pytest.raises(OptionError, match=r"simpnet-untied.* has gone on to epoch 2, .*: give --epochs 2, or another"):
        fig08_filters.main(quick(tmp_path, "--tied-epochs", "2"))
    assert found["runs"][1]["source"]["epochs"] == 2
    assert "simpnet, copies: 1 epoch, seed 1, 1 run in 0 s, after 2 epochs of simpnet, tied, which took" in (
        found["caption"].replace("in 1 s", "in 0 s")
    )


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("epoch = 1", "epoch = 2", r"\[source\] epoch 2, not 1"),
        ('reinit = [\n    "conv2",', "reinit = [", r"\[source\] reinit .*, not \('conv2', 'conv3',"),
        ("deepnet_s-digits-100-urfb-seed1", "other", r"\[source\] run 'other', not 'deepnet_s-digits-100-urfb-seed1'"),
        ('frozen = [\n    "conv1",\n]', "frozen = []", r"frozen \(\), not \('conv1',\)"),
    ],
)
def test_a_run_that_came_from_elsewhere_is_refused(folder, made, old, new, words):
    path = folder / "runs" / DERIVED / "run.toml"
    text = path.read_text()
    assert old in text
    try:
        path.write_text(text.replace(old, new))
        with pytest.raises(OptionError, match=f"was trained with {words}.*: choose another --runs"):
            fig11_deepnet_s_alignment.main(quick(folder, *FIG11))
    finally:
        path.write_text(text)


def test_untied_filters_may_begin_as_one_that_is_spread(folder, made, tmp_path):
    import netsim

    for module, name in (
        (fig11_deepnet_s_alignment, "fig11_deepnet_s_alignment"),
        (fig09_untied_errors, "fig09_untied_errors"),
    ):
        module.main(quick(folder, *FIG11, "--start", "spread"))
        found, usual = numbers(folder, f"{name}_spread"), made[name]
        assert found["caption"].endswith("Untied filters begin alike: one is drawn and spread over the map.")
        assert usual["caption"].endswith("Untied filters begin apart: one is drawn for every pixel.")
        assert found["numbers"] != usual["numbers"]
    for name in ("deepnet_s-spread-digits-100-urfb-seed1-after1", "simpnet-spread-digits-100-urfb-seed1"):
        net = netsim.load(folder / "runs" / name / "last.safetensors")
        W = net["untied1"].W
        assert 0 < np.ptp(W, axis=(0, 1)).max() < 0.2 * np.ptp(W)  # one filter, from which each pixel has gone a little


# Files


def test_the_data_set_and_the_net_are_in_the_names_of_files(folder, made):
    before = numbers(folder, "fig06_deep_errors")
    fig06_deep_errors.main(quick(folder, "--net", "deepnet", *FIG11))
    found = numbers(folder, "fig06_deep_errors_deepnet")
    assert "deepernet" not in found["caption"] and found["runs"]
    assert numbers(folder, "fig06_deep_errors") == before
    arguments = experiments.parser("text", 3)
    for given, ending in (
        ([], ""),
        (["--data", "cifar100"], "_cifar100"),
        (["--quick"], ""),
        (["--quick", "--data", "cifar10"], "_cifar10"),
    ):
        assert figures.name(experiments.parse(arguments, given), "fig", "net") == f"fig_net{ending}"


def test_quick_runs_on_other_data_are_small_and_have_names_of_their_own():
    arguments = experiments.parser("text", 3)
    found = {}
    for net in ("simpnet", "deepernet"):
        for given in (["--quick"], []):
            options = experiments.parse(arguments, [*given, "--data", "cifar10"])
            (found[net, bool(given)],) = experiments.plan(options, net, {"URFB": {}})
    assert found["simpnet", True].values["validation"] == 500 and found["deepernet", True].values["train_images"] == 400
    assert found["deepernet", True].name == "deepernet-cifar10-400+500-urfb-seed1"
    assert found["deepernet", False].name == "deepernet-cifar10-urfb-seed1"


def test_a_moved_folder_of_runs_and_damaged_digits(tmp_path, capsys):
    fig07_deepernet_curves.main(quick(tmp_path, "--net", "deepnet", *FIG11))
    (tmp_path / "runs").rename(tmp_path / "moved")
    place = ["--runs", str(tmp_path / "moved")]
    capsys.readouterr()
    fig07_deepernet_curves.main(quick(tmp_path, "--net", "deepnet", *FIG11, *place))
    assert "epoch" not in capsys.readouterr().out
    digits = tmp_path / "moved" / "digits-16x16.npz"
    whole = digits.read_bytes()
    digits.write_bytes(whole[: len(whole) // 2])
    fig07_deepernet_curves.main(quick(tmp_path, "--net", "deepnet", *FIG11, *place, epochs=2))
    assert digits.read_bytes() == whole
    assert len(runs.find(tmp_path / "moved" / "deepnet-digits-100-urfb-seed1").metrics()) == 2


def test_the_caption_tells_the_runs_of_each_net_apart(folder, made):
    fig06_deep_errors.main(quick(folder, "--deepernet-epochs", "2", *FIG11))
    caption = numbers(folder, "fig06_deep_errors")["caption"]
    assert "deepnet: 1 epoch, seed 1, 1 run in" in caption and "deepernet: 2 epochs, seed 1, 1 run in" in caption
    results = []
    for net, images in (("simpnet", 45_000), ("deepnet", 400)):
        experiment = experiments.Experiment(net, net, "URFB", 1, 1, {})
        results.append(experiments.Result(experiment, [{}], 300.0, Path(net), images, 5, None))
    options = experiments.parse(experiments.parser("text", 3), ["--note", "again"])
    assert figures.caption(options, results) == (
        "CIFAR-10 (again). simpnet: 45,000 images to learn, 5 to validate, 1 epoch, seed 1, 1 run in 5 min. "
        "deepnet: 400 images to learn, 5 to validate, 1 epoch, seed 1, 1 run in 5 min."
    )


def test_figure_8_shows_each_seed_it_claims(folder, made, tmp_path):
    fig08_filters.main(quick(tmp_path, "--seeds", "2"))
    found = numbers(tmp_path, "fig08_filters")
    assert [run["seed"] for run in found["runs"]] == [1, 2, 1, 2] and found["numbers"]["seeds"] == [1, 2]
    for name, likeness in made["fig08_filters"]["numbers"].items():
        if name != "seeds":
            assert len(found["numbers"][name]) == 2 and found["numbers"][name][:1] == likeness
            assert found["numbers"][name][0] != found["numbers"][name][1]
    assert found["caption"].endswith("URFB; the filters of seed 1, likeness over all seeds.")


def test_the_axes_of_alignment_hold_every_value():
    records = [{"correlation": {"conv1": value}, "angle_degrees": {"conv1": angle}}
               for value, angle in ((0.1, 84.0), (-0.4, 113.6))]  # fmt: skip
    results = [experiments.Result(None, records, 1.0, Path("run"), 1, 1, None)]
    for groups in ({"URFB": results, "FRFB": results[:1]}, {"URFB": results}):
        figure = panels.alignment_figure(groups, ["conv1"], "net")
        for axes, lowest, highest in ((figure.axes[0], -0.4, 1), (figure.axes[len(groups)], 0, 113.6)):
            low, high = axes.get_ylim()
            assert low < lowest + 1e-9 and high > highest
    small = [{"correlation": {"conv1": 0.1}, "angle_degrees": {"conv1": 84.0}}] * 2
    figure = panels.alignment_figure(
        {"URFB": [experiments.Result(None, small, 1.0, Path("run"), 1, 1, None)]}, ["conv1"], "net"
    )
    assert figure.axes[0].get_ylim() == (-0.05, 1.02) and figure.axes[1].get_ylim() == (0, 95)


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
        (["fig04_simpnet_curves", "--data", "cifar10", "--data-dir", "nowhere"], "fig04_simpnet_curves: error: "),
        (["fig04_simpnet_curves", "--epochs", "0"], "argument --epochs: must be 1 or more, not 0"),
        (["fig04_simpnet_curves", "--methods", "nothing"], "fig04_simpnet_curves: error: unknown method 'nothing'"),
        (["fig04_simpnet_curves", "--quick", "--out", "file/x"], "error: --out file/x: file is no folder"),
        (["fig04_simpnet_curves", "--quick", "--runs", "file"], "error: --runs file: file is no folder"),
        (["fig06_deep_errors", "--deepernet-epochs", "0"], "argument --deepernet-epochs: must be 1 or more, not 0"),
        (["fig06_deep_errors", "--deepernet-epochs", "-1"], "argument --deepernet-epochs: must be 1 or more, not -1"),
        (["fig08_filters", "--methods", "FRFB"], "unrecognized arguments: --methods FRFB"),
        (["fig09_untied_errors", "--tied-epochs", "-1"], "argument --tied-epochs: must be 1 or more, not -1"),
        (["fig11_deepnet_s_alignment", "--start", "alike"], "argument --start: invalid choice: 'alike'"),
        (["fig12_linear", "--seeds", "0"], "argument --seeds: must be 1 or more, not 0"),
        (["fig12_linear", "--iterations", "0"], "argument --iterations: must be 1 or more, not 0"),
        (["circuit_tolerance", "--quick", "--seeds", "0"], "argument --seeds: must be 1 or more, not 0"),
        (["circuit_tolerance", "--calibrations", "nope.json"], "circuit_tolerance: error: nope.json: No such file"),
        (["circuit_tolerance", "--calibrations", "file"], "circuit_tolerance: error: file is not JSON"),
        (["circuit_tolerance", "--out", "file/x"], "circuit_tolerance: error: --out file/x: file is no folder"),
        (["timing_speed", "--threads", "0"], "argument --threads: must be 1 or more, not 0"),
        (["timing_speed", "--out", "file/x"], "timing_speed: error: --out file/x: file is no folder"),
        (["fig12_linear", "--quick", "--out", "file/x"], "fig12_linear: error: --out file/x: file is no folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(tmp_path, arguments, words):
    (tmp_path / "file").touch()
    done = subprocess.run(command(*arguments), cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr.replace(f"{tmp_path}/", "") and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 or "usage:" in done.stderr
    assert os.listdir(tmp_path) == ["file"]


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_to_the_parent_alone_leaves_nobody_behind(tmp_path, number):
    """The workers save and end; the same command then goes on at once."""
    places = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path), "--cores", "2", "--methods", "BP-H,FRFB"]
    arguments = ["--quick", "--images", "100", *places, "--epochs"]
    started = subprocess.Popen(
        command("fig04_simpnet_curves", *arguments, "100000"),
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        seen = set()
        while len(seen) < 2:
            line = started.stdout.readline()
            assert line, started.stderr.read()
            seen.add(line.partition(":")[0])
        os.kill(started.pid, number)
        _, said = started.communicate(timeout=100)  # ends when the last process that could write has ended
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    assert "Traceback" not in said
    if number == signal.SIGTERM:
        assert started.returncode == 130 and "stopped and saved; the same command goes on" in said
    epochs = 1 + max(len(metrics(tmp_path, path.name)) for path in (tmp_path / "runs").iterdir())
    again = subprocess.run(
        command("fig04_simpnet_curves", *arguments, str(epochs)), env=ENVIRONMENT, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    assert [run["epochs"] for run in numbers(tmp_path, "fig04_simpnet_curves")["runs"]] == [epochs] * 2


def test_the_linear_figure(tmp_path):
    done = subprocess.run(
        command("fig12_linear", "--quick", "--iterations", "120", "--out", str(tmp_path)),
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "wrote" in done.stdout
    assert (tmp_path / "fig12_linear.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "fig12_linear.json").read_text())
    for fact in ("Seed 1", "40-100-100-10", "120 iterations, step 0.003", " s."):
        assert fact in found["caption"]
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
