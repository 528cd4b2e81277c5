"""The threshold and the output error circuit compute eq. 3 and eq. 6, and err by exp(-phase/tau)."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

pytest.importorskip("brian2", reason="the circuits need Brian2")
from brian2 import ms
from brian2.utils.logger import catch_logs

from circuits import ideal
from circuits.errors import ShortPhaseWarning
from circuits.motifs import respond_output_error, respond_threshold
from circuits.parameters import Parameters

BAND = 0.05  # inputs this close to a threshold are left out
MU = 1 / 3


def plane() -> tuple[np.ndarray, np.ndarray]:
    """h in [-3, 3] and u in [-2, 2] outside the bands around the thresholds, flat."""
    h, u = np.meshgrid(np.linspace(-3, 3, 121), np.linspace(-2, 2, 41))
    outside = np.abs(np.abs(h) - 1) >= BAND
    return h[outside], u[outside]


def phases(*lengths: float) -> list[Parameters]:
    return [Parameters().with_phase(length) for length in lengths]


def allowed_error(x: np.ndarray, expected: np.ndarray, cells: str) -> np.ndarray:
    """What a phase of 10 tau leaves: the way from the feedforward activity, itself off by exp(-10), times exp(-10).

    The interneurons of a pair are four times faster than the unit: their lag adds at most 1/(1 - 1/4) of it.
    """
    return (np.abs(x - expected) + np.abs(x) * np.exp(-10)) * np.exp(-10) * (1 if cells == "signed" else 4 / 3) + 1e-12


def settled_or_warned(parameters: Parameters, distance: float):
    """A block that must warn where the phase is too short for activities that move by `distance`, else must not."""
    short = parameters.expected_error(distance) > 0.01
    return pytest.warns(ShortPhaseWarning, match="shorter than the settling time") if short else nullcontext()


def slope(x: list[float], errors: list[float]) -> float:
    return float(np.polyfit(x, np.log(errors), 1)[0])


@pytest.mark.parametrize("cells", ["signed", "pairs"])
def test_threshold_gives_gate_times_u(cells):
    h, u = plane()
    response = respond_threshold(h, u, Parameters().with_phase(10), cells=cells)
    expected = np.where(np.abs(h) < 1, u, 0.0)
    assert np.abs(response.output[0] - expected).max() < 0.01
    allowed = allowed_error(np.clip(h, -1, 1), expected, cells)
    assert (np.abs(response.error[0]) <= allowed).all()
    closed = np.abs(h) > 1
    assert closed.any() and (~closed).any() and np.abs(response.output[0][~closed]).max() > 1.9
    np.testing.assert_allclose(response.activity[0], np.clip(h, -1, 1), rtol=0, atol=2e-4)
    np.testing.assert_array_equal(response.fired_up[0], h > 1)
    np.testing.assert_array_equal(response.fired_low[0], h < -1)


@pytest.mark.parametrize("cells", ["signed", "pairs"])
def test_output_error_is_equation_6(cells):
    x = np.linspace(-3, 3, 241)
    x = np.concatenate([x, x])
    teacher = np.repeat([1, -1], 241)
    outside = np.abs(np.abs(x) - 1) >= BAND
    x, teacher = x[outside], teacher[outside]
    response = respond_output_error(x, teacher, MU, Parameters().with_phase(10), cells=cells)
    expected = np.where(teacher == 1, np.where(x <= 1, 1.0, 0.0), np.where(x >= -1, -MU, 0.0))
    assert np.abs(response.output[0] - expected).max() < 0.01
    allowed = allowed_error(x, expected, cells)
    assert (np.abs(response.error[0]) <= allowed).all()
    assert {round(value, 6) for value in expected} == {1.0, 0.0, round(-MU, 6)}
    np.testing.assert_allclose(response.activity[0], x, rtol=0, atol=2e-4)  # not saturated
    np.testing.assert_array_equal(response.fired_up[0], x > 1)
    np.testing.assert_array_equal(response.fired_low[0], x < -1)


@pytest.mark.parametrize("cells", ["signed", "pairs"])
def test_without_a_teacher_an_output_unit_falls_silent(cells):
    response = respond_output_error([0.3, -0.4, 1.7], [0, 0, 0], MU, cells=cells)
    np.testing.assert_array_equal(response.ideal[0], 0)
    np.testing.assert_allclose(response.output[0], 0, atol=2e-4)


@pytest.mark.parametrize("cells", ["signed", "pairs"])
@pytest.mark.parametrize("motif", ["threshold", "output-error"])
def test_error_falls_with_the_phase_by_exp(motif, cells):
    h = np.array([-2.0, -0.7, 0.0, 0.4, 0.9, 1.3, 2.5])
    lengths = [4, 8, 12]
    errors = []
    for parameters in phases(*lengths):
        if motif == "threshold":
            with settled_or_warned(parameters, 1.7 + 1):
                response = respond_threshold(h, np.full(7, 1.7), parameters, cells=cells)
        else:
            with settled_or_warned(parameters, 2.0 + 1):
                response = respond_output_error(h, np.ones(7), MU, parameters, cells=cells)
        errors.append(np.abs(response.error).max())
    assert slope(lengths, errors) == pytest.approx(-1, abs=0.1)
    assert errors[-1] > 1e-6  # still far above rounding


def test_signed_pairs_use_no_negative_rate_and_cancel_the_common_part():
    h = np.array([-2.0, -0.5, 0.0, 0.5, 2.0])
    response = respond_threshold(h, np.linspace(-1.5, 1.5, 5), cells="pairs", record=range(5))
    rates = response.traces.values
    for name in ("r_on", "r_off", "inhibitory_on", "inhibitory_off", "fired_up", "fired_low"):
        assert rates[name].min() >= 0
        assert rates[name].max() > 0.4
    for phase in (1, 2):  # the interneurons have caught up with their cells, where ON and OFF differ
        end = phase * Parameters().steps - 1
        for sign in ("on", "off"):
            np.testing.assert_allclose(rates[f"inhibitory_{sign}"][end], rates[f"r_{sign}"][end], rtol=0, atol=1e-3)
        assert np.abs(rates["r_on"][end] - rates["r_off"][end]).max() > 0.7


def test_a_presentation_leaves_nothing_to_the_next():
    # closed, then open, then closed on the other side, then open: a latch that survived would shut the gate
    h = np.array([[2.5], [0.3], [-2.5], [-0.3]])
    for cells in ("signed", "pairs"):
        response = respond_threshold(h, np.full((4, 1), 1.5), cells=cells)
        alone = respond_threshold(h[:, 0], np.full(4, 1.5), cells=cells)
        np.testing.assert_allclose(response.output[:, 0], [0, 1.5, 0, 1.5], atol=2e-4)
        # what is left of the presentation before has decayed for a whole reset phase and two more
        np.testing.assert_allclose(response.output[:, 0], alone.output[0], atol=3 * np.exp(-20))


@pytest.mark.parametrize("cells", ["signed", "pairs"])
@pytest.mark.parametrize("motif", ["threshold", "output-error"])
def test_comparators_are_driven_in_the_feedforward_phase_alone(motif, cells):
    h, ones = np.array([1.4, -1.6, 0.5]), np.ones(3)
    how = {"cells": cells, "record": range(3)}
    response = respond_threshold(h, ones, **how) if motif == "threshold" else respond_output_error(h, ones, MU, **how)
    steps = Parameters().steps
    ends = slice(steps - 1, None, steps)  # of the three phases
    up, low = (response.traces.values[name][ends].T for name in ("potential_up", "potential_low"))
    # the input, where it fires with its own excitation of 3, and that alone; after the reset nothing. Pairs have no
    # drive below 0
    least = -np.inf if cells == "signed" else 0
    fires = np.array([[3, 3, 0], [0, 0, 0], [0, 0, 0]])
    drives = np.array([[1.4, 0, 0], [-1.6, 0, 0], [0.5, 0, 0]])
    np.testing.assert_allclose(up, np.maximum(drives, least) + fires, rtol=0, atol=1e-5)
    np.testing.assert_allclose(low, np.maximum(-drives, least) + fires[[1, 0, 2]], rtol=0, atol=1e-5)


def test_comparators_hold_after_the_drive_and_are_reset():
    response = respond_threshold(np.array([1.4]), np.array([1.0]), record=[0])
    fired = response.traces.values["fired_up"][:, 0]
    ff, reset = (response.traces.values[name][:, 0] for name in ("ff", "reset"))
    steps = Parameters().steps
    assert ff[:steps].all() and not ff[steps:].any()
    assert fired[steps : 2 * steps].all()  # no drive in this phase: only its own excitation
    assert fired[-1] == 0 and reset[-1] == 1


def test_without_self_excitation_to_hold_or_with_a_leaky_shunt_the_circuit_says_so():
    for cells in ("signed", "pairs"):
        leaky = respond_threshold([2.0, -2.0], [1.0, 1.0], Parameters(shunt=0.7), cells=cells)
        np.testing.assert_allclose(leaky.output[0], [0.3, 0.3], atol=1e-3)
        leaky = respond_output_error([2.0, -2.0], [1, -1], MU, Parameters(shunt=0.7), cells=cells)
        np.testing.assert_allclose(leaky.output[0], [0.3, -0.3 * MU], atol=1e-3)
    with pytest.raises(ValueError, match="cannot hold"):
        Parameters(self_excitation=0.9)


def test_asymmetric_thresholds():
    h = np.array([-0.7, -0.4, 0.9, 1.4, 1.6])
    for cells in ("signed", "pairs"):
        response = respond_threshold(h, np.ones(5), Parameters(lower=-0.5, upper=1.5), cells=cells)
        np.testing.assert_allclose(response.activity[0], [-0.5, -0.4, 0.9, 1.4, 1.5], atol=1e-3)
        np.testing.assert_allclose(response.output[0], [0, 1, 1, 1, 0], atol=1e-3)
    np.testing.assert_array_equal(response.ideal[0], ideal.gate(h, -0.5, 1.5))


def test_results_do_not_depend_on_the_time_step():
    h, u = np.array([0.3, 0.8, -1.7]), np.array([1.0, -2.0, 1.0])
    with catch_logs() as messages:  # phases are no exact multiples of 0.1 ms in floating point
        fine, coarse = (respond_threshold(h, u, Parameters(dt=dt * ms)).output for dt in (0.1, 5))
    np.testing.assert_allclose(fine, coarse, rtol=0, atol=1e-12)
    assert messages == []
