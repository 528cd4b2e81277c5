"""Each demo of timing runs with --quick and leaves what it says, with numbers that show what it is about."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).resolve().parent.parent / "demos"


def rows(path: Path) -> list[dict[str, str]]:
    """The table of a sweep; its picture must lie beside it."""
    assert (path / "timing.png").read_bytes().startswith(b"\x89PNG")
    with open(path / "timing.csv", newline="") as file:
        found = list(csv.DictReader(file))
    for row in found:
        assert row["diverged"] == "False" and 0 < float(row["validation_error"]) < 1
    return found


def jitter(folder: Path, sign: str) -> None:
    found = rows(folder / f"timing-jitter-{sign}")
    assert [(row["protocol"], float(row["jitter"])) for row in found] == [
        (protocol, jitter) for jitter in (0, 0.2) for protocol in ("urfb", "frfb", "bp")
    ]
    for row in found:
        share, cosine = float(row["out_of_phase"]), float(row["cosine_start.conv1"])
        assert row["sign"] == sign
        if float(row["jitter"]):
            assert 0.005 < share < 0.05 and cosine < 0.95
        else:
            assert share == 0 and cosine == pytest.approx(1, abs=1e-5)


def streams(folder: Path) -> None:
    for stream in ("random", "blocked:10", "blocked:40"):
        in_time, late = rows(folder / f"timing-streams-{stream.replace(':', '-')}")
        assert in_time["stream"] == late["stream"] == stream and (in_time["lag"], late["lag"]) == ("0", "1")
        # without a lag every read is in phase; with one the update meets the x of another image
        assert in_time["out_of_phase"] == "0" and float(in_time["cosine_start.output"]) == pytest.approx(1, abs=1e-5)
        assert float(late["out_of_phase.output"]) == 1 and float(late["cosine_start.output"]) < 0.9999
    cosine = {stream: float(rows(folder / f"timing-streams-{stream}")[1]["cosine_start.output"])
              for stream in ("random", "blocked-40")}  # fmt: skip
    assert cosine["random"] < cosine["blocked-40"]


def tag(folder: Path) -> None:
    ((tagged,), (bare,)) = (rows(folder / f"timing-{name}-plus") for name in ("tag", "no-tag"))
    assert tagged["jitter"] == bare["jitter"] == "0.2"
    assert float(tagged["out_of_phase"]) < 1e-3 < 0.01 < float(bare["out_of_phase"])
    assert float(bare["cosine_start.output"]) < 0.9 < float(tagged["cosine_start.output"])


def replacement(folder: Path) -> None:
    ((plus,), (minus,)) = (rows(folder / f"timing-replacement-{sign}") for sign in ("plus", "minus"))
    # the same signals are missing; where one is, x times x is added, or taken away
    assert plus["p"] == minus["p"] == "0.8" and plus["out_of_phase"] == minus["out_of_phase"]
    assert 0.15 < float(plus["out_of_phase.full1"]) < 0.25
    assert plus["cosine_start.conv1"] != minus["cosine_start.conv1"]


def engines(folder: Path) -> None:
    assert (folder / "timing-engines.png").read_bytes().startswith(b"\x89PNG")


def engines_table(folder: Path) -> None:
    with open(folder / "timing-engines.csv", newline="") as file:
        _, *found = csv.reader(file)
    cosines = {(name, engine): [float(cell) for cell in cells] for name, engine, *cells in found}
    names = {name for name, _ in cosines}
    assert len(names) >= 2 and set(cosines) == {(name, engine) for name in names for engine in ("exact", "batched")}
    for name in names:
        assert cosines[name, "batched"] == pytest.approx(cosines[name, "exact"], abs=0.2)
    assert any(value < 0.9 for values in cosines.values() for value in values)


def speed(folder: Path) -> None:
    with open(folder / "timing-speed.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert {row["engine"] for row in found} == {"exact", "phase-locked", "batched"}
    assert all(0 < float(row["lowest"]) <= float(row["ms_an_image"]) <= float(row["highest"]) for row in found)


SHOWN = {
    "timing_jitter": lambda folder: jitter(folder, "plus"),
    "timing_jitter --sign minus": lambda folder: jitter(folder, "minus"),
    "timing_streams": streams,
    "timing_tag": tag,
    "timing_replacement": replacement,
    "timing_engines": engines,
    "timing_engines --table": engines_table,
    "timing_speed": speed,
}


@pytest.mark.parametrize("command", SHOWN)
def test_a_demo_runs_quickly_and_leaves_what_it_says(command, tmp_path, monkeypatch):
    name, *options = command.split()
    monkeypatch.syspath_prepend(str(DEMOS))  # as Python does for a script
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--quick", *options, "--out", str(tmp_path)])
    try:
        runpy.run_path(str(DEMOS / f"{name}.py"), run_name="__main__")
    except SystemExit as end:
        assert end.code == 0
    SHOWN[command](tmp_path)
