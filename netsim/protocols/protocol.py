"""What every protocol says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from netsim.layers import Weighted


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the feedback weights R go along with the feedforward weights W, and how signals come down.

    Attributes
    ----------
    name : what users call it
    symmetric : R is the transposed W at every moment (BP)
    feedback_rate : epsilon; R changes by epsilon times the increment of W (eq. 7): 0 FRFB, 1 URFB
    decay : lambda of the weight decay, where a trainer is given none
    direct : every hidden layer receives the output error straight, through a matrix D of its own (DFA); else signals
        come down from layer to layer, through R
    """

    name: str
    symmetric: bool = False
    feedback_rate: float = 0.0
    decay: float = 0.0
    direct: bool = False

    @property
    def derives_R(self) -> bool:
        """Whether R is a function of W (see `derived`)."""
        return type(self).derived is not Protocol.derived

    def begin(self, layers: Sequence[Weighted]) -> None:
        """Set the layers' feedback weights up; called before every batch. Here: an array of their own each."""
        for layer in layers:
            layer.separate()

    def derived(self, layer: Weighted, W: np.ndarray) -> np.ndarray | None:
        """R of a layer with these weights W, where R is a function of W; here None: it is not."""
        return None

    def follow(self, layers: Sequence[Weighted]) -> None:
        """Let R follow W after an update, where it is a function of W and an array of its own."""
