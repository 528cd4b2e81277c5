"""Each demo of timing runs with --quick and leaves what it says."""

import runpy
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).resolve().parent.parent / "demos"
LEFT = {
    "timing_jitter": ["timing-jitter-plus/timing.csv", "timing-jitter-plus/timing.png"],
    "timing_jitter --sign minus": ["timing-jitter-minus/timing.csv"],
    "timing_streams": ["timing-streams-random/timing.png", "timing-streams-blocked-40/timing.png"],
    "timing_tag": ["timing-tag-plus/timing.png", "timing-no-tag-plus/timing.png"],
    "timing_replacement": ["timing-replacement-plus/timing.png", "timing-replacement-minus/timing.png"],
    "timing_engines": ["timing-engines.png"],
    "timing_engines --table": ["timing-engines.csv"],
    "timing_speed": ["timing-speed.csv"],
}


@pytest.mark.parametrize("command", LEFT)
def test_a_demo_runs_quickly_and_leaves_its_pictures(command, tmp_path, monkeypatch):
    name, *options = command.split()
    monkeypatch.syspath_prepend(str(DEMOS))  # as Python does for a script
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--quick", *options, "--out", str(tmp_path)])
    try:
        runpy.run_path(str(DEMOS / f"{name}.py"), run_name="__main__")
    except SystemExit as end:
        assert end.code == 0
    for file in LEFT[command]:
        assert (tmp_path / file).stat().st_size > 100
