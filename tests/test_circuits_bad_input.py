"""Circuits: one clear error for each bad input, a warning for short phases, and no import of netsim."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("brian2", reason="the circuits need Brian2")
from brian2 import Hz, ms, mV

import circuits
from circuits import accuracy, comparator
from circuits.bounds import layered_bound
from circuits.calibration import calibrate
from circuits.diagrams import draw_wiring
from circuits.errors import CircuitError, ParameterError, ShortPhaseWarning, UnitError, UnknownCircuitError
from circuits.event_times import EventTimes
from circuits.motifs import respond_output_error, respond_threshold
from circuits.parameters import Parameters
from circuits.spiking import SpikingParameters
from circuits.stimuli import glorot, pooled_digits


def test_cython_without_a_compiler_is_one_line(tmp_path):
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    home["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    without = {"PATH": str(tmp_path), "CC": "false", "CXX": "false"}
    command = [sys.executable, "-m", "netsim", "circuit", "threshold", "--target", "cython"]
    command += ["--out", str(tmp_path / "pictures")]
    done = subprocess.run(command, capture_output=True, text=True, env={**home, **without}, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "needs the package Cython and a C++ compiler" in done.stderr and "take the target numpy" in done.stderr
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"tau": 10}, UnitError, r"tau = 10 has no unit; give a time, such as 10\*ms"),
        ({"tau": 0.01}, UnitError, "tau = 0.01 has no unit"),
        ({"tau": 10 * mV}, UnitError, "tau = 10. mV is not a time"),
        ({"phase": 5 * Hz}, UnitError, "phase = 5. Hz is not a time"),
        ({"tau": -10 * ms}, ParameterError, "tau = -10. ms must be a positive, finite time"),
        ({"tau_comparator": 0 * ms}, ParameterError, "tau_comparator = 0. s must be a positive"),
        ({"dt": float("nan") * ms}, ParameterError, "dt = nan s must be a positive, finite time"),
        ({"tau": [1, 2] * ms}, ParameterError, "tau must be one time; it has 2 values"),
        ({"phase": 10.5 * ms}, ParameterError, "phase = 10.5 ms must be a whole number of steps dt = 1. ms"),
        ({"lower": 1.0, "upper": -1.0}, ParameterError, "thresholds in the wrong order: lower = 1 must be below upper"),
        ({"lower": 0.5}, ParameterError, "thresholds must lie on both sides of 0"),
        ({"self_excitation": 1.0}, ParameterError, "cannot hold a comparator: it must be above 1"),
        ({"shunt": -0.5}, ParameterError, "shunt = -0.5 must be at least 0"),
        ({"shunt": "much"}, ParameterError, "shunt = 'much' must be a number"),
        ({"upper": 1 * mV}, UnitError, "upper = 1. mV has a unit; give a plain number"),
        ({"shunt": "2"}, ParameterError, "shunt = '2' must be a number"),
        ({"shunt": True}, ParameterError, "shunt = True must be a number"),
        ({"self_excitation": float("inf")}, ParameterError, "self_excitation = inf must be finite, at least 0"),
        ({"upper": 10**400}, ParameterError, "upper = inf must be a finite number"),
        ({"lower": float("nan")}, ParameterError, "lower = nan must be a finite number"),
    ],
)
def test_bad_parameters(values, error, message):
    with pytest.raises(error, match=message) as caught:
        Parameters(**values)
    assert isinstance(caught.value, CircuitError) and "\n" not in str(caught.value)
    assert isinstance(caught.value, TypeError if error is UnitError else ValueError)


def bound(labels=(0,), parameters=None, cells="signed", batch=1):
    """A bound for a net of two inputs and two outputs that sees one image."""
    weights = [np.ones((2, 2))]
    how = {"step_size": 0.1, "mu": 1.0, "feedback_rate": 1.0, "batch": batch}
    return layered_bound(weights, weights, np.zeros((1, 2)), labels, parameters or Parameters(), cells=cells, **how)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: respond_threshold([1, 2], [1, 2, 3]), ParameterError, r"h \(2,\), u \(3,\)"),
        (lambda: respond_threshold([np.nan], [1]), ParameterError, "h must be finite; 1 values are not"),
        (lambda: respond_threshold([], []), ParameterError, "none empty"),
        (lambda: respond_threshold(["a"], [1]), ParameterError, "h must be an array of plain numbers"),
        (lambda: respond_threshold(np.zeros((1, 1, 1)), [1]), ParameterError, "must have the shape"),
        (
            lambda: respond_threshold([1], [1], record=[1]),
            ParameterError,
            "record = 1 must be a whole number, from 0 to",
        ),
        (lambda: respond_threshold([1], [1], identity=[0, 1]), ParameterError, r"identity \(2,\) must have one entry"),
        (lambda: respond_threshold([1], [1], seed=-1), ParameterError, "seed = -1 must be a whole number"),
        (lambda: respond_threshold([1], [1], cells="pair"), UnknownCircuitError, "did you mean 'pairs'"),
        (lambda: respond_threshold([1], [1], target="fortran"), UnknownCircuitError, "known: numpy, cython"),
        (lambda: respond_output_error([1], [2]), ParameterError, "teacher must be 1"),
        (lambda: respond_output_error([1], [1], mu=-1), ParameterError, "mu = -1 must be at least 0"),
        (
            lambda: respond_output_error([1], [1], parameters=Parameters(lower=-0.5)),
            ParameterError,
            "lower = -0.5 must be minus upper = 1",
        ),
        (
            lambda: respond_threshold([1], [1], Parameters(tau_interneuron=6 * ms), cells="pairs"),
            ParameterError,
            "tau_interneuron = 6. ms must be below tau_comparator = 5. ms",
        ),
        (
            lambda: respond_threshold([1], [1], Parameters(dt=5 * ms), cells="spiking"),
            ParameterError,
            "dt = 5. ms must not be longer than refractory = 2. ms",
        ),
        (lambda: comparator.respond([[1, 2]], [0, 0, 0]), ParameterError, r"drive \(1, 2\)"),
        (lambda: comparator.respond([[1, 2]], [0, 3]), ParameterError, "reset must be 0 or 1"),
        (lambda: comparator.respond([[1], [2, 3]], [0]), ParameterError, "drive must be an array of plain numbers"),
        (lambda: comparator.respond([[1]], [0], {}), ParameterError, "parameters = {} must be of the class Parameters"),
        (lambda: respond_threshold([1], [1], 5), ParameterError, "parameters = 5 must be of the class Parameters"),
        (
            lambda: respond_threshold([1], [1], cells="spiking", spiking={"neurons": 5}),
            ParameterError,
            "must be of the class SpikingParameters",
        ),
        (lambda: respond_threshold([1], [1], record=0), ParameterError, "record = 0 must be a list of circuits"),
        (lambda: SpikingParameters(neurons=10**12), ParameterError, "must be a whole number, from 1 to 1000000"),
        (lambda: SpikingParameters(neurons=1.5), ParameterError, "neurons = 1.5 must be a whole number"),
        (lambda: EventTimes.nominal((3, 1.5), Parameters()), ParameterError, "units of layer 1 = 1.5 must be a whole"),
        (lambda: EventTimes.nominal((3,), Parameters()), ParameterError, r"sizes = \[3\] must be those of 2 layers"),
        (lambda: glorot((3, 0)), ParameterError, "units of layer 1 = 0 must be a whole number, 1 or more"),
        (lambda: glorot((3, 2), seed=-1), ParameterError, "seed = -1 must be a whole number"),
        (lambda: pooled_digits(3, seed="x"), ParameterError, "seed = 'x' must be a whole number"),
        (
            lambda: accuracy.respond("treshold", Parameters(), [1], [1]),
            UnknownCircuitError,
            "unknown circuit 'treshold' .did you mean 'threshold'",
        ),
        (lambda: accuracy.errors_over_neurons("threshold", [0]), ParameterError, "neurons = 0 must be a whole number"),
        (
            lambda: calibrate(Parameters(lower=-2, upper=2), cells="signed"),
            ParameterError,
            "upper = 2 must be above 0.8 and below 1.5 to be calibrated",
        ),
        (lambda: bound(batch=2), ParameterError, "batch = 2 must be a whole number that divides the 1 presentations"),
        (lambda: bound(labels=[5]), ParameterError, "labels must be 1 whole numbers from 0 to 1"),
        (lambda: bound(cells="spiking"), ParameterError, "not for 'spiking'"),
        (lambda: bound(parameters=Parameters(lower=-0.5)), ParameterError, "not at -0.5 and 1"),
        (lambda: Parameters().with_phase(-2), ParameterError, "phase over tau = -2"),
        (lambda: Parameters().with_phase(1e300), ParameterError, r"must be in \[0.001, 1000\]"),
        (lambda: draw_wiring("treshold", Path("x.png")), UnknownCircuitError, "did you mean 'threshold'"),
    ],
)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, LookupError if error is UnknownCircuitError else ValueError)


def test_inputs_with_a_unit_are_refused():
    with pytest.raises(UnitError, match=r"h has a unit, .*; give plain numbers"):
        respond_threshold([0.5] * mV, [1.0])


def test_comparators_too_slow_for_the_phase_warn_with_the_threshold_that_acts():
    slow = Parameters(tau_comparator=100 * ms)
    acting = 1 / (1 - np.exp(-1.0))
    with pytest.warns(ShortPhaseWarning, match=f"thresholds act as if they were {acting:.3g} times as large"):
        response = respond_threshold([acting - 0.02, acting + 0.02], [1.0, 1.0], slow)
    np.testing.assert_allclose(response.output[0], [1, 0], rtol=0, atol=1e-3)
    with pytest.warns(ShortPhaseWarning, match="too short for the comparators") as caught:
        trace = comparator.respond([[acting - 0.02], [acting + 0.02]], [0], slow)
    assert trace.fired[:, -1].tolist() == [0, 1]
    assert {w.filename for w in caught if w.category is ShortPhaseWarning} == {__file__}


def test_short_phases_warn_with_the_error_that_comes():
    short = Parameters().with_phase(3)
    with pytest.warns(ShortPhaseWarning, match=r"phase = 30. ms is shorter than the settling time 52.5 ms") as caught:
        response = respond_threshold([-0.9], [1.0], short)
    expected = short.expected_error(1.9)
    (message,) = (str(found.message) for found in caught if found.category is ShortPhaseWarning)
    assert f"up to {expected:.2g}" in message
    # the feedforward activity has not settled either: it is off by exp(-3) of itself
    assert abs(response.error[0, 0]) == pytest.approx(expected, rel=0.06)
    settled = replace(short, phase=53 * ms)
    assert np.abs(respond_threshold([-0.9], [1.0], settled).error).max() < 0.01  # and does not warn


def imported_by(files: list[Path]) -> set[str]:
    """Modules that the files import, and names as module.name."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def test_circuits_imports_nothing_of_netsim():
    files = sorted(Path(circuits.__file__).parent.glob("*.py"))
    roots = {name.split(".")[0] for name in imported_by(files)}
    assert len(files) > 10 and "brian2" in roots
    assert "netsim" not in roots


def test_imports_run_one_way():
    """Also those for type checkers: every module can be sorted behind all that it imports."""
    files = sorted(Path(circuits.__file__).parent.glob("*.py"))
    needs = {f"circuits.{file.stem}": imported_by([file]) for file in files}
    needs = {name: {other for other in found if other in needs} for name, found in needs.items()}
    order = list(TopologicalSorter(needs).static_order())  # CycleError where two need each other
    assert order.index("circuits.errors") < order.index("circuits.parameters") < order.index("circuits.spiking")


def test_brian2_comparison_helper_and_star_imports_are_not_used():
    files = [*Path(circuits.__file__).parent.glob("*.py"), *Path(__file__).parent.glob("test_circuits_*.py")]
    names = imported_by(files)
    assert "brian2.NeuronGroup" in names
    assert not [name for name in names if name.startswith("brian2.tests") or name == "brian2.*"]
