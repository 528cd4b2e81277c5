"""``npz:PATH``: images and labels of your own in a NumPy .npz file.

Arrays ``images`` and ``labels``, or ``train_images``, ``train_labels``, ``test_images``, ``test_labels``.
Images (N, H, W) or (N, H, W, C), uint8 (pixels 0 to 255, scaled by 1/255) or floating (used as they are,
in float32); labels (N,) integers 0 to C-1, where the largest label tells the number of classes. Pickled
objects are refused.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from netsim.data.compressed import read_exactly
from netsim.data.dataset import Dataset, Split
from netsim.data.places import open_file
from netsim.data.refusal import Refuse, refusing
from netsim.errors import ArrayError, DataError

_LARGEST = 1 << 35
_LARGEST_RATIO = 200
_ALWAYS_ALLOWED = 1 << 26
"""A file may inflate to this many bytes or to `_LARGEST_RATIO` times its own size, at most to `_LARGEST`."""
_MOST_CLASSES = 10_000
_EXPECTED = "images and labels, or train_images, train_labels, test_images and test_labels"


def read(path: Path) -> Dataset:
    """The data set in the file at ``path``, named ``npz:`` and its path.

    Raises `DataError` for a file that is missing, damaged, too large inflated, without these arrays, with
    pickled objects, wrong shapes or dtypes, non-finite pixels, labels that are negative or larger than
    9,999.
    """
    refuse = refusing(path)
    file, size = open_file(path, refuse)
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _dataset(path, archive, size)
        except DataError:
            raise
        except Exception as error:
            # zipfile and NumPy's header reader have no common error: a flipped byte gives any of a dozen.
            kind = type(error).__name__
            raise refuse(f"no readable .npz file ({kind})", "a file made by numpy.savez") from None


def _dataset(path: Path, archive: zipfile.ZipFile, size: int) -> Dataset:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise refusing(path)("the same array twice", _EXPECTED)
    plain, split = {"images", "labels"}, {"train_images", "train_labels", "test_images", "test_labels"}
    if not (plain <= set(members) or split <= set(members)):
        raise refusing(path)(f"the arrays {', '.join(sorted(members)) or '(none)'}", _EXPECTED)
    has_test = split <= set(members)
    wanted = sorted(split if has_test else plain)
    most = min(max(_ALWAYS_ALLOWED, _LARGEST_RATIO * size), _LARGEST)
    if (total := sum(members[name].file_size for name in wanted)) > most:
        raise refusing(path)(f"arrays that inflate to {total} bytes", f"at most {most}")
    arrays = {name: _array(archive, members[name], refusing(path, name)) for name in wanted}
    train = _split(path, arrays, "train_" if has_test else "")
    test = _split(path, arrays, "test_") if has_test else None
    if test is not None and (test.images.shape[1:], test.scale) != (train.images.shape[1:], train.scale):
        raise refusing(path, "test_images")(
            f"{test.images.dtype} {test.images.shape[1:]}",
            f"{train.images.dtype} {train.images.shape[1:]} as in training",
        )
    classes = 1 + int(max(train.labels.max(), test.labels.max() if test else 0))
    if classes > _MOST_CLASSES:
        raise refusing(path)(f"the label {classes - 1}", f"0 to {_MOST_CLASSES - 1}")
    names = tuple(str(label) for label in range(classes))
    return Dataset(f"npz:{path}", train, test, names, train.images.shape[1:], classes)


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, refuse: Refuse) -> np.ndarray:
    """One array; its header is compared with the size of the member before memory is taken for it."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refuse(f"compression method {info.compress_type}", "stored or deflated, as numpy.savez writes")
    with archive.open(info) as stream:
        shape, fortran, dtype = _header(stream, refuse)
        if dtype.hasobject or dtype.kind not in "uif":
            raise refuse(f"dtype {dtype}", "numbers (never pickled objects)")
        if stream.tell() + math.prod(shape) * dtype.itemsize != info.file_size:
            raise refuse(f"{info.file_size} bytes for shape {shape} of {dtype}", "as many as the shape needs")
        values = np.empty(shape[::-1] if fortran else shape, dtype)
        if values.size and read_exactly(stream, memoryview(values.reshape(-1).view(np.uint8))) != values.nbytes:
            raise refuse("an array that ends early", f"{values.nbytes} bytes")
        if stream.read(1):
            raise refuse("bytes after the array", f"{values.nbytes} bytes")
    return values.T if fortran else values


def _header(stream: BinaryIO, refuse: Refuse) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise refuse(f"version {version} of the .npy format", "1.0 or 2.0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers written by Python 2 are welcome
        shape, fortran, dtype = readers[version](stream)
    if any(size < 0 for size in shape) or len(shape) > 8:
        raise refuse(f"the shape {shape}", "(N,), (N, H, W) or (N, H, W, C)")
    return shape, fortran, dtype


def _split(path: Path, arrays: dict[str, np.ndarray], prefix: str) -> Split:
    images, labels = arrays[f"{prefix}images"], arrays[f"{prefix}labels"]
    refuse = refusing(path, prefix.removesuffix("_"))
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.dtype.kind == "f":
        with np.errstate(over="ignore"):  # too large for float32: caught as not finite
            images = images.astype(np.float32, copy=False)
    elif images.dtype != np.uint8:
        raise refuse(f"images have dtype {images.dtype}", "uint8 (0 to 255) or floating")
    try:
        return Split(images, labels, 1 / 255 if images.dtype == np.uint8 else 1.0)
    except ArrayError as error:
        found, _, expected = str(error).partition("; expected ")
        raise refuse(found, expected) from None
