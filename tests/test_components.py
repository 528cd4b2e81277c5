"""The kernels of imperfect gates and output errors: against their slow twins, and against what they are to be."""

import naive
import naive_components as twin
import numpy as np
import pytest
from scipy.special import ndtri

from netsim.components import Components
from netsim.kernels.chance import key
from netsim.kernels.components import answer_all, latch, pass_gates

IMAGES, HEIGHT, ROW, BEGIN = 3, 2, 35, 4
UNITS = HEIGHT * ROW
STREAM = key(5, 1, 2, 3)

GATES = {
    "ideal": {},
    "spread": {"gate_spread": 0.3},
    "width": {"gate_width": 0.4},
    "bias": {"gate_bias": -0.3},
    "leak": {"gate_leak": 0.25},
    "noise": {"gate_noise": 0.3},
    "noise that falls with the signal": {"gate_noise": 0.3, "noise_onset": 0.6},
    "all": dict(gate_spread=0.2, gate_width=0.3, gate_bias=0.1, gate_leak=0.4, gate_noise=0.2),
}
ERRORS = {
    "ideal": {},
    "spread": {"error_spread": 0.4},
    "width": {"error_width": 0.5},
    "bias": {"error_bias": -0.4},
    "noise": {"error_noise": 0.3},
    "noise that falls with the signal": {"error_noise": 0.3, "noise_onset": 0.6},
    "all": dict(error_spread=0.2, error_width=0.3, error_bias=0.1, error_noise=0.2),
}


def normals(units, kind, images=IMAGES, begin=BEGIN, stream=STREAM):
    """Normal numbers of the images' units: kind 0 of thresholds, 1 of signals; by the slow hash and scipy's inverse."""
    counters = 2 * np.arange(begin * units, (begin + images) * units) + kind
    words = [naive.mix((int(stream) + int(counter) * 0xD1342543DE82EF95) & naive.MASK64) for counter in counters]
    return ndtri((np.array([word >> 11 for word in words], float) + 0.5) * 2.0**-53).reshape(images, units)


def bordered(values):
    """As maps with a border of 7 around rows of 35 units; and the layout that kernels are told."""
    row, origin = ROW + 7, 5
    whole = np.full((IMAGES, 3 + HEIGHT * row), np.nan, np.float32)
    places = origin + np.arange(HEIGHT)[:, None] * row + np.arange(ROW)
    whole[:, places.reshape(-1)] = values
    return whole, places.reshape(-1), (3 + HEIGHT * row, row, origin, HEIGHT, ROW)


@pytest.mark.parametrize("parameters", GATES.values(), ids=GATES)
@pytest.mark.parametrize("slope", [1.0, 0.5])
def test_gates_are_those_of_the_twin(parameters, slope):
    components, rng = Components(**parameters), np.random.default_rng(1)
    thresholds = components.thresholds(UNITS, rng)
    h = (rng.standard_normal((IMAGES, UNITS)) / slope).astype(np.float32)
    h[0, :3] = np.array([1, -1, 0.999]) / slope  # at the thresholds: shut, shut, open
    signals = rng.standard_normal((IMAGES, UNITS)).astype(np.float32)
    own, places, layout = bordered(h)
    shut, flat, slope32 = np.full(IMAGES * UNITS, 7, np.uint8), thresholds.reshape(-1), np.float32(slope)
    latch(own.reshape(-1), *layout, shut, flat, components.gate_width, slope32, STREAM, BEGIN, 0, 2)
    latch(own.reshape(-1), *layout, shut, flat, components.gate_width, slope32, STREAM, BEGIN, 2, IMAGES)
    np.testing.assert_array_equal(own[:, places], np.clip(slope32 * h, -1, 1))
    gates = twin.gate(slope32 * h, thresholds, normals(UNITS, 0), **parameters)
    np.testing.assert_array_equal(shut.reshape(IMAGES, UNITS) == 0, gates == 1)
    assert 0.05 < shut.mean() < 0.95 and np.isnan(own).sum() == own.size - IMAGES * UNITS

    own, places, layout = bordered(signals)
    ends = components.gate_leak, components.gate_noise, components.noise_onset
    pass_gates(own.reshape(-1), *layout, shut, *ends, slope32, STREAM, BEGIN, 0, IMAGES)
    expected = twin.through_gate(slope * signals, gates, normals(UNITS, 1), **parameters)
    # one rounding of the product with the slope, one at the end
    np.testing.assert_allclose(own[:, places], expected, rtol=0, atol=2.0**-23 * 5)
    assert np.abs(expected).max() < 5


@pytest.mark.parametrize("parameters", ERRORS.values(), ids=ERRORS)
def test_output_errors_are_those_of_the_twin(parameters):
    components, rng, images, classes, mu = Components(**parameters), np.random.default_rng(2), 40, 5, 0.25
    thresholds = components.thresholds(classes, rng, output=True)
    x = (1.5 * rng.standard_normal((images, classes))).astype(np.float32)
    x[0] = 1, 1.001, -1, -1.001, 0
    labels = rng.integers(0, classes, images)
    delta, flat = np.full_like(x, np.nan), thresholds.reshape(-1)
    varying = components.error_width, components.error_noise, components.noise_onset
    answer_all(delta, x, labels, flat, *varying, mu, STREAM, BEGIN)
    numbers = [normals(classes, kind, images) for kind in (0, 1)]
    expected = twin.output_error(x, labels, mu, thresholds, *numbers, **parameters)
    np.testing.assert_allclose(delta, expected, rtol=2.0**-23, atol=0)
    assert 0.05 < (expected == 0).mean() < 0.6 and (expected[expected != 0] < 0).any() and (expected > 0).any()


def test_ideal_components_are_the_papers():
    assert Components().ideal
    np.testing.assert_array_equal(Components().thresholds(5, np.random.default_rng(0)), 1)
    x = np.array([[1.0, -1.0, 0.0], [1.001, -1.001, 2.0]], np.float32)
    delta, ones = np.empty_like(x), np.ones(6, np.float32)
    answer_all(delta, x, np.array([0, 0]), ones, 0.0, 0.0, 0.0, 0.5, STREAM, 0)
    np.testing.assert_array_equal(delta, [[1, -0.5, -0.5], [0, 0, -0.5]])


def test_each_imperfection_does_what_it_says():
    images, units = 1000, 400

    def shut_at(h, **parameters):
        """Gates that units with this input latch in every image."""
        components, own = Components(**parameters), np.full(images * units, h, np.float32)
        thresholds, shut = components.thresholds(units, np.random.default_rng(1)), np.empty(images * units, np.uint8)
        layout = (units, units, 0, 1, units)
        latch(own, *layout, shut, thresholds.reshape(-1), components.gate_width, np.float32(1), STREAM, 0, 0, images)
        return shut.reshape(images, units)

    spread = shut_at(0.9, gate_spread=0.1)  # by unit, the same in every presentation
    assert 0.1 < spread.mean() < 0.25 and (spread == spread[0]).all()
    wide = shut_at(0.9, gate_width=0.1)  # one standard deviation, every unit
    assert wide.mean() == pytest.approx(0.159, abs=0.01) and wide.mean(axis=0).min() > 0.1
    assert shut_at(0.9, gate_bias=-0.2).all() and not shut_at(0.9).any()

    signals, layout = np.ones(images * units, np.float32), (units, units, 0, 1, units)
    gates = np.tile(np.arange(units) % 2 == 0, images).astype(np.uint8)  # every other one shut
    pass_gates(signals, *layout, gates, 0.25, 0.3, 0.0, np.float32(1), STREAM, 0, 0, images)
    for through, mean in ((signals[gates == 0], 1.0), (signals[gates == 1], 0.25)):
        assert through.mean() == pytest.approx(mean, abs=0.01) and through.std() == pytest.approx(0.3 * mean, rel=0.02)

    for signal, size in ((0.0, 0.0), (0.1, 0.15), (0.4, 0.3), (2.0, 0.3)):  # onset 0.4: half of the noise at a quarter
        signals = np.full(images * units, signal, np.float32)
        pass_gates(signals, *layout, 0 * gates, 0.0, 0.3, 0.4, np.float32(1), STREAM, 0, 0, images)
        assert signals.std() == pytest.approx(size, rel=0.02) and signals.mean() == pytest.approx(signal, abs=0.01)

    x, delta, ones = np.zeros((2000, 2), np.float32), np.empty((2000, 2), np.float32), np.ones(4, np.float32)
    answer_all(delta, x, np.zeros(2000, np.int64), ones, 0.0, 0.2, 0.0, 1.0, STREAM, 0)
    np.testing.assert_allclose(delta.mean(axis=0), [1, -1], atol=0.02)
    assert delta[:, 0].std() == pytest.approx(0.2, rel=0.1)
    x += 3 * np.array([[1, -1]], np.float32)
    answer_all(delta, x, np.zeros(2000, np.int64), ones, 0.0, 0.2, 0.0, 1.0, STREAM, 0)
    assert not delta.any()  # a teacher line that is shut is silent
