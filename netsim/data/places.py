"""Where the files of a data set are looked for, and which of the official layouts stands there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from netsim.data.compressed import opened, tar_members
from netsim.data.refusal import Refuse, refusing
from netsim.errors import DataError

_INSTALLED = Path("/usr/share/datasets")
"""Debian's and Ubuntu's packages of data sets (dataset-fashion-mnist) put their files below it."""

_LARGEST_START = 1 << 20
"""Bytes of an archive that may come before its first file."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of an official layout: what `netsim data fetch --layout` calls it, its folders, the official one first,
    its archive, files in a folder.
    """

    name: str
    folders: tuple[str, ...]
    archive: str | None
    files: tuple[str, ...]

    def is_present(self, folder: Path, name: str) -> bool:
        """Whether the file stands in ``folder``; files that come without an archive may end in ``.gz``."""
        packed = self.archive is None and (folder / f"{name}.gz").is_file()
        return packed or (folder / name).is_file()


@dataclass(frozen=True, slots=True)
class Found:
    """A layout at ``path``: the folder with the files, or some of them, or the archive."""

    path: Path
    layout: Layout
    is_archive: bool
    is_complete: bool = True


class NoFolderError(DataError):
    """A folder or file that the user names is not there."""


def default_folder() -> Path:
    """The folder NETSIM_DATA names, else ``netsim/data`` in the user's cache folder."""
    named = os.environ.get("NETSIM_DATA")
    if named:
        return named_path(named)
    from platformdirs import user_cache_path

    return user_cache_path("netsim", appauthor=False) / "data"


def named_path(path: Path | str) -> Path:
    """A path that a user named, ``~`` expanded where there is such a user."""
    return Path(os.path.expanduser(path))


def places(data_dir: Path | str | None) -> tuple[Path, ...]:
    """What is searched: ``data_dir`` alone when given, else the default folder and installed packages."""
    return (default_folder(), _INSTALLED) if data_dir is None else (named_path(data_dir),)


def check_named(path: Path | str) -> None:
    """Raise `NoFolderError` where nothing stands that a user named, `DataError` where it cannot be looked at."""
    place = named_path(path)
    try:
        there = place.is_file() or place.is_dir()
    except (OSError, ValueError) as error:
        raise refusing(place)(getattr(error, "strerror", None) or str(error), "a folder that can be read") from None
    if not there:
        raise _no_folder(place)


def _no_folder(place: Path) -> NoFolderError:
    return NoFolderError(str(refusing(place)("no such folder or file", "a folder with the data files")))


def find(layouts: Iterable[Layout], data_dir: Path | str | None) -> Found | None:
    """The first layout that stands complete in the searched places; else the first incomplete one, or None.

    A place may be the folder that holds an official folder or archive, that folder, or the archive itself.
    Raises `NoFolderError` when a named ``data_dir`` does not exist, `DataError` when it is an archive of something
    else or cannot be read.
    """
    layouts, incomplete = tuple(layouts), None
    for place in places(data_dir):
        try:
            if place.is_file():
                return _archive(place, layouts)
            for layout in layouts:
                # The place itself only where it was named: MNIST and Fashion-MNIST name their files alike.
                own = () if data_dir is None else (place,)
                for folder in (*(place / name for name in layout.folders), *own):
                    present = [layout.is_present(folder, name) for name in layout.files]
                    if all(present):
                        return Found(folder, layout, is_archive=False)
                    if any(present) and incomplete is None:
                        incomplete = Found(folder, layout, is_archive=False, is_complete=False)
                if layout.archive and (place / layout.archive).is_file():
                    return Found(place / layout.archive, layout, is_archive=True)
            if data_dir is not None and not place.is_dir():
                raise _no_folder(place)
        except OSError as error:
            if isinstance(error, DataError):
                raise
            raise refusing(place)(error.strerror or type(error).__name__, "a folder that can be read") from None
    return incomplete


def open_file(path: Path, refuse: Refuse) -> tuple[BinaryIO, int]:
    """The regular file at ``path``, unbuffered, and its size in bytes."""
    if not os.path.isfile(path):
        raise refuse("no regular file" if os.path.lexists(path) else "missing", "a regular file")
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 (the caller closes it)
    except OSError as error:
        raise refuse(error.strerror or type(error).__name__, "a file that can be read") from None
    return file, os.fstat(file.fileno()).st_size


def _archive(path: Path, layouts: tuple[Layout, ...]) -> Found:
    """The layout whose folder the archive holds, told by its first file whatever the file is called."""
    refuse = refusing(path)
    folders = [layout.folders[0] for layout in layouts if layout.archive]
    if not folders:
        raise refuse("a file", "the folder that holds the data files")
    file, _ = open_file(path, refuse)
    with file:
        first = next(tar_members(opened(file, refuse, _LARGEST_START), refuse), None)
    name = first.name if first else ""
    for layout in layouts:
        if layout.archive and PurePosixPath(name).parts[:1] == (layout.folders[0],):
            return Found(path, layout, is_archive=True)
    raise refuse(f"starts with the file {name!r}", f"a tar archive of {' or '.join(folders)}")
