"""The demos of circuits run with --quick; what they print is what the page says of the circuits."""

import re
import runpy
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).resolve().parent.parent / "demos"


def shown(name: str, folder: Path, monkeypatch, capsys) -> str:
    """What a demo prints; its picture must lie in `folder`."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--quick", "--out", str(folder)])
    monkeypatch.syspath_prepend(str(DEMOS))  # as Python does for a script
    runpy.run_path(str(DEMOS / f"{name}.py"), run_name="__main__")
    assert (folder / f"{name.replace('_', '-')}.png").read_bytes().startswith(b"\x89PNG")
    return capsys.readouterr().out


@pytest.mark.parametrize("motif", ["threshold", "output_error"])
def test_errors_fall_with_the_phase_and_with_the_neurons(motif, tmp_path, monkeypatch, capsys):
    text = shown(f"circuit_{motif}", tmp_path, monkeypatch, capsys)
    slopes = dict(re.findall(r"^(\w+): slope of .* (-?[\d.]+)$", text, re.MULTILINE))
    assert {name: float(slope) for name, slope in slopes.items()} == {
        "signed": pytest.approx(-1, abs=0.02), "pairs": pytest.approx(-1, abs=0.02),
        "spiking": pytest.approx(-0.5, abs=0.1),
    }  # fmt: skip
    assert float(re.search(r"worst error ([\d.e-]+)", text)[1]) < 1e-3


def test_layered_circuits_stay_within_their_bounds(tmp_path, monkeypatch, capsys):
    text = shown("circuit_layered", tmp_path, monkeypatch, capsys)
    found = re.findall(r"^(\d+) tau, .*: largest difference ([\d.e-]+), bound ([\d.e-]+)$", text, re.MULTILINE)
    assert len(found) == 8 and all(0 < float(difference) <= float(bound) for _, difference, bound in found)
    ten, fourteen = (max(float(each) for tau, each, _ in found if tau == length) for length in ("10", "14"))
    assert fourteen < 0.1 * ten


def test_tolerance_compares_both_protocols_in_four_sweeps(tmp_path, monkeypatch, capsys):
    text = shown("circuit_tolerance", tmp_path, monkeypatch, capsys)
    found = re.findall(r"^(.+), (urfb|frfb): ([\d.]+) ([\d.]+) % at 0 0\.5$", text, re.MULTILINE)
    assert len(found) == 8 and len({sweep for sweep, *_ in found}) == 4
    assert len({(protocol, ideal) for _, protocol, ideal, _ in found}) == 2  # one ideal net for all four
    noisy = {protocol: float(error) for sweep, protocol, _, error in found if sweep == "noise of open gates"}
    ideal = {protocol: float(error) for _, protocol, error, _ in found}
    assert all(noisy[protocol] > ideal[protocol] + 10 for protocol in ("urfb", "frfb"))
