"""Each demo of timing runs with --quick and leaves what it says."""

import runpy
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).resolve().parent.parent / "demos"
LEFT = {
    "timing_jitter": ["timing-jitter/timing.csv", "timing-jitter/timing.png"],
    "timing_streams": ["timing-streams-random/timing.png", "timing-streams-blocked/timing.png"],
    "timing_tag": ["timing-tag/timing.png", "timing-no-tag/timing.png"],
    "timing_replacement": ["timing-replacement.csv"],
    "timing_engines": ["timing-engines.png"],
}


@pytest.mark.parametrize("name", LEFT)
def test_a_demo_runs_quickly_and_leaves_its_pictures(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--quick", "--out", str(tmp_path)])
    try:
        runpy.run_path(str(DEMOS / f"{name}.py"), run_name="__main__")
    except SystemExit as end:
        assert end.code == 0
    for file in LEFT[name]:
        assert (tmp_path / file).stat().st_size > 100
