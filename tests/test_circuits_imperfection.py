"""`Trainer(circuits=...)`: nothing changes when ideal, each imperfection does, no random number depends on chunks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from netsim import Network, Trainer
from netsim.components import FORMAT, Components
from netsim.errors import DataError, OptionError
from netsim.steps.ideal import IdealStep
from netsim.steps.imperfect import ImperfectStep

NET = "untied 3 3x3; conv 3 3x3; sum; maxpool 2; drop .3; full 9; full 6; output"
SHAPE, CLASSES, BATCH = (8, 8, 2), 4, 24


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    return random.standard_normal((BATCH, *SHAPE), dtype=np.float32), random.integers(0, CLASSES, BATCH)


def network(architecture: str = NET) -> Network:
    """A net whose weights are large enough that some units saturate."""
    net = Network(architecture, SHAPE, CLASSES, seed=1)
    for layer in net.weighted:
        layer.W = 2 * layer.W
    return net


def learned(circuits=None, steps: int = 3, architecture: str = NET, **options) -> dict[str, np.ndarray]:
    """State of a net after some steps."""
    net = network(architecture)
    trainer = Trainer(net, circuits=circuits, **options)
    for _ in range(steps):
        trainer.step(*data())
    return {name: array.copy() for name, array in net.state().items()}


def largest(first: dict, second: dict) -> float:
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


@pytest.mark.parametrize("circuits", [None, {}, Components(), {"gate_leak": 0, "error_noise": 0.0}])
def test_ideal_circuits_cost_nothing_and_change_no_bit(circuits):
    trainer = Trainer(network(), circuits=circuits)
    assert trainer.components.ideal and isinstance(trainer._way, IdealStep)
    ideal, plain = learned(circuits), learned()
    assert all(np.array_equal(ideal[name], plain[name]) for name in plain)


@pytest.mark.parametrize("protocol", ["bp", "frfb", "urfb"])
@pytest.mark.parametrize("architecture", [NET, "conv 4 5x5; maxpool 3; drop .8; full 12; drop .3; output"])
def test_the_imperfect_step_with_ideal_components_is_the_engines(protocol, architecture):
    net, twin = network(architecture), network(architecture)
    trainer, other = Trainer(net, protocol), Trainer(twin, protocol)
    imperfect = ImperfectStep(other)
    for _ in range(2):
        expected, result = trainer.increments(*data())
        increments, same = imperfect.increments(*data())
        for name, array in expected.items():
            # sums over the batch in another order: rounding of as many terms
            scale = np.abs(array).max()
            np.testing.assert_allclose(increments[name], array, rtol=0, atol=BATCH * 64 * 2.0**-24 * max(scale, 1))
            assert scale > 0.1
        assert same.error_rate == result.error_rate and same.loss == pytest.approx(result.loss, rel=1e-6)
        for one in (trainer, other):
            one.apply(expected, BATCH)
    x = twin.activity(data()[0])
    assert any(0.01 < (np.abs(x[layer.name]) == 1).mean() < 0.99 for layer in twin.layers if layer.saturates)


@pytest.mark.parametrize(
    "circuits",
    [
        {"gate_width": 0.2},
        {"gate_bias": 0.3},
        {"gate_bias": -0.5},
        {"gate_spread": 0.3},
        {"gate_leak": 0.3},
        {"gate_noise": 0.1},
        {"error_width": 0.5},
        {"error_bias": -0.5},
        {"error_spread": 0.5},
        {"error_noise": 0.1},
    ],
)
def test_each_imperfection_changes_learning_alike_for_any_chunk_and_threads(circuits):
    first = learned(circuits, threads=1, chunk=BATCH)
    assert largest(first, learned()) > 1e-4
    # the same random numbers, products summed in other pieces
    assert largest(first, learned(circuits, threads=2, chunk=5)) < 1e-5
    again = learned(circuits, threads=1, chunk=BATCH)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    if circuits.keys() & {"gate_width", "gate_noise", "error_noise", "gate_spread"}:
        assert largest(first, learned(circuits, seed=9)) > 1e-4


def test_a_gate_that_always_leaks_whole_is_no_gate():
    net = network("full 9; full 6; output")
    trainer = Trainer(net, circuits={"gate_leak": 1.0}, drop="off")
    images, labels = data()
    increments, _ = trainer.increments(images, labels)
    x = {name: array.reshape(BATCH, -1) for name, array in net.activity(images).items()}
    own = np.eye(CLASSES, dtype=bool)[labels]
    top = x["output"]
    delta = np.where(own, (top <= 1) * 1.0, np.where(top >= -1, -1 / (CLASSES - 1), 0.0))
    for name, below in (("output", x["full2"]), ("full2", x["full1"]), ("full1", images.reshape(BATCH, -1))):
        np.testing.assert_allclose(increments[name], below.T @ delta, rtol=0, atol=1e-4)
        delta = delta @ net[name].R.T.astype(float)
    assert (np.abs(x["full1"]) == 1).any()


def test_a_resumed_trainer_draws_what_an_uninterrupted_one_would():
    circuits = {"gate_spread": 0.2, "gate_noise": 0.1, "error_noise": 0.1, "gate_width": 0.1}
    net = network()
    first = Trainer(net, circuits=circuits)
    first.step(*data())
    second = Trainer(net, circuits=circuits)
    second.epoch, second.batch = first.epoch, first.batch
    second.step(*data())
    whole = learned(circuits, steps=2)
    assert all(np.array_equal(array, whole[name]) for name, array in net.state().items())


@pytest.mark.parametrize(
    "circuits", [{"gate_leak": 0.3}, {"gate_spread": 0.3, "error_noise": 0.2, "gate_noise": 0.1}]
)
def test_signals_are_those_of_the_imperfect_circuits(circuits):
    """The increments of full layers are products of the signals shown; those of ideal circuits are others."""
    net = network("drop .4; full 9; drop .3; full 6; output")
    images, labels = data()
    trainer = Trainer(net, circuits=circuits)
    signals = {name: array.reshape(BATCH, -1) for name, array in trainer.signals(images, labels).items()}
    ideal = Trainer(net).signals(images, labels)
    assert all((signals[name] == 0).sum() > 0 for name in ("drop1", "drop2"))
    increments, _ = trainer.increments(images, labels)
    x = {"full1": images.reshape(BATCH, -1) * (signals["drop1"] != 0) / np.float32(0.6)}
    delta = signals["full1"]
    # every synapse of the lowest layer: the signal times what its input carried
    np.testing.assert_allclose(increments["full1"], x["full1"].T @ delta, rtol=0, atol=1e-4)
    assert np.abs(increments["full1"]).max() > 0.1
    assert np.abs(signals["full1"] - ideal["full1"]).max() > 1e-3
    again = trainer.signals(images, labels)
    assert all(np.array_equal(array.reshape(BATCH, -1), signals[name]) for name, array in again.items())


def test_frozen_layers_and_masks_are_respected():
    net = Network(NET, SHAPE, CLASSES, seed=1, connectivity=0.5)
    before = {name: array.copy() for name, array in net.state().items()}
    Trainer(net, circuits={"gate_leak": 0.2}, frozen=("untied1",)).step(*data())
    np.testing.assert_array_equal(net["untied1"].W, before["untied1.W"])
    assert not np.array_equal(net["conv1"].W, before["conv1.W"])
    assert not net["full1"].W[~net["full1"].W_mask].any()


def test_a_calibration_file_is_taken(tmp_path):
    document = {
        "format": FORMAT,
        "version": 2,
        "gate": {"width": 0.01, "bias": -0.02, "spread": 0.01, "leak": -1e-7, "noise": 0.05},
        "error": {"width": 0.01, "bias": -0.02, "spread": 0.01, "noise": 0.05},
        "noise_onset": 0.2,
    }
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(document))
    trainer = Trainer(network(), circuits=path)
    assert trainer.components.gate_bias == -0.02 and trainer.components.gate_leak == 0
    assert largest(learned(path), learned(document)) == 0 < largest(learned(path), learned())


@pytest.mark.parametrize(
    ("circuits", "options", "error", "message"),
    [
        (3, {}, OptionError, "circuits is 3: expected components"),
        ({"leak": 0.1}, {}, OptionError, "no component is named 'leak'"),
        ("missing.json", {}, DataError, "missing.json: No such file"),
        ({"error_noise": 0.1}, {"loss": "softmax"}, OptionError, "the loss is 'softmax'"),
    ],
)
def test_bad_circuits(circuits, options, error, message):
    with pytest.raises(error, match=message) as caught:
        Trainer(network(), circuits=circuits, **options)
    assert "\n" not in str(caught.value)
    Trainer(network(), circuits={"gate_leak": 0.1}, loss="softmax").step(*data())  # a gate goes with any loss
