"""Layered circuits learn what netsim's phase-locked engine learns, within the bound that the phases imply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("brian2", reason="the circuits need Brian2")
from brian2 import Hz, NeuronGroup, ms

from circuits import ideal
from circuits.bounds import layered_bound
from circuits.errors import ParameterError, ShortPhaseWarning, UnitError
from circuits.event_times import EventTimes
from circuits.layered import run_layered
from circuits.parameters import Parameters
from circuits.spiking import SpikingParameters
from circuits.stimuli import glorot, pooled_digits
from netsim import Network, Trainer

SIZES = (8, 6, 4)
MU = 1 / 3
RATES = {"frfb": 0.0, "urfb": 1.0}
FLOAT32 = 2.0**-24  # unit roundoff of the engine


def coarse(length: float) -> Parameters:
    """Phases of so many tau in steps of one tau: the equations are exact between steps."""
    return replace(Parameters(), dt=10 * ms).with_phase(length)


def start(presentations: int, sizes=SIZES) -> tuple:
    """W, R that float32 can hold, and digits: the same for circuits and engine."""
    W, R = ([w.astype(np.float32).astype(float) for w in weights] for weights in glorot(sizes, scale=1.5))
    return W, R, *pooled_digits(presentations)


def engine(W, R, images, labels, *, protocol: str, step_size: float, batch: int) -> list[np.ndarray]:
    """W of all layers, then R, after netsim's phase-locked engine has learned."""
    hidden = "; ".join(f"full {w.shape[1]}" for w in W[:-1])
    net = Network(f"{hidden}; output", (1, 1, W[0].shape[0]), W[-1].shape[1])
    for layer, w, r in zip(net.weighted, W, R, strict=True):
        layer.W, layer.R = w.astype(np.float32), r.astype(np.float32)
    trainer = Trainer(net, protocol=protocol, step_size=step_size, mu=MU, threads=1)
    shown = images.astype(np.float32).reshape(len(images), 1, 1, -1)
    for first in range(0, len(images), batch):
        trainer.step(shown[first : first + batch], labels[first : first + batch])
    return [layer.W for layer in net.weighted] + [layer.R for layer in net.weighted]


@pytest.mark.parametrize("cells", ["signed", "pairs"])
def test_weights_equal_the_engines_within_the_bound_of_the_phases(cells):
    W, R, images, labels = start(100)
    parameters, how = coarse(12), {"step_size": 0.1, "batch": 5}
    result = run_layered(W, R, images, labels, parameters, cells=cells, feedback_rate=list(RATES.values()), **how)
    for copy, (protocol, rate) in enumerate(RATES.items()):
        bound = layered_bound(
            W, R, images, labels, parameters, cells=cells, feedback_rate=rate, mu=MU, roundoff=FLOAT32, **how
        )
        assert bound.undecided == 0
        expected = engine(W, R, images, labels, protocol=protocol, **how)
        circuits = [weights[copy] for weights in (*result.W, *result.R)]
        for mine, theirs, limit in zip(circuits, expected, (*bound.W, *bound.R), strict=True):
            assert (np.abs(mine - theirs) <= limit).all()
            assert limit.max() < 1e-4  # the bound says something
        moved = [np.abs(theirs - before).max() for theirs, before in zip(expected, (*W, *R), strict=True)]
        assert min(moved[:2]) > 0.3  # W learned much more than the bound,
        assert (max(moved[2:]) == 0) if protocol == "frfb" else (min(moved[2:]) > 0.3)  # R under URFB alone
    # the case is not vacuous: gates both open and shut, all three values of the output error
    x, delta = result.activity[0][1], result.feedback[1][1]
    assert 0.05 < (np.abs(x) > 0.9999).mean() < 0.95
    for value in (1, -MU, 0):
        assert (np.abs(delta - value) < 1e-3).mean() > 0.05


def test_the_bound_falls_with_the_phase_and_holds_against_exact_arithmetic():
    W, R, images, labels = start(20)
    how = {"step_size": 0.1, "feedback_rate": 1.0, "batch": 1, "mu": MU}
    expected = ideal.train(W, R, images, labels, **how)
    bounds, errors = [], []
    for length in (10, 14, 18):
        parameters = coarse(length)
        bound = layered_bound(W, R, images, labels, parameters, cells="signed", **how)
        result = run_layered(W, R, images, labels, parameters, **how)
        pairs = list(zip((*result.W, *result.R), (*expected[0], *expected[1]), (*bound.W, *bound.R), strict=True))
        for mine, theirs, limit in pairs:
            assert (np.abs(mine - theirs) <= limit).all()
        errors.append(max(np.abs(mine - theirs).max() for mine, theirs, _ in pairs))
        bounds.append(max(limit.max() for *_, limit in pairs))
    for values in (bounds, errors):
        assert np.polyfit([10, 14, 18], np.log(values), 1)[0] == pytest.approx(-1, abs=0.1)
    assert bounds[1] < 10 * errors[1]


def test_too_short_phases_have_no_bound():
    W, R, images, labels = start(50)
    how = {"cells": "signed", "step_size": 0.1, "feedback_rate": 1.0, "mu": MU}
    bound = layered_bound(W, R, images, labels, coarse(4), **how)
    assert bound.undecided > 0 and np.isinf(bound.W[0]).all()


def test_three_layers_of_weights_under_urfb_keep_their_difference():
    W, R, images, labels = start(20, (8, 7, 5, 3))
    labels = labels % 3
    result = run_layered(W, R, images, labels, coarse(12), feedback_rate=1.0, batch=4)
    expected = ideal.train(W, R, images, labels, step_size=0.1, mu=0.5, feedback_rate=1.0, batch=4)
    for mine, theirs, w, r, learned in zip(result.W, expected[0], W, R, result.R, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-4)
        np.testing.assert_allclose(mine - learned, w - r, rtol=0, atol=1e-13)  # W - R never changes
        assert np.abs(theirs - w).max() > 0.01


def test_a_late_plasticity_event_multiplies_what_the_units_carry_then():
    W, R, images, labels = start(1)
    parameters = coarse(20)
    times = EventTimes.nominal(SIZES, parameters)
    # output unit 2 learns a phase late: the hidden units below already carry their feedback
    late = times.plasticity[1] / ms + np.array([0, 0, 1, 0]) * float(parameters.phase / ms)
    moved = replace(times, plasticity=[times.plasticity[0], late * ms])
    nominal = run_layered(W, R, images, labels, parameters, step_size=1.0)
    result = run_layered(W, R, images, labels, parameters, step_size=1.0, times=moved)
    shown = ideal.presentation(W, R, images[0], labels[0], MU)
    change, usual = result.W[1] - W[1], nominal.W[1] - W[1]
    np.testing.assert_allclose(usual, np.outer(shown.x[1], shown.delta[1]), rtol=0, atol=1e-7)
    np.testing.assert_allclose(change[:, 2], shown.delta[0] * shown.delta[1][2], rtol=0, atol=1e-7)
    np.testing.assert_allclose(change[:, [0, 1, 3]], usual[:, [0, 1, 3]], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.R[1] - R[1], change, rtol=0, atol=1e-12)
    assert np.abs(change[:, 2] - usual[:, 2]).max() > 0.1


def test_times_may_differ_from_presentation_to_presentation():
    W, R, images, labels = start(2)
    parameters = coarse(20)
    times = EventTimes.nominal(SIZES, parameters)
    b = np.tile(times.feedback[0] / ms, (2, 1))
    b[1, 3] -= 100  # in the second presentation one hidden unit turns half a phase early
    result = run_layered(W, R, images, labels, parameters, times=replace(times, feedback=[b * ms, times.feedback[1]]))
    nominal = run_layered(W, R, images, labels, parameters)
    np.testing.assert_allclose(result.activity[0], nominal.activity[0], rtol=0, atol=1e-6)
    learned, usual = result.feedback[0], nominal.feedback[0]
    np.testing.assert_allclose(learned, usual, rtol=0, atol=1e-3)
    # the output units' synapses from it saw its feedback half way: their weights differ, the others' do not
    difference = np.abs(result.W[1] - nominal.W[1]).max(axis=1)
    assert difference[3] > 1e-3 and np.delete(difference, 3).max() < 1e-6


@pytest.mark.parametrize("cells", ["signed", "pairs", "spiking"])
def test_w_and_r_of_a_connection_get_the_same_change(cells):
    """Also where activities jump with the spikes of the very step of the event."""
    random = np.random.default_rng(0)
    W = [random.uniform(-0.5, 0.5, (4, 3)), random.uniform(-0.5, 0.5, (3, 2))]
    populations, images, labels = SpikingParameters(neurons=50), random.uniform(-1, 1, (4, 4)), np.array([0, 1, 0, 1])
    found = run_layered(W, W, images, labels, cells=cells, spiking=populations, feedback_rate=1.0, step_size=0.5)
    for before, forward, backward in zip(W, found.W, found.R, strict=True):
        np.testing.assert_array_equal(forward, backward)
        assert np.abs(forward - before).max() > 0.1


def test_what_is_read_of_populations_is_what_the_synapses_multiplied():
    """Spikes of the step of the event change neither: the input stands still, so the rest is the feedback read."""
    W, R, images, labels = start(4)
    R = [8 * r for r in R]  # feedback so strong that open units spike in nearly every step
    how = {"cells": "spiking", "spiking": SpikingParameters(neurons=100), "step_size": 0.5}
    result = run_layered(W, R, images, labels, **how)
    wanted = 0.5 * images.T @ result.feedback[0]
    np.testing.assert_allclose(result.W[0] - W[0], wanted, rtol=0, atol=1e-13)  # float64, a few products
    assert np.abs(wanted).max() > 0.1


def test_the_seed_decides_whatever_ran_before():
    """Brian2 numbers unnamed objects on through a process, and runs them in the order of their names."""
    W, R, images, labels = start(1)

    def learned(seed: int) -> np.ndarray:
        how = {"cells": "spiking", "spiking": SpikingParameters(neurons=20), "seed": seed}
        return np.concatenate([w.ravel() for w in run_layered(W, R, images, labels, coarse_spiking, **how).W])

    coarse_spiking = replace(Parameters(), dt=1 * ms).with_phase(6)
    first, kept = learned(3), []
    for _ in range(3):
        kept += [NeuronGroup(1, "v : 1") for _ in range(3)]  # three names more are taken, so others are sorted first
        np.testing.assert_array_equal(first, learned(3))
    assert (first != learned(4)).any()


def test_populations_learn_nearly_the_same():
    W, R, images, labels = start(2)
    parameters = replace(Parameters(), dt=1 * ms)
    small = SpikingParameters(neurons=50)
    result = run_layered(W, R, images, labels, parameters, cells="spiking", spiking=small, step_size=0.5)
    expected = ideal.train(W, R, images, labels, step_size=0.5, mu=MU, feedback_rate=1.0)
    change = np.concatenate([(mine - w).ravel() for mine, w in zip(result.W, W, strict=True)])
    wanted = np.concatenate([(theirs - w).ravel() for theirs, w in zip(expected[0], W, strict=True)])
    assert np.corrcoef(change, wanted)[0, 1] > 0.95


@pytest.mark.parametrize("cells", ["signed", "pairs"])
def test_traces_are_those_of_the_signed_values(cells):
    W, R, images, labels = start(1)
    result = run_layered(W, R, images, labels, coarse(12), cells=cells, record=True)
    traces = result.traces.values
    np.testing.assert_allclose(traces["layer 0"][1:-1], np.tile(images, (71, 1)), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(traces["layer 2"][3 * 12], result.activity[1][0])
    assert (images < 0).any() and traces["layer 1"].min() < -0.5


def shifted(times: EventTimes, name: str, layer: int, unit: int, by: float) -> EventTimes:
    """The same with one event of one unit of layer 1 or 2 moved by so many ms."""
    rows = list(getattr(times, name))
    rows[layer - 1] = rows[layer - 1] + by * ms * (np.arange(len(rows[layer - 1])) == unit)
    return replace(times, **{name: rows})


@pytest.mark.parametrize(
    ("name", "layer", "unit", "by", "window"),
    [
        ("feedback", 2, 1, -90, "from arrival to feedback"),
        ("arrival", 2, 3, 90, "from arrival to feedback"),
        ("feedback", 1, 5, 90, "from feedback to plasticity"),
        ("plasticity", 2, 0, -90, "from feedback to plasticity"),
    ],
)
def test_short_windows_warn_whatever_the_phase(name, layer, unit, by, window):
    """Phases of 12 tau, but one unit has 3 tau for one of its windows."""
    W, R, images, labels = start(2)
    times = shifted(EventTimes.nominal(SIZES, coarse(12)), name, layer, unit, by)
    with pytest.warns(ShortPhaseWarning) as caught:
        run_layered(W, R, images, labels, coarse(12), times=times)
    (message,) = (found for found in caught if found.category is ShortPhaseWarning)
    assert message.filename == __file__
    text = str(message.message)
    assert text == (
        f"the time {window} of unit {unit} in layer {layer}, 30. ms, is shorter than the settling time 53 ms: "
        f"expect errors up to {2 * np.exp(-3):.2g} (settled means 0.01)"
    )


def test_windows_of_the_events_count_and_not_the_phase():
    """Short phases, but times given that leave every unit 12 tau: no warning, and as good as phases of 12 tau."""
    W, R, images, labels = start(2)
    times = EventTimes.nominal(SIZES, coarse(12))
    result = run_layered(W, R, images, labels, coarse(3), times=times)
    nominal = run_layered(W, R, images, labels, coarse(12))
    for mine, theirs in zip(result.W, nominal.W, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_unit_that_learns_after_the_release_had_until_the_release():
    W, R, images, labels = start(2)
    times = EventTimes.nominal(SIZES, coarse(12))
    times = shifted(shifted(times, "feedback", 1, 2, 90), "plasticity", 1, 2, 60)
    with pytest.warns(ShortPhaseWarning, match=r"feedback to plasticity of unit 2 in layer 1, 30. ms, is shorter"):
        run_layered(W, R, images, labels, coarse(12), times=times)


def test_the_expected_error_of_a_short_window_is_that_which_comes():
    W, R, images, labels = start(4)
    times = EventTimes.nominal(SIZES, coarse(12))
    settled = run_layered(W, R, images, labels, coarse(12), step_size=0.0, times=times)
    short = replace(times, plasticity=[times.plasticity[0], times.feedback[1] + 20 * ms])
    with pytest.warns(ShortPhaseWarning, match=f"expect errors up to {2 * np.exp(-2):.2g}"):
        early = run_layered(W, R, images, labels, coarse(12), step_size=0.0, times=short)
    error = np.abs(early.feedback[1] - settled.feedback[1])
    # each output is off by exp(-2) of its own way
    way = np.abs(settled.activity[1] - settled.feedback[1])
    np.testing.assert_allclose(error, way * np.exp(-2), rtol=0, atol=2 * np.exp(-12))
    assert error.max() > 0.1


def test_too_short_a_window_for_the_comparators_warns():
    W, R, images, labels = start(2)
    slow = replace(coarse(12), tau_comparator=100 * ms)
    times = EventTimes.nominal(SIZES, slow)
    with pytest.warns(ShortPhaseWarning, match=r"phase = 120. ms is too short for the comparators"):
        run_layered(W, R, images, labels, slow)
    with pytest.warns(ShortPhaseWarning) as caught:
        run_layered(W, R, images, labels, slow, times=shifted(times, "feedback", 2, 1, -60))
    acting = 1 / (1 - np.exp(-0.6))
    (message,) = (str(found.message) for found in caught if found.category is ShortPhaseWarning)
    assert message.startswith("the time from arrival to feedback of unit 1 in layer 2, 60. ms, is too short")
    assert f"as if they were {acting:.3g} times as large" in message


def nominal(**changes) -> EventTimes:
    return replace(EventTimes.nominal(SIZES, coarse(10)), **changes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"W": []}, ParameterError, "W has 0 layers and R has 2"),
        ({"R": [np.zeros((8, 6)), np.zeros((4, 6))]}, ParameterError, r"layer 2: W \(6, 4\) and R \(4, 6\)"),
        ({"W": [np.full((8, 6), np.nan), np.zeros((6, 4))]}, ParameterError, "layer 1: W and R must be finite"),
        ({"images": np.zeros((2, 7))}, ParameterError, r"images \(2, 7\) must be finite \(presentations, 8\)"),
        ({"labels": [0, 4]}, ParameterError, "labels must be 2 whole numbers from 0 to 3"),
        ({"batch": 3}, ParameterError, "batch = 3 must be a whole number that divides the 2 presentations"),
        ({"feedback_rate": 1.5}, ParameterError, r"feedback_rate = 1.5 must be in \[0, 1\]"),
        ({"feedback_rate": []}, ParameterError, "or several"),
        ({"step_size": -1}, ParameterError, "step_size = -1 must be at least 0"),
        ({"times": nominal(release=3)}, UnitError, "release = 3 is not a time"),
        ({"times": nominal(period=3 * Hz)}, UnitError, "period = 3. Hz is not a time"),
        ({"times": nominal(release=900 * ms)}, ParameterError, "must lie before the end of the period"),
        ({"times": nominal(arrival=[np.zeros(6) * ms])}, ParameterError, "arrival must be a list of 2 arrays"),
        ({"times": nominal(arrival=[np.zeros(5) * ms, np.zeros(4) * ms])}, ParameterError, "does not fit 6 units"),
        (
            {"times": nominal(feedback=[np.zeros(6) * ms, np.zeros(4) * ms])},
            ParameterError,
            "layer 1: each unit needs arrival < feedback < release and feedback < plasticity",
        ),
        ({"times": nominal(feedback=[np.full(6, 510) * ms, np.full(4, 300) * ms])}, ParameterError, "< release"),
        ({"times": 3}, ParameterError, "times = 3 must be of the class EventTimes"),
        ({"images": [[1, 2], [3]]}, ParameterError, "images must be an array of plain numbers"),
    ],
)
def test_bad_nets_and_times(changes, error, message):
    W, R, images, labels = start(2)
    arguments = {"W": W, "R": R, "images": images, "labels": labels, "parameters": coarse(10)} | changes
    with pytest.raises(error, match=message) as caught:
        run_layered(**arguments)
    assert "\n" not in str(caught.value)


def test_pooled_digits_are_real_and_bounded():
    images, labels = pooled_digits(50, seed=1)
    assert images.shape == (50, 8) and set(labels) == {0, 1, 2, 3}
    assert images.min() >= -1 and images.max() <= 1 and images.std() > 0.2
    with pytest.raises(ParameterError, match="presentations = 721 must be a whole number, from 1 to 720"):
        pooled_digits(721)
    with pytest.raises(ParameterError, match="3 x 2 does not divide"):
        pooled_digits(5, rows=3)
