"""The engine's step where float32 is exact (small multiples of 1/4): ties, thresholds, equal to the bit."""

import re

import agreement
import naive
import numpy as np
import pytest
from agreement import Case

import netsim


def small_integers(
    architecture, *, input_shape=(6, 6, 2), classes=3, batch=4, seed=0, fans=None, unit=0.25, **options
):
    """A case in which float32 is exact: W in -unit, 0, unit; R in -1, 0, 1; images in halves; mu 1/2.

    Ties and values on thresholds are common then. A third of the weights is not 0, or `fans` of each unit's.
    """
    case = Case(architecture, input_shape, classes, batch, mu=0.5, step_size=0.25, seed=seed, **options)
    rng, net = np.random.default_rng(seed), case.network()
    for layer in net.weighted:
        for side in "WR":
            shape = layer.W.shape
            ends = np.prod(shape[-4:-1]) if side == "W" else np.prod(shape[-4:-2]) * shape[-1]
            present = rng.random(shape) < (0.33 if fans is None else fans / ends)
            size = unit if side == "W" else 1.0
            setattr(layer, side, np.float32(rng.choice([-size, size], shape) * present))
    images = np.float32(rng.integers(-4, 5, (batch, *input_shape)) / 2)
    labels = rng.integers(0, classes, batch)
    run, _ = agreement.twin_of(case, net, images, labels)
    for part in (run.x, run.h, run.delta, run.increments, run.W, run.R):
        for name, values in part.items():
            exact = bool(np.all(values == np.float32(values)))
            assert exact, f"{name} is not exact in float32"
    return case, net, images, labels, run


def check_exactly(case, net, images, labels, run):
    trainer = case.train(net)
    signals = trainer.signals(images, labels)
    increments, _ = trainer.increments(images, labels)
    result = trainer.step(images, labels)
    assert result.loss == pytest.approx(run.loss, rel=1e-6)
    assert result.error_rate == run.error_rate
    for name, delta in run.delta.items():
        np.testing.assert_array_equal(signals[name], delta, err_msg=f"delta of {name}")
    for layer in net.weighted:
        np.testing.assert_array_equal(increments[layer.name], run.increments[layer.name], err_msg=layer.name)
        np.testing.assert_array_equal(layer.W, run.W[layer.name], err_msg=f"W of {layer.name}")
        np.testing.assert_array_equal(layer.R, run.R[layer.name], err_msg=f"R of {layer.name}")


@pytest.mark.parametrize("pool", ["3", "2", "4", "2, stride 3", "3, stride 1", "5, stride 3"])
@pytest.mark.parametrize(
    "below", ["conv 3 3x3", "conv 9 2x2; conv 9 1x1; sum", "untied 3 2x2", "conv 4 3x3; drop .5"]
)
def test_ties_in_max_pooling_go_to_the_first(below, pool):
    exact = small_integers(f"{below}; maxpool {pool}; full 5; output", batch=8)
    case, _, _, _, run = exact
    position = [kind for kind, _ in case.layers].index("maxpool")
    units = run.x[naive.names_of(case.layers)[position - 1]]
    ties = 0
    options = {name: value for name, value in case.layers[position][1].items() if name != "ties"}
    for _, seen in naive.windows(units, **options):
        values = seen.reshape(len(units), -1, units.shape[3])
        top = values.max(axis=1, keepdims=True)
        ties += int((((values == top).sum(axis=1) > 1) & (np.abs(top[:, 0]) < 1)).sum())
    assert ties > 4, "no ties between open units"
    check_exactly(*exact)


def test_zero_outside_the_grid_wins_and_then_nobody_is_told():
    case = Case("conv 1 1x1; maxpool 3; output", (3, 3, 1), classes=2, batch=1)
    net = case.network()
    net["conv1"].W = np.full((1, 1, 1, 1), -0.5, np.float32)
    images, labels = np.ones((1, 3, 3, 1), np.float32), np.array([0])
    assert (net.activity(images)["conv1"] == -0.5).all()
    assert (net.activity(images)["maxpool1"] == 0).all()
    increments, _ = case.train(net).increments(images, labels)
    assert (increments["conv1"] == 0).all()


def test_zeros_outside_the_grid_take_part_in_the_order_of_ties():
    """All units 0: three of the four windows begin outside the grid, the last one at pixel (1, 1)."""
    case = Case("conv 1 1x1; maxpool 3; output", (3, 3, 1), classes=2, batch=1)
    net = case.network()
    net["conv1"].W = np.zeros((1, 1, 1, 1), np.float32)
    net["output"].R = np.float32([[1, 0]] * 4)
    signals = case.train(net).signals(np.ones((1, 3, 3, 1), np.float32), np.array([0]))
    np.testing.assert_array_equal(signals["maxpool1"], np.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(signals["conv1"][0, :, :, 0], [[0, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_values_on_a_threshold():
    """|h| = 1 shuts the gate (strict); an output of exactly 1 or -1 still gets its error (eq. 6)."""
    case = Case("full 4; output", (1, 1, 1), classes=4, batch=1, mu=0.5)
    net = case.network()
    net["full1"].W = np.float32([[1.0, -1.0, 0.5, 0.0]])
    net["output"].W = np.float32([[1, 0, 0, -1], [0, 1, 0, 0], [0, 0, 2.0 + 2**-20, 0], [0, 0, 0, 0]])
    net["output"].R = np.ones((4, 4), np.float32)
    images = np.ones((1, 1, 1, 1), np.float32)
    np.testing.assert_array_equal(net.scores(images), [[1.0, -1.0, 1.0 + 2**-21, -1.0]])
    signals = case.train(net).signals(images, np.array([0]))
    np.testing.assert_array_equal(signals["output"], [[1.0, -0.5, -0.5, -0.5]])
    np.testing.assert_array_equal(signals["full1"], [[0.0, 0.0, -0.5, -0.5]])
    signals = case.train(net).signals(images, np.array([2]))  # above 1: nothing to correct
    np.testing.assert_array_equal(signals["output"], [[-0.5, -0.5, 0.0, -0.5]])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("protocol", ["bp", "frfb", "urfb"])
def test_whole_steps_in_exact_arithmetic(protocol, seed):
    exact = small_integers("conv 3 3x3; conv 3 2x2; sum; maxpool 3; drop .5; untied 2 3x3; full 5; output",
                           protocol=protocol, seed=seed)  # fmt: skip
    run = exact[-1]
    assert all(np.any(increment != 0) for increment in run.increments.values())
    check_exactly(*exact)


def test_a_window_of_more_places_than_16_bits():
    """520 x 520 places: the winner is told, and not the unit inside the grid that lies 65,536 places before it."""
    side, low, at = 520, (520 - 1) // 2, 241
    place = (at + low) * side + at + low - 2**16
    assert place // side >= low and place % side >= low
    net = netsim.Network(f"conv 1 1x1; maxpool {side}, stride {side}; output", (side, side, 1), 2)
    net["conv1"].W = np.full((1, 1, 1, 1), 0.5, np.float32)
    net["output"].R = np.float32([[1.0, 0.0]])
    images = np.zeros((1, side, side, 1), np.float32)
    images[0, at, at] = 1.0
    signals = netsim.Trainer(net).signals(images, np.array([0]))["conv1"]
    assert np.argwhere(signals[0, :, :, 0]).tolist() == [[at, at]]
    assert signals.sum() == 1.0


@pytest.mark.parametrize(
    ("name", "side"), [("simpnet", 6), ("deepnet", 9), ("deepernet", 9), ("deepnet_s", 12)]
)
def test_the_architectures_of_the_paper(name, side):
    """At full width on small images: many channels, many layers, all kinds."""
    text = re.sub(r"drop [.0-9]+", "drop .5", netsim.Network(name, (side, side, 3), 10).architecture)
    exact = small_integers(text, input_shape=(side, side, 3), classes=10, batch=4, fans=5, unit=0.5, seed=1)
    run = exact[-1]
    assert all(np.any(increment != 0) for increment in run.increments.values())
    check_exactly(*exact)
