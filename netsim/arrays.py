"""Checks of arrays that come from outside: images and labels."""

from __future__ import annotations

import numpy as np

from netsim.errors import ArrayError


def check_images(images, input_shape: tuple[int, int, int]) -> np.ndarray:
    """Images as float32 (B, H, W, C), or `ArrayError`: another shape, no numbers, pixels that are not finite."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != tuple(input_shape) or len(images) == 0:
        expected = ", ".join(map(str, input_shape))
        raise ArrayError(f"images must have shape (B, {expected}) with B of at least 1, not {images.shape}")
    if images.dtype.kind not in "fiub":
        raise ArrayError(f"images must be numbers, not {images.dtype}")
    if images.dtype != np.float32:
        with np.errstate(over="ignore"):
            images = images.astype(np.float32)
    # a sum is finite only if all pixels are (or it overflows: then look closely)
    if not np.isfinite(np.sum(images, dtype=np.float64)):
        bad = np.argwhere(~np.isfinite(images))
        if len(bad):
            place = tuple(int(index) for index in bad[0])
            raise ArrayError(f"images has a pixel that is not finite: {images[place]} at {place}")
    return images


def check_labels(labels, images: int, classes: int) -> np.ndarray:
    """Labels as int64 (B,), or `ArrayError`: another length, no whole numbers, outside 0..C-1."""
    labels = np.asarray(labels)
    if labels.shape != (images,):
        raise ArrayError(f"labels must have shape ({images},), one for each image, not {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise ArrayError(f"labels must be whole numbers, not {labels.dtype}")
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ArrayError(f"label {int(labels[at])} at {at} is out of range: labels go from 0 to {classes - 1}")
    return labels.astype(np.int64, copy=False)
