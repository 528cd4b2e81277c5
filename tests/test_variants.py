"""What the author's code does otherwise: each difference by itself changes what it says, and nothing else."""

import gc
import itertools
import json
import tomllib
import weakref
from pathlib import Path

import agreement
import numpy as np
import pytest
import small_runs
from agreement import Case

import netsim
from netsim import configuration, presets, runs
from netsim.cli import run
from netsim.errors import OptionError
from netsim.events.engines import trainer as event_trainer
from netsim.variants import Variants

NET = "conv 4 3x3; maxpool 3; untied 4 3x3; conv 4 2x2; sum; drop .3; untied 3 2x2; full 9; output"
SHAPE, CLASSES = (6, 6, 2), 4

EACH = {
    "updated": dict(feedback_through="updated"),
    "epoch": dict(untied_feedback="epoch"),
    "positive": dict(feedback_input="positive"),
    "clip": dict(feedback_clip=4.0),
    "corner": dict(pool_anchor="corner"),
    "ties": dict(pool_ties="all"),
}


def network(**options) -> netsim.Network:
    """A net with many saturated units below its pool, so that some of a window tie."""
    net = netsim.Network(NET, SHAPE, CLASSES, seed=3, **options)
    net["conv1"].W = np.float32(np.round(4 * net["conv1"].W))
    return net


def batches(number: int, size: int = 8):
    rng = np.random.default_rng(2)
    for _ in range(number):
        yield np.float32(rng.integers(-2, 3, (size, *SHAPE)) / 8), rng.integers(0, CLASSES, size)


def learned(steps: int = 3, **options) -> tuple[dict, list[float]]:
    """(weights after some steps, losses)."""
    pools = {name: options.pop(name) for name in ("pool_anchor", "pool_ties") if name in options}
    net = network(**pools)
    trainer = netsim.Trainer(net, **{"step_size": 0.3, **options})
    losses = [trainer.step(images, labels).loss for images, labels in batches(steps)]
    return net.state(), losses


def same(first: tuple, second: tuple) -> bool:
    return first[1] == second[1] and all(np.array_equal(second[0][name], array) for name, array in first[0].items())


@pytest.mark.parametrize("options", EACH.values(), ids=EACH)
def test_each_changes_what_is_learned_and_the_default_no_bit(options):
    plain = learned()
    assert not same(plain, learned(**options))
    assert same(plain, learned(**{name: presets.PRESETS["paper"][name] for name in options}))


@pytest.mark.parametrize("options", EACH.values(), ids=EACH)
def test_the_same_bits_for_any_number_of_threads_and_chunk(options):
    one = learned(threads=1, **options)
    assert same(one, learned(threads=3, **options))
    assert same(one, learned(threads=2, chunk=3, **options))


@pytest.mark.parametrize("options", EACH.values(), ids=EACH)
def test_increments_and_signals_change_no_weight(options):
    pools = {name: value for name, value in options.items() if name.startswith("pool")}
    net = network(**pools)
    trainer = netsim.Trainer(net, **{name: value for name, value in options.items() if name not in pools})
    before = net.state()
    images, labels = next(batches(1))
    trainer.increments(images, labels)
    trainer.signals(images, labels)
    assert all(np.array_equal(array, before[name]) for name, array in net.state().items() if name in before)


# ------------------------------------------------------------------------- feedback through updated weights
@pytest.mark.parametrize("protocol", ["urfb", "bp", "kolen-pollack", "sign-symmetry"])
def test_updated_feedback_is_that_of_a_net_whose_layers_above_have_learned(protocol):
    """Layer by layer by hand: let the layers above learn, then ask the old order for the signal below."""
    case = Case("full 9; full 8; full 7; output", (2, 2, 2), batch=5, protocol=protocol, step_size=0.4)
    drawn = agreement.draw(case)
    images, labels = drawn.images, drawn.labels
    found = case.train(drawn.net, feedback_through="updated").signals(images, labels)
    names = ["output", "full3", "full2", "full1"]
    W, x = {layer.name: layer.W.copy() for layer in drawn.net.weighted}, drawn.net.activity(images)
    delta = found["output"]
    for above, below in itertools.pairwise(names):
        increment = x[below].astype(float).T @ delta
        keep, rate = 1 - 0.4 * (0.01 if protocol == "kolen-pollack" else 0), 0.4 / 5
        new_W = keep * W[above] + rate * increment
        R = drawn.net[above].R.astype(float)
        R = {"bp": new_W, "sign-symmetry": np.abs(R).max() * np.sign(new_W)}.get(protocol, keep * R + rate * increment)
        delta = (np.abs(x[below]) < 1) * (delta @ R.T)
        np.testing.assert_allclose(found[below], delta, rtol=1e-4, atol=1e-5)
        assert np.any(delta)
        delta = found[below]
    plain = case.train(drawn.net).signals(images, labels)
    assert np.array_equal(plain["output"], found["output"])
    assert any(not np.allclose(plain[name], found[name], rtol=1e-3) for name in names)


@pytest.mark.parametrize("protocol", ["urfb", "bp"])
def test_with_a_step_of_0_or_frozen_feedback_the_order_says_nothing(protocol):
    plain = learned(step_size=0.0, protocol=protocol)
    assert same(plain, learned(step_size=0.0, protocol=protocol, feedback_through="updated"))
    assert same(learned(protocol="frfb"), learned(protocol="frfb", feedback_through="updated"))


# ------------------------------------------------------------------------------------- untied feedback
def test_untied_feedback_is_copied_when_an_epoch_begins_and_not_before():
    net = network()
    trainer = netsim.Trainer(net, untied_feedback="epoch", step_size=0.5)
    untied = net["untied1"]
    assert untied.R_epoch is None and "untied1.R_epoch" not in net.state()
    copies = []
    for epoch in range(2):
        trainer.begin_epoch(epoch)
        before = untied.R.copy()
        for images, labels in batches(3):
            trainer.step(images, labels)
            copies.append(untied.R_epoch.copy())
            assert np.array_equal(untied.R_epoch, before) and not np.array_equal(untied.R, before)
    assert not np.array_equal(copies[2], copies[3])
    assert net["conv2"].R_epoch is None
    state = net.state()
    other = network()
    other.restore(state)
    np.testing.assert_array_equal(other["untied1"].R_epoch, copies[-1])
    other.restore({name: array for name, array in state.items() if not name.endswith("R_epoch")})
    assert other["untied1"].R_epoch is None
    with pytest.raises(ValueError, match=r"there are no weights 'conv1\.R_epoch'"):
        other.restore({**state, "conv1.R_epoch": state["conv1.R"]})


def test_a_net_without_untied_layers_knows_no_difference():
    case = Case("conv 4 3x3; full 6; output", (4, 4, 2), batch=4)
    signals = []
    for feedback in ("current", "epoch"):
        drawn = agreement.draw(case)
        signals.append(case.train(drawn.net, untied_feedback=feedback).signals(drawn.images, drawn.labels))
    assert all(np.array_equal(signals[1][name], signal) for name, signal in signals[0].items())


# --------------------------------------------------------------------------------------- untied start
def test_an_untied_start_is_one_filter_at_every_pixel_thinned_apart():
    options = dict(seed=4, symmetric=False)
    apart, spread, thin = (
        netsim.Network("conv 2 2x2; untied 3 3x3; untied 2 2x2; full 9; output", SHAPE, CLASSES, **options, **more)
        for more in ({}, {"untied_start": "spread"}, {"untied_start": "spread", "connectivity": 0.5})
    )
    for name in ("untied1", "untied2"):
        for side in ("W", "R"):
            weights = getattr(spread[name], side)
            filters = weights[0, 0]
            assert np.array_equal(weights, np.broadcast_to(filters, weights.shape)) and np.unique(filters).size > 10
            assert 0.8 < np.abs(filters).max() / spread[name].limit <= 1
            mask, kept = getattr(thin[name], f"{side}_mask"), getattr(thin[name], side)
            np.testing.assert_array_equal(kept, np.where(mask, weights, 0))
            assert not np.array_equal(mask[0, 0], mask[1, 1]) and 0.4 < mask.mean() < 0.6
        assert not np.array_equal(spread[name].W, spread[name].R)
        assert not np.array_equal(apart[name].W[0, 0], apart[name].W[1, 1])
    for name in ("conv1", "full1", "output"):
        np.testing.assert_array_equal(spread[name].W, apart[name].W)


# ----------------------------------------------------------------------------- positive input, clip, pools
def test_r_learns_from_the_positive_part_of_x_alone():
    case = Case("full 9; output", (2, 2, 2), batch=5)
    drawn = agreement.draw(case)
    for images, alike in ((np.abs(drawn.images), True), (drawn.images, False)):
        increments, _ = case.train(drawn.net, feedback_input="positive").increments(images, drawn.labels)
        assert np.array_equal(increments["full1"], increments["full1.R"]) == alike
    below = drawn.net.activity(drawn.images)["full1"].astype(float)
    signals = case.train(drawn.net).signals(drawn.images, drawn.labels)
    expected = np.maximum(below, 0).T @ signals["output"]
    np.testing.assert_allclose(increments["output.R"], expected, rtol=1e-5, atol=1e-6)


def test_a_large_scale_of_clipped_feedback_leaves_signs_and_a_small_one_scales():
    case = Case("full 12; full 8; output", (2, 2, 2), batch=5, slope=0.5)
    drawn = agreement.draw(case)
    plain = case.train(drawn.net).signals(drawn.images, drawn.labels)
    large = case.train(drawn.net, feedback_clip=1e9).signals(drawn.images, drawn.labels)
    np.testing.assert_array_equal(large["full2"], plain["full2"])  # what comes from the output is not clipped
    np.testing.assert_array_equal(large["full1"], 0.5 * np.sign(plain["full1"]))
    assert set(np.unique(large["full1"])) == {-0.5, 0.0, 0.5}
    small = case.train(drawn.net, feedback_clip=2.0**-10).signals(drawn.images, drawn.labels)
    np.testing.assert_array_equal(small["full1"], plain["full1"] * np.float32(2.0**-10))


@pytest.mark.parametrize("drop", ["sample", "batch"])
def test_feedback_is_clipped_as_it_leaves_a_layer_before_drops_pools_and_sums(drop):
    """A scale so large that what comes down from a layer with sigma is -1, 0 or 1, whatever lies below."""
    text = "conv 2 3x3; conv 2 3x3; sum; maxpool 3, stride 1; drop .5; full 8; output"
    case = Case(text, (6, 6, 2), batch=4, slope=0.5, drop=drop, protocol="frfb")
    drawn = agreement.draw(case)
    plain = case.train(drawn.net).signals(drawn.images, drawn.labels)
    found = case.train(drawn.net, feedback_clip=1e9).signals(drawn.images, drawn.labels)
    np.testing.assert_array_equal(found["full1"], plain["full1"])  # from the output, which has no sigma
    assert set(np.unique(found["drop1"])) == {-1.0, 0.0, 1.0}
    np.testing.assert_array_equal(found["maxpool1"], 2 * found["drop1"])  # times 1 / (1 - p), no longer within 1
    # A unit that wins several windows gets the sum of their signals.
    assert np.abs(found["sum1"]).max() > 2 and np.abs(found["conv2"]).max() > 0.5 * 2
    # conv1 gets the signal of the sum, and beside it what comes down from conv2, clipped by itself.
    open_ = np.abs(drawn.net.activity(drawn.images)["conv1"]) < 1
    beside = found["conv1"][open_] / 0.5 - found["sum1"][open_]
    assert set(np.unique(beside)) - {0.0} == {-1.0, 1.0}


def test_pool_rules_by_hand():
    """One row of pixels 3 1 3 2 and windows of 2, stride 2: where they stand, and who gets the feedback."""
    image, label = np.float32([3, 1, 3, 2]).reshape(1, 1, 4, 1) / 4, np.array([0])
    two_rows = np.concatenate([image, image], axis=1)  # equal rows: every maximum ties
    found = {}
    for anchor in ("center", "corner"):
        for ties in ("first", "all"):
            net = netsim.Network("conv 1 1x1; maxpool 2, stride 2; output", (2, 4, 1), 2,
                                 pool_anchor=anchor, pool_ties=ties)  # fmt: skip
            net["conv1"].W = np.ones((1, 1, 1, 1))
            net["output"].W, net["output"].R = np.zeros((2, 2)), np.ones((2, 2))
            assert np.array_equal(net.activity(two_rows)["maxpool1"].ravel(), [0.75, 0.75])
            signals = netsim.Trainer(net, mu=0.0).signals(two_rows, label)
            found[anchor, ties] = signals["conv1"][0, :, :, 0]
    # windows of 2 cover offsets 0 and 1 from both anchors
    assert np.array_equal(found["center", "first"], found["corner", "first"])
    np.testing.assert_array_equal(found["corner", "first"], [[1, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(found["corner", "all"], [[1, 0, 1, 0], [1, 0, 1, 0]])
    net = netsim.Network("conv 1 1x1; maxpool 3, stride 3; output", (3, 4, 1), 2, pool_anchor="corner")
    net["conv1"].W = np.ones((1, 1, 1, 1))
    pixels = np.float32(np.arange(12).reshape(1, 3, 4, 1) / 20)
    assert np.array_equal(net.activity(pixels)["maxpool1"].ravel(), pixels[0, 2, [2, 3], 0])  # columns 0-2, and 3 alone
    centered = netsim.Network("conv 1 1x1; maxpool 3, stride 3; output", (3, 4, 1), 2)
    centered["conv1"].W = np.ones((1, 1, 1, 1))
    assert np.array_equal(centered.activity(pixels)["maxpool1"].ravel(), pixels[0, 1, [1, 3], 0])


@pytest.mark.parametrize("options", [
    dict(pool_ties="all"), dict(pool_ties="all", pool_anchor="corner"), dict(pool_anchor="corner", protocol="bp"),
    dict(pool_ties="all", feedback_through="updated"),
])  # fmt: skip
def test_pools_upon_pools_tie_and_meet_the_twin(options):
    """Overlapping windows hand the same unit up more than once: ties whose gates are open."""
    text = "maxpool 3, stride 1; maxpool 3; maxpool 2, stride 1; conv 3 2x2; output"
    case = Case(text, (7, 6, 2), batch=3, slope=0.6, **options)
    drawn = agreement.check(case)
    if "pool_ties" in options:
        first = Case(text, (7, 6, 2), batch=3, slope=0.6, **{**options, "pool_ties": "first"})
        run_first, _ = agreement.twin_of(first, drawn.net, drawn.images, drawn.labels)
        assert np.abs(run_first.delta["maxpool1"] - drawn.run.delta["maxpool1"]).max() > 1e-3


# ------------------------------------------------------------------------------------- runs and refusals
@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return small_runs.write_data(tmp_path / "small.npz")


RUN_NET = "untied 4 3x3; maxpool 2; drop .3; full 10; output"


@pytest.mark.parametrize("protocol", ["urfb", "bp"])
def test_a_run_with_all_of_them_resumes_in_the_middle_of_an_epoch_to_the_same_bits(data, protocol):
    options = {**presets.preset("author"), "net": RUN_NET, "protocol": protocol}
    if protocol == "urfb":
        options.update(feedback_input="positive", feedback_clip=5.0)
    small_runs.start(Path("whole"), data, **options)
    steps = iter(range(100))
    small_runs.start(Path("cut"), data, stop=lambda: next(steps) == 9, **options)
    assert runs.checkpoints.load(Path("cut/last.safetensors")).position["batch"] > 0
    assert "untied1.R_epoch" in runs.checkpoints.load(Path("cut/last.safetensors")).weights
    small_runs.resume(Path("cut"), threads=1)
    assert small_runs.bits_of("cut") == small_runs.bits_of("whole")


def test_presets_from_the_command_line(data, capsys):
    arguments = ["train", RUN_NET, "--data", data, "--batch", "8", "--epochs", "2", "--seed", "5", "--quiet", "--out"]
    for name, options in {
        "plain": [], "paper": ["--preset", "paper", "--drop", "sample", "--no-thin-output"],
        "author": ["--preset", "author"],
        "by hand": ["--slope", ".5", "--feedback-through", "updated", "--untied-feedback", "epoch", "--pool-anchor",
                    "corner", "--pool-ties", "all", "--untied-start", "spread"],
        "letter": ["--preset", "paper"],
    }.items():  # fmt: skip
        assert run([*arguments, name, *options]) == 0
    bits = {name: small_runs.bits_of(name) for name in ("plain", "paper", "author", "by hand", "letter")}
    assert bits["plain"] == bits["paper"] != bits["letter"]
    assert bits["author"] == bits["by hand"] != bits["plain"]
    with open("author/run.toml", "rb") as file:
        written = tomllib.load(file)
    assert {name: written.get(name) for name in presets.PRESETS["author"]} == presets.preset("author")
    assert run(["train", "--config", "author/run.toml", "--quiet", "--out", "again"]) == 0
    assert small_runs.bits_of("again") == bits["author"]
    assert run(["train", "--config", "author/run.toml", "--preset", "paper", "--drop", "sample",
                "--no-thin-output", "--quiet", "--out", "back"]) == 0  # fmt: skip
    assert (
        json.loads(Path("back/metrics.jsonl").read_text().splitlines()[-1])["train_loss"]
        == (json.loads(Path("plain/metrics.jsonl").read_text().splitlines()[-1])["train_loss"])
    )
    capsys.readouterr()
    assert run(["train", "--preset", "auther"]) == 2
    assert "unknown preset 'auther' (did you mean 'author'?)" in capsys.readouterr().err
    assert run(["train", "--resume", "author", "--preset", "paper"]) == 2
    assert "--preset cannot go with --resume" in capsys.readouterr().err


def test_switches_override_a_configuration(data, capsys):
    arguments = ["train", RUN_NET, "--data", data, "--batch", "8", "--epochs", "1", "--quiet", "--out"]
    assert run([*arguments, "first", "--symmetric-init", "--thin-output", "--connectivity", ".5"]) == 0
    command = ["train", "--config", "first/run.toml", "--no-symmetric-init", "--no-thin-output", "--quiet"]
    assert run([*command, "--out", "second"]) == 0
    values = configuration.read("second/run.toml")
    assert (values["symmetric"], values["thin_output"], values["connectivity"]) == (False, False, 0.5)


BAD = {
    "order": (dict(feedback_through="new"), "feedback_through is 'new'; known: old, updated"),
    "untied": (dict(untied_feedback="epok"), "untied_feedback is 'epok' (did you mean 'epoch'?)"),
    "input": (dict(feedback_input=3), "feedback_input is 3"),
    "clip": (dict(feedback_clip=0), "feedback_clip is 0: it must be a number above 0"),
    "clip of words": (dict(feedback_clip="one"), "feedback_clip is 'one'"),
    "dfa": (dict(protocol="dfa", feedback_through="updated"), "not dfa"),
    "circuits": (dict(circuits={"gate_leak": 0.1}, feedback_clip=1.0), "feedback_clip goes with ideal circuits"),
    "bp": (dict(protocol="bp", feedback_input="positive"), "how R learns, and under bp it does not"),
    "frfb": (dict(protocol="frfb", feedback_input="positive"), "how R learns, and under frfb it does not"),
}


@pytest.mark.parametrize(("options", "words"), BAD.values(), ids=BAD)
def test_what_is_wrong_gets_one_line(options, words):
    with pytest.raises(OptionError) as caught:
        netsim.Trainer(network(), **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("options", "words"), [
    (dict(pool_anchor="centre"), "pool_anchor is 'centre' (did you mean 'center'?)"),
    (dict(pool_ties="al"), "pool_ties is 'al' (did you mean 'all'?)"), (dict(pool_ties=None), "pool_ties is None"),
    (dict(untied_start="spred"), "untied_start is 'spred' (did you mean 'spread'?)"),
])  # fmt: skip
def test_bad_pool_rules(options, words):
    with pytest.raises(OptionError) as caught:
        network(**options)
    assert words in str(caught.value)


@pytest.mark.parametrize("engine", ["exact", "batched"])
def test_event_engines_refuse_what_they_do_not_know(engine):
    for options in ({"feedback_through": "updated"}, {"feedback_clip": 1.0}):
        with pytest.raises(OptionError, match="goes with the phase-locked engine"):
            event_trainer(network(), "nominal", engine, **options)
    with pytest.raises(OptionError, match="pool_anchor or pool_ties goes with the phase-locked engine"):
        event_trainer(network(pool_ties="all"), "nominal", engine)


def test_variants_tell_what_was_chosen():
    assert Variants().chosen == []
    assert Variants(feedback_clip=2, untied_feedback="epoch").chosen == ["untied_feedback", "feedback_clip"]


@pytest.mark.parametrize("options", [{}, EACH["updated"], EACH["positive"], {"circuits": {"gate_noise": 0.1}}])
def test_a_trainer_that_nobody_holds_any_more_is_gone_at_once(options):
    gc.collect()
    gc.disable()
    try:
        trainer = netsim.Trainer(network(), **options)
        trainer.step(*next(batches(1)))
        there = weakref.ref(trainer)
        del trainer
        assert there() is None
    finally:
        gc.enable()


def test_a_variant_leaves_the_chunk_that_was_asked_for():
    assert netsim.Trainer(network(), chunk=3, **EACH["updated"]).chunk == 3
    assert netsim.Trainer(network(), **EACH["updated"]).chunk is None
