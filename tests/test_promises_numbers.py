"""Odd numbers: steps that diverge, dark images, one class, one image, ties everywhere. A result, or one line."""

import json
import math
import warnings

import numpy as np
import pytest
import small_runs

import netsim
import netsim.analysis
from netsim import preparation, runs
from netsim.cli import run
from netsim.errors import DivergedError, GeometryError, OptionError

NET = "conv 3 3x3; maxpool 2; drop .2; full 6; output"


@pytest.fixture(autouse=True)
def hastened(monkeypatch):
    small_runs.hasten(monkeypatch)


def save(tmp_path, images, labels) -> str:
    np.savez(tmp_path / "odd.npz", images=np.asarray(images), labels=np.asarray(labels))
    return f"npz:{tmp_path / 'odd.npz'}"


def finite(value) -> bool:
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return value is None or math.isfinite(value)


def train_and_check(tmp_path, data, **options):
    """Train; every number that is written must be finite, and eval and a resume must work."""
    outcome = small_runs.start(tmp_path / "run", data, **{"net": NET, "epochs": 2, **options})
    assert outcome.finished
    assert all(finite(record) for record in outcome.records)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == outcome.records
    anything_aside = outcome.records[-1]["validation_error"] is not None  # there are no test images here
    assert run(["eval", str(tmp_path / "run"), "--json"]) == (0 if anything_aside else 2)
    longer = str(len(lines) + 1)
    assert run(["train", "--resume", str(tmp_path / "run"), "--epochs", longer, "--quiet"]) == 0
    return outcome.records


@pytest.mark.parametrize("loss", ["hinge", "softmax"])
@pytest.mark.parametrize("step_size", [1.0, 1e3, 1e10, 1e20, 1e38, 1e300])
def test_large_steps_end_finite_or_diverged(tmp_path, loss, step_size):
    data = small_runs.write_data(tmp_path / "small.npz")
    try:
        outcome = small_runs.start(tmp_path / "run", data, net=NET, loss=loss, step_size=step_size)
        assert all(finite(record) for record in outcome.records)
    except DivergedError as error:
        assert "\n" not in str(error)
        assert step_size > 1
    for name in ("last", "best"):
        path = tmp_path / "run" / f"{name}.safetensors"
        if path.exists():
            weights = runs.checkpoints.load(path).weights
            assert all(np.isfinite(array).all() for array in weights.values())


@pytest.mark.parametrize("option", [
    {}, {"loss": "softmax"}, {"protocol": "dfa"}, {"connectivity": 0.5}, {"schedule": "nominal"},
    {"schedule": "nominal", "engine": "batched"}, {"decay": 1e30},
], ids=str)  # fmt: skip
def test_weights_that_are_not_finite_after_the_last_batch_of_an_epoch_end_in_one_line(tmp_path, capfd, option):
    """numpy must not warn of it: the suite makes errors of warnings."""
    data = small_runs.write_data(tmp_path / "small.npz")
    with pytest.raises(DivergedError):
        small_runs.start(tmp_path / "run", data, net=NET, step_size=1e300, batch=100, **option)
    assert capfd.readouterr().err == ""


def test_a_run_that_diverges_tells_one_line_and_keeps_its_last_good_weights(tmp_path, capfd):
    data = small_runs.write_data(tmp_path / "small.npz")
    options = ["--data", data, "--batch", "100", "--step-size", "1e10", "--decay", "1", "--epochs", "40", "--quiet"]
    assert run(["train", "full 6; output", *options, "--out", str(tmp_path / "run")]) == 3
    told = capfd.readouterr().err
    assert told.count("\n") == 1 and told.endswith("last.safetensors keeps the last good weights\n")
    assert netsim.load(tmp_path / "run" / "last.safetensors").classes == 3


#: Learning under which a step of 6e37 a batch diverges after some epochs: the protocol, and further options.
DIVERGING = [
    ("urfb", ["--schedule", "desynchronised:0.5"]),
    ("frfb", ["--schedule", "desynchronised:0.5", "--engine", "batched"]),
    ("bp", ["--schedule", "desynchronised:0.5"]),
    ("sign-symmetry", ["--schedule", "desynchronised:0.5", "--engine", "batched"]),
    ("kolen-pollack", []),
    ("kolen-pollack", ["--connectivity", ".5"]),
]


@pytest.mark.parametrize("loss", ["hinge", "softmax"])
@pytest.mark.parametrize(("protocol", "options"), DIVERGING)
def test_a_run_that_diverges_says_so_in_one_line_and_nothing_else(tmp_path, capsys, protocol, loss, options):
    data = small_runs.write_data(tmp_path / "small.npz")
    folder = tmp_path / "run"
    # One batch an epoch: what is no longer finite is met when the net is measured, too.
    many = ["--batch", "60", "--epochs", "40", "--step-size", "6e37"]
    arguments = ["train", NET, "--data", data, "--protocol", protocol, "--loss", loss, *many, *options]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert run([*arguments, "--out", str(folder), "--quiet"]) == 3
    assert [str(warning.message) for warning in told] == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("netsim: error: ") and "is no longer finite" in line
    assert line.endswith(f"{folder / 'last.safetensors'} keeps the last good weights")
    kept = runs.checkpoints.load(folder / "last.safetensors")
    assert kept.position["epoch"] >= 1
    assert all(np.isfinite(array).all() for array in kept.weights.values())


def test_thresholds_beyond_float32_are_infinite_and_nothing_is_said(tmp_path, capsys):
    (tmp_path / "circuits.json").write_text(json.dumps({"gate_spread": 1e308, "error_spread": 1e308}))
    data = small_runs.write_data(tmp_path / "small.npz")
    arguments = [
        "train",
        NET,
        "--data",
        data,
        "--epochs",
        "1",
        "--circuits",
        str(tmp_path / "circuits.json"),
        "--quiet",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run([*arguments, "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err == ""
    assert all(map(finite, map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())))


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_the_alignment_of_weights_that_are_not_finite_is_undefined(odd):
    W, R = np.ones((2, 3), np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)
    W[1, 1] = odd
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pair in ((W, R), (R, W), (W, W)):
            assert math.isnan(netsim.analysis.correlation(*pair))
            assert math.isnan(netsim.analysis.angle_degrees(*pair))


def test_dark_images(tmp_path):
    records = train_and_check(tmp_path, save(tmp_path, np.zeros((20, 4, 4, 1), np.uint8), np.arange(20) % 2))
    # Nothing comes in, so nothing is learned: the loss of a net that answers 0 is 1 + mu (C - 1) = 2 (eq. 4).
    assert [record["train_loss"] for record in records] == [2.0, 2.0]
    weights = netsim.load(tmp_path / "run" / "last.safetensors").state()
    fresh = netsim.Network(NET, (4, 4, 1), 2, seed=5).state()
    assert all(np.array_equal(weights[name], fresh[name]) for name in fresh)


@pytest.mark.parametrize("value", [1, 255])
def test_images_of_equal_pixels_tie_in_every_pool(tmp_path, value):
    images = np.full((20, 5, 5, 1), value, np.uint8)
    train_and_check(tmp_path, save(tmp_path, images, np.arange(20) % 2))


def test_one_class_only_is_refused(tmp_path):
    with pytest.raises(GeometryError, match="classes is 1"):
        train_and_check(tmp_path, save(tmp_path, np.ones((20, 4, 4, 1), np.uint8), np.zeros(20, int)))
    assert not (tmp_path / "run").exists()


def test_one_class_of_two_in_the_training_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (20, 4, 4, 1), dtype=np.uint8)
    records = train_and_check(tmp_path, save(tmp_path, images, np.ones(20, int)), epochs=30, drop="off")
    assert records[-1]["train_error"] == 0


def test_a_class_absent_from_validation(tmp_path):
    images, labels = marked(np.random.default_rng(0))
    known = preparation.prepare(
        small_runs.settings(save(tmp_path, images, labels), net=NET, validation=4)
    )  # which images the fixed holdout leaves for training
    alone = int(known.train.images[0, 0, 0, 0])
    data = save(tmp_path, images, (images[:, 0, 0, 0] == alone).astype(int))
    prepared = preparation.prepare(small_runs.settings(data, net=NET, validation=4))
    assert set(prepared.validation.labels) == {0}
    assert set(prepared.train.labels) == {0, 1}
    train_and_check(tmp_path, data, validation=4)


def marked(random):
    """40 images whose first pixel is their number, and labels of two classes."""
    images = random.integers(0, 255, (40, 4, 4, 1), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(40)
    return images, np.arange(40) % 2


def test_one_image(tmp_path):
    data = save(tmp_path, np.full((1, 4, 4, 1), 9, np.uint8), [1])
    records = train_and_check(tmp_path, data)
    assert [record["validation_error"] for record in records] == [None, None]


def test_two_images_of_one_pixel(tmp_path):
    data = save(tmp_path, np.array([0, 255], np.uint8).reshape(2, 1, 1, 1), [0, 1])
    train_and_check(tmp_path, data, net="conv 1 1x1; full 2; output", validation=1)


def test_a_batch_larger_than_the_data(tmp_path):
    data = small_runs.write_data(tmp_path / "small.npz", images=10)
    train_and_check(tmp_path, data, batch=2**31 - 1)


def test_bright_floats(tmp_path, capsys):
    images = np.full((10, 4, 4, 1), 1e30, np.float32)
    images[::2] *= -1
    data = save(tmp_path, images, np.arange(10) % 2)
    assert run(["train", NET, "--data", data, "--out", str(tmp_path / "run")]) in (0, 3)
    assert "Traceback" not in capsys.readouterr().err


def test_a_net_larger_than_memory_is_refused_before_it_is_built(tmp_path):
    data = small_runs.write_data(tmp_path / "small.npz")
    net = "; ".join(["full 65536"] * 40 + ["output"])
    with pytest.raises(OptionError, match=r"weights W on images of 6x6x1: training needs [\d,.]+ GiB, but"):
        preparation.prepare(small_runs.settings(data, net=net))


def test_memory_is_known_here():
    memory = preparation.memory_bytes()
    if memory is None:
        pytest.skip("this system does not tell its memory")
    assert 2**26 < memory < 2**50
