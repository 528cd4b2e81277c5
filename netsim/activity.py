"""The activity of a layer's units for a chunk of images: one number a unit, first x, then its feedback signal.

Maps are stored as images x rows x columns x channels (NHWC) with a border of zeros as wide as the filters, pools and
feedback around the layer reach. So a filter row is one contiguous run, and no unit at the edge is a special case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netsim.kernels.memory import LINE, zeros
from netsim.kernels.workers import Workers


@dataclass(frozen=True, slots=True)
class Border:
    """Rows and columns of zeros around a map: above, below, left, right."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __or__(self, other: Border) -> Border:
        """The smallest border that holds both."""
        return Border(
            max(self.top, other.top),
            max(self.bottom, other.bottom),
            max(self.left, other.left),
            max(self.right, other.right),
        )


@dataclass(frozen=True, slots=True)
class Span:
    """The images that a call works on.

    Attributes
    ----------
    first, last : the images [first, last) of the chunk at hand
    workers : threads to share the work among; None inside a thread
    """

    first: int
    last: int
    workers: Workers | None = None


class Activity:
    """What the units of one layer carry, for up to ``images`` images.

    Attributes
    ----------
    values : float32, one-dimensional; image b begins at ``b * image``, unit (0, 0, 0) at ``origin`` inside it,
        the next row ``row`` further on.
    units : int64 (n,) or (H * W,); offset of each unit (a row of units) or of each location's channels (a map)
        from the beginning of its image.
    series : int64 (images,); where each image begins.
    kept : uint8 masks of a layer that drops units, else None
    """

    kept: np.ndarray | None = None

    def __init__(self, shape: tuple[int, ...], images: int, border: Border = Border()):
        self.shape = shape
        self.border = border
        self.images = images
        if len(shape) == 3:
            height, width, channels = shape
            self.row = (width + border.left + border.right) * channels
            self.image = _spread((height + border.top + border.bottom) * self.row)
            self.origin = border.top * self.row + border.left * channels
            self.height, self.row_length = height, width * channels
            y, x = np.divmod(np.arange(height * width, dtype=np.int64), width)
            self.units = self.origin + y * self.row + x * channels
        else:
            (number,) = shape
            self.row = number
            self.image = _spread(number)
            self.origin, self.height, self.row_length = 0, 1, number
            self.units = np.arange(number, dtype=np.int64)
        self.series = np.arange(images, dtype=np.int64) * self.image
        self.values = zeros(images * self.image)
        #: products of the layer that are laid out already, by phase
        self.products: dict[str, object] = {}

    def __getstate__(self) -> dict:
        """A copy lays its products out anew: they hold addresses."""
        return self.__dict__ | {"products": {}}

    @property
    def is_contiguous(self) -> bool:
        """Whether an image's units lie side by side, row-major, with no border between."""
        return self.origin == 0 and self.row == self.row_length

    def array(self, images: int | None = None) -> np.ndarray:
        """The units of the first ``images`` images as a view (B, *shape) without the border."""
        images = self.images if images is None else images
        whole = self.values.reshape(self.images, self.image)[:images]
        if len(self.shape) == 1:
            return whole[:, : self.row]
        height, width, channels = self.shape
        rows = whole[:, self.origin : self.origin + (height - 1) * self.row + self.row_length]
        image, number = whole.strides
        strides = (image, number * self.row, number * channels, number)
        return np.lib.stride_tricks.as_strided(rows, (images, height, width, channels), strides)


def _spread(numbers: int) -> int:
    """Distance between images of so many float32 numbers: not a multiple of a page.

    The same unit of many images would else compete for the same few places of the caches.
    """
    return numbers + LINE // 4 if numbers % 1024 == 0 else numbers
