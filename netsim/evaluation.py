"""What a net does on images it does not learn from, drop off: loss, error, alignment, saturation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim import analysis, losses

if TYPE_CHECKING:
    from netsim import Network
    from netsim.data import Split

#: Images at once; it bounds the memory and changes no result.
BATCH = 250
SATURATION_BATCH = 50

#: Validation images that the share of saturated units is measured on.
SATURATION_IMAGES = 500


@dataclass(frozen=True)
class Evaluation:
    """Loss (mean over images), error (share of images answered wrong) and confusion on some images.

    confusion: int64 (C, C); rows are the true class, columns the answer.
    """

    loss: float
    error: float
    confusion: np.ndarray


def evaluate(network: Network, split: Split, loss: str, mu: float, threads: int | None = None) -> Evaluation:
    """Loss, error and confusion of `network` on the images of `split`."""
    confusion = np.zeros((network.classes, network.classes), dtype=np.int64)
    total = 0.0
    for start in range(0, len(split), BATCH):
        images, labels = split.batch(np.arange(start, min(start + BATCH, len(split))))
        scores = network.scores(images, threads=threads)
        with np.errstate(all="ignore"):  # scores that are not finite give a loss that is not
            _, each = losses.find(loss)(scores, labels, mu)
        for one in each:  # one after another, so that the sum does not know of batches
            total += float(one)
        np.add.at(confusion, (labels, scores.argmax(axis=1)), 1)
    right = int(np.trace(confusion))
    return Evaluation(total / len(split), (len(split) - right) / len(split), confusion)


def alignment(network: Network) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Correlation, and angle in degrees, of W and R of each weighted layer; None where it is not defined.

    With thinned connections, over the entries that exist in both.
    """
    correlations, angles = {}, {}
    for layer in network.weighted:
        masks = [mask for mask in (layer.W_mask, layer.R_mask) if mask is not None]
        mask = np.logical_and.reduce(masks) if masks else None
        with np.errstate(all="ignore"):  # weights that are not finite have no alignment; who saves them tells it
            correlations[layer.name] = _known(analysis.correlation(layer.W, layer.R, mask))
            angles[layer.name] = _known(analysis.angle_degrees(layer.W, layer.R, mask))
    return correlations, angles


def saturation(network: Network, split: Split) -> dict[str, float | None]:
    """Share of saturated units of each layer with the saturated linearity, over up to 500 images."""
    layers = [layer.name for layer in network.layers if layer.saturates]
    images = min(len(split), SATURATION_IMAGES)
    counts = dict.fromkeys(layers, 0)
    units = dict.fromkeys(layers, 0)
    for start in range(0, images, SATURATION_BATCH):
        batch, _ = split.batch(np.arange(start, min(start + SATURATION_BATCH, images)))
        activity = network.activity(batch)
        for name in layers:
            counts[name] += round(analysis.saturated_share(activity[name]) * activity[name].size)
            units[name] += activity[name].size
    return {name: counts[name] / units[name] if units[name] else None for name in layers}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
