"""The folder of a run: where each file stands, who may write, which checkpoint counts.

This module knows nothing of networks or data: text, records and arrays go in and come out.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.errors import RunError, nearest
from netsim.runs import checkpoints, durable, records
from netsim.runs.checkpoints import Checkpoint

if TYPE_CHECKING:
    import filelock


def new_path(name: str, parent: Path | str = "runs") -> Path:
    """The first of ``parent/name``, ``parent/name-2``, ``parent/name-3``, .. that does not exist."""
    name = re.sub(r"[^\w.+-]+", "_", name).strip("._")[:120] or "run"
    path, ordinal = Path(parent) / name, 1
    with durable.refusals(path):
        while os.path.lexists(path):
            ordinal += 1
            path = Path(parent) / f"{name}-{ordinal}"
    return path


def create(path: Path | str, configuration: str) -> Run:
    """Make the folder, lock it and write run.toml; the caller closes the run (a context manager).

    A folder that exists must hold no run and no other files; one that does is left as it is. Raises `RunError`.
    """
    run = Run(path)
    _check_free(run)
    durable.make_folder(run.path)
    run.lock()
    try:
        _check_free(run)  # another process may have begun there in the meantime
        run.write_configuration(configuration)
    except BaseException:
        run.close()
        raise
    return run


def _check_free(run: Run) -> None:
    """Refuse a folder that holds a run or other files."""
    with durable.refusals(run.path, "cannot be read"):
        try:
            stands = sorted(name for name in os.listdir(run.path) if not _is_left_by_a_kill(name))
        except (FileNotFoundError, NotADirectoryError):
            return
    if run.configuration_path.name in stands:
        raise RunError(
            f"{run.path} already holds a run: go on with it by `netsim train --resume {run.path}`, "
            "or choose another folder"
        )
    if stands:
        raise RunError(f"{run.path} is not empty ({stands[0]!r} is in it): choose another folder")


def find(path: Path | str) -> Run:
    """The run in folder `path`, for reading; `Run.lock` it before writing. `RunError` if there is none."""
    run = Run(path)
    with durable.refusals(run.path, "cannot be read"):
        if os.path.lexists(run.configuration_path):  # what is no file there is told when it is read
            return run
        if run.path.is_dir():
            raise RunError(f"{run.path} holds no run: there is no {run.configuration_path.name} in it")
        if run.path.exists():
            raise RunError(f"{run.path} is not the folder of a run")
        beside = run.path.parent if run.path.parent.is_dir() else Path("runs")
        known = sorted(entry.parent.name for entry in beside.glob("*/run.toml")) if beside.is_dir() else []
    hint = nearest(run.path.name, known) if known and len(known) <= 20 else ""
    raise RunError(f"{run.path}: there is no such run folder{hint}")


class Run:
    """One run's folder. Reading needs no lock: every file is replaced in one step.

    Every method raises `RunError`, in one line, for what the operating system refuses.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.configuration_path = self.path / "run.toml"
        self.metrics_path = self.path / "metrics.jsonl"
        self.timings_path = self.path / "timings.jsonl"
        self.last_path = self.path / "last.safetensors"
        self.previous_path = self.path / "previous.safetensors"
        self.best_path = self.path / "best.safetensors"
        self.curves_path = self.path / "curves.png"
        self._lock: filelock.BaseFileLock | None = None
        #: Device and inode of the folder and of the lock in it, while it is ours.
        self._ours: list[tuple[int, int] | None] = []
        #: What `_newest` found, until `restore` takes it or the folder changes hands: a checkpoint is read once.
        self._found: tuple[Checkpoint | None, list[tuple[Path, RunError]]] | None = None

    # Who may write

    def lock(self) -> Run:
        """Take the folder for this process, or raise at once. The system frees it when the process dies.

        Nothing is begun where a link, a pipe or a folder stands in the place of a file that the run will write; what
        a killed process left aside is removed.
        """
        import filelock

        durable.check_place(self.path / ".lock")  # the library may empty what it opens
        lock = filelock.FileLock(self.path / ".lock")
        with durable.refusals(self.path):
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                raise RunError(f"{self.path} is in use by another process") from None
            except NotImplementedError:
                raise RunError(f"{self.path} lies on a file system without locks: choose another folder") from None
            self._lock, self._ours = lock, [_identity(self.path), _identity(self.path / ".lock")]
        try:
            self._check_places()
        except BaseException:
            self.close()
            raise
        return self

    def _check_places(self) -> None:
        """Look at every place where a run writes; the newest checkpoint may be anything: `restore` sets it aside."""
        written = (self.configuration_path, self.metrics_path, self.timings_path, self.previous_path, self.best_path)
        for path in (*written, self.curves_path):
            durable.check_place(path)
        for path in (*written, self.last_path):  # `netsim plot` may be writing curves.png, without the lock
            durable.remove_left(path)

    def close(self) -> None:
        """Give the folder back."""
        self._found = None
        if self._lock is not None:
            with contextlib.suppress(OSError):  # the folder may be gone
                self._lock.release()
        self._lock, self._ours = None, []

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_ours(self) -> None:
        """Refuse to write without the lock, or into a folder put where ours was, or beside another process."""
        if self._lock is None:
            raise RunError(f"{self.path} is not locked by this process: call lock() first")
        with durable.refusals(self.path):
            there = [_identity(self.path), _identity(self.path / ".lock")]
        if there[0] is None:
            raise RunError(f"{self.path} cannot be written: the folder is gone")
        if there[0] != self._ours[0]:
            raise RunError(f"{self.path} was removed, and another folder stands there now")
        if there[1] != self._ours[1]:
            raise RunError(f"{self.path / '.lock'} was removed: another process may have begun to write there")

    # Configuration, metrics, picture

    def configuration(self) -> str:
        """The text of run.toml."""
        content = durable.read(self.configuration_path)
        if content is None:
            raise RunError(f"{self.path} holds no run: there is no {self.configuration_path.name} in it")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RunError(f"{self.configuration_path} is damaged: it is not UTF-8 text") from error

    def write_configuration(self, text: str) -> None:
        self._check_ours()
        durable.write(self.configuration_path, text.encode())

    def metrics(self) -> list[dict]:
        """The records of the epochs done, in order."""
        return records.read(self.metrics_path)

    def timings(self) -> list[dict]:
        """Seconds and images/s of the epochs done."""
        return records.read(self.timings_path)

    def append(self, record: dict, timing: dict) -> None:
        """Add the record of an epoch, and its times."""
        self._check_ours()
        records.append(self.timings_path, timing)
        records.append(self.metrics_path, record)

    def write_curves(self, png: bytes) -> None:
        self._check_ours()
        durable.write(self.curves_path, png)

    # Checkpoints

    def save(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint` the newest; the newest until now becomes the previous one."""
        self._check_ours()
        self._found = None
        durable.write(self.last_path, checkpoint.to_bytes(), keep=self.previous_path)

    def save_best(self, checkpoint: Checkpoint) -> None:
        self._check_ours()
        durable.write(self.best_path, checkpoint.to_bytes())

    def restore(self, report: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint that is whole; None for a run that had none yet.

        A damaged one is reported and set aside (``*.damaged``, ``*.damaged-2``, ..), and so is a timings.jsonl with
        lines that are no records, which stand nowhere else. metrics.jsonl and timings.jsonl are cut back to what the
        checkpoint covers. Raises `RunError` if there are checkpoints and none is whole.
        """
        self._check_ours()
        checkpoint, damaged = self._newest()
        self._found = None
        for bad, error in damaged:
            aside = _aside(bad)
            report(f"{error}; kept as {aside.name}; going on from {self.previous_path.name}")
            with durable.refusals(bad, "cannot be set aside"):
                os.replace(bad, aside)
        metrics = checkpoint.metrics.encode() if checkpoint else b""
        records.rewrite(self.metrics_path, metrics)
        self._restore_timings(metrics.count(b"\n"), report)
        return checkpoint

    def _restore_timings(self, epochs: int, report: Callable[[str], None]) -> None:
        """Leave the times of the first `epochs` epochs."""
        content = durable.read(self.timings_path) or b""
        if bad := records.damaged(content):
            aside = _aside(self.timings_path)
            lines = "a line is no record" if bad == 1 else f"{bad} lines are no records"
            report(f"{self.timings_path} is damaged: {lines}; kept as {aside.name}")
            durable.write(aside, content)
        timings = records.parse(content)
        kept = {timing["epoch"]: records.line(timing) for timing in timings if 0 < timing["epoch"] <= epochs}
        records.rewrite(self.timings_path, b"".join(kept.values()))

    def epochs_done(self) -> int:
        """Epochs of the newest checkpoint that is whole; 0 for a run that had none yet.

        A checkpoint has a checksum, and metrics.jsonl has none. Raises `RunError` as `restore` does.
        """
        checkpoint, _ = self._newest()
        return 0 if checkpoint is None else checkpoint.position["epoch"]

    def _newest(self) -> tuple[Checkpoint | None, list[tuple[Path, RunError]]]:
        """The newest checkpoint that is whole, if there is any, and the damaged one after it with what it lacks.

        Under the lock it is read and verified once.
        """
        if self._found is not None:
            return self._found
        found = self._look_for_the_newest()
        if self._lock is not None:
            self._found = found
        return found

    def _look_for_the_newest(self) -> tuple[Checkpoint | None, list[tuple[Path, RunError]]]:
        damaged: list[tuple[Path, RunError]] = []
        for path in (self.last_path, self.previous_path):
            if not os.path.lexists(path):  # a kill between two renames leaves only the previous one
                continue
            try:
                checkpoint = checkpoints.load(path)
            except RunError as error:
                damaged.append((path, error))
                continue
            return checkpoint, damaged
        if damaged:
            raise damaged[0][1]
        # One line may stand alone, and one epoch's best weights: they come before the first checkpoint.
        if len(self.metrics()) > 1 or self._has_later_best():
            raise RunError(f"{self.path} has no checkpoint any more: {self.last_path.name} is missing")
        return None, []

    def _has_later_best(self) -> bool:
        """Whether there are best weights that a run that begins anew would lose: of a later epoch than the first."""
        if not os.path.lexists(self.best_path):
            return False
        try:
            return checkpoints.load(self.best_path).position["epoch"] > 1
        except (RunError, KeyError, TypeError):  # damaged: nothing to lose
            return False


def _aside(path: Path) -> Path:
    """Where a damaged file is kept: beside it, and never in the place of one kept before."""
    aside, ordinal = path.with_name(f"{path.name}.damaged"), 1
    while os.path.lexists(aside):
        ordinal += 1
        aside = path.with_name(f"{path.name}.damaged-{ordinal}")
    return aside


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None if nothing is there."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _is_left_by_a_kill(name: str) -> bool:
    """Whether a process that was killed while it made the folder may leave this there."""
    return name == ".lock" or durable.is_aside(name, "run.toml")
