"""Circuits of spiking populations: mean rates, errors that fall with the number of neurons, latches, seeds."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("brian2", reason="the circuits need Brian2")
from brian2 import Network, NeuronGroup, SpikeMonitor, ms, second

from circuits import accuracy
from circuits.errors import ParameterError, RangeWarning, UnitError
from circuits.lif import fit_decoders, mean_rate
from circuits.motifs import respond_output_error, respond_threshold
from circuits.parameters import Parameters, scaled
from circuits.simulation import code_target, unit_group
from circuits.spiking import Spiking, SpikingParameters, spiking_equations

SMALL = SpikingParameters(neurons=50)
FAST = Parameters(dt=1 * ms)


def test_mean_rate_is_the_simulated_one():
    current, copies, seconds, dt = np.array([0.9, 1.1, 1.5, 3.0, 6.0]), 200, 2.0, 0.5 * ms
    group_current = np.repeat(current, copies)
    with code_target("numpy", seed=1):
        group = NeuronGroup(
            len(group_current), "dv/dt = (drive - v)/(10*ms) : 1 (unless refractory)\ndrive : 1",
            threshold="v > 1", reset="v = 0.5*(2*rand() - 1)", refractory=2 * ms, method="exact", dt=dt,
        )  # fmt: skip
        group.drive = group_current
        spikes = SpikeMonitor(group, record=False)
        Network(group, spikes).run(seconds * second, namespace={})
    counts = np.asarray(spikes.count).reshape(len(current), copies)
    expected = mean_rate(current, float(np.exp(-dt / (10 * ms))), float(dt), 4, 0.5)
    # first and last interval are cut: one spike a neuron; the rest is renewal noise, below that of Poisson spikes
    tolerance = 1 / seconds + 4 * np.sqrt(expected / seconds / copies)
    assert expected[0] == 0 and counts[0].sum() == 0
    assert (np.abs(counts.mean(axis=1) / seconds - expected) <= tolerance).all()
    assert (np.diff(expected[1:]) > 5).all()


def test_decoders_read_the_signal_and_average_noise_over_all_neurons():
    random, z = np.random.default_rng(0), np.linspace(0, 3, 64)
    noise = []
    for neurons in (400, 1600):
        rates = np.maximum(z[:, None] - random.uniform(0, 3, neurons), 0) * random.uniform(50, 100, neurons)
        decoders = fit_decoders(rates, z)
        assert np.abs(rates @ decoders - z).max() < 0.05
        noise.append((rates @ decoders**2).mean())  # of Poisson spikes, up to a factor
    assert noise[0] / noise[1] == pytest.approx(4, rel=0.5)


@pytest.mark.parametrize("motif", ["threshold", "output-error"])
def test_error_falls_with_the_square_root_of_the_number_of_neurons(motif):
    neurons = [50, 400, 3200]
    errors = accuracy.errors_over_neurons(motif, neurons)
    assert accuracy.slope(neurons, errors, logarithmic=True) == pytest.approx(-0.5, abs=0.15)
    assert errors[0] < 0.1


def test_populations_latch_shunt_and_are_reset():
    h, u = np.array([[0.5, 1.5, -1.5], [1.5, -0.5, 0.5]]), np.array([[1.5, 1.5, -1.0], [-1.0, -1.0, 2.0]])
    response = respond_threshold(h, u, FAST, cells="spiking", spiking=SMALL)
    shut = np.abs(h) > 1
    assert np.abs(response.output[shut]).max() < 1e-3  # the second row follows an opposite first one
    assert (np.abs(response.error[~shut]) < 0.35).all()  # 5 standard deviations of populations of 50
    assert np.abs(response.output[~shut]).min() > 0.5
    np.testing.assert_array_equal(response.fired_up > 0.5, h > 1)
    np.testing.assert_array_equal(response.fired_low > 0.5, h < -1)


def test_output_error_of_populations():
    x, teacher = np.array([0.2, 1.5, -0.2, -1.5, 2.0]), np.array([1, 1, -1, -1, -1])
    response = respond_output_error(x, teacher, 0.5, FAST, cells="spiking", spiking=SMALL)
    np.testing.assert_allclose(response.output[0], [1, 0, -0.5, 0, -0.5], atol=0.35)
    assert np.abs(response.output[0, [1, 3]]).max() < 1e-3


def test_the_seed_decides_and_brian_state_is_left_alone():
    def run(seed):
        return respond_threshold(np.array([0.4]), np.array([1.0]), FAST, cells="spiking", spiking=SMALL, seed=seed)

    np.random.seed(5)  # noqa: NPY002 -- Brian2's own state, which a run must not change
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = run(1).output, run(1).output, run(2).output
    np.testing.assert_array_equal(first, again)
    assert first != other
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_copies_of_a_unit_have_its_neurons():
    populations = Spiking(SMALL, FAST, seed=0, identity=np.array([7, 3, 7]))
    names = {**populations.constants(), "release_step": 200, "period": 300}
    with code_target("numpy"):
        units = unit_group(spiking_equations("threshold"), 3, FAST, names)
        groups = [part for part in populations.attach(units) if isinstance(part, NeuronGroup)]
    assert len(groups) == 4
    for group, names in zip(groups, 2 * [("gain", "intercept", "decoder")] + 2 * [("level",)], strict=True):
        for name in names:
            first, other, copy = np.asarray(getattr(group, name)).reshape(3, SMALL.neurons)
            np.testing.assert_array_equal(first, copy)
            assert (first != other).all()


def test_all_times_in_proportion_give_the_same_circuit():
    how = {"cells": "spiking", "spiking": SMALL}
    response = respond_threshold([0.5, 0.9, 1.1], [1.0, 1.0, 1.0], FAST, **how)
    how["spiking"] = scaled(SMALL, 4)  # a power of 2: the same bits
    slow = respond_threshold([0.5, 0.9, 1.1], [1.0, 1.0, 1.0], scaled(FAST, 4), **how)
    assert how["spiking"].tau_membrane == 40 * ms and how["spiking"].neurons == SMALL.neurons
    np.testing.assert_array_equal(response.output, slow.output)
    assert response.output[0, 1] > 0.5 and abs(response.output[0, 2]) < 1e-3


def test_more_than_populations_carry_warns():
    with pytest.warns(RangeWarning, match="an activity of 6 is above largest = 3, .* expect errors up to 3"):
        response = respond_threshold([0.5], [6.0], FAST, cells="spiking", spiking=SMALL)
    assert 3 < response.output[0, 0] < 5.5


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"neurons": 0}, ParameterError, "whole number, from 1 to"),
        ({"neurons": 2.5}, ParameterError, "whole number, from 1 to"),
        ({"neurons": float("nan")}, ParameterError, "neurons = nan must be a whole number"),
        ({"neurons": "many"}, ParameterError, "neurons = 'many' must be a whole number"),
        ({"tau_membrane": 10}, UnitError, "tau_membrane = 10 has no unit"),
        ({"noise": -1}, ParameterError, "noise = -1 must be at least 0"),
        ({"gain_low": 3.0}, ParameterError, "gain_high = 2.5 must be at least 3"),
        ({"reset_jitter": 1.0}, ParameterError, r"reset_jitter = 1 must be in \[0, 0.99\]"),
    ],
)
def test_bad_populations(values, error, message):
    with pytest.raises(error, match=message):
        SpikingParameters(**values)
