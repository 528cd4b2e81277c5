"""Links, pipes, devices and folders standing where a run reads or writes: never followed, never waited for."""

import os
import subprocess
from pathlib import Path

import pytest
import small_runs

import netsim
from netsim import runs
from netsim.cli import run
from netsim.errors import DataError, NetsimError, RunError
from netsim.events import sweep
from netsim.runs import checkpoints, durable
from netsim.training_events import Notice

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")


@pytest.fixture
def data(tmp_path, monkeypatch):
    small_runs.hasten(monkeypatch)
    return small_runs.write_data(tmp_path / "small.npz")


@pytest.fixture
def victim(tmp_path):
    """A file of somebody's that no link may lead to."""
    path = tmp_path / "thesis.tex"
    path.write_text("all of it")
    yield path
    assert path.read_text() == "all of it"


def put(kind: str, path: Path, victim: Path) -> None:
    if path.is_file():
        path.unlink()
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/full")
    elif kind == "file":
        path.write_text("half of it")
    else:
        path.mkdir()


KINDS = ["link", "pipe", "device", "folder"]
#: What a run writes, by the file that it writes aside and the file itself.
WRITTEN = [
    "last.safetensors",
    "previous.safetensors",
    "best.safetensors",
    "curves.png",
    "metrics.jsonl",
    "timings.jsonl",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*WRITTEN[1:], ".lock"])
def test_what_stands_where_a_run_writes_is_refused_in_one_line(tmp_path, data, victim, kind, name):
    small_runs.start(tmp_path / "run", data, epochs=2)
    there = tmp_path / "run" / name
    if name == "previous.safetensors":
        there.unlink()
    put(kind, there, victim)
    events = []
    with pytest.raises(RunError) as refusal:
        small_runs.resume(tmp_path / "run", events.append, epochs=4)
    assert "\n" not in str(refusal.value) and name in str(refusal.value)
    assert not events  # before anything is learned
    assert checkpoints.load(tmp_path / "run" / "last.safetensors").position["epoch"] == 2
    there.rmdir() if kind == "folder" else there.unlink()
    small_runs.resume(tmp_path / "run", epochs=4)
    small_runs.start(tmp_path / "whole", data, epochs=4)
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_where_the_newest_checkpoint_should_be_is_set_aside(tmp_path, data, victim, kind):
    small_runs.start(tmp_path / "run", data, epochs=3)
    put(kind, tmp_path / "run" / "last.safetensors", victim)
    events = []
    small_runs.resume(tmp_path / "run", events.append, epochs=4)
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert "kept as last.safetensors.damaged; going on from previous.safetensors" in notice
    small_runs.start(tmp_path / "whole", data, epochs=4)
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")


@pytest.mark.parametrize("kind", ["file", *KINDS])
@pytest.mark.parametrize("name", ["run.toml", *WRITTEN[:1], *WRITTEN[2:5]])
@pytest.mark.parametrize("number", ["", ".0123abcd"])  # without one: earlier versions
def test_what_stands_where_a_file_is_written_aside_is_not_followed(tmp_path, data, victim, kind, name, number):
    small_runs.start(tmp_path / "run", data, epochs=2)
    (tmp_path / "run" / "metrics.jsonl").unlink()  # it is then written anew
    aside = tmp_path / "run" / f".{name}{number}.tmp"
    put(kind, aside, victim)
    assert run(["train", "--resume", str(tmp_path / "run"), "--epochs", "4", "--quiet"]) == 0
    # Nobody but the owner of the lock writes these, and `netsim plot` the picture.
    assert os.path.lexists(aside) == (kind == "folder" or name == "curves.png")
    small_runs.start(tmp_path / "whole", data, epochs=4)
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_pipe_is_no_checkpoint(tmp_path, data, name):
    small_runs.start(tmp_path / "run", data, epochs=1)
    path = tmp_path / "run" / f"{name}.safetensors"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunError, match="no regular file"):
        checkpoints.load(path)
    for command in (["eval", str(tmp_path / "run"), "--checkpoint", name], ["train", "--from", str(tmp_path / "run")]):
        if command[0] == "eval" or name == "best":
            assert run(command) == 2
    with pytest.raises(DataError):
        netsim.load(path)


def test_a_pipe_is_no_list_of_metrics(tmp_path, data):
    small_runs.start(tmp_path / "run", data, epochs=1)
    (tmp_path / "run" / "metrics.jsonl").unlink()
    os.mkfifo(tmp_path / "run" / "metrics.jsonl")
    assert run(["plot", str(tmp_path / "run")]) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_tables_and_nets_are_not_written_through_links(tmp_path, data, victim, kind):
    small_runs.start(tmp_path / "run", data, epochs=1)
    out = tmp_path / "out.png"
    put(kind, out, victim)
    assert run(["plot", str(tmp_path / "run"), "--out", str(out)]) == 2
    assert run(["events", "full 3; output", "--out", str(out)]) == 2
    net = netsim.Network("full 2; output", (2, 2, 1), 2)
    with pytest.raises(DataError, match="out"):
        net.save(out)
    (tmp_path / "sweep").mkdir()
    put(kind, tmp_path / "sweep" / "sweep.toml", victim)
    with pytest.raises(NetsimError):
        sweep.describe(tmp_path / "sweep", "netsim timing", {}, None)


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_link_is_no_checkpoint(tmp_path, data, name):
    small_runs.start(tmp_path / "run", data, epochs=1)
    path = tmp_path / "run" / f"{name}.safetensors"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="cannot be read: a symbolic link stands there"):
        checkpoints.load(path)
    assert run(["eval", str(tmp_path / "run"), "--checkpoint", name]) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_opened_before_they_are_looked_at(tmp_path, monkeypatch, victim, kind):
    """What takes a file's place between a look and the opening is neither followed nor waited for."""
    path = tmp_path / "metrics.jsonl"
    put(kind, path, victim)
    monkeypatch.setattr(durable, "check_place", lambda *_: 0o644)
    monkeypatch.setattr(durable, "check_file", lambda *_: None)
    for use in (lambda: durable.append(path, b"more"), lambda: durable.read(path)):
        with pytest.raises(RunError, match=r"metrics\.jsonl cannot be (read|written): "):
            use()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["timing.csv", "timing.png", "sweep.toml", "schedule.toml"])
def test_a_sweep_looks_at_its_places_before_it_measures(tmp_path, monkeypatch, victim, kind, name):
    monkeypatch.setattr(sweep, "run", lambda *_: pytest.fail("it has begun to measure"))
    (tmp_path / "sweep").mkdir()
    put(kind, tmp_path / "sweep" / name, victim)
    assert run(["timing", "full 3; output", "--out", str(tmp_path / "sweep"), "--quiet"]) == 2


def test_a_saved_net_replaces_the_one_before_in_one_step(tmp_path, victim):
    path = tmp_path / "net.safetensors"
    left = tmp_path / ".net.safetensors.0123abcd.tmp"
    put("link", left, victim)
    net = netsim.Network("full 2; output", (2, 2, 1), 2)
    for _ in range(2):
        net.save(path)
    assert netsim.load(path).architecture == net.architecture
    assert sorted(os.listdir(tmp_path)) == [left.name, "net.safetensors", "thesis.tex"]  # somebody may be writing it
    os.utime(left, (0, 0), follow_symlinks=False)
    net.save(path)
    assert sorted(os.listdir(tmp_path)) == ["net.safetensors", "thesis.tex"]


def test_devices_of_the_system_are_not_replaced(tmp_path):
    """As root one could."""
    before = os.lstat("/dev/null")
    for path in (Path("/dev/null"), Path("/dev/full")):
        with pytest.raises(RunError, match="cannot be written: a device stands there"):
            durable.write(path, b"x")
    assert os.lstat("/dev/null") == before


def test_a_lock_that_is_a_link_empties_nothing(tmp_path, victim):
    runs.create(tmp_path / "run", "a = 1\n").close()
    (tmp_path / "run" / ".lock").unlink()
    (tmp_path / "run" / ".lock").symlink_to(victim)
    done = subprocess.run(
        [*small_runs.COMMAND, "train", "--resume", str(tmp_path / "run")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and ".lock" in done.stderr
