"""Where compiled kernels are kept between runs: folders on disk, one for each state of the kernels' sources.

The folder that NETSIM_CACHE names, else the user's cache folder, holds them. Where that cannot be written, what it
holds is read all the same, and what it lacks goes to a folder of this user alone among the system's temporary files.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KernelFolders:
    """Folders of compiled kernels.

    Attributes
    ----------
    shared : one that can only be read, or None
    own : one that can be written, or None
    named : the one that was asked for, whether or not it can be used
    """

    shared: Path | None
    own: Path | None
    named: Path

    @property
    def notice(self) -> str:
        """What a user should know where no kernel can be kept: one line; else nothing."""
        if self.shared or self.own:
            return ""
        return (
            f"compiled kernels cannot be kept, so every process compiles them anew: neither {self.named} nor a folder "
            "among the temporary files can be written; NETSIM_CACHE names another"
        )


def kernel_folders(kind: str, compiler: str, sources: Iterable[Path]) -> KernelFolders:
    """The folders of one kind of kernels.

    kind : "kernels" or "cuda". compiler : its name, version and target. sources : files that the kernels are made of.
    Compilers notice a changed kernel, but not a changed function that it calls: so a digest of all names the folders.
    """
    import platformdirs

    digest = hashlib.sha256(compiler.encode())
    for source in sorted(sources):
        digest.update(source.read_bytes())
    below = Path(kind, digest.hexdigest()[:16])
    base = os.environ.get("NETSIM_CACHE") or platformdirs.user_cache_dir("netsim")
    named = Path(os.path.expanduser(base)) / below
    if _can_be_written(named):
        return KernelFolders(None, named, named)
    private = _private_folder()
    own = private / below if private is not None and _can_be_written(private / below) else None
    return KernelFolders(named if os.access(named, os.R_OK | os.X_OK) else None, own, named)


#: First bytes of a file of compiled kernels; after them the SHA-256 of all that follows it, and of what it is.
_MARK = b"netsim kernels 2\n"


def sealed(content: bytes, what: str = "") -> bytes:
    """What a file of compiled kernels holds: the content behind its checksum. ``what`` : of which kernel it is."""
    return _MARK + _checksum(content, what) + content


def unsealed(file: bytes, what: str = "") -> bytes | None:
    """The content of such a file; None where it is damaged, or that of another kernel.

    What numba writes is read by unpickling it, and then run: not before it is known to be what was written.
    """
    mark, checksum, content = file[: len(_MARK)], file[len(_MARK) : len(_MARK) + 32], file[len(_MARK) + 32 :]
    return content if mark == _MARK and checksum == _checksum(content, what) else None


def _checksum(content: bytes, what: str) -> bytes:
    return hashlib.sha256(what.encode() + b"\n" + content).digest()


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made in the folder, which is made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _private_folder() -> Path | None:
    """A folder among the system's temporary files that nobody but this user can write or read, or None.

    Reading compiled kernels runs them, so one that somebody else made or can change is not taken.
    """
    if not hasattr(os, "geteuid"):  # temporary files are the user's own there
        return Path(tempfile.gettempdir()) / "netsim"
    try:
        folder = Path(tempfile.gettempdir()) / f"netsim-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return folder if private else None
