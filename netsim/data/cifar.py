"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): the official binary and python layouts, as folders or archives.

Binary: a file is records of 1 label byte (CIFAR-100: 2, coarse and fine) and 3072 pixel bytes, three
planes of 32x32 in row-major order. Python: a pickled dict with the planes as a uint8 array (N, 3072) and a
list of labels. Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np

from netsim.data.compressed import opened, read_exactly, tar_members
from netsim.data.dataset import Split
from netsim.data.places import Found, Layout, open_file
from netsim.data.refusal import Refuse, refusing
from netsim.data.unpickle import read_pickle

INPUT_SHAPE = (32, 32, 3)
_PIXELS = 32 * 32
_CHUNK = 1000
"""Records read and unpacked together."""
_LARGEST_ARCHIVE = 1 << 29
"""Bytes that an archive may inflate to; the official ones reach 185 MB, repacked pickles 280 MB."""


@dataclass(frozen=True, slots=True)
class CifarLayout(Layout):
    """One official layout: which files are training and test data, images in a file, and where a label
    stands.

    label_bytes: bytes before the pixels of a record, the last of them the label; 0 for the python layout.
    label_key: key of the labels in the python layout.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    train_records: int
    test_records: int
    label_bytes: int
    label_key: str
    classes: int


def _layout(name: str, folder: str, archive: str, train: tuple[str, ...], test: tuple[str, ...], **rest) -> CifarLayout:
    return CifarLayout(name, (folder,), archive, (*train, *test), train, test, **rest)


_TEN = tuple(f"data_batch_{number}" for number in range(1, 6))
_OF_TEN = {"train_records": 10_000, "test_records": 10_000, "label_key": "labels", "classes": 10}
_OF_HUNDRED = {"train_records": 50_000, "test_records": 10_000, "label_key": "fine_labels", "classes": 100}
CIFAR10 = (
    _layout("binary", "cifar-10-batches-bin", "cifar-10-binary.tar.gz", tuple(f"{name}.bin" for name in _TEN),
            ("test_batch.bin",), label_bytes=1, **_OF_TEN),
    _layout("python", "cifar-10-batches-py", "cifar-10-python.tar.gz", _TEN, ("test_batch",), label_bytes=0, **_OF_TEN),
)  # fmt: skip
CIFAR100 = (
    _layout(
        "binary",
        "cifar-100-binary",
        "cifar-100-binary.tar.gz",
        ("train.bin",),
        ("test.bin",),
        label_bytes=2,
        **_OF_HUNDRED,
    ),
    _layout(
        "python", "cifar-100-python", "cifar-100-python.tar.gz", ("train",), ("test",), label_bytes=0, **_OF_HUNDRED
    ),
)


def read(found: Found) -> tuple[Split, Split]:
    """Training and test split: images (N, 32, 32, 3) uint8, scale 1/255.

    Raises `DataError` for missing files, files of the wrong size, labels out of range, damaged or hostile
    archives and pickles.
    """
    layout = found.layout
    places = {name: (True, index * layout.train_records) for index, name in enumerate(layout.train)}
    places |= {name: (False, index * layout.test_records) for index, name in enumerate(layout.test)}
    sizes = (len(layout.test) * layout.test_records, len(layout.train) * layout.train_records)
    images = [np.empty((size, *INPUT_SHAPE), np.uint8) for size in sizes]
    labels = [np.empty(size, np.int64) for size in sizes]
    for name, stream, size, refuse in _files(found):
        if name not in places:
            raise refuse("comes twice", "every file once")
        is_train, start = places.pop(name)
        stop = start + (layout.train_records if is_train else layout.test_records)
        fill = _fill_from_records if layout.label_bytes else _fill_from_pickle
        fill(stream, size, refuse, layout, images[is_train][start:stop], labels[is_train][start:stop])
    if places:
        raise refusing(found.path)(f"no {', '.join(sorted(places))}", f"the files of {layout.folders[0]}")
    test, train = (Split(part, label, 1 / 255) for part, label in zip(images, labels, strict=True))
    return train, test


def _files(found: Found) -> Iterator[tuple[str, BinaryIO, int, Refuse]]:
    """Name, content, size and error maker of each file of the layout."""
    if not found.is_archive:
        for name in found.layout.files:
            refuse = refusing(found.path / name)
            file, size = open_file(found.path / name, refuse)
            with file:
                yield name, file, size, refuse
        return
    refuse = refusing(found.path)
    file, _ = open_file(found.path, refuse)
    with file:
        for member in tar_members(opened(file, refuse, _LARGEST_ARCHIVE), refuse):
            path = PurePosixPath(member.name)
            if str(path.parent) == found.layout.folders[0] and path.name in found.layout.files:
                yield path.name, member, member.size, refusing(found.path, member.name)


def _fill_from_records(
    stream: BinaryIO, size: int, refuse: Refuse, layout: CifarLayout, images: np.ndarray, labels: np.ndarray
) -> None:
    length = layout.label_bytes + 3 * _PIXELS
    expected = f"{len(images) * length} ({len(images)} images of {length} bytes)"
    if size != len(images) * length:
        raise refuse(f"{size} bytes", expected)
    buffer = np.empty((min(_CHUNK, len(images)), length), np.uint8)
    for start in range(0, len(images), _CHUNK):
        records = buffer[: len(images) - start]
        if read_exactly(stream, memoryview(records).cast("B")) != records.size:
            raise refuse("became shorter while it was read", expected)
        stop = start + len(records)
        _fill(images[start:stop], labels[start:stop], records[:, layout.label_bytes :],
              records[:, layout.label_bytes - 1], start, layout.classes, refuse)  # fmt: skip


def _fill_from_pickle(
    stream: BinaryIO, size: int, refuse: Refuse, layout: CifarLayout, images: np.ndarray, labels: np.ndarray
) -> None:
    # Python 3 writes the bytes of protocol 2 as UTF-8: up to two bytes for one, and some 100 for a file name.
    most = len(images) * (2 * 3 * _PIXELS + 200) + (1 << 16)
    if size > most:
        raise refuse(f"{size} bytes", f"at most {most}")
    data, given = _pickled(stream, size, refuse, layout.label_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(images), 3 * _PIXELS):
        found = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise refuse(f"'data' is {found}", f"uint8 ({len(images)}, {3 * _PIXELS})")
    if not isinstance(given, list) or len(given) != len(images) or set(map(type, given)) != {int}:
        found = f"{len(given)} items" if isinstance(given, list) else type(given).__name__
        raise refuse(f"{layout.label_key!r} is {found}", f"a list of {len(images)} integers")
    if not 0 <= min(given) <= max(given) < layout.classes:
        raise refuse(f"labels from {min(given)} to {max(given)}", f"0 to {layout.classes - 1}")
    given = np.array(given, np.int64)
    for start in range(0, len(images), _CHUNK):
        part = slice(start, start + _CHUNK)
        _fill(images[part], labels[part], data[part], given[part], start, layout.classes, refuse)


def _pickled(stream: BinaryIO, size: int, refuse: Refuse, label_key: str) -> tuple[object, object]:
    """The values of 'data' and of the labels."""
    content = bytearray(size)
    if read_exactly(stream, memoryview(content)) != size:
        raise refuse("became shorter while it was read", f"{size} bytes")
    value = read_pickle(content, refuse)
    if not isinstance(value, dict) or not {"data", label_key} <= set(value):
        found = f"a dict of {sorted(map(str, value))}" if isinstance(value, dict) else type(value).__name__
        raise refuse(found, f"a dict with 'data' and {label_key!r}")
    return value["data"], value[label_key]


def _fill(
    images: np.ndarray,
    labels: np.ndarray,
    planes: np.ndarray,
    given: np.ndarray,
    first: int,
    classes: int,
    refuse: Refuse,
) -> None:
    """Check labels and write planes (n, 3072) as NHWC."""
    if given.max() >= classes:
        index = int(np.argmax(given >= classes))
        raise refuse(f"image {first + index} has label {given[index]}", f"0 to {classes - 1}")
    labels[:] = given
    pixels = images.reshape(len(images), _PIXELS, 3)
    for channel in range(3):
        pixels[:, :, channel] = planes[:, channel * _PIXELS : (channel + 1) * _PIXELS]
