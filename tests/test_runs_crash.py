"""A process that dies, or a disk that fills, at every single write of a run: nothing saved is lost.

Every call that changes the disk (write, fsync, rename) is counted; for each number n, a run is stopped at its n-th
call and then resumed. The result must be the bits of a run that nothing stopped.
"""

import builtins
import errno
import hashlib
import json
import os

import pytest
import small_runs

from netsim import plots, training
from netsim.errors import RunError
from netsim.runs import checkpoints, durable


class Crash(BaseException):
    """The process is gone: no cleanup of ours may depend on catching this."""


class Disk:
    """Counts what the run does to the disk, and lets the n-th act fail."""

    def __init__(self, monkeypatch, failure):
        self.acts, self.at, self.failure = [], None, failure
        self.monkeypatch = monkeypatch
        for name in ("replace", "fsync"):
            self.wrap(os, name)
        monkeypatch.setattr(durable, "open", self.open, raising=False)

    def wrap(self, owner, name):
        real = getattr(owner, name)

        def act(*args, **kwargs):
            self.count(name)
            return real(*args, **kwargs)

        self.monkeypatch.setattr(owner, name, act)

    def count(self, what):
        self.acts.append(what)
        if len(self.acts) - 1 == self.at:
            raise self.failure()

    def open(self, path, mode="r", **kwargs):
        self.count("open")
        file = builtins.open(path, mode, **kwargs)  # noqa: SIM115 (the caller closes it)
        if mode not in ("wb", "ab"):
            return file
        return Torn(file, self)


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
    # A picture that is cheap to draw and still shows every record.
    def drawn(curve):
        return hashlib.sha256(json.dumps(curve.records).encode()).digest()

    monkeypatch.setattr(plots, "curves", drawn)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)  # a checkpoint after every batch
    monkeypatch.setattr(training, "CURVES_SECONDS", 0.0)
    return small_runs.write_data(tmp_path / "small.npz", images=20)


OPTIONS = {"net": "full 4; output", "epochs": 2, "batch": 8, "validation": 4}


def acts_of_a_whole_run(tmp_path, data, monkeypatch):
    with monkeypatch.context() as patch:
        disk = Disk(patch, Crash)
        small_runs.start(tmp_path / "whole", data, **OPTIONS)
    assert {"open", "write", "fsync", "replace"} <= set(disk.acts)
    assert len(disk.acts) > 60
    return len(disk.acts), small_runs.bits(tmp_path / "whole")


def test_a_crash_at_every_write(tmp_path, data, monkeypatch):
    number, whole = acts_of_a_whole_run(tmp_path, data, monkeypatch)
    begun = 0
    for at in range(number):
        folder = tmp_path / f"crash{at}"
        with monkeypatch.context() as patch:
            disk = Disk(patch, Crash)
            disk.at = at
            with pytest.raises(Crash):
                small_runs.start(folder, data, **OPTIONS)
        if (folder / "run.toml").exists():
            begun += 1
            small_runs.resume(folder)
        else:  # killed before there was a run: the folder can be used for a new one
            small_runs.start(folder, data, **OPTIONS)
        assert small_runs.bits(folder) == whole, f"act {at}"
    assert begun > number - 10


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
            small_runs.resume(folder)
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
