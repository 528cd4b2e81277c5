"""Facts that follow from the paper's equations, each on the engine; the first ones on the twin as well."""

import agreement
import bounds
import numpy as np
import pytest
from agreement import Case

import netsim

DEEP = "conv 3 3x3; maxpool 2; conv 3 2x2; conv 3 3x3; sum; drop .5; untied 2 2x2; full 5; output"
DEEP_CASE = Case(DEEP, (4, 4, 2), batch=3)
EPSILON = 2.0**-23  # distance from 1 to the next float32


def trained(case, steps=6, net=None, **options):
    """(network after `steps` batches, trainer, results)."""
    net = net or agreement.draw(case).net
    trainer, rng = case.train(net, **options), np.random.default_rng(7)
    return net, trainer, [trainer.step(*agreement.draw_batch(case, rng)) for _ in range(steps)]


def weights(net):
    return {layer.name: (layer.W.copy(), layer.R.copy()) for layer in net.weighted}


# ---------------------------------------------------------------- W and R (section 3.1, Kolen and Pollack)
def test_w_minus_r_never_changes():
    """Full connectivity, epsilon = 1, no decay: the same increments, so only roundings part W - R from its start."""
    net = agreement.draw(DEEP_CASE).net
    before = weights(net)
    net, _, _ = trained(DEEP_CASE, net=net)
    for layer in net.weighted:
        W, R = before[layer.name]
        moved = np.abs(layer.W - W)
        largest = np.maximum(np.abs(layer.W), np.abs(W)) + np.maximum(np.abs(layer.R), np.abs(R)) + moved
        assert np.abs((layer.W - layer.R) - (W - R)).max() <= 6 * EPSILON * largest.max()
        assert moved.max() > 1e4 * EPSILON


def test_w_minus_r_never_changes_in_the_twin():
    drawn = agreement.draw(DEEP_CASE)
    for name, W in drawn.run.W.items():
        np.testing.assert_allclose(W - drawn.run.R[name], drawn.W[name].astype(float) - drawn.R[name], atol=1e-15)
        assert np.any(drawn.W[name] != W)


def test_with_decay_w_minus_r_shrinks_by_the_same_factor_each_step():
    """The Kolen-Pollack rule: W and R meet."""
    case = Case(DEEP, (4, 4, 2), decay=0.5, step_size=0.2)
    net = agreement.draw(case).net
    before = weights(net)
    net, _, _ = trained(case, net=net, steps=20)
    for layer in net.weighted:
        W, R = before[layer.name]
        expected = (W - R) * 0.9**20
        largest = max(np.abs(W).max() + np.abs(R).max(), np.abs(layer.W).max() + np.abs(layer.R).max())
        assert np.abs((layer.W - layer.R) - expected).max() <= 20 * 3 * EPSILON * largest


@pytest.mark.parametrize("options", [{"protocol": "frfb"}, {"feedback_rate": 0.0}, {"protocol": "dfa"}])
def test_weights_decay_only_where_they_learn(options):
    """R that does not learn stays as it was drawn, whatever the decay; W shrinks (docs/protocols.md)."""
    case = Case(DEEP, (4, 4, 2), decay=0.5, step_size=0.2, frozen=("conv2",), **options)
    before = weights(agreement.draw(case).net)
    net, _, _ = trained(case, net=agreement.draw(case).net)
    for layer in net.weighted:
        W, R = before[layer.name]
        np.testing.assert_array_equal(layer.R, R)
        assert np.array_equal(layer.W, W) == (layer.name == "conv2")


def test_symmetric_start_and_epsilon_1_is_bp_for_ever():
    """Zipser and Rumelhart (1990): R = W at the start stays so, to the bit, and the run is that of BP."""
    nets = [agreement.draw(DEEP_CASE).net for _ in range(2)]
    for net in nets:
        for layer in net.weighted:
            layer.R = layer.W
    bp = Case(DEEP, (4, 4, 2), batch=3, protocol="bp")
    (urfb, _, losses), (bp_net, _, bp_losses) = trained(DEEP_CASE, net=nets[0]), trained(bp, net=nets[1])
    assert losses == bp_losses
    start = weights(agreement.draw(DEEP_CASE).net)
    for layer in urfb.weighted:
        np.testing.assert_array_equal(layer.R, layer.W)
        np.testing.assert_array_equal(layer.W, bp_net[layer.name].W)
        assert np.any(start[layer.name][0] != layer.W)


def test_fixed_feedback_weights_stay_and_feedforward_weights_learn():
    case = Case(DEEP, (4, 4, 2), protocol="frfb")
    net = agreement.draw(case).net
    before = weights(net)
    net, _, _ = trained(case, net=net)
    for layer in net.weighted:
        np.testing.assert_array_equal(layer.R, before[layer.name][1])
        assert np.any(before[layer.name][0] != layer.W)


@pytest.mark.parametrize("epsilon", [0.25, 0.5])
def test_feedback_weights_change_by_epsilon_times_the_same_increment(epsilon):
    """Eq. 7, from weights of 0 so that nothing is rounded away."""
    case = Case("full 6; output", (2, 2, 2), feedback_rate=epsilon, mu=0.25)
    net = case.network()
    for layer in net.weighted:
        layer.W = np.zeros_like(layer.W)
    net["full1"].R = np.zeros_like(net["full1"].R)
    case.train(net).step(*agreement.draw_batch(case, np.random.default_rng(0)))
    assert (net["full1"].W != 0).all()
    np.testing.assert_allclose(net["full1"].R, epsilon * net["full1"].W, rtol=4 * EPSILON)


def test_the_feedback_passes_through_r_and_not_through_w():
    drawn = agreement.draw(DEEP_CASE)
    signals = DEEP_CASE.train(drawn.net).signals(drawn.images, drawn.labels)
    drawn.net["output"].R = -drawn.R["output"]
    turned = DEEP_CASE.train(drawn.net).signals(drawn.images, drawn.labels)
    np.testing.assert_array_equal(turned["output"], signals["output"])
    np.testing.assert_array_equal(turned["full1"], -signals["full1"])
    assert np.any(signals["full1"] != 0)


# --------------------------------------------------------------------------------- output error (eq. 4, 6)
@pytest.mark.parametrize(("loss", "local"), [("hinge", True), ("softmax", False)])
def test_the_output_error_of_a_unit_depends_on_that_unit_and_its_target_alone(loss, local):
    drawn = agreement.draw(Case("full 8; output", (2, 2, 2), classes=5, batch=6))
    others_changed = drawn.W["output"] * np.float32([1, -3, -3, -3, -3])
    signals = []
    for W in (drawn.W["output"], others_changed):
        drawn.net["output"].W = W
        signals.append(netsim.Trainer(drawn.net, loss=loss).signals(drawn.images, drawn.labels)["output"])
    assert np.array_equal(signals[0][:, 0], signals[1][:, 0]) == local
    assert not np.array_equal(signals[0][:, 1:], signals[1][:, 1:])


def satisfied(net, images):
    """Set the output weights so that the images' own classes (0, 1, 2, ...) are answered beyond the margin."""
    x = net.activity(images)["full1"].astype(float)
    targets = np.where(np.eye(net.classes)[: len(images)] == 1, 2.0, -2.0)
    net["output"].W = np.float32(np.linalg.pinv(x) @ targets)


def test_an_example_without_output_error_changes_no_weight():
    """Alone it leaves every bit; in a batch the increment is that of the others."""
    case = Case("conv 3 3x3; maxpool 2; full 9; output", (4, 4, 2), classes=4, batch=4)
    drawn = agreement.draw(case)
    net, images, labels = drawn.net, drawn.images, np.arange(4)
    satisfied(net, images)
    before = weights(net)
    result = case.train(net).step(images, labels)
    assert (result.loss, result.error_rate) == (0.0, 0.0)
    for layer in net.weighted:
        np.testing.assert_array_equal(layer.W, before[layer.name][0])
        np.testing.assert_array_equal(layer.R, before[layer.name][1])

    labels = np.array([0, 3, 2, 3])  # the second one is now wrong
    trainer = case.train(net)
    whole = {name: a.copy() for name, a in trainer.increments(images, labels)[0].items()}
    alone, _ = trainer.increments(images[1:2], labels[1:2])
    signals = trainer.signals(images, labels)
    for name, increment in whole.items():
        np.testing.assert_array_equal(increment, alone[name])
        assert np.any(increment != 0)
    for delta in signals.values():
        assert (delta[[0, 2, 3]] == 0).all()


def test_beyond_its_margin_a_unit_is_silent_and_within_it_carries_its_target():
    """Eq. 6 over the whole range of one output unit."""
    net = netsim.Network("output", (1, 1, 1), 2)
    net["output"].W = np.float32([[1.0, 0.0]])
    values = np.float32([-3, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 3])
    trainer = netsim.Trainer(net, mu=0.25)
    own = trainer.signals(values.reshape(-1, 1, 1, 1), np.zeros(9, int))["output"][:, 0]
    other = trainer.signals(values.reshape(-1, 1, 1, 1), np.ones(9, int))["output"][:, 0]
    np.testing.assert_array_equal(own, [1, 1, 1, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(other, [0, 0, -0.25, -0.25, -0.25, -0.25, -0.25, -0.25, -0.25])


def test_mu_is_one_share_of_the_other_classes_by_default():
    drawn = agreement.draw(Case("full 8; output", classes=5))
    default = netsim.Trainer(drawn.net).signals(drawn.images, drawn.labels)["output"]
    given = netsim.Trainer(drawn.net, mu=0.25).signals(drawn.images, drawn.labels)["output"]
    np.testing.assert_array_equal(default, given)
    assert set(np.unique(default)) <= {-0.25, 0.0, 1.0} and len(np.unique(default)) == 3


# ------------------------------------------------------------------------- gates, increments, Hebb (eq. 3)
def test_saturated_units_carry_no_feedback_and_their_synapses_from_below_stay():
    drawn = agreement.draw(Case("full 12; full 8; output", batch=1))
    signals = drawn.case.train(drawn.net).signals(drawn.images, drawn.labels)
    increments, _ = drawn.case.train(drawn.net).increments(drawn.images, drawn.labels)
    for name in ("full1", "full2"):
        shut = np.abs(drawn.net.activity(drawn.images)[name][0]) == 1
        assert shut.any() and not shut.all()
        assert (signals[name][0, shut] == 0).all() and (signals[name][0, ~shut] != 0).all()
        assert (increments[name][:, shut] == 0).all() and np.any(increments[name][:, ~shut] != 0)


def test_an_increment_is_the_product_of_the_two_activities_it_connects():
    drawn = agreement.draw(Case("full 12; full 8; output", batch=1))
    trainer = drawn.case.train(drawn.net)
    signals = trainer.signals(drawn.images, drawn.labels)
    increments, _ = trainer.increments(drawn.images, drawn.labels)
    below = {"input": drawn.images, **drawn.net.activity(drawn.images)}
    for layer in drawn.net.weighted:
        x = below[layer.parents[0]].reshape(1, -1)
        np.testing.assert_array_equal(increments[layer.name], x.T * signals[layer.name])


def test_an_update_is_the_mean_over_the_batch():
    """Each image twice: the same step, and increments of a batch are the sums of those of its images."""
    drawn = agreement.draw(Case(DEEP, (4, 4, 2), batch=4, drop="batch"))
    trainer = drawn.case.train(drawn.net)
    whole = {name: a.copy() for name, a in trainer.increments(drawn.images, drawn.labels)[0].items()}
    twice, result = trainer.increments(np.repeat(drawn.images, 2, axis=0), np.repeat(drawn.labels, 2))
    for name, increment in twice.items():
        np.testing.assert_allclose(increment, 2 * whole[name], rtol=0, atol=4 * drawn.bound.increments[name].max())
    assert result.loss == pytest.approx(drawn.run.loss, rel=1e-6)
    parts = dict.fromkeys(whole, 0.0)
    for b in range(4):
        for name, increment in trainer.increments(drawn.images[b : b + 1], drawn.labels[b : b + 1])[0].items():
            parts[name] = parts[name] + increment.astype(float)
    for name, part in parts.items():
        np.testing.assert_allclose(whole[name], part, rtol=0, atol=4 * drawn.bound.increments[name].max())


def test_no_update_of_the_synapses_that_leave_a_dropped_unit():
    """Section 4: dropped units are 0 'so that no update occurs to the outgoing synaptic weights'."""
    case = Case("full 12; drop .5; full 8; output", batch=3, drop="batch")
    drawn = agreement.draw(case)
    dropped = drawn.run.x["drop1"][0] == 0
    before = weights(drawn.net)
    case.train(drawn.net).step(drawn.images, drawn.labels)
    moved = before["full2"][0] != drawn.net["full2"].W
    assert 0 < dropped.sum() < 12
    assert not moved[dropped].any() and moved[~dropped].any(axis=1).all()


# ------------------------------------------------------------------------------------------- architectures
def test_untied_layers_with_equal_filters_are_a_convolution_whose_increments_are_not_summed():
    """Section 4.1: the connectivity of a convolution, each synapse with the product of its own two units."""
    tied = agreement.draw(Case("conv 3 3x3; maxpool 2; conv 4 2x2; full 5; output", (4, 4, 2)))
    untied = Case("untied 3 3x3; maxpool 2; untied 4 2x2; full 5; output", (4, 4, 2))
    net = untied.network()
    for layer, other in zip(net.weighted, tied.net.weighted, strict=True):
        layer.W = np.broadcast_to(other.W, layer.W.shape)
        layer.R = np.broadcast_to(other.R, layer.R.shape)
    e, _ = bounds.feedforward(tied.case.layers, tied.W, tied.run.x)
    agreement.within(net.scores(tied.images), tied.run.scores, e["output"], "scores")
    increments, _ = untied.train(net).increments(tied.images, tied.labels)
    for layer, other in zip(net.weighted, tied.net.weighted, strict=True):
        each, expected = increments[layer.name], tied.run.increments[other.name]
        if layer.kind == "untied":
            assert np.abs(each - each[:1, :1]).max() > 0.1 * np.abs(each).max()
            each = each.sum(axis=(0, 1))
        np.testing.assert_allclose(each, expected, rtol=0, atol=2 * tied.bound.increments[other.name].max())


@pytest.mark.parametrize(("side", "window", "stride", "pooled"), [
    (32, 3, 2, 16), (32, 3, 3, 11), (11, 2, 2, 6), (5, 2, 1, 5), (7, 1, 4, 2),
])  # fmt: skip
def test_pools_of_n_pixels_give_n_over_stride_rounded_up(side, window, stride, pooled):
    net = netsim.Network(f"maxpool {window}, stride {stride}; output", (side, side, 1), 2)
    assert net["maxpool1"].shape == (pooled, pooled, 1)
    activity = net.activity(np.ones((1, side, side, 1), np.float32))["maxpool1"]
    assert activity.shape == (1, pooled, pooled, 1) and (activity == 1).all()


def test_half_of_the_connections_are_missing_separately_in_w_and_r():
    case = Case("conv 16 3x3; full 40; output", connectivity=0.5, batch=5)
    drawn = agreement.draw(case)
    before = weights(drawn.net)
    for _ in range(3):
        case.train(drawn.net).step(drawn.images, drawn.labels)
    for name in ("conv1", "full1"):
        layer = drawn.net[name]
        spread = 5 * 0.5 / np.sqrt(layer.W.size)  # five standard deviations of a share of coin tosses
        assert abs(layer.W_mask.mean() - 0.5) < spread and abs(layer.R_mask.mean() - 0.5) < spread
        assert abs((layer.W_mask == layer.R_mask).mean() - 0.5) < spread
        assert (layer.W[~layer.W_mask] == 0).all() and (layer.R[~layer.R_mask] == 0).all()
        assert np.any(before[name][0] != layer.W)
    assert drawn.net["output"].W_mask is None and drawn.net["output"].R_mask is None


def test_a_sum_gives_its_signal_to_both_parents():
    drawn = agreement.draw(Case("full 6; full 6; sum; output"))
    net = drawn.net
    net["full2"].R = np.zeros((6, 6), np.float32)  # so that the sum alone reaches full1
    signals = drawn.case.train(net).signals(drawn.images, drawn.labels)
    x = net.activity(drawn.images)
    for name in ("full1", "full2"):
        np.testing.assert_array_equal(signals[name], np.where(np.abs(x[name]) < 1, signals["sum1"], 0))
    np.testing.assert_array_equal(x["sum1"], x["full1"] + x["full2"])
    assert np.any(signals["sum1"] != 0)


def test_frozen_layers_stay_and_hand_the_feedback_on():
    """Section 4.1: the first layer frozen, the others retrained."""
    case = Case(DEEP, (4, 4, 2), frozen=("conv2", "output"), decay=0.1)
    net = agreement.draw(case).net
    before = weights(net)
    net, _, _ = trained(case, net=net)
    for layer in net.weighted:
        stays = layer.name in case.frozen
        for now, then in zip((layer.W, layer.R), before[layer.name], strict=True):
            assert np.array_equal(now, then) == stays
