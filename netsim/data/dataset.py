"""Data sets in memory: images as they are stored, labels, and the factor that makes pixels of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from netsim.errors import ArrayError, OptionError

_CHUNK = 1024
"""Images looked at together when pixels are checked."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images with their labels.

    images: (N, H, W, C), uint8 or float32, contiguous; kept as stored and read-only.
    labels: (N,) int64, 0 or larger.
    scale: what a stored value is multiplied with to give the pixel that a unit carries (1/255 for bytes).

    Raises `ArrayError` for wrong shapes or dtypes, unequal numbers, no image, non-finite pixels, negative
    labels.
    """

    images: np.ndarray
    labels: np.ndarray
    scale: float = 1.0

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.ndim != 4 or 0 in images.shape[1:]:
            raise ArrayError(f"images have shape {images.shape}; expected (N, H, W, C)")
        if images.dtype not in (np.uint8, np.float32):
            raise ArrayError(f"images have dtype {images.dtype}; expected uint8 or float32")
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ArrayError(f"labels have shape {labels.shape} and dtype {labels.dtype}; expected (N,) integers")
        if len(images) != len(labels):
            raise ArrayError(f"{len(images)} images but {len(labels)} labels; expected as many of both")
        if len(images) == 0:
            raise ArrayError("no image; expected at least one")
        if labels.min() < 0 or labels.max() > np.iinfo(np.int64).max:
            raise ArrayError(f"labels run from {labels.min()} to {labels.max()}; expected 0 to classes - 1")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ArrayError(f"scale is {self.scale}; expected a finite number above 0")
        if images.dtype == np.float32:
            _check_finite(images)
        object.__setattr__(self, "images", _frozen(images, images.dtype))
        object.__setattr__(self, "labels", _frozen(labels, np.dtype(np.int64)))
        object.__setattr__(self, "scale", float(self.scale))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The images and labels at ``indices``: (B, H, W, C) float32 pixels (stored value times scale),
        (B,) int64.

        Raises `ArrayError` for indices that are not integers or out of range.
        """
        indices = self._checked(indices)
        pixels = np.multiply(self.images[indices], np.float32(self.scale), dtype=np.float32)
        return pixels, self.labels[indices]

    def take(self, indices: np.ndarray) -> Split:
        """A split of its own (a copy) with the images at ``indices``, in that order."""
        indices = self._checked(indices)
        return Split(self.images[indices], self.labels[indices], self.scale)

    def _checked(self, indices: np.ndarray) -> np.ndarray:
        indices = np.asarray(indices)
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise ArrayError(f"indices have shape {indices.shape} and dtype {indices.dtype}; expected (B,) integers")
        if indices.size and (indices.min() < 0 or indices.max() >= len(self)):
            raise ArrayError(f"indices run from {indices.min()} to {indices.max()}; expected 0 to {len(self) - 1}")
        return indices.astype(np.intp, copy=False)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A named data set: a training split, a test split where the source has one, and the names of the
    classes.

    Raises `ArrayError` where splits, `input_shape` (H, W, C) and `classes` do not fit together.
    """

    name: str
    train: Split
    test: Split | None
    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    classes: int

    def __post_init__(self) -> None:
        if self.classes < 1 or len(self.class_names) != self.classes:
            raise ArrayError(
                f"{self.name}: {len(self.class_names)} class names; expected one for each of {self.classes}"
            )
        for part, split in (("train", self.train), ("test", self.test)):
            if split is None:
                continue
            if split.images.shape[1:] != tuple(self.input_shape):
                raise ArrayError(
                    f"{self.name}: {part} images of shape {split.images.shape[1:]}; expected {tuple(self.input_shape)}"
                )
            if split.labels.max() >= self.classes:
                raise ArrayError(
                    f"{self.name}: {part} labels reach {split.labels.max()}; expected 0 to {self.classes - 1}"
                )

    def holdout(self, count: int) -> tuple[Split, Split]:
        """Training and validation split: ``count`` training images set aside, drawn by a fixed shuffle.

        The shuffle depends on the number of training images alone: the same for every run and seed, every
        version of Python and NumPy. Both splits are copies; drop the data set to free the original.

        Raises `OptionError` unless 1 <= count < number of training images.
        """
        size = len(self.train)
        if not 1 <= count < size:
            raise OptionError(f"{count} validation images out of {size} of {self.name}; expected 1 to {size - 1}")
        order = _fixed_shuffle(size)
        return self.train.take(order[count:]), self.train.take(order[:count])


def _frozen(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A contiguous read-only view, or a copy where layout or dtype differ; never the given array itself."""
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def _check_finite(images: np.ndarray) -> None:
    for start in range(0, len(images), _CHUNK):
        finite = np.isfinite(images[start : start + _CHUNK])
        if not finite.all():
            index = start + int(np.flatnonzero(~finite.all(axis=(1, 2, 3)))[0])
            raise ArrayError(f"image {index} has pixels that are not finite; expected finite numbers")


def _fixed_shuffle(size: int) -> np.ndarray:
    """Order of ``size`` items sorted by a hash of their index.

    SplitMix64 (Steele, Lea, Flood 2014): NumPy's own generators may change their streams between versions.
    """
    z = (np.arange(1, size + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(z ^ (z >> np.uint64(31)), kind="stable")
