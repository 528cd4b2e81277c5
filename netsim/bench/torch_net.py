"""What a user would otherwise write: any net of the paper's notation and its protocols in PyTorch.

Convolutions and full connections are PyTorch's own; their feedback runs through R in place of the transposed W.
Locally connected layers, which PyTorch does not have, are an unfold and one product per location. Maps are
(B, C, H, W).

Only the measuring processes import this module: it imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from netsim import geometry
from netsim.bench.job import Job
from netsim.bench.torch_products import ConvProduct, LocalProducts, Product


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the ways to write the same net.

    Attributes
    ----------
    channels_last : memory layout of maps and filters
    zeros : pools see zeros outside the grid, as in the paper, not PyTorch's minus infinity
    windows : locally connected layers by a view of windows in place of `unfold`
    """

    channels_last: bool = False
    zeros: bool = False
    windows: bool = False

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


class Weighted(nn.Module):
    """A layer with W and R; R is W itself under bp. `turned` and `turned_back`: weights from and to our orientation."""

    def __init__(self, place: geometry.Place, protocol: str, shape: tuple[int, ...]):
        super().__init__()
        self.place, self.symmetric = place, protocol == "bp"
        self.W = nn.Parameter(torch.zeros(shape))
        self.R = self.W if self.symmetric else nn.Parameter(torch.zeros(shape), requires_grad=False)


class Conv(Weighted):
    """W, R : (C_out, C_in, Kh, Kw)."""

    def __init__(self, place, protocol):
        spec, c_in = place.spec, place.below[2]
        super().__init__(place, protocol, (spec.filters, c_in, spec.rows, spec.columns))
        self.odd = spec.rows % 2 == 1 and spec.columns % 2 == 1
        self.around = _reach(spec)

    def forward(self, x):
        padding = (self.place.spec.rows // 2, self.place.spec.columns // 2)
        if not self.odd:  # an even filter reaches one pixel further to the right and below
            x, padding = F.pad(x, self.around), (0, 0)
        if self.symmetric:
            return F.conv2d(x, self.W, padding=padding)
        return ConvProduct.apply(x, self.W, self.R, padding)

    def turned(self, weights: np.ndarray) -> np.ndarray:
        return weights.transpose(3, 2, 0, 1)

    def turned_back(self, weights: np.ndarray) -> np.ndarray:
        return weights.transpose(2, 3, 1, 0)


class Untied(Weighted):
    """Locally connected by `unfold`, the usual way. W, R : (H * W, C_in * Kh * Kw, C_out)."""

    def __init__(self, place, protocol):
        spec, (height, width, c_in) = place.spec, place.below
        super().__init__(place, protocol, (height * width, c_in * spec.rows * spec.columns, spec.filters))
        self.around = _reach(spec)

    def products(self, columns):
        return torch.bmm(columns, self.W) if self.symmetric else LocalProducts.apply(columns, self.W, self.R)

    def forward(self, x):
        spec, (height, width, _) = self.place.spec, self.place.below
        columns = F.unfold(F.pad(x, self.around), (spec.rows, spec.columns)).permute(2, 0, 1)
        return self.products(columns).permute(1, 2, 0).reshape(x.shape[0], spec.filters, height, width)

    def turned(self, weights: np.ndarray) -> np.ndarray:
        return weights.transpose(0, 1, 4, 2, 3, 5).reshape(tuple(self.W.shape))

    def turned_back(self, weights: np.ndarray) -> np.ndarray:
        (height, width, c_in), spec = self.place.below, self.place.spec
        shape = (height, width, c_in, spec.rows, spec.columns, spec.filters)
        return weights.reshape(shape).transpose(0, 1, 3, 4, 2, 5)


class UntiedWindows(Untied):
    """The same by a view of windows, copied once with the channels innermost: faster than `unfold`, and less usual.

    W, R : (H * W, Kh * Kw * C_in, C_out).
    """

    def forward(self, x):
        spec, (height, width, _) = self.place.spec, self.place.below
        windows = F.pad(x, self.around).unfold(2, spec.rows, 1).unfold(3, spec.columns, 1)
        columns = windows.permute(2, 3, 0, 4, 5, 1).reshape(height * width, x.shape[0], -1)
        y = self.products(columns).permute(1, 0, 2).reshape(x.shape[0], height, width, spec.filters)
        return y.permute(0, 3, 1, 2)

    def turned(self, weights: np.ndarray) -> np.ndarray:
        return weights.reshape(tuple(self.W.shape))

    def turned_back(self, weights: np.ndarray) -> np.ndarray:
        (height, width, c_in), spec = self.place.below, self.place.spec
        return weights.reshape(height, width, spec.rows, spec.columns, c_in, spec.filters)


class Full(Weighted):
    """W, R : (n_out, n_in)."""

    def __init__(self, place, protocol):
        super().__init__(place, protocol, (geometry.units(place.shape), geometry.units(place.below)))

    def forward(self, x):
        x = x.flatten(1)
        return x @ self.W.t() if self.symmetric else Product.apply(x, self.W, self.R)

    def turned(self, weights: np.ndarray) -> np.ndarray:
        height, width, channels = self._below()
        return weights.reshape(height, width, channels, -1).transpose(3, 2, 0, 1).reshape(tuple(self.W.shape))

    def turned_back(self, weights: np.ndarray) -> np.ndarray:
        height, width, channels = self._below()
        turned = weights.reshape(-1, channels, height, width).transpose(2, 3, 1, 0)
        return turned.reshape(weights.shape[::-1])

    def _below(self) -> tuple[int, ...]:
        below = self.place.below
        return below if len(below) == 3 else (1, 1, *below)


class Maxpool(nn.Module):
    """Windows at pixels 0, s, 2s, ...; outside the grid stands 0 as in the paper, or minus infinity.

    Minus infinity is what PyTorch's own padding means: the same work without a copy of the map. Where that padding
    cannot give the paper's windows, zeros are used.
    """

    def __init__(self, place, zeros: bool):
        super().__init__()
        window, stride = place.spec.window, place.spec.stride
        self.window, self.stride, self.low = window, stride, (window - 1) // 2
        self.around = []
        for below, above in ((place.below[1], place.shape[1]), (place.below[0], place.shape[0])):
            self.around += [self.low, (above - 1) * stride + window // 2 - (below - 1)]
        self.ceil = None if zeros else self._own_padding(place)

    def _own_padding(self, place) -> bool | None:
        """Whether PyTorch's padding gives the paper's windows with its sizes rounded up, down, or (None) neither."""
        room = [below + 2 * self.low - self.window for below in place.below[:2]]
        if [size // self.stride + 1 for size in room] == list(place.shape[:2]):
            return False
        if [-(-size // self.stride) + 1 for size in room] == list(place.shape[:2]):
            return True
        return None

    def forward(self, x):
        if self.ceil is not None:
            return F.max_pool2d(x, self.window, self.stride, self.low, ceil_mode=self.ceil)
        return F.max_pool2d(F.pad(x, self.around) if any(self.around) else x, self.window, self.stride)


class Drop(nn.Module):
    """A mask for each image ("sample") or for the whole batch ("batch"), in training only."""

    def __init__(self, place, mode: str):
        super().__init__()
        self.fraction, self.mode = place.spec.fraction, mode

    def forward(self, x):
        if not self.training or self.mode == "off":
            return x
        if self.mode == "batch":
            kept = torch.rand_like(x[:1]) >= self.fraction
            return x * (kept.to(x.dtype) / (1 - self.fraction))
        return F.dropout(x, self.fraction)


class Net(nn.Module):
    """The net of a job, written in one variant. Its weights are 0 until they are set."""

    def __init__(self, job: Job, variant: Variant):
        super().__init__()
        places = geometry.infer(job.specs, job.input_shape, job.classes)
        kinds = {"conv": Conv, "untied": UntiedWindows if variant.windows else Untied, "full": Full, "output": Full}
        layers = {}
        for place in places:
            if place.kind in kinds:
                layers[place.name] = kinds[place.kind](place, job.protocol)
            elif place.kind == "maxpool":
                layers[place.name] = Maxpool(place, variant.zeros)
            elif place.kind == "drop":
                layers[place.name] = Drop(place, job.drop)
            else:
                layers[place.name] = nn.Identity()  # a sum, done in `forward`
        self.layers = nn.ModuleDict(layers)
        self.places, self.updates_feedback = places, job.protocol == "urfb"
        self.to(memory_format=variant.layout)

    def forward(self, x):
        kinds = [place.kind for place in self.places]
        before = None
        for number, (place, kind) in enumerate(zip(self.places, kinds, strict=True)):
            y = before + x if kind == "sum" else self.layers[place.name](x)
            if kind in ("conv", "untied", "full"):
                y = F.hardtanh(y)
            # What no sum will read is let go at once, as a hand-written net would.
            before = x if kinds[number + 1 : number + 2] == ["sum"] else None
            x = y
        return x

    def weighted(self) -> dict[str, Weighted]:
        """The layers with weights by name, bottom up."""
        return {name: layer for name, layer in self.layers.items() if isinstance(layer, Weighted)}


def hinge(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The multi-class hinge loss (eq. 4), mean over the batch, mu = 1 / (C - 1)."""
    mu = 1 / (scores.shape[1] - 1)
    own = F.one_hot(labels, scores.shape[1]).bool()
    return (F.relu(1 - scores[own]).sum() + mu * F.relu(1 + scores[~own]).sum()) / len(labels)


def train_step(net: Net, images: torch.Tensor, labels: torch.Tensor, step_size: float = 0.1) -> float:
    """One batch: forward, feedback, update of W and, under urfb, the same of R. Returns the loss."""
    layers = net.weighted().values()
    for layer in layers:
        layer.W.grad = None
    loss = hinge(net(images), labels)
    loss.backward()
    with torch.no_grad():
        for layer in layers:
            layer.W.add_(layer.W.grad, alpha=-step_size)
            if net.updates_feedback:
                layer.R.add_(layer.W.grad, alpha=-step_size)
    return float(loss.detach())


def _reach(spec) -> tuple[int, int, int, int]:
    """Pixels that a filter reaches to the left, to the right, above and below."""
    return ((spec.columns - 1) // 2, spec.columns // 2, (spec.rows - 1) // 2, spec.rows // 2)
