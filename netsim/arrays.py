"""Checks of arrays that come from outside: images, labels and weights."""

from __future__ import annotations

import numpy as np

from netsim.errors import ArrayError


def _array(what: str, values) -> np.ndarray:
    """`values` as an array, or `ArrayError` where they make none (rows of unequal length)."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ArrayError(f"{what} must be an array of numbers: {str(error).splitlines()[0]}") from None


def check_images(images, input_shape: tuple[int, int, int]) -> np.ndarray:
    """Images as float32 (B, H, W, C), or `ArrayError`: another shape, no numbers, pixels that are not finite."""
    images = _array("images", images)
    if images.ndim != 4 or images.shape[1:] != tuple(input_shape) or len(images) == 0:
        expected = ", ".join(map(str, input_shape))
        raise ArrayError(f"images must have shape (B, {expected}) with B of at least 1, not {images.shape}")
    if images.dtype.kind not in "fiub":
        raise ArrayError(f"images must be numbers, not {images.dtype}")
    if images.dtype != np.float32:
        with np.errstate(over="ignore"):
            images = images.astype(np.float32)
    # a sum is finite only if all pixels are (or it overflows: then look closely)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(images)
    if not np.isfinite(total):
        bad = np.argwhere(~np.isfinite(images))
        if len(bad):
            place = tuple(int(index) for index in bad[0])
            raise ArrayError(f"images has a pixel that is not finite: {images[place]} at {place}")
    return images


def check_labels(labels, images: int, classes: int) -> np.ndarray:
    """Labels as int64 (B,), or `ArrayError`: another length, no whole numbers, outside 0..C-1."""
    labels = _array("labels", labels)
    if labels.shape != (images,):
        raise ArrayError(f"labels must have shape ({images},), one for each image, not {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise ArrayError(f"labels must be whole numbers, not {labels.dtype}")
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ArrayError(f"label {int(labels[at])} at {at} is out of range: labels go from 0 to {classes - 1}")
    return labels.astype(np.int64, copy=False)


def check_weights(name: str, values, shape: tuple[int, ...], mask: np.ndarray | None = None) -> np.ndarray:
    """Weights as float32 of that shape, 0 where ``mask`` is False, or `ArrayError`."""
    values = _array(name, values)
    if values.shape != shape:
        raise ArrayError(f"{name} has shape {shape}; the given array has {values.shape}")
    if values.dtype.kind not in "fiub":
        raise ArrayError(f"{name} needs numbers; the given array holds {values.dtype}")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise ArrayError(f"{name}: the given array has entries that are not finite in float32")
    if mask is not None and np.any(values[~mask]):
        raise ArrayError(f"{name}: the given array is not 0 where there is no connection")
    return values
