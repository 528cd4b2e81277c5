"""Facts of each protocol: what its feedback weights are at every moment, and the way its signals take."""

import agreement
import numpy as np
import pytest
import small_runs
from agreement import Case

import netsim
from netsim import configuration, inheritance, preparation, protocols, runs, training
from netsim.errors import ArrayError, NetsimError, OptionError
from netsim.events.engines import trainer as event_trainer
from netsim.protocols import PROTOCOLS, sign_symmetry

NET = "conv 3 3x3; maxpool 2; conv 3 2x2; conv 3 3x3; sum; drop .5; untied 2 2x2; full 5; output"
SHAPE = (4, 4, 2)
EPSILON = 2.0**-23  # distance from 1 to the next float32


def batches(number: int, classes: int = 3, size: int = 6):
    rng = np.random.default_rng(number)
    for _ in range(number):
        yield np.float32(rng.uniform(-1, 1, (size, *SHAPE))), rng.integers(0, classes, size)


def trained(protocol: str, steps: int = 5, **options) -> tuple[netsim.Network, netsim.Trainer]:
    net = netsim.Network(NET, SHAPE, 3, seed=4, connectivity=options.pop("connectivity", 1.0))
    trainer = netsim.Trainer(net, protocol, **options)
    for images, labels in batches(steps):
        trainer.step(images, labels)
    return net, trainer


def test_each_is_in_a_file_of_its_own_and_found_by_name():
    assert list(PROTOCOLS) == ["bp", "frfb", "urfb", "kolen-pollack", "sign-symmetry", "dfa"]
    for name in PROTOCOLS:
        assert protocols.find(name).name == name
        module = name.replace("-", "_")
        text = __import__(f"netsim.protocols.{module}", fromlist=["x"]).__doc__
        assert "Source: " in text


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_lowers_the_loss(name):
    case = Case("full 30; full 20; output", (3, 3, 2), classes=3, batch=20, protocol=name, step_size=0.05, decay=0.0)
    net = netsim.Network(case.architecture, case.input_shape, 3, seed=1)
    images, labels = agreement.draw_batch(case, np.random.default_rng(0))
    trainer = case.train(net)
    losses = [trainer.step(images, labels).loss for _ in range(150)]
    assert losses[-1] < 0.3 * losses[0]


# ------------------------------------------------------------------------------------------ Kolen-Pollack
def test_kolen_pollack_decays_by_default_and_w_meets_r():
    """W - R shrinks by 1 - eta lambda a step; without decay the protocol is URFB, to the bit."""
    start = netsim.Network(NET, SHAPE, 3, seed=4)
    net, trainer = trained("kolen-pollack", steps=30, step_size=0.5)
    assert trainer.decay == 0.01
    for layer in net.weighted:
        before = start[layer.name]
        expected = (before.W - before.R) * (1 - 0.5 * 0.01) ** 30
        largest = max(np.abs(side).max() for side in (before.W, before.R, layer.W, layer.R))
        assert np.abs((layer.W - layer.R) - expected).max() <= 30 * 6 * EPSILON * largest
        assert np.abs(expected).max() > 1e3 * 30 * 6 * EPSILON * largest
    plain, urfb = trained("kolen-pollack", decay=0.0)[0].state(), trained("urfb")[0].state()
    assert all(np.array_equal(plain[name], array) for name, array in urfb.items())
    decayed, same = trained("kolen-pollack", decay=0.2)[0].state(), trained("urfb", decay=0.2)[0].state()
    assert all(np.array_equal(decayed[name], array) for name, array in same.items())


# ------------------------------------------------------------------------------------------ sign-symmetry
@pytest.mark.parametrize("connectivity", [1.0, 0.5])
def test_sign_symmetry_keeps_the_signs_of_w_at_every_moment(connectivity):
    net, _ = trained("sign-symmetry", steps=0, connectivity=connectivity)
    trainer = netsim.Trainer(net, "sign-symmetry", step_size=1.0, seed=3)
    before = {layer.name: np.sign(layer.W) for layer in net.weighted}
    for images, labels in batches(4):
        for layer in net.weighted:
            size = np.float32(sign_symmetry.scale(layer))
            np.testing.assert_array_equal(layer.R, size * np.sign(layer.W))
            assert (layer.R_mask is None) == (layer.W_mask is None)
            if layer.R_mask is not None:
                np.testing.assert_array_equal(layer.R != 0, layer.W_mask)
        trainer.step(images, labels)
    assert any(np.any(np.sign(layer.W) != before[layer.name]) for layer in net.weighted)  # some weights changed sign


def test_the_feedback_of_sign_symmetry_is_as_large_as_w_when_it_was_drawn():
    net = netsim.Network("conv 32 5x5; full 200; output", (8, 8, 3), 10)
    sizes = {layer.name: float(np.square(layer.W, dtype=float).mean() ** 0.5) for layer in net.weighted}
    netsim.Trainer(net, "sign-symmetry")
    for layer in net.weighted:
        # the standard deviation of n uniform numbers is known to 1 / sqrt(n) of itself, well within 4 times that
        assert abs(np.abs(layer.R).max() / sizes[layer.name] - 1) < 4 / np.sqrt(layer.W.size)


# -------------------------------------------------------------------------------------------------- DFA
def test_with_one_hidden_layer_direct_feedback_is_fixed_feedback():
    """D of the hidden layer in the place of R of the output: the same step, to the bit."""
    nets = [netsim.Network("full 12; output", SHAPE, 3, seed=2) for _ in range(2)]
    nets[0].connect_directly()
    nets[1]["output"].R = nets[0]["full1"].D
    for images, labels in batches(6):
        trainers = [netsim.Trainer(net, protocol) for net, protocol in zip(nets, ("dfa", "frfb"), strict=True)]
        for trainer in trainers:
            trainer.step(images, labels)
    for name in ("full1", "output"):
        np.testing.assert_array_equal(nets[0][name].W, nets[1][name].W)
    assert not np.array_equal(nets[0]["full1"].W, netsim.Network("full 12; output", SHAPE, 3, seed=2)["full1"].W)


def test_with_d_of_products_of_w_and_open_gates_direct_feedback_is_the_gradient():
    """Finite differences: where no unit saturates, D = W_output W_2 (the chain) makes DFA descend the loss."""
    net = netsim.Network("full 6; full 5; output", (2, 2, 2), 3, seed=3)
    for layer in net.weighted:
        layer.W = 0.2 * layer.W
    rng = np.random.default_rng(1)
    images, labels = np.float32(rng.uniform(-1, 1, (4, 2, 2, 2))), np.array([0, 1, 2, 1])
    net.connect_directly()
    net["full2"].direct.R = net["output"].W
    net["full1"].direct.R = net["full2"].W @ net["output"].W
    increments, _ = netsim.Trainer(net, "dfa", loss="softmax").increments(images, labels)
    W = {layer.name: layer.W.astype(float) for layer in net.weighted}

    def loss(W):
        x = images.reshape(4, -1).astype(float)
        for name in ("full1", "full2", "output"):
            x = x @ W[name]
            assert name == "output" or np.abs(x).max() < 1
        return -np.log(np.exp(x[np.arange(4), labels]) / np.exp(x).sum(axis=1)).sum()

    step = 1e-5  # the error of a central difference is of the order of step^2, that of rounding 1e-16 / step
    for name, index in (("full1", (3, 2)), ("full1", (7, 5)), ("full2", (0, 4)), ("output", (4, 1))):
        one = np.zeros_like(W[name])
        one[index] = step
        expected = -(loss({**W, name: W[name] + one}) - loss({**W, name: W[name] - one})) / (2 * step)
        assert abs(increments[name][index] - expected) < 1e-6 and abs(expected) > 1e-4


def test_direct_signals_know_nothing_of_the_layers_between():
    net, trainer = trained("dfa", steps=2)
    [(images, labels)] = batches(1)
    before = trainer.signals(images, labels)
    fixed = {layer.name: (layer.D.copy(), layer.R.copy()) for layer in net.weighted[:-1]}
    for layer in net.weighted:
        layer.R = -3 * layer.R
    after = trainer.signals(images, labels)
    delta, x = before["output"], net.activity(images)
    assert all(np.array_equal(after[name], signal) for name, signal in before.items())
    for name, (D, _) in fixed.items():
        expected = (delta @ D.T).reshape(before[name].shape)
        np.testing.assert_allclose(before[name][before[name] != 0], expected[before[name] != 0], rtol=1e-4, atol=1e-6)
        assert 0 < np.count_nonzero(before[name]) <= before[name].size
    shut = np.abs(x["conv1"]) >= 1
    assert shut.any() and (before["conv1"][shut] == 0).all()
    for layer in net.weighted:
        layer.R = layer.R / -3
    for images, labels in batches(3):
        trainer.step(images, labels)
    for name, (D, R) in fixed.items():
        assert np.array_equal(net[name].D, D) and np.allclose(net[name].R, R)


def test_d_is_a_function_of_seed_and_layer_and_travels_with_the_net(tmp_path):
    nets = [netsim.Network(NET, SHAPE, 3, seed=seed) for seed in (4, 4, 5)]
    for net in nets:
        netsim.Trainer(net, "dfa")
    for layer in nets[0].weighted[:-1]:
        D = layer.D
        assert (D.shape, D.dtype) == ((layer.units, 3), np.float32)
        assert np.abs(D).max() <= np.sqrt(6 / (layer.units + 3)) and abs(D.mean()) < 0.5 * np.abs(D).max()
        assert np.array_equal(D, nets[1][layer.name].D) and not np.array_equal(D, nets[2][layer.name].D)
    assert nets[0]["output"].D is None
    assert len({layer.D.ravel()[0] for layer in nets[0].weighted[:-1]}) == len(nets[0].weighted) - 1
    nets[0]["full1"].direct.R = 2 * nets[0]["full1"].D
    nets[0].save(tmp_path / "net")
    loaded = netsim.load(tmp_path / "net")
    assert set(loaded.state()) == set(nets[0].state()) and "full1.D" in loaded.state()
    netsim.Trainer(loaded, "dfa")  # what is there is not drawn again
    np.testing.assert_array_equal(loaded["full1"].D, nets[0]["full1"].D)
    plain = netsim.Network(NET, SHAPE, 3)
    assert not any(name.endswith(".D") for name in plain.state())
    loaded.restore(plain.state())
    assert loaded["full1"].D is None
    for name, array in (("output.D", np.zeros((5, 3))), ("full1.D", np.zeros((5, 4))), ("drop1.D", np.zeros((4, 3)))):
        with pytest.raises(ArrayError, match=name):
            plain.restore({**plain.state(), name: array})


# ------------------------------------------------------------------------------------- runs and refusals
@pytest.mark.parametrize("name", ["kolen-pollack", "sign-symmetry", "dfa"])
def test_runs_repeat_and_resume_to_the_same_bits(tmp_path, name):
    data = small_runs.write_data(tmp_path / "small.npz")
    small_runs.start(tmp_path / "whole", data, protocol=name)
    steps = iter(range(100))
    small_runs.start(tmp_path / "cut", data, stop=lambda: next(steps) == 9, protocol=name)
    small_runs.resume(tmp_path / "cut", threads=1)
    assert small_runs.bits(tmp_path / "cut") == small_runs.bits(tmp_path / "whole")
    saved = runs.checkpoints.load(tmp_path / "whole" / "last.safetensors")
    assert ("conv1.D" in saved.weights) == (name == "dfa")
    values = configuration.read(tmp_path / "whole" / "run.toml")
    assert values["protocol"] == name and values["resolved"]["decay"] == (0.01 if name == "kolen-pollack" else 0)
    record = runs.find(tmp_path / "whole").metrics()[-1]
    assert (record["correlation"]["conv1"] is None) == (name == "dfa")
    values = inheritance.settings(tmp_path / "whole", untie="all")
    prepared = preparation.prepare(configuration.build(values))
    with runs.create(tmp_path / "untied", prepared.configuration.to_toml()) as run:
        training.train(prepared, run, stop=lambda: True)
    if name == "dfa":
        best = netsim.load(tmp_path / "whole" / "best.safetensors")
        np.testing.assert_array_equal(prepared.network["untied1"].D, best["conv1"].D)


def test_what_is_resumed_may_be_older_than_an_option(tmp_path, monkeypatch):
    """A checkpoint that knows nothing of options with defaults, as one of an earlier version."""
    data = small_runs.write_data(tmp_path / "small.npz")
    small_runs.start(tmp_path / "whole", data)
    decisive = configuration.Configuration.decisive
    with monkeypatch.context() as patch:
        known = {"net", "protocol", "loss", "step_size", "decay", "seed", "batch", "validation"}
        patch.setattr(
            configuration.Configuration, "decisive",
            lambda self: {key: value for key, value in decisive(self).items() if key in known},
        )  # fmt: skip
        small_runs.start(tmp_path / "cut", data, epochs=2)
    small_runs.resume(tmp_path / "cut", epochs=3)
    assert (tmp_path / "cut/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net: netsim.Trainer(net, "kolen-polack"), "did you mean 'kolen-pollack'"),
        (lambda net: netsim.Trainer(net, "frfb", feedback_rate=0.5), "the protocol is frfb, whose rate is 0: rates"),
        (lambda net: netsim.Trainer(net, "kolen-pollack", feedback_rate=0.5), "go with urfb"),
        (lambda net: netsim.Trainer(net, "dfa", feedback_rate=1.0), "go with urfb"),
        (lambda net: netsim.Trainer(net, "dfa", circuits={"gate_leak": 0.1}), "not with dfa"),
        (lambda net: event_trainer(net, "nominal", "exact", protocol="dfa"), "dfa goes with the phase-locked"),
        (lambda net: event_trainer(net, "nominal", "batched", protocol="dfa"), "dfa goes with the phase-locked"),
    ],
)
def test_what_does_not_go_together_is_refused(call, words):
    with pytest.raises(OptionError, match=words) as caught:
        call(netsim.Network(NET, SHAPE, 3))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["three", -1, 1.5, None, True, 2**70])
@pytest.mark.parametrize("name", ["epoch", "batch"])
def test_counters_are_whole_numbers(name, value):
    trainer = netsim.Trainer(netsim.Network("output", SHAPE, 3))
    with pytest.raises(NetsimError, match=f"{name} is .*: it must be a whole number"):
        setattr(trainer, name, value)
    setattr(trainer, name, np.int64(3))
    assert getattr(trainer, name) == 3


def test_whole_numbers_of_numpy_are_taken():
    trainer = netsim.Trainer(netsim.Network("output", SHAPE, 3), threads=np.int32(2), chunk=np.int64(3))
    [(images, labels)] = batches(1)
    assert trainer.step(images, labels).loss > 0
