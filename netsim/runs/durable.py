"""Files that a crash, a kill or a full disk leaves whole: written aside, synced, renamed.

After any of these a reader finds the old content or the new, never a mixture. What the operating system
refuses becomes one line (`RunError`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from netsim.errors import RunError

_REASONS = {
    errno.ENOSPC: "the disk is full; what was saved before is still there",
    errno.EDQUOT: "the disk quota is used up; what was saved before is still there",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "the folder is gone",
    errno.ENOTDIR: "a part of the path is no folder",
    errno.ESTALE: "the folder is gone",
    errno.EEXIST: "something that is no folder stands there",
    errno.EIO: "the disk reports an error",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EISDIR: "that is a folder",
    errno.ELOOP: "a symbolic link stands there",
    errno.ENXIO: "a named pipe, socket or device stands there",
}

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def reason(error: OSError) -> str:
    """What the operating system refused, in words."""
    named = error.errno == errno.ENOENT and error.filename is not None
    if named and Path(os.fsdecode(error.filename)).parent.is_dir():
        return "there is no such file or folder"
    return _REASONS.get(error.errno, (error.strerror or str(error) or type(error).__name__).lower())


@contextlib.contextmanager
def refusals(path: Path, doing: str = "cannot be written") -> Iterator[None]:
    """Turn an OSError into `RunError`: ``<path> <doing>: <reason>``."""
    try:
        yield
    except RunError:
        raise
    except OSError as error:
        raise RunError(f"{path} {doing}: {reason(error)}") from error
    except ValueError as error:  # a NUL byte in a path
        raise RunError(f"{str(path)!r} {doing}: {error}") from error


#: Never through a link, never waiting for the other end of a pipe, never inherited.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


def check_place(path: Path, doing: str = "cannot be written") -> int | None:
    """Refuse what is no file: links are not followed, devices not replaced, pipes not waited for.

    Returns the permissions of the file there, None where nothing is. Raises `RunError`.
    """
    with refusals(path, doing):
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return None
    _check_kind(path, mode, doing)
    return mode & 0o777


def _check_kind(path: Path, mode: int, doing: str) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise RunError(f"{path} {doing}: {kind} stands there, no regular file")


def check_file(path: Path) -> None:
    """Refuse to read what is missing or no file: links are not followed. Raises `RunError`."""
    if check_place(path, "cannot be read") is None:
        with refusals(path, "cannot be read"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _opened(path: Path, flags: int, doing: str) -> int:
    """The descriptor of a file, made where none is if `flags` say so; what it leads to is looked at once it is open."""
    descriptor = os.open(path, flags | _FLAGS, 0o666)
    try:
        _check_kind(path, os.fstat(descriptor).st_mode, doing)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read(path: Path) -> bytes | None:
    """The content of a file; None where there is none. Raises `RunError`."""
    doing = "cannot be read"
    with refusals(path, doing):
        try:
            descriptor = _opened(path, os.O_RDONLY, doing)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            return file.read()


#: What a file system answers that cannot sync folders, or lets nobody open this one: no reason to stop a run.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut (a no-op where folders cannot be opened or synced)."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents so that they survive a power cut. Raises `RunError`."""
    with refusals(folder, "cannot be made"):
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in reversed(missing):
            sync_folder(path.parent)


#: Seconds after which a file aside is what a dead process left: nobody takes so long to write one.
_FORGOTTEN = 3600.0


def _aside(path: Path) -> Path:
    """A new name beside `path`, hidden; two writers of one file have two."""
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.tmp")


def is_aside(name: str, of: str) -> bool:
    """Whether a file called `name` was written aside for one called `of` (earlier versions: without a number)."""
    return re.fullmatch(rf"\.{re.escape(of[:40])}(\.[0-9a-f]{{8}})?\.tmp", name) is not None


def remove_left(path: Path, seconds: float = 0.0) -> None:
    """Remove what writers of `path` left aside when they were killed, unless it was touched in the last `seconds`.

    Nothing is followed, and what cannot be removed stays: it is in nobody's way.
    """
    now = time.time()
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if is_aside(entry.name, path.name):
                with contextlib.suppress(OSError):
                    if now - entry.stat(follow_symlinks=False).st_mtime >= seconds:
                        os.unlink(entry.path)


def write(path: Path, content: bytes, *, keep: Path | None = None) -> None:
    """Replace `path` by `content` in one step; with `keep`, what stood at `path` moves there.

    The new file is complete and synced before any rename, so a kill leaves `path` old, or new, or (with
    `keep`) for an instant only `keep`. Any number of processes and threads may write one path: each writes aside under
    a name of its own, and the last rename counts. What a kill left aside is removed by a write an hour later.
    The file keeps the permissions of the one that it replaces; a new one gets what the umask leaves.
    Raises `RunError`; `path` is then what it was.
    """
    permissions = check_place(path)
    if keep is not None:
        check_place(keep)
    remove_left(path, _FORGOTTEN)
    with refusals(path):
        aside, begun = _aside(path), 0o666 if permissions is None else permissions
        # Made here: nobody's link is followed, no pipe is waited for, nobody's file is emptied.
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, begun)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                if permissions not in (None, os.fstat(descriptor).st_mode & 0o777):  # the umask took some
                    os.chmod(aside, permissions)
                os.fsync(descriptor)
            if keep is not None and os.path.lexists(path):
                os.replace(path, keep)
            os.replace(aside, path)
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise


def append(path: Path, content: bytes) -> None:
    """Add `content` to the end of `path` and sync it; after a refusal the file has its old length again.

    A kill may leave a part of `content` at the end: readers drop a line that does not end (`records`).
    Raises `RunError`.
    """
    doing = "cannot be written"
    with refusals(path, doing):
        descriptor = _opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, doing)
        # Unbuffered: a buffer that could not be written would be tried again when the file is closed.
        with open(descriptor, "ab", buffering=0) as file:
            before = os.fstat(descriptor).st_size
            try:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
