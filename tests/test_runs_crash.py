"""A process that dies, a power cut, or a disk that fills, at every single write of a run: nothing saved is lost.

Every call that changes the disk (write, fsync, rename) is counted; for each number n, a run is stopped at its n-th
call and then resumed. It must go on from the newest checkpoint that was saved, and end with the bits of a run that
nothing stopped.
"""

import builtins
import errno
import os
import stat

import pytest
import small_runs

from netsim import runs, training
from netsim.errors import RunError
from netsim.runs import checkpoints, durable
from netsim.training_events import Started


class Crash(BaseException):
    """The process is gone: no cleanup of ours may depend on catching this."""


class Disk:
    """Counts what the run does to the disk, and lets the n-th act fail; after a crash nothing is done any more."""

    def __init__(self, monkeypatch, failure):
        self.acts, self.at, self.failure, self.dead = [], None, failure, False
        self.real_fsync, self.real_replace, self.real_unlink, self.real_open = os.fsync, os.replace, os.unlink, os.open
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "replace", self.replace)
        monkeypatch.setattr(os, "unlink", self.unlink)
        monkeypatch.setattr(os, "open", self.open)
        monkeypatch.setattr(durable, "open", self.file, raising=False)

    def count(self, what):
        self.check_alive()
        self.acts.append(what)
        if len(self.acts) - 1 == self.at:
            self.dead = self.failure is Crash
            raise self.failure()

    def check_alive(self):
        if self.dead:
            raise Crash

    def fsync(self, descriptor):
        self.count("fsync")
        self.real_fsync(descriptor)

    def replace(self, source, target):
        self.count("replace")
        self.real_replace(source, target)

    def unlink(self, path, **kwargs):
        self.check_alive()
        self.real_unlink(path, **kwargs)

    def open(self, path, flags, *mode, **kwargs):
        if flags & os.O_WRONLY and flags & os.O_NOFOLLOW:  # one of ours, not the library's for locks
            self.count("open")
        return self.real_open(path, flags, *mode, **kwargs)

    def file(self, descriptor, mode, **kwargs):
        file = builtins.open(descriptor, mode, **kwargs)  # noqa: SIM115 (the caller closes it)
        return file if mode == "rb" else Torn(file, self)


class Power(Disk):
    """A disk that a power cut leaves only what was synced: contents, and names where their folder was synced."""

    def __init__(self, monkeypatch, failure):
        super().__init__(monkeypatch, failure)
        self.paths = {}  # descriptor -> path
        self.synced = {}  # path -> the part of its content that is safe, where not all of it is
        self.renames = []  # (from, to, content that stood there or None), since the folder was synced

    def open(self, path, flags, *mode, **kwargs):
        safe = path.read_bytes() if flags & os.O_APPEND and path.exists() else b""
        descriptor = super().open(path, flags, *mode, **kwargs)
        if flags & os.O_WRONLY and flags & os.O_NOFOLLOW:
            self.paths[descriptor] = path
            self.synced[path] = safe
        return descriptor

    def fsync(self, descriptor):
        super().fsync(descriptor)
        path = self.paths.get(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self.renames.clear()
        else:
            self.synced.pop(path, None)

    def replace(self, source, target):
        before = target.read_bytes() if target.exists() else None
        super().replace(source, target)
        self.renames.append((source, target, before))
        if source in self.synced:
            self.synced[target] = self.synced.pop(source)
        else:
            self.synced.pop(target, None)

    def cut(self, names_too):
        """Take away what was not synced; with `names_too` the renames as well."""
        for path, safe in self.synced.items():
            path.write_bytes(safe)
        for source, target, before in reversed(self.renames if names_too else []):
            os.replace(target, source)
            if before is not None:
                target.write_bytes(before)


class Torn:
    """A file of which a failing write leaves the first half."""

    def __init__(self, file, disk):
        self.file, self.disk = file, disk

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        try:
            self.disk.count("write")
        except BaseException:
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            raise
        return self.file.write(content)


@pytest.fixture
def data(tmp_path, monkeypatch):
    small_runs.hasten(monkeypatch)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)  # a checkpoint after every batch
    monkeypatch.setattr(training, "CURVES_SECONDS", 0.0)
    return small_runs.write_data(tmp_path / "small.npz", images=20)


OPTIONS = {"net": "full 4; output", "epochs": 2, "batch": 8, "validation": 4}


class Saved:
    """Notes where the run stood at each checkpoint that was saved to its end, and where a resumed run goes on."""

    def __init__(self, monkeypatch):
        self.newest = (0, 0)
        save = runs.Run.save

        def noted(run, checkpoint):
            save(run, checkpoint)
            self.newest = (checkpoint.position["epoch"], checkpoint.position["images"])

        monkeypatch.setattr(runs.Run, "save", noted)

    def check(self, event):
        """Event handler of the resumed run."""
        if isinstance(event, Started):
            assert (event.done, event.images) >= self.newest


def acts_of_a_whole_run(tmp_path, data, monkeypatch):
    small_runs.start(tmp_path / "first", data, **OPTIONS)  # kernels that are compiled are written, too, but once
    with monkeypatch.context() as patch:
        disk = Disk(patch, Crash)
        small_runs.start(tmp_path / "whole", data, **OPTIONS)
    assert {"open", "write", "fsync", "replace"} <= set(disk.acts)
    assert len(disk.acts) > 40
    return len(disk.acts), small_runs.bits(tmp_path / "whole")


@pytest.mark.parametrize("how", ["killed", "power cut", "power cut, renames lost"])
def test_a_crash_at_every_write(tmp_path, data, monkeypatch, how):
    number, whole = acts_of_a_whole_run(tmp_path, data, monkeypatch)
    begun, positions = 0, set()
    for at in range(number):
        folder = tmp_path / f"crash{at}"
        with monkeypatch.context() as patch:
            saved = Saved(patch)
            disk = (Disk if how == "killed" else Power)(patch, Crash)
            disk.at = at
            with pytest.raises(Crash):
                small_runs.start(folder, data, **OPTIONS)
        if how != "killed":
            disk.cut(names_too=how == "power cut, renames lost")
        if (folder / "run.toml").exists():
            begun += 1
            positions.add(saved.newest)
            small_runs.resume(folder, saved.check)
        else:  # killed before there was a run: the folder can be used for a new one
            small_runs.start(folder, data, **OPTIONS)
        assert small_runs.bits(folder) == whole, f"act {at}"
    assert begun > number - 10
    assert len(positions) == 7  # before any batch, and after each batch and epoch (2 batches an epoch)


def test_a_second_crash_while_resuming(tmp_path, data, monkeypatch):
    number, whole = acts_of_a_whole_run(tmp_path, data, monkeypatch)
    for at in range(5, number, 7):
        folder = tmp_path / f"crash{at}"
        for second in (at, 0, 1, 2, 3, 5, 8):
            with monkeypatch.context() as patch:
                disk = Disk(patch, Crash)
                disk.at = second
                try:
                    begun = (folder / "run.toml").exists()
                    small_runs.resume(folder) if begun else small_runs.start(folder, data, **OPTIONS)
                except Crash:
                    pass
        small_runs.resume(folder)
        assert small_runs.bits(folder) == whole, f"act {at}"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_refusing_disk_is_one_line_and_loses_nothing(tmp_path, data, monkeypatch, number):
    acts, whole = acts_of_a_whole_run(tmp_path, data, monkeypatch)
    step = 1 if number == errno.ENOSPC else 7
    for at in range(0, acts, step):
        folder = tmp_path / f"full{at}"
        with monkeypatch.context() as patch:
            disk = Disk(patch, lambda: OSError(number, os.strerror(number)))
            disk.at = at
            saved = Saved(patch)
            with pytest.raises(RunError) as refusal:
                small_runs.start(folder, data, **OPTIONS)
        message = str(refusal.value)
        assert str(folder) in message
        assert "\n" not in message
        if number == errno.ENOSPC:
            assert "disk is full" in message
        assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]
        for name in ("last", "best"):
            if (folder / f"{name}.safetensors").exists():
                checkpoints.load(folder / f"{name}.safetensors")
        if (folder / "run.toml").exists():
            small_runs.resume(folder, saved.check)
        else:
            small_runs.start(folder, data, **OPTIONS)
        assert small_runs.bits(folder) == whole, f"act {at}"


def test_a_refused_append_leaves_no_torn_line(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    durable.append(path, b'{"epoch": 1}\n')
    disk = Disk(monkeypatch, lambda: OSError(errno.ENOSPC, "full"))
    disk.at = 1  # the write, after the open
    with pytest.raises(RunError, match="disk is full"):
        durable.append(path, b'{"epoch": 2}\n')
    assert disk.acts == ["open", "write"]
    assert path.read_bytes() == b'{"epoch": 1}\n'
