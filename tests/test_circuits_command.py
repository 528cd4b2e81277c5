"""`netsim circuit`: tables, pictures, warnings, and one line for each refusal."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

pytest.importorskip("brian2", reason="the circuits need Brian2")
import numpy as np
from brian2 import Quantity

from circuits import comparator
from circuits.diagrams import DIAGRAMS, draw_wiring
from circuits.parameters import Parameters
from netsim.cli import circuit, run

PNG = b"\x89PNG\r\n\x1a\n"


def pictures(folder) -> set[str]:
    """Names of the pictures, each of which must be a PNG of more than a few lines."""
    found = set()
    for path in folder.glob("*.png"):
        content = path.read_bytes()
        assert content.startswith(PNG) and len(content) > 10_000
        found.add(path.name)
    return found


@pytest.mark.parametrize(
    ("arguments", "words", "drawn"),
    [
        (["comparator"], ["fires", "silent"], {"comparator.png", "comparator-wiring.png"}),
        (["threshold"], ["gate · u", "1.20000", "worst error 0.00013"], {"threshold.png", "threshold-wiring.png"}),
        (
            ["threshold", "--pairs"],
            ["signed pairs", "worst error 0.00013"],
            {"threshold-pairs.png", "threshold-pairs-wiring.png", "weight-pairs-wiring.png"},
        ),
        (["output-error"], ["eq. 6", "-0.33333"], {"output-error.png", "output-error-wiring.png"}),
        (
            ["output-error", "--spiking", "--neurons", "30"],
            ["populations of 30 neurons", "42 inputs, 0.1 and more", "root mean square"],
            {"output-error-spiking.png", "output-error-spiking-wiring.png", "weight-pairs-wiring.png"},
        ),
        (
            ["layered", "--presentations", "5", "--tau", "20ms"],
            ["frfb", "urfb", "bound", "5 digits in batches of 5"],
            {"layered.png", "layered-engine.png", "layered-wiring.png"},
        ),
    ],
)
def test_circuits_run_and_draw(arguments, words, drawn, tmp_path, capsys):
    assert run(["circuit", *arguments, "--out", str(tmp_path / "new")]) == 0
    output = capsys.readouterr()
    for word in words:
        assert word in output.out
    assert output.err == ""
    assert pictures(tmp_path / "new") == drawn
    assert all(str(tmp_path / "new" / name) in output.out for name in drawn)


def test_calibrate_replaces_a_file_and_nothing_else(tmp_path, capsys):
    (tmp_path / "calibration.json").write_text("old")
    assert run(["circuit", "calibrate", "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "calibration.json").read_text())
    assert document["version"] == 2 and "settling time" in capsys.readouterr().out
    (tmp_path / "calibration.json").unlink()
    (tmp_path / "calibration.json").mkdir()
    assert run(["circuit", "calibrate", "--out", str(tmp_path)]) == 2
    assert "calibration.json cannot be written: a folder stands there" in capsys.readouterr().err


def test_short_phases_warn_on_stderr(tmp_path, capsys):
    assert run(["circuit", "threshold", "--phase", "3", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(line.startswith("netsim: warning: phase = 30. ms is shorter than") for line in lines)
    assert "expect errors up to 0.15" in lines[-1]  # (2 + 0.95) * exp(-3)


def test_short_phases_of_layered_warn_in_one_line_each_time(tmp_path, capsys):
    for _ in range(2):  # a second command in the same process warns too
        assert run(["circuit", "layered", "--phase", "3", "--presentations", "1", "--out", str(tmp_path)]) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("netsim: warning: phase = 30. ms is shorter than the settling time 53 ms: expect errors")
        assert "up to 0.1 (" in line  # 2 * exp(-3)


@pytest.mark.parametrize("tau", ["500us", "100ms"])
def test_all_times_are_in_proportion_to_tau(tau):
    parameters, populations = circuit._settings(True, 10, tau, 50)
    usual, usual_populations = circuit._settings(True, 10, "10ms", 50)
    assert parameters.steps == usual.steps and populations.neurons == 50
    for settings, others in ((parameters, usual), (populations, usual_populations)):
        times = [f.name for f in fields(settings) if isinstance(getattr(settings, f.name), Quantity)]
        assert len(times) >= 4
        for name in times:
            ratio = getattr(settings, name) / getattr(others, name)
            assert ratio == pytest.approx(float(parameters.tau) / 0.01, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["treshold"], "no circuit is named 'treshold' (did you mean 'threshold'?)"),
        (["xyz"], "known: threshold, output-error, layered, comparator, calibrate"),
        (["threshold", "--tau", "20"], "--tau 20 has no unit; give a time, such as 20ms"),
        (["threshold", "--tau", "-5ms"], "must be a positive time"),
        (["threshold", "--tau", "5V"], "'V' is no unit of time"),
        (["threshold", "--tau", "1.2.3ms"], "is not a time"),
        (["threshold", "--tau", "fast"], "is not a time"),
        (["threshold", "--phase", "-2"], "phase over tau = -2 must be in [0.001, 1000]"),
        (["threshold", "--phase", "1e7"], "phase over tau = 1e+07 must be in [0.001, 1000]"),
        (["threshold", "--phase", "nan"], "phase over tau = nan must be in"),
        (["layered", "--mu", "0.5"], "--mu is for output-error"),
        (["threshold", "--target", "fortran"], "unknown code target 'fortran'"),
        (["threshold", "--spiking", "--pairs"], "exclude each other"),
        (["threshold", "--neurons", "5"], "--neurons needs --spiking"),
        (["threshold", "--spiking", "--neurons", "0"], "neurons = 0 must be a whole number, from 1 to 1000000"),
        (["threshold", "--presentations", "5"], "--presentations is for layered"),
        (["threshold", "--seed", "-1"], "--seed -1 must be from 0"),
        (["output-error", "--mu", "-1"], "mu = -1 must be at least 0"),
        (["layered", "--presentations", "0"], "presentations = 0 must be a whole number, from 1 to 720"),
        (["comparator", "--spiking"], "a comparator alone has rates only"),
    ],
)
def test_refusals_are_one_line(arguments, message, tmp_path, capsys):
    assert run(["circuit", *arguments, "--out", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert output.out == "" and not list(tmp_path.iterdir())
    assert output.err.startswith("netsim: error: ") and message in output.err and output.err.count("\n") == 1


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("taken", "--out taken is not a folder"),
        ("taken/new", "taken/new cannot be made: a part of the path is no folder"),
        ("/proc/new/deep", "/proc/new/deep cannot be made"),
        ("", "--out is empty: expected a folder"),
    ],
)
def test_folders_that_cannot_be_are_refused_before_anything_runs(out, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    assert run(["circuit", "comparator", "--out", out]) == 2
    output = capsys.readouterr()
    assert output.out == "" and message in output.err and output.err.count("\n") == 1


def test_a_refusal_leaves_no_folder(tmp_path, capsys):
    assert run(["circuit", "layered", "--presentations", "721", "--out", str(tmp_path / "new" / "deep")]) == 2
    assert not list(tmp_path.iterdir())


def test_every_wiring_diagram_draws(tmp_path):
    for name in DIAGRAMS:
        draw_wiring(name, tmp_path / f"{name}.png")
    assert len(pictures(tmp_path)) == len(DIAGRAMS) == 7


def test_comparator_fires_holds_and_is_reset():
    parameters = Parameters()
    # the last one is driven during its reset too, which shunts that drive
    drive = np.array([[0.95, 0, 0, 0.95], [1.05, 0, 0, 0.95], [3.0, 0, 0, 0.0], [3.0, 0, 3.0, 0.0]])
    trace = comparator.respond(drive, np.array([0, 0, 1, 0]), parameters)
    ends = slice(parameters.steps - 1, None, parameters.steps)
    np.testing.assert_array_equal(trace.fired[:, ends], [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]])
    # the drive, where it fires with its own excitation of 3, and that alone; in a reset nothing
    potentials = [[0.95, 0, 0, 0.95], [4.05, 3, 0, 0.95], [6, 3, 0, 0], [6, 3, 0, 0]]
    np.testing.assert_allclose(trace.potential[:, ends], potentials, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(trace.drive[:, ends], drive)
    np.testing.assert_array_equal(trace.reset[ends], [0, 0, 1, 0])
