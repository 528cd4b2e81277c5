"""Correlation, angle and saturation, against numpy's own and against facts."""

import math

import numpy as np
import pytest

from netsim import analysis
from netsim.errors import ArrayError


@pytest.fixture
def pair():
    random = np.random.default_rng(3)
    W = random.normal(0.1, 1, (3, 3, 4, 5)).astype(np.float32)
    return W, (0.6 * W + random.normal(0, 1, W.shape)).astype(np.float32)


def test_correlation_is_pearsons(pair):
    W, R = pair
    expected = np.corrcoef(W.ravel().astype(float), R.ravel().astype(float))[0, 1]
    assert 0.3 < expected < 0.7  # not one of the cases that any formula gets right
    # Sums of n = 180 products in float64: n * eps, and as much for each norm.
    assert analysis.correlation(W, R) == pytest.approx(expected, abs=3 * W.size * 2.3e-16)


def test_angle_is_between_the_vectors(pair):
    W, R = (array.ravel().astype(float) for array in pair)
    expected = math.degrees(math.acos(W @ R / np.linalg.norm(W) / np.linalg.norm(R)))
    assert 30 < expected < 80
    assert analysis.angle_degrees(*pair) == pytest.approx(expected, rel=1e-12)


def test_only_connected_entries_count(pair):
    W, R = pair
    mask = np.random.default_rng(4).random(W.shape) < 0.5
    expected = np.corrcoef(W[mask].astype(float), R[mask].astype(float))[0, 1]
    assert analysis.correlation(W, R, mask) == pytest.approx(expected, abs=1e-13)
    assert analysis.correlation(W, R, mask) != analysis.correlation(W, R)
    noise = np.where(mask, R, 100).astype(np.float32)
    assert analysis.correlation(W, noise, mask) == analysis.correlation(W, R, mask)
    assert analysis.angle_degrees(W, noise, mask) == analysis.angle_degrees(W, R, mask)


def test_shift_and_scale_do_not_change_the_correlation(pair):
    W, R = (array.astype(float) for array in pair)
    base = analysis.correlation(W, R)
    assert analysis.correlation(3 * W + 7, R) == pytest.approx(base, abs=1e-12)
    assert analysis.correlation(-W, R) == pytest.approx(-base, abs=1e-12)
    assert analysis.angle_degrees(3 * W + 7, R) != pytest.approx(analysis.angle_degrees(W, R), abs=1)


@pytest.mark.parametrize("scale", [1e-37, 1e-20, 1.0, 1e20, 1e37])
def test_no_size_of_weight_overflows(pair, scale):
    W, R = pair
    small = (W * np.float32(scale)).astype(np.float32)
    assert analysis.correlation(small, R) == pytest.approx(analysis.correlation(W, R), abs=1e-6)
    huge = W.astype(float) * 1e300
    assert analysis.correlation(huge, R) == pytest.approx(analysis.correlation(W, R), abs=1e-12)


def test_equal_and_opposed(pair):
    W, _ = pair
    assert analysis.correlation(W, W) == pytest.approx(1, abs=1e-15)
    assert analysis.correlation(W, -W) == pytest.approx(-1, abs=1e-15)
    assert analysis.angle_degrees(W, W) == pytest.approx(0, abs=1e-5)  # acos is steep at 1
    assert analysis.angle_degrees(W, -W) == pytest.approx(180, abs=1e-5)


def test_what_is_not_defined_is_nan():
    ones, ramp, zeros = np.ones(5), np.arange(5.0), np.zeros(5)
    assert math.isnan(analysis.correlation(ones, ramp))
    assert math.isnan(analysis.correlation(ramp, ones * 0.1))
    assert math.isnan(analysis.angle_degrees(zeros, ramp))
    assert math.isnan(analysis.correlation(ramp[:1], ramp[:1]))
    assert math.isnan(analysis.correlation(ramp, ramp, np.zeros(5, bool)))
    assert math.isnan(analysis.angle_degrees(ramp, np.array([0, 1, 2, 3, np.inf])))
    assert analysis.angle_degrees(ones, ones) == pytest.approx(0, abs=1e-5)


def test_shapes_and_masks_are_checked():
    with pytest.raises(ArrayError, match=r"one shape, got \(3,\) and \(4,\)"):
        analysis.correlation(np.zeros(3), np.zeros(4))
    with pytest.raises(ArrayError, match="the mask must be bool"):
        analysis.angle_degrees(np.zeros(3), np.zeros(3), np.ones(3))


def test_saturated_share():
    x = np.array([[-1, -0.999, 0, 1], [1, 0.5, 0.999, -1]], np.float32)
    assert analysis.saturated_share(x) == 0.5
    assert analysis.saturated_share(np.zeros(3)) == 0
    assert math.isnan(analysis.saturated_share(np.zeros(0)))
