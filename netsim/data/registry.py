"""The data sets by name: what they are, where they stand, how to load and fetch them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netsim.data import cifar, class_names, digits, idx, npz
from netsim.data.dataset import Dataset, Split
from netsim.data.downloads import DOWNLOADS, Advance, Download, fetch_file
from netsim.data.places import Found, Layout, NoFolderError, default_folder, find, named_path, places
from netsim.data.refusal import printable
from netsim.errors import DataError, OptionError, UnknownNameError, nearest, shown

_NPZ = "npz:"


@dataclass(frozen=True, slots=True)
class Entry:
    """A data set that is known by name: its facts, official layouts (none: embedded) and reader."""

    name: str
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    train_size: int
    test_size: int
    layouts: tuple[Layout, ...]
    read: Callable[[Found], tuple[Split, Split | None]]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def downloads(self) -> dict[str, tuple[Download, ...]]:
        """The official files by layout; empty for what is embedded."""
        return DOWNLOADS.get(self.name, {})

    def find(self, data_dir: Path | str | None = None) -> Found | None:
        """Where the files stand (see `places.find`), or None."""
        if not self.layouts:
            return Found(digits.path(), Layout("", (), None, ()), is_archive=False)
        return find(self.layouts, data_dir)


def _read_digits(found: Found) -> tuple[Split, None]:
    return digits.read(found.path), None


_ENTRIES = {
    entry.name: entry
    for entry in (
        Entry("digits", digits.INPUT_SHAPE, class_names.DIGITS, digits.SIZE, 0, (), _read_digits),
        Entry("cifar10", cifar.INPUT_SHAPE, class_names.CIFAR10, 50_000, 10_000, cifar.CIFAR10, cifar.read),
        Entry("cifar100", cifar.INPUT_SHAPE, class_names.CIFAR100, 50_000, 10_000, cifar.CIFAR100, cifar.read),
        Entry("mnist", idx.INPUT_SHAPE, class_names.DIGITS, 60_000, 10_000, idx.MNIST, idx.read),
        Entry(
            "fashion-mnist",
            idx.INPUT_SHAPE,
            class_names.FASHION_MNIST,
            60_000,
            10_000,
            idx.FASHION_MNIST,
            idx.read,
        ),
    )
}


def known() -> tuple[str, ...]:
    """Names that `load` takes, besides ``npz:PATH``."""
    return tuple(_ENTRIES)


def describe(name: str) -> Entry:
    """The entry of a known name; `UnknownNameError` with the nearest one for another."""
    entry = _ENTRIES.get(name)
    if entry is None:
        raise UnknownNameError(f"unknown data set {shown(name)}{nearest(name[:40], (*known(), 'npz:PATH'))}")
    return entry


def load(name: str, data_dir: Path | str | None = None) -> Dataset:
    """The data set ``name``: one of `known()`, or ``npz:PATH`` for a file of your own.

    ``data_dir``: the folder that holds the official folder or archive, that folder, or the archive. When
    it is left out: the folder NETSIM_DATA names or ``netsim/data`` in the user's cache, then installed
    packages of data sets. Nothing is fetched: `fetch` does that. Images are uint8 as stored; the splits'
    ``batch`` gives float32 pixels.

    Raises `UnknownNameError`; `DataError` for files that are missing, damaged or not to be trusted.
    """
    if name.startswith(_NPZ):
        return _load_npz(name.removeprefix(_NPZ), data_dir)
    entry = describe(name)
    try:
        found = entry.find(data_dir)
    except NoFolderError as error:
        raise DataError(f"{error}; {_how_to_get(entry, data_dir)}") from None
    if found is None:
        searched = " or ".join(printable(place) for place in places(data_dir))
        other = "" if data_dir else "--data-dir names another folder, "
        raise DataError(f"{entry.name} is not in {searched}: {other}{_how_to_get(entry, data_dir)}")
    try:
        train, test = entry.read(found)
    except DataError as error:
        raise DataError(f"{error}; {_how_to_mend(entry, found, data_dir)}") from None
    return Dataset(entry.name, train, test, entry.class_names, entry.input_shape, entry.classes)


def fetch(
    name: str,
    data_dir: Path | str | None = None,
    layout: str | None = None,
    advance: Advance = lambda name, done, total: None,
) -> Path:
    """Fetch the official files of ``name`` into ``data_dir`` (default: the default folder); where they
    stand now.

    What already stands there whole is not fetched again; an archive or file with a wrong checksum is.
    layout: "binary" (default) or "python" for CIFAR. advance: told file name, bytes so far, bytes in all.

    Raises `UnknownNameError`, `OptionError` for an unknown layout, `DataError` with address, checksum and
    folder.
    """
    if name.startswith(_NPZ):
        raise OptionError(f"{name}: a file of your own cannot be fetched; known: {', '.join(known())}")
    entry = describe(name)
    if layout is not None and layout not in entry.downloads:
        layouts = entry.downloads or ("(embedded)",)
        raise OptionError(f"{name} has no layout {shown(layout)}{nearest(layout[:40], layouts)}")
    folder = default_folder() if data_dir is None else named_path(data_dir)
    if data_dir is None or os.path.exists(folder):
        found = entry.find(data_dir)
        fetched = {folder / item.path for items in entry.downloads.values() for item in items}
        whole = found is not None and found.is_complete
        if whole and layout is None and not fetched & {found.path, *_files_in(found)}:
            return found.path
    downloads = entry.downloads[layout or next(iter(entry.downloads))]
    paths = [fetch_file(item, folder, advance) for item in downloads]
    return paths[0] if len(paths) == 1 else paths[0].parent


def _files_in(found: Found) -> set[Path]:
    return {found.path / f"{name}.gz" for name in found.layout.files if (found.path / f"{name}.gz").is_file()}


def _load_npz(path: str, data_dir: Path | str | None) -> Dataset:
    if not path:
        raise OptionError("npz: without a file; expected npz:PATH")
    candidate = named_path(path)
    if data_dir is not None and not os.path.isfile(candidate):
        candidate = named_path(data_dir) / candidate
    return npz.read(candidate)


def _how_to_mend(entry: Entry, found: Found, data_dir: Path | str | None) -> str:
    """End of the message about what was found and cannot be read."""
    if not entry.downloads:
        return "it belongs to scikit-learn: install that anew"
    removed = "remove it and " if found.is_complete else ""  # else a file is missing: the official ones take over
    return removed + _how_to_get(entry, data_dir, found.layout.name)


def _how_to_get(entry: Entry, data_dir: Path | str | None, layout: str | None = None) -> str:
    """End of a message: the command that fetches the official files, and how to do without it."""
    target = default_folder() if data_dir is None else named_path(data_dir)
    target = target.parent if os.path.isfile(target) else target
    first = next(iter(entry.downloads))
    options = "" if layout in (None, first) else f" --layout {layout}"
    options += "" if data_dir is None else f" --data-dir {shlex.quote(printable(target))}"
    by_hand = ", ".join(item.advice(target) for item in entry.downloads[layout or first])
    return f"`netsim data fetch {entry.name}{options}` gets it, or put by hand {by_hand}"
