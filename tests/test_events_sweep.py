"""Timing sweeps and rasters from the command line: resumable, the same for any number of workers, one-line refusals."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest import mock

import pytest
import small_runs
from test_processes import is_alive, until

import netsim
from netsim import cli
from netsim import data as datasets
from netsim.errors import OptionError
from netsim.events import Distribution, Schedule, grid, preset
from netsim.events import sweep as sweeps
from netsim.events.grid import Axis, altered
from netsim.kernels import jit

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
    for text in ("jitter", "jitter=", "jitter=a", "jitter=0:1", "jitter=1:0:1", "jitter=0:1:0", "jitter=nan:1:1"):
        with pytest.raises(OptionError, match="cannot read the sweep"):
            Axis.parse(text)
    assert len(Axis.parse("jitter=0:999:1").values) == 1000
    for text in ("jitter=0:1000:1", "jitter=0:1000:0.01", "jitter=0:1e9:1e-9", "jitter=0:inf:1"):
        with pytest.raises(OptionError, match=f"^the sweep '{text}' has more than 1000 values: take a longer step$"):
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
    assert altered(base, "skew", 0.5, names=("conv1", "maxpool1", "full1", "output")).skew == (
        ("maxpool1", 1.5), ("output", 1.5)
    )  # fmt: skip


def test_the_sign_that_units_carry_matters_out_of_phase_alone(data, tmp_path, capsys):
    arguments = ["--sweep", "jitter=0,1"]
    for sign in ("plus", "minus"):
        assert sweep(data, tmp_path / sign, *arguments, "--sign", sign) == 0
    plus, minus = rows(tmp_path / "plus"), rows(tmp_path / "minus")
    assert [row["sign"] for row in minus] == ["minus", "minus"]
    assert minus[0]["train_loss"] == plus[0]["train_loss"] and minus[0]["cosine.full1"] == plus[0]["cosine.full1"]
    assert float(minus[1]["cosine_start.full1"]) != float(plus[1]["cosine_start.full1"])
    with open(tmp_path / "minus" / "sweep.toml", "rb") as file:
        assert "--sign minus" in tomllib.load(file)["command"]
    capsys.readouterr()
    assert sweep(data, tmp_path / "none", "--sign", "mins") == 2
    assert "unknown sign 'mins' of a schedule (did you mean 'minus'" in capsys.readouterr().err


def test_what_a_schedule_has_of_its_own_is_scaled():
    base = preset("guerguiev2017")
    half, none = altered(base, "jitter", 0.5), altered(base, "jitter", 0.0)
    assert altered(base, "jitter", 1.0) == base
    for schedule, scale, maximum in ((half, 1.5, 2.5), (none, 0.0, 0.0)):
        jitter = Distribution("normal", scale, absolute=True, maximum=maximum)
        assert schedule.jitters == (jitter, jitter, None) and schedule.forward_extension == base.forward_extension
    with pytest.raises(OptionError, match="jitter of its own, which is scaled: leave out --distribution"):
        altered(base, "jitter", 0.5, "wald")
    delays = Schedule(unit_delay=Distribution("uniform", 0.25), skew={"full1": 0.25})
    assert altered(delays, "delay", 3.0).unit_delay == Distribution("uniform", 0.75)
    assert altered(delays, "skew", 0.5, names=("conv1", "full1")).skew == (("full1", 0.75),)


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


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGINT, 2), (signal.SIGTERM, 2), (signal.SIGTERM, 1)], ids=["2", "15", "15 alone"]
)
def test_a_sweep_that_was_interrupted_says_so_ends_its_workers_and_goes_on(data, tmp_path, number, workers):
    arguments = [
        "timing", NET, "--data", data, "--batch", "12", "--validation", "10", "--measured", "16", "--drop", "off",
        "--sweep", "jitter=0.3,0.4,0.8", "--workers", str(workers), "--quiet",
    ]  # fmt: skip
    cut, command = tmp_path / "cut", [*small_runs.COMMAND, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    started = subprocess.Popen(
        [*command, "--epochs", "30", "--out", str(cut)], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert until(lambda: list((cut / "points").glob("*.json")))
    each = [child for child in children(started.pid) if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
    assert len(each) == (workers if workers > 1 else 0)
    started.send_signal(number)
    _, said = started.communicate(timeout=60)
    there = len(list((cut / "points").glob("*.json")))
    assert started.returncode == 130 and not any(map(is_alive, each))
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
        (["--sweep", "jitter=-1,1"], "jitter is -1: it must be at least 0"),
        (["--sweep", "delay=-1"], "delay is -1: it must be at least 0"),
        (["--jitter", "nan"], "jitter is nan: it must be at least 0"),
        (["--distribution", "wald", "--sweep", "lag=0,1"], "--distribution wald is of a jitter, and there is none"),
        (["--distribution", "norml", "--sweep", "lag=0,1"], "unknown distribution 'norml' (did you mean 'normal'"),
        (["--schedule", "guerguiev2017", "--distribution", "wald"], "leave out --distribution"),
        (["--sweep", "lag=40"], "a stream has 25: no change would come"),
        (["--sweep", "jitter=0:9999:1"], "more than 1000 values"),
        (["--sweep", "jitter=0,1", "--jitter", "1"], "jitter is both fixed and swept: leave out --jitter"),
        (["--schedule", "guerguiev2017", "--jitter", "1", "--distribution", "wald"], "leave out --distribution"),
        (["--schedule", "guerguiev2017:30"], "the net has 4: say guerguiev2017:43.5"),
        (["--schedule", "guerguiev2017:-1"], "phase of guerguiev2017 (in ms) is -1"),
        (["--stream", "similar"], "cannot read the stream"),
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
    assert not (tmp_path / "s").exists()


def test_nothing_swept_is_one_point_and_a_swept_jitter_scales_the_schedule_s_own(data, tmp_path, capsys):
    late = tmp_path / "late.toml"
    late.write_text('[jitter.feedback]\ndistribution = "exponential"\nscale = 1.0\n')
    assert sweep(data, tmp_path / "one", "--schedule", str(late), "--workers", "1") == 0
    assert capsys.readouterr().err == ""
    (one,) = rows(tmp_path / "one")
    assert "jitter" not in one and one["schedule"] == str(late)
    assert sweep(data, tmp_path / "scaled", "--schedule", str(late), "--sweep", "jitter=0,1", "--workers", "1") == 0
    assert f"note: {late} has a jitter of its own: the sweep scales it" in capsys.readouterr().err
    none, own = rows(tmp_path / "scaled")
    assert {name: value for name, value in own.items() if name not in ("jitter", "distribution")} == one
    assert (none["jitter"], own["jitter"]) == ("0", "1") and own["distribution"] == "own"
    assert float(none["cosine_start.full1"]) > 0.999 > float(own["cosine_start.full1"])
    assert sweep(data, tmp_path / "fixed", "--jitter", "0.4", "--tag", "20", "--workers", "1") == 0
    (fixed,) = rows(tmp_path / "fixed")
    assert [fixed[name] for name in ("schedule", "jitter", "distribution", "tag")] == ["nominal", "0.4", "normal", "20"]
    assert [fixed[name] for name in ("batch", "streams", "step_size", "stream", "measured")] == [
        "12", "2", "0.1", "random", "16"
    ]  # fmt: skip


@pytest.mark.parametrize("net", [NET, "conv 4 3x3; maxpool 2; drop .5; full 8; output"])
def test_a_late_update_without_a_tag_is_that_of_the_presentation_in_which_it_is_made(data, tmp_path, net):
    """However late: the presentations before the measured ones are shown, too, and not compared."""
    arguments = ["timing", net, "--data", data, "--epochs", "1", "--batch", "12", "--validation", "10"]
    arguments += ["--measured", "16", "--streams", "2", "--workers", "1", "--quiet"]
    late = tmp_path / "late"
    assert cli.run([*arguments, "--sweep", "lag=0,1,7,20", "--out", str(late)]) == 0
    for row in rows(late):
        for layer in ("conv1", "full1", "output"):
            # the same float32 products, in another order
            assert float(row[f"cosine_start.{layer}"]) > 1 - 1e-6 and float(row[f"cosine.{layer}"]) > 1 - 1e-6
            assert float(row[f"length.{layer}"]) == pytest.approx(1, abs=1e-6)
            assert float(row[f"out_of_phase.{layer}"]) == 0
        assert float(row["out_of_phase"]) == 0
    tagged = tmp_path / "tagged"
    assert cli.run([*arguments, "--tag", "1000", "--sweep", "lag=0,1,20", "--out", str(tagged)]) == 0
    for row in rows(tagged):
        for layer in ("conv1", "full1", "output"):
            in_phase = row["lag"] == "0"
            assert (float(row[f"cosine_start.{layer}"]) > 0.9999) == in_phase
            assert float(row[f"out_of_phase.{layer}"]) == (0 if in_phase else 1)


def test_the_folder_says_what_was_swept_and_how_to_repeat_it(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("late.toml").write_text("tag_decay = inf\nplasticity_delay = 0.25\n")
    assert sweep("npz:data.npz", "a sweep", "--schedule", "late.toml", "--lag", "1", "--sweep", "p=1,0.5",
                 "--workers", "1") == 0  # fmt: skip
    told = tomllib.loads(Path("a sweep/sweep.toml").read_text())
    assert told["sweep"] == ["p=1,0.5"] and told["lag"] == 1.0 and told["schedule"] == "late.toml"
    assert told["versions"]["sources"] == grid.version() and told["versions"]["netsim"]
    assert Schedule.load("a sweep/schedule.toml") == Schedule.load("late.toml")
    for file in Path("a sweep/points").iterdir():  # they are there again if all that decides is the same
        file.write_text(json.dumps({**json.loads(file.read_text()), "mark": 1}))
    Path("late.toml").unlink()
    program, *arguments = shlex.split(told["command"])
    assert program == "netsim" and cli.run([*arguments, "--workers", "1"]) == 0
    assert [row["mark"] for row in rows(Path("a sweep"))] == ["1", "1"]
    assert tomllib.loads(Path("a sweep/sweep.toml").read_text())["command"] == told["command"]


def test_points_of_another_version_are_measured_anew(data, tmp_path, monkeypatch, capsys):
    folder, arguments = tmp_path / "s", ("--sweep", "p=1", "--workers", "1")
    assert sweep(data, folder, *arguments) == 0
    (file,) = (folder / "points").iterdir()
    file.write_text(json.dumps({**json.loads(file.read_text()), "mark": 1}))
    assert sweep(data, folder, *arguments) == 0
    assert capsys.readouterr().err == "" and rows(folder)[0]["mark"] == "1"
    for module in (grid, sweeps):
        monkeypatch.setattr(module, "version", lambda: "012345")
    assert sweep(data, folder, *arguments) == 0
    assert f"note: 1 points in {folder} are of another version" in capsys.readouterr().err
    assert "mark" not in rows(folder)[0] and len(list((folder / "points").iterdir())) == 2


def test_a_folder_of_something_else_is_left_alone(data, tmp_path, capsys):
    folder, arguments = tmp_path / "s", ("--sweep", "p=1", "--workers", "1")
    assert sweep(data, folder, *arguments) == 0
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert len(before) == 4
    for others, name in (
        (["--sweep", "p=0.5", "--workers", "1"], "sweep"),
        ([*arguments, "--lag", "1"], "lag"),
        ([*arguments, "--schedule", "desynchronised:0.9"], "schedule"),
        ([*arguments, "--step-size", "0.2"], "step-size"),
    ):
        assert sweep(data, folder, *others) == 2
        error = capsys.readouterr().err
        assert error == (
            f"netsim: error: {folder} holds another sweep ({name} is not the same): choose another folder (--out)\n"
        )
    assert before == {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert sweep(data, folder, *arguments) == 0
    capsys.readouterr()
    (folder / "sweep.toml").write_text("[")
    assert sweep(data, folder, *arguments) == 2 and "sweep.toml is damaged" in capsys.readouterr().err
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.toml").write_text("")
    assert sweep(data, run, *arguments) == 2
    assert f"{run} is no folder of a sweep ('run.toml' is in it)" in capsys.readouterr().err
    assert [file.name for file in run.iterdir()] == ["run.toml"]
    assert sweep(data, run / "run.toml", *arguments) == 2
    assert "run.toml cannot be read: a part of the path is no folder" in capsys.readouterr().err


def test_without_a_folder_a_sweep_takes_the_first_that_is_free_or_its_own(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["timing", "full 4; output", "--data", data, "--epochs", "1", "--validation", "10", "--measured", "8"]
    folders = []
    for p in ("1", "0.5", "1"):
        assert cli.run([*arguments, "--sweep", f"p={p}", "--workers", "1", "--quiet"]) == 0
        folders.append(Path(capsys.readouterr().out.strip()))
    assert folders[0] == folders[2] and folders[1] == folders[0].with_name(folders[0].name + "-2")
    assert [rows(folder)[0]["p"] for folder in folders] == ["1", "0.5", "1"]


def test_a_first_use_says_that_it_compiles(data, tmp_path, capsys, monkeypatch):
    says = "note: compiling the kernels of the exact engine (once, about a minute)\n"
    arguments = ["events", NET, "--data", data, "--out", str(tmp_path / "events.png")]
    monkeypatch.setattr(jit, "is_kept", lambda package, module: False)
    assert cli.run(arguments) == 0 and says in capsys.readouterr().err
    assert sweep(data, tmp_path / "quiet", "--jitter", "0", "--workers", "1") == 0
    assert capsys.readouterr().err == ""
    monkeypatch.undo()
    assert cli.run(arguments) == 0 and capsys.readouterr().err == ""
    assert not jit.is_kept("events", "nothing")


def test_the_version_is_that_of_what_computes(tmp_path, monkeypatch):
    place = tmp_path / "netsim"
    for name in ("__init__.py", "events/queue.py", "events/plots.py", "cli/timing.py"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("")
    monkeypatch.setattr(netsim, "__file__", str(place / "__init__.py"))
    found = []
    for name in ("__init__.py", "cli/timing.py", "events/plots.py", "events/queue.py"):
        (place / name).write_text("changed = True")
        found.append(grid.version.__wrapped__())
    assert found[0] == found[1] == found[2] != found[3]


def test_a_diverged_run_has_no_error(data, tmp_path):
    assert sweep(data, tmp_path / "s", "--sweep", "p=0.5", "--step-size", "1e38", "--workers", "1") == 0
    (row,) = rows(tmp_path / "s")
    assert row["diverged"] == "True" and row["validation_error"] == ""


def test_a_raster_of_one_presentation(data, tmp_path, capsys):
    picture = tmp_path / "events.png"
    arguments = ["events", NET, "--data", data, "--jitter", "0.5", "--out", str(picture)]
    with mock.patch.object(datasets, "load", wraps=datasets.load) as load:
        assert cli.run([*arguments, "--presentation", "5"]) == 0
    assert load.call_count == 1
    said = capsys.readouterr().out
    assert "replayed presentations 3 to 6" in said and "plasticity, own unit" in said
    first = picture.read_bytes()
    assert first.startswith(b"\x89PNG")
    assert cli.run([*arguments, "--presentation", "5"]) == 0 and picture.read_bytes() == first
    assert cli.run([*arguments, "--presentation", "50", "--lag", "1"]) == 0
    assert "replayed presentations 48 to 52" in capsys.readouterr().out
    assert cli.run([*arguments, "--presentation", "99"]) == 2
    assert "presentations 0 to 59" in capsys.readouterr().err
    for options, says in (
        (["--out", "x.foo"], "--out x.foo: the name must end in .png"),
        (["--out", str(tmp_path / "no" / "x.png")], f"there is no folder {tmp_path / 'no'}"),
        (["--distribution", "wald"], "--distribution wald is of a jitter, and there is none: say --jitter J"),
        (["--jitter", "nan"], "jitter is nan"),
    ):
        assert cli.run(["events", NET, "--data", data, *options]) == 2
        assert says in capsys.readouterr().err
    deep = "; ".join(["conv 2 3x3"] * 7) + "; output"
    assert cli.run(["events", deep, "--data", data, "--schedule", "guerguiev2017"]) == 2
    assert "the net has 8: say guerguiev2017:55.5" in capsys.readouterr().err
