"""Sign-symmetry: the feedback weights have the signs of W, all of a layer's the same size.

    R_l = s_l sign(W_l),    s_l = sqrt(2 / (fan_in + fan_out))

sign(0) = 0: there is no feedback where there is no connection. s_l is the standard deviation with which W_l is drawn
(Glorot), so R_l is as large as W_l is at the start; it stays, while W_l grows.

Source: "uniform sign-concordant feedback" of Liao, Leibo and Poggio (2016), "How important is weight symmetry in
backpropagation?", AAAI, where V = sign(W); that such feedback must be scaled layer by layer for deep nets is found by
Moskovitz, Litwin-Kumar and Abbott (2018), arXiv:1812.06488. The scale s_l is that of Glorot and Bengio (2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netsim.protocols.protocol import Protocol

if TYPE_CHECKING:
    from netsim.layers import Weighted


def scale(layer: Weighted) -> float:
    """s_l, the size of a layer's feedback weights."""
    return math.sqrt(2 / sum(layer.fans))


class SignSymmetry(Protocol):
    """R is a function of W."""

    __slots__ = ()

    def begin(self, layers: Sequence[Weighted]) -> None:
        for layer in layers:
            layer.separate()
            layer.R_mask = layer.W_mask
        self.follow(layers)

    def derived(self, layer: Weighted, W: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        R = np.sign(W, out=out)
        return np.multiply(R, np.float32(scale(layer)), out=R)

    def follow(self, layers: Sequence[Weighted]) -> None:
        for layer in layers:
            self.derived(layer, layer.W, out=layer.R)


SIGN_SYMMETRY = SignSymmetry("sign-symmetry", feedback_rate=0.0)
