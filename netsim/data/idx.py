"""MNIST and Fashion-MNIST: IDX files, plain or gzip.

A file is a header of big-endian 32-bit numbers (0x0801 for labels, 0x0803 for images, then the sizes) and
bytes. Source: LeCun, Cortes, Burges, "The MNIST database"; Xiao, Rasul, Vollgraf (2017), "Fashion-MNIST".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netsim.data.compressed import opened, read_exactly
from netsim.data.dataset import Split
from netsim.data.places import Found, Layout, open_file
from netsim.data.refusal import refusing

INPUT_SHAPE = (28, 28, 1)
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True, slots=True)
class IdxLayout(Layout):
    """The four files of an MNIST-like data set and the numbers of their images."""

    train_size: int = 60_000
    test_size: int = 10_000
    classes: int = 10


def layout(*folders: str) -> IdxLayout:
    """The layout with its files in one of ``folders``."""
    return IdxLayout("idx", folders, None, FILES)


MNIST = (layout("mnist", "MNIST/raw"),)
FASHION_MNIST = (layout("fashion-mnist", "FashionMNIST/raw"),)


def read(found: Found) -> tuple[Split, Split]:
    """Training and test split: images (N, 28, 28, 1) uint8, scale 1/255.

    Raises `DataError` for missing or damaged files, other sizes, labels out of range.
    """
    form = found.layout
    train = _split(found.path, FILES[0], FILES[1], form.train_size, form.classes)
    return train, _split(found.path, FILES[2], FILES[3], form.test_size, form.classes)


def _split(folder: Path, images_name: str, labels_name: str, size: int, classes: int) -> Split:
    images, _ = _read_file(folder, images_name, (size, *INPUT_SHAPE[:2]))
    labels, path = _read_file(folder, labels_name, (size,))
    if labels.max() >= classes:
        index = int(np.argmax(labels >= classes))
        raise refusing(path)(f"image {index} has label {labels[index]}", f"0 to {classes - 1}")
    return Split(images[..., np.newaxis], labels, 1 / 255)


def _read_file(folder: Path, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, Path]:
    """The bytes of a plain or gzip IDX file that must hold ``shape``, and the path that was read."""
    plain, packed = folder / name, folder / f"{name}.gz"
    path = packed if packed.is_file() and not plain.is_file() else plain
    refuse = refusing(path)
    file, _ = open_file(path, refuse)
    with file:
        header = np.empty(1 + len(shape), ">u4")
        # One byte more than expected, so that a longer file is seen and a gzip bomb ends there.
        stream = opened(file, refuse, header.nbytes + math.prod(shape) + 1)
        if read_exactly(stream, memoryview(header).cast("B")) != header.nbytes:
            raise refuse("a file without a whole header", f"an IDX file of shape {shape}")
        if header[0] != 0x0800 + len(shape):
            raise refuse(f"the header {header[0]:#010x}", f"{0x0800 + len(shape):#010x} (IDX, bytes)")
        if tuple(header[1:].tolist()) != shape:
            raise refuse(f"the shape {tuple(header[1:].tolist())}", f"{shape}")
        values = np.empty(shape, np.uint8)
        got = read_exactly(stream, memoryview(values).cast("B"))
        if got != values.size:
            raise refuse(f"{got} bytes after the header (truncated)", f"{values.size}")
        if stream.read(1):
            raise refuse(f"more than {values.size} bytes after the header", f"{values.size}")
    return values, path
