"""Timing sweeps and rasters from the command line: resumable, the same for any number of workers, one-line refusals."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import small_runs
from test_processes import SIGNALS, is_alive, until

from netsim import cli
from netsim.errors import OptionError
from netsim.events import Schedule
from netsim.events.grid import Axis, altered

NET = "conv 4 3x3; maxpool 2; full 8; output"


@pytest.fixture
def data(tmp_path):
    return small_runs.write_data(tmp_path / "data.npz")


def sweep(data, folder, *arguments):
    return cli.run([
        "timing", NET, "--data", data, "--epochs", "1", "--batch", "12", "--validation", "10", "--measured", "16",
        "--streams", "2", "--drop", "off", "--out", str(folder), "--quiet", *arguments,
    ])  # fmt: skip


def rows(folder):
    with open(folder / "timing.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_axes():
    assert Axis.parse("jitter=0:1:0.25").values == (0, 0.25, 0.5, 0.75, 1)
    assert Axis.parse("jitter=0:0.3:0.1").values == (0, 0.1, 0.2, 0.3)
    assert Axis.parse("lag=0,1,4") == Axis("lag", (0, 1, 4))
    for text in ("jitter", "jitter=", "jitter=a", "jitter=0:1", "jitter=1:0:1", "jitter=0:1:0", "jitter=0:1e9:1e-9"):
        with pytest.raises(OptionError, match="cannot read the sweep"):
            Axis.parse(text)
    with pytest.raises(OptionError, match="did you mean 'jitter'"):
        Axis.parse("jiter=0,1")


def test_swept_quantities_are_in_units_of_tau():
    base = Schedule(unit="ms", layer_delay=3.0)
    assert altered(base, "jitter", 0.5).jitter_feedback.scale == 1.5
    assert altered(base, "jitter", 0.5, "wald").jitter_feedback.shape == 1.5
    assert altered(base, "jitter", 0.0, "wald").in_phase
    assert altered(base, "tag", 2.0).tag_decay == 6.0 and altered(base, "tag", 0.0).tag_decay is None
    assert altered(base, "lag", 2.0).plasticity_lag == 2.0
    assert altered(base, "p", 0.5).replacement == 0.5
    assert altered(base, "delay", 2.0).unit_delay.scale == 6.0


def test_a_sweep_writes_table_and_picture(data, tmp_path):
    folder = tmp_path / "sweep"
    assert sweep(data, folder, "--sweep", "jitter=0,0.5", "--protocols", "urfb,bp", "--workers", "1") == 0
    table = rows(folder)
    assert [(row["jitter"], row["protocol"]) for row in table] == [
        ("0", "urfb"), ("0", "bp"), ("0.5", "urfb"), ("0.5", "bp")
    ]  # fmt: skip
    for row in table:
        in_phase = row["jitter"] == "0"
        for layer in ("conv1", "full1", "output"):
            assert (float(row[f"cosine_start.{layer}"]) > 0.999) == in_phase
            assert (float(row[f"out_of_phase.{layer}"]) == 0) == in_phase
        assert (float(row["out_of_phase"]) == 0) == in_phase
        assert 0 <= float(row["validation_error"]) <= 1
    assert (folder / "timing.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_goes_on_where_it_was_stopped_and_draws_the_same(data, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    arguments = ("--sweep", "jitter=0,0.4,0.8", "--stream", "blocked:4", "--workers", "1")
    assert sweep(data, whole, *arguments) == 0
    assert sweep(data, cut, *arguments) == 0
    lost, *kept = sorted((cut / "points").iterdir())
    lost.unlink()
    kept[0].write_text(json.dumps({**json.loads(kept[0].read_text()), "mark": 1}))
    kept[1].write_text("{")  # cut off in the middle: measured again
    assert sweep(data, cut, *arguments) == 0
    assert sum("mark" in row and row["mark"] == "1" for row in rows(cut)) == 1
    for one, other in zip(rows(whole), rows(cut), strict=True):
        assert one == {name: value for name, value in other.items() if name != "mark"}
    assert (whole / "timing.png").read_bytes() == (cut / "timing.png").read_bytes()


def test_workers_change_nothing(data, tmp_path):
    found = []
    for workers in ("1", "2"):
        folder = tmp_path / workers
        assert sweep(data, folder, "--sweep", "lag=0,1", "--tag", "20", "--workers", workers) == 0
        found.append((folder / "timing.csv").read_bytes())
    assert found[0] == found[1]


@SIGNALS
def test_a_sweep_that_was_interrupted_says_so_ends_its_workers_and_goes_on(data, tmp_path, number):
    arguments = [
        "timing", NET, "--data", data, "--batch", "12", "--validation", "10", "--measured", "16", "--drop", "off",
        "--sweep", "jitter=0,0.4,0.8", "--workers", "2", "--quiet",
    ]  # fmt: skip
    cut, command = tmp_path / "cut", [*small_runs.COMMAND, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    started = subprocess.Popen(
        [*command, "--epochs", "30", "--out", str(cut)], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert until(lambda: list((cut / "points").glob("*.json")))
    workers = [child for child in children(started.pid) if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
    assert len(workers) == 2
    started.send_signal(number)
    _, said = started.communicate(timeout=60)
    there = len(list((cut / "points").glob("*.json")))
    assert started.returncode == 130 and not any(map(is_alive, workers))
    assert said == f"stopped; {there} of 3 points are saved; the same command goes on\n" and there < 3
    assert not (cut / "timing.csv").exists()


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_the_batched_engine_sweeps_too(data, tmp_path):
    assert sweep(data, tmp_path / "s", "--sweep", "p=1,0.5", "--engine", "batched", "--workers", "1") == 0
    table = rows(tmp_path / "s")
    assert float(table[0]["cosine_start.conv1"]) > 0.999 > float(table[1]["cosine_start.conv1"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sweep", "jiter=0,1"], "did you mean 'jitter'"),
        (["--sweep", "jitter=0,1", "--sweep", "jitter=0,1"], "swept twice"),
        (["--sweep", "jitter=-1,1"], "scale of the normal distribution is -1"),
        (["--sweep", "lag=40"], "a stream has 25: no change would come"),
        (["--sweep", "lag=1", "--engine", "batched"], "take the exact one"),
        (["--engine", "exakt"], "did you mean 'exact'"),
        (["--schedule", "nominl"], "did you mean 'nominal'"),
        (["--schedule", "none.toml"], "cannot read the schedule"),
        (["--stream", "blocked"], "cannot read the stream"),
        (["--protocols", "urfb,fb"], "unknown protocol"),
        (["--distribution", "norml", "--sweep", "jitter=1"], "did you mean 'normal'"),
        (["--workers", "0"], "--workers is 0"),
        (["--seeds", "0"], "--seeds is 0"),
    ],
)
def test_refusals(data, tmp_path, capsys, arguments, says):
    assert sweep(data, tmp_path / "s", *arguments, *([] if "--workers" in arguments else ["--workers", "1"])) == 2
    error = capsys.readouterr().err
    assert error.startswith("netsim: error: ") and says in error and error.count("\n") == 1


def test_a_raster_of_one_presentation(data, tmp_path, capsys):
    picture = tmp_path / "events.png"
    arguments = ["events", NET, "--data", data, "--jitter", "0.5", "--presentation", "2", "--out", str(picture)]
    assert cli.run(arguments) == 0
    said = capsys.readouterr().out
    assert "conv1" in said and "plasticity" in said and picture.read_bytes().startswith(b"\x89PNG")
    first = picture.read_bytes()
    assert cli.run(arguments) == 0 and picture.read_bytes() == first
    assert cli.run([*arguments, "--presentation", "99"]) == 2
    assert "presentations 0 to 59" in capsys.readouterr().err
