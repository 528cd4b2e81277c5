"""A picture of a data set like figure 3 of the paper (Amit 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim.data.dataset import Dataset
from netsim.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PER_ROW = 10
_MOST_ROWS = 20
"""Up to this many classes each has a row of ten images; of more classes one image each is shown."""
_GAP = 0.08
_CAPTION = 0.34
"""White between images and room for a name below one, as parts of an image's side."""


def class_sheet(dataset: Dataset) -> Figure:
    """Figure 3 for ``dataset``: a row of ten training images for each class, the first ten in order.

    With more than 20 classes: one image of each of the first 100, its name below it (figure 3, right).
    Raises `OptionError` for images that have neither 1 nor 3 channels.
    """
    if dataset.input_shape[2] not in (1, 3):
        raise OptionError(f"{dataset.name} has {dataset.input_shape[2]} channels; only 1 or 3 can be shown")
    if dataset.classes <= _MOST_ROWS:
        return _rows(dataset)
    return _one_each(dataset)


def _rows(dataset: Dataset) -> Figure:
    cells = [_first(dataset, label, _PER_ROW) for label in range(dataset.classes)]
    figure, axes, step, (height, _) = _sheet(dataset, cells, _GAP)
    axes.set_yticks([row * step + (height - 1) / 2 for row in range(dataset.classes)], dataset.class_names, fontsize=11)
    return figure


def _one_each(dataset: Dataset) -> Figure:
    shown = min(dataset.classes, _PER_ROW * _PER_ROW)
    images = [_first(dataset, label, 1) for label in range(shown)]
    cells = [
        [image for found in images[start : start + _PER_ROW] for image in (found or [None])]
        for start in range(0, shown, _PER_ROW)
    ]
    figure, axes, step, (height, width) = _sheet(dataset, cells, _CAPTION)
    for label in range(shown):
        row, column = divmod(label, _PER_ROW)
        x = column * (width + _spacing(width, _GAP)) + (width - 1) / 2
        name = dataset.class_names[label].replace("_", " ")
        axes.text(x, row * step + height - 0.5, name, ha="center", va="top", fontsize=6.5)
    return figure


def _first(dataset: Dataset, label: int, count: int) -> list[np.ndarray]:
    return [dataset.train.images[index] for index in np.flatnonzero(dataset.train.labels == label)[:count]]


def _spacing(side: int, part: float) -> int:
    return max(1, round(side * part))


def _sheet(dataset: Dataset, cells: list[list], gap: float):
    """All cells on white: the figure, its axes, the distance of rows, height and width of an image."""
    from matplotlib.figure import Figure

    height, width, channels = dataset.input_shape
    down, right = height + _spacing(height, gap), width + _spacing(width, _GAP)
    sheet = np.ones((len(cells) * down, _PER_ROW * right - (right - width), channels), np.float32)
    low, high = _range(dataset)
    for row, images in enumerate(cells):
        for column, image in enumerate(images):
            if image is not None:
                pixels = (image.astype(np.float32) - low) / (high - low)
                y, x = row * down, column * right
                sheet[y : y + height, x : x + width] = pixels
    inches = 7.0
    figure = Figure(
        figsize=(inches + 1.0, inches * sheet.shape[0] / sheet.shape[1] + 0.5), dpi=150, layout="constrained"
    )
    axes = figure.add_subplot()
    axes.imshow(sheet if channels == 3 else sheet[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{dataset.name}: {dataset.classes} classes, {len(dataset.train):,} training images", fontsize=11)
    return figure, axes, down, (height, width)


def _range(dataset: Dataset) -> tuple[float, float]:
    """Black and white: 0 and the largest stored value for bytes, the smallest and largest for floats."""
    images = dataset.train.images
    low, high = float(min(images.min(), 0)), float(images.max())
    return low, high if high > low else low + 1.0
