"""Run folders: names, the lock, damaged checkpoints, folders that vanish."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap

import filelock
import pytest
import small_runs
from ordinary_user import ordinary

from netsim import runs
from netsim.errors import RunError
from netsim.runs import checkpoints
from netsim.training_events import Stepped


@pytest.fixture
def data(tmp_path):
    return small_runs.write_data(tmp_path / "small.npz")


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# Names


def test_folders_are_numbered(tmp_path):
    assert runs.new_path("a-b", tmp_path) == tmp_path / "a-b"
    (tmp_path / "a-b").mkdir()
    (tmp_path / "a-b-2").write_text("a file counts, too")
    assert runs.new_path("a-b", tmp_path) == tmp_path / "a-b-3"
    os.symlink(tmp_path / "nowhere", tmp_path / "a-b-3")
    assert runs.new_path("a-b", tmp_path) == tmp_path / "a-b-4"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/", "..", "", "a\0b", "x" * 500, "a\nb", "..."])
def test_names_stay_inside_the_folder(tmp_path, name):
    path = runs.new_path(name, tmp_path)
    assert path.parent == tmp_path
    assert path.name not in ("", ".", "..")
    path.mkdir()


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    runs.create(tmp_path / "run", "a = 1\n").close()
    with pytest.raises(RunError, match=r"already holds a run: go on with it by `netsim train --resume"):
        runs.create(tmp_path / "run", "a = 2\n")
    assert runs.find(tmp_path / "run").configuration() == "a = 1\n"


def test_a_folder_with_other_files_is_not_used(tmp_path):
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(RunError, match=r"not empty \('thesis\.tex' is in it\)"):
        runs.create(tmp_path, "")
    assert sorted(os.listdir(tmp_path)) == ["thesis.tex"]


def test_a_folder_that_fills_while_it_is_taken_is_not_used(tmp_path, monkeypatch):
    """Another process may write there after the first look."""
    lock = runs.Run.lock

    def late(self):
        (self.path / "thesis.tex").write_text("all of it")
        return lock(self)

    monkeypatch.setattr(runs.Run, "lock", late)
    with pytest.raises(RunError, match="not empty"):
        runs.create(tmp_path / "run", "a = 1\n")
    assert not (tmp_path / "run" / "run.toml").exists()


def test_a_missing_file_and_a_missing_folder_are_told_apart(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(RunError) as refusal:
        checkpoints.load(tmp_path / "run" / "last.safetensors")
    assert one_line(refusal).endswith("last.safetensors cannot be read: there is no such file or folder")
    with pytest.raises(RunError) as refusal:
        checkpoints.load(tmp_path / "gone" / "last.safetensors")
    assert one_line(refusal).endswith("last.safetensors cannot be read: the folder is gone")
    if os.path.isdir("/proc/self"):
        with pytest.raises(RunError) as refusal:
            runs.create("/proc/run", "")
        assert one_line(refusal) == "/proc/run cannot be made: there is no such file or folder"


def test_what_is_not_a_run_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, words in {"empty": "holds no run", "file": "not the folder of a run"}.items():
        with pytest.raises(RunError, match=words):
            runs.find(tmp_path / name)
    with pytest.raises(RunError) as refusal:  # what is no run is not offered
        runs.find(tmp_path / "simpnet-digit")
    assert one_line(refusal).endswith("there is no such run folder")
    runs.create(tmp_path / "simpnet-digits", "").close()
    with pytest.raises(RunError, match=r"no such run folder \(did you mean 'simpnet-digits'\?\)$"):
        runs.find(tmp_path / "simpnet-digit")
    with pytest.raises(RunError, match=r"no such run folder; known: simpnet-digits$"):
        runs.find(tmp_path / "other")


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        runs.create(tmp_path / "file" / "run", "")


def test_a_new_folder_survives_a_power_cut_with_its_parents(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def noted(descriptor):
        synced.append((os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    runs.create(tmp_path / "a" / "b" / "run", "").close()
    for folder in (tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "run"):
        assert (folder.stat().st_dev, folder.stat().st_ino) in synced, folder


def test_a_file_system_that_cannot_sync_folders_is_no_reason_to_stop(tmp_path, monkeypatch):
    fsync = os.fsync

    def refused(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "cannot sync a folder")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refused)
    runs.create(tmp_path / "run", "a = 1\n").close()
    assert runs.find(tmp_path / "run").configuration() == "a = 1\n"


# The lock


def test_a_run_in_use_is_refused_at_once(tmp_path):
    with runs.create(tmp_path / "run", ""):
        with pytest.raises(RunError) as refusal:
            runs.find(tmp_path / "run").lock()
        assert one_line(refusal) == f"{tmp_path / 'run'} is in use by another process"
    runs.find(tmp_path / "run").lock().close()


def hold(path, locked):
    run = runs.find(path).lock()
    locked.set()
    signal.pause()
    run.close()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    runs.create(tmp_path / "run", "").close()
    context = multiprocessing.get_context("spawn")
    locked = context.Event()
    holder = context.Process(target=hold, args=(tmp_path / "run", locked))
    holder.start()
    try:
        assert locked.wait(60)
        with pytest.raises(RunError, match="in use"):
            runs.find(tmp_path / "run").lock()
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
    runs.find(tmp_path / "run").lock().close()


def test_two_processes_on_one_run(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    before = small_runs.bits(tmp_path / "run")
    with runs.find(tmp_path / "run").lock():
        command = [*small_runs.COMMAND, "train", "--resume", str(tmp_path / "run"), "--epochs", "9"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 2
    assert second.stderr == f"netsim: error: {tmp_path / 'run'} is in use by another process\n"
    assert small_runs.bits(tmp_path / "run") == before


def test_two_processes_that_begin_one_run(tmp_path, data):
    command = [*small_runs.COMMAND, "train", small_runs.NET, "--data", data, "--batch", "8", "--epochs", "3"]
    command += ["--seed", "5", "--quiet", "--out", str(tmp_path / "run")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    (line,) = [error for error in errors if error]
    assert line.startswith(f"netsim: error: {tmp_path / 'run'} ")
    assert "is in use by another process" in line or "already holds a run" in line
    small_runs.start(tmp_path / "whole", data)
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")


def test_a_lock_that_is_removed_lets_no_two_processes_write(tmp_path, data):
    def remove(event):
        if isinstance(event, Stepped) and event.epoch == 2 and event.images == 16:
            (tmp_path / "run" / ".lock").unlink()
            runs.find(tmp_path / "run").lock().close()  # another process comes, and makes a lock of its own

    with pytest.raises(RunError, match=r"\.lock was removed: another process may have begun to write there"):
        small_runs.start(tmp_path / "run", data, remove)
    small_runs.start(tmp_path / "whole", data)
    small_runs.resume(tmp_path / "run")
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise NotImplementedError("flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", missing)
    with pytest.raises(RunError, match="lies on a file system without locks"):
        runs.create(tmp_path / "run", "")


def test_reading_needs_no_lock(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    with runs.find(tmp_path / "run").lock():
        assert len(runs.find(tmp_path / "run").metrics()) == 3
        assert checkpoints.load(tmp_path / "run" / "last.safetensors").position["epoch"] == 3


def test_nothing_is_written_without_the_lock(tmp_path):
    runs.create(tmp_path / "run", "").close()
    with pytest.raises(RunError, match="not locked"):
        runs.find(tmp_path / "run").write_curves(b"")


# Folders that vanish


def test_a_folder_removed_under_the_run(tmp_path, data):
    def remove(event):
        if isinstance(event, Stepped) and event.epoch == 2 and event.images == 16:
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(RunError) as refusal:
        small_runs.start(tmp_path / "run", data, remove)
    assert one_line(refusal) == f"{tmp_path / 'run'} cannot be written: the folder is gone"
    assert not (tmp_path / "run").exists()


def test_a_folder_replaced_under_the_run(tmp_path, data):
    def replace(event):
        if isinstance(event, Stepped) and event.epoch == 2 and event.images == 16:
            (tmp_path / "run").rename(tmp_path / "moved")
            (tmp_path / "run").mkdir()

    with pytest.raises(RunError, match="was removed, and another folder stands there now"):
        small_runs.start(tmp_path / "run", data, replace)
    assert os.listdir(tmp_path / "run") == []
    small_runs.start(tmp_path / "whole", data)
    small_runs.resume(tmp_path / "moved")
    assert small_runs.bits(tmp_path / "moved") == small_runs.bits(tmp_path / "whole")


def test_a_full_and_a_read_only_file_system(tmp_path, data):
    """On a real small file system of its own (a user namespace); skipped where the system allows none."""
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True) if shutil.which("unshare") else None
    if probe is None or probe.returncode:
        pytest.skip("this system lets no user mount a file system of its own (unshare -rm)")
    small_runs.start(tmp_path / "whole", data, epochs=6)
    (tmp_path / "disk").mkdir()
    script = textwrap.dedent(
        """
        import contextlib, io, json, os, pathlib, shutil, subprocess, sys
        import small_runs
        from netsim.cli import run

        disk, data, keep = sys.argv[1:]
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
        folder = pathlib.Path(disk) / "run"

        def netsim(*arguments):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                return run([str(a) for a in arguments]), err.getvalue()

        small_runs.start(folder, data)
        seen = {}
        with open(os.path.join(disk, "filler"), "wb", buffering=0) as filler:
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(4096))
        seen["full"] = netsim("train", "--resume", folder, "--epochs", 6)
        os.unlink(os.path.join(disk, "filler"))
        before = small_runs.bits(folder)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        seen["read-only"] = netsim("train", "--resume", folder, "--epochs", 6)
        seen["eval"] = netsim("eval", folder)
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        seen["unchanged"] = small_runs.bits(folder) == before
        seen["freed"] = netsim("train", "--resume", folder, "--epochs", 6, "--quiet")
        shutil.copytree(folder, keep)
        print(json.dumps(seen))
        """
    )
    arguments = [str(tmp_path / "disk"), data, str(tmp_path / "kept")]
    command = ["unshare", "-rm", sys.executable, "-c", script, *arguments]
    paths = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    if done.returncode and "mount" in done.stderr:
        pytest.skip(f"no file system could be mounted: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    status, message = seen["full"]
    assert status == 2
    assert "the disk is full" in message
    status, message = seen["read-only"]
    assert status == 2
    assert "read-only" in message
    assert message.count("\n") == 1
    assert seen["eval"][0] == 0
    assert seen["unchanged"]
    assert seen["freed"][0] == 0
    assert small_runs.bits(tmp_path / "kept") == small_runs.bits(tmp_path / "whole")


def test_a_folder_without_permission(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    before = small_runs.bits(tmp_path / "run")
    netsim = ordinary([*small_runs.COMMAND])
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(0o500)
    (tmp_path / "run").chmod(0o500)
    try:
        for arguments, path in [
            ([small_runs.NET, "--data", data, "--out", str(tmp_path / "locked" / "run")], tmp_path / "locked" / "run"),
            (["--resume", str(tmp_path / "run"), "--epochs", "9"], tmp_path / "run"),
        ]:
            done = subprocess.run([*netsim, "train", *arguments], capture_output=True, text=True, timeout=60)
            assert done.returncode == 2
            assert done.stderr.startswith(f"netsim: error: {path} ") or done.stderr.startswith(
                f"netsim: error: {path}/"
            )
            assert done.stderr.endswith(": permission denied\n")
            assert done.stderr.count("\n") == 1
    finally:
        (tmp_path / "run").chmod(0o700)
    assert small_runs.bits(tmp_path / "run") == before
