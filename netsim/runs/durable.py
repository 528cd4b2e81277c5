"""Files that a crash, a kill or a full disk leaves whole: written aside, synced, renamed.

After any of these a reader finds the old content or the new, never a mixture. What the operating system
refuses becomes one line (`RunError`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
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
    errno.EIO: "the disk reports an error",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EISDIR: "that is a folder",
    errno.ELOOP: "a symbolic link stands there",
    errno.ENXIO: "a named pipe or device stands there",
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


def check_place(path: Path) -> None:
    """Refuse to write where something other than a file stands: links are not followed, devices not replaced.

    Raises `RunError`.
    """
    with refusals(path):
        try:
            kind = stat.S_IFMT(os.lstat(path).st_mode)
        except FileNotFoundError:
            return
    if kind != stat.S_IFREG:
        raise RunError(f"{path} cannot be written: {_KINDS.get(kind, 'something else')} stands there")


def check_file(path: Path) -> None:
    """Refuse to read what is missing or no file: a pipe would be waited for. Raises `RunError`."""
    with refusals(path, "cannot be read"):
        regular = stat.S_ISREG(os.stat(path).st_mode)
    if not regular:
        raise RunError(f"{path} cannot be read: it is no regular file")


def read(path: Path) -> bytes | None:
    """The content of a file; None where there is none. Raises `RunError`."""
    if not os.path.lexists(path):
        return None
    check_file(path)
    with refusals(path, "cannot be read"):
        return path.read_bytes()


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


def write(path: Path, content: bytes, *, keep: Path | None = None) -> None:
    """Replace `path` by `content` in one step; with `keep`, what stood at `path` moves there.

    The new file is complete and synced before any rename, so a kill leaves `path` old, or new, or (with
    `keep`) for an instant only `keep`. The file aside has a fixed name: the next write removes what a kill
    left of it. Raises `RunError`; `path` is then what it was.
    """
    aside = path.with_name(f".{path.name}.tmp")
    for place in (path, keep):
        if place is not None:
            check_place(place)
    with refusals(path):
        try:
            with contextlib.suppress(FileNotFoundError):
                aside.unlink()
            with open(aside, "xb") as file:  # made here: nobody's link is followed, no pipe is waited for
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if keep is not None and path.exists():
                os.replace(path, keep)
            os.replace(aside, path)
            sync_folder(path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise


def append(path: Path, content: bytes) -> None:
    """Add `content` to the end of `path` and sync it; after a refusal the file has its old length again.

    A kill may leave a part of `content` at the end: readers drop a line that does not end (`records`).
    Raises `RunError`.
    """
    # Unbuffered: a buffer that could not be written would be tried again when the file is closed.
    check_place(path)
    with refusals(path), open(path, "ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, before)
            raise
