"""Calibration of the circuits, its JSON, and the components that netsim makes of it."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("brian2", reason="the circuits need Brian2")
from brian2 import ms

from circuits import calibration
from circuits.calibration import calibrate
from circuits.errors import ParameterError, ShortPhaseWarning
from circuits.motifs import respond_threshold
from circuits.parameters import Parameters
from circuits.spiking import SpikingParameters
from netsim.components import Components
from netsim.errors import DataError, OptionError


@pytest.fixture(scope="module")
def of_rates() -> calibration.Calibration:
    return calibrate(cells="signed", units=2)


def test_rates_are_ideal_to_the_resolution_of_the_sweep(of_rates):
    for found in (of_rates.gate, of_rates.error):
        assert found.width == 0 and found.spread == 0
        assert 0 < found.resolution < 1e-3 and abs(found.bias) <= found.resolution
    assert abs(of_rates.gate_leak) < 1e-4
    # what phases of 10 tau leave differs from input to input, where a gate or a teacher line is open
    x, left = np.array(calibration.OPEN), np.exp(-10)
    assert of_rates.gate_noise == pytest.approx(left * np.std(x), rel=1e-3)
    assert of_rates.error_noise == pytest.approx(left * np.std(x - np.sign(x)), rel=1e-3)
    # within 5% after log(20) time constants, to one step
    assert of_rates.settling_time_over_tau == pytest.approx(np.log(20), abs=0.1)
    h, gate = (np.array(of_rates.gate_curve[name]) for name in ("h", "gate"))
    away = np.abs(np.abs(h) - 1) > 0.02
    np.testing.assert_allclose(gate[away], np.abs(h[away]) < 1, atol=1e-3)
    x, own, other = (np.array(of_rates.error_curve[name]) for name in ("x", "own", "other"))
    np.testing.assert_allclose(own[np.abs(x - 1) > 0.02], x[np.abs(x - 1) > 0.02] < 1, atol=1e-3)
    np.testing.assert_allclose(-other[np.abs(x + 1) > 0.02], x[np.abs(x + 1) > 0.02] > -1, atol=1e-3)


def test_a_shifted_threshold_and_a_leaky_shunt_are_found():
    found = calibrate(Parameters(upper=1.4, lower=-1.4, shunt=0.8), cells="signed", units=2)
    assert found.gate.bias == pytest.approx(0.4, abs=found.gate.resolution)
    assert found.error.bias == pytest.approx(0.4, abs=found.error.resolution)
    assert 0 < found.gate.resolution < 1e-3
    assert found.gate_leak == pytest.approx(1 - 0.8, abs=1e-4)


def test_phases_too_short_to_calibrate_are_refused():
    with (
        pytest.warns(ShortPhaseWarning),
        pytest.raises(ParameterError, match=r"phases of 0.5 tau are too short for the comparators"),
    ):
        calibrate(Parameters().with_phase(0.5), cells="signed", units=2)


def test_thresholds_too_wide_to_calibrate_are_refused():
    loud = SpikingParameters(neurons=5, noise=0.5)
    with pytest.raises(ParameterError, match="or their noise or spread is too large"):
        calibrate(replace(Parameters(), dt=1 * ms), spiking=loud, units=2)


def settling_time(parameters: Parameters, units: int = 2, **how: object) -> float:
    """Of the gate alone, as `calibrate` takes it."""

    def gate(h: np.ndarray, **options: object):
        return respond_threshold(h, np.ones_like(h), parameters, **how, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShortPhaseWarning)
        return calibration._settling_time(gate, parameters, units)


@pytest.mark.parametrize("cells", ["signed", "pairs"])
@pytest.mark.parametrize("dt", [0.1, 1])
def test_rates_settle_after_ln_20_whatever_the_phase(cells, dt):
    for length in (3.2, 4, 6, 10):
        found = settling_time(replace(Parameters(), dt=dt * ms).with_phase(length), cells=cells)
        # the first step at which exp(-t/tau) <= 1/20; rounding decides nothing, as no step falls on ln 20
        assert 0 <= found - np.log(20) < dt / 10


@pytest.mark.parametrize("neurons", [20, 50])
def test_noise_does_not_lengthen_the_settling_time(neurons):
    """The activity moves 5% a tau when it comes within 5%, so noise of a tenth of these 5%, in the mean and in the end
    value, moves the time by at most sqrt(2)/10 tau: three times that, and a step. A late excursion would give up to 10.
    """
    fast = replace(Parameters(), dt=1 * ms)
    found = [
        settling_time(fast, cells="spiking", spiking=SpikingParameters(neurons=neurons), seed=seed) for seed in range(3)
    ]
    assert np.abs(np.array(found) - np.log(20)).max() < 3 * np.sqrt(2) / 10 + 0.1


@pytest.mark.parametrize("length", [0.1, 1, 2, 2.9])
def test_phases_that_end_before_the_activity_settles_have_no_settling_time(length):
    with pytest.raises(ParameterError, match=f"phases of {length:g} tau end before the activity has settled") as caught:
        settling_time(Parameters().with_phase(length), cells="signed")
    assert "\n" not in str(caught.value)


def test_an_end_value_that_still_moves_is_no_end_value():
    """Activities that relax with 2 tau need 2 * log(20) = 6 tau, and phases in which their end value stands still."""

    def settles(length: float) -> float:
        parameters = Parameters().with_phase(length)
        time = np.arange(3 * parameters.steps) - parameters.steps
        course = 1 - np.exp(-np.maximum(time, 0) * float(parameters.dt / parameters.tau) / 2)

        def slow(h: np.ndarray, record: range) -> SimpleNamespace:
            return SimpleNamespace(traces=SimpleNamespace(values={"r": np.tile(course[:, None], len(record))}))

        return calibration._settling_time(slow, parameters, 2)

    assert 0 <= settles(30) - 2 * np.log(20) < 0.1
    for length in (4, 7):
        with pytest.raises(ParameterError, match=f"phases of {length} tau end before the activity has settled"):
            settles(length)


def test_spiking_thresholds_have_a_width_and_a_bias(tmp_path):
    populations = SpikingParameters(neurons=20, noise=0.01, spread=0.02)
    found = calibrate(replace(Parameters(), dt=1 * ms), spiking=populations, units=2)
    assert 0 < found.gate.width < 0.05 and -0.1 < found.gate.bias < 0
    assert 0.02 < found.gate_noise < 0.3 and abs(found.gate_leak) < 0.01
    assert 0.5 < found.error_noise / found.gate_noise < 2  # populations that carry 1 in both circuits
    assert 0.02 < found.noise_onset < 0.8  # smaller signals are less noisy
    path = found.save(tmp_path / "calibration.json")
    components = Components.from_json(path)
    assert components.gate_bias == found.gate.bias and components.error_noise == found.error_noise
    assert components.gate_spread == found.gate.spread and not components.ideal


def test_the_onset_of_noise_is_0_where_noise_does_not_fall():
    sizes = np.array(calibration.SIZES)
    assert calibration._onset(np.zeros(len(sizes)), 0.0) == 0
    assert calibration._onset(np.full(len(sizes), 0.3), 0.3) == 0
    for onset in (0.06, 0.26, 1.0):
        assert calibration._onset(0.3 * np.sqrt(np.minimum(1, sizes / onset)), 0.3) == onset


def test_rates_without_noise_have_no_onset(of_rates):
    assert of_rates.noise_onset == 0


def test_the_document_is_plain_json(of_rates, tmp_path):
    path = of_rates.save(tmp_path / "calibration.json")
    document = json.loads(path.read_text())
    assert document == of_rates.as_document()
    assert document["format"] == calibration.FORMAT and document["circuit"]["cells"] == "signed"
    assert Components.from_json(document) == Components.from_json(str(path))


@pytest.mark.parametrize(("values", "message"), [({"units": 1}, "units = 1"), ({"trials": 1.5}, "trials = 1.5")])
def test_bad_calibrations(values, message):
    with pytest.raises(ParameterError, match=message):
        calibrate(cells="signed", **values)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"gate_leak": 1.5}, OptionError, "gate_leak is 1.5: it must be from 0 to 1"),
        ({"gate_width": -0.1}, OptionError, "gate_width is -0.1: it must be 0 or more"),
        ({"error_bias": -1}, OptionError, "error_bias is -1: it must be above -1"),
        ({"error_noise": float("nan")}, OptionError, "error_noise is nan"),
        ({"gate_noise": "loud"}, OptionError, "gate_noise is 'loud': it must be a number"),
        ({"gate_width": True}, OptionError, "must be a number"),
        ({"gate_with": 0.1}, OptionError, "no component is named 'gate_with' .did you mean 'gate_width'"),
        ({"gate": {"leak": 0.1}}, OptionError, "'gate' is a section of a calibration, .* named gate_width, gate_bias"),
        ({"format": "something else"}, OptionError, "expected format"),
        ({"format": calibration.FORMAT, "version": 2}, OptionError, "no gate.width"),
        ({"format": calibration.FORMAT, "version": 2, "gate": 3}, OptionError, "no gate.width"),
        (
            {"format": calibration.FORMAT, "version": 1, "gate": {}},
            OptionError,
            "version 1, which has no noise_onset; .*: calibrate again: netsim circuit calibrate",
        ),
        ({"format": calibration.FORMAT, "version": "x"}, OptionError, "version 'x'; .*: calibrate again"),
        ({"threshold_spread": 0.1}, OptionError, "'threshold_spread' is of an older version .*: calibrate again"),
    ],
)
def test_bad_components(values, error, message):
    with pytest.raises(error, match=message) as caught:
        Components.from_json(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b'{"gate_leak": 2}', "c.json: gate_leak is 2: it must be from 0 to 1"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "must hold a JSON object"),
    ],
)
def test_bad_component_files(tmp_path, content, message):
    path = tmp_path / "c.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OptionError if "gate_leak" in message else DataError, match=message):
        Components.from_json(path)


def test_json_in_place_of_a_file_and_no_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected the name of a file that holds this"):
        Components.from_json('{"gate": {"leak": 0.1}}')
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(DataError, match="is no file; expected what netsim circuit calibrate writes"):
            Components.from_json(tmp_path / name)
