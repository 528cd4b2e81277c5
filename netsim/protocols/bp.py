"""Back-propagation: R = W at every moment.

    u_l = W_{l+1}ᵗ δ_{l+1}

Source: Rumelhart, Hinton and Williams (1986), Nature 323:533; Amit (2019), eq. 2. With the hinge loss this is "BP-H"
of the paper's figures, with softmax "BP".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netsim.protocols.protocol import Protocol

if TYPE_CHECKING:
    import numpy as np

    from netsim.layers import Weighted


class BackPropagation(Protocol):
    """R and W are one array."""

    __slots__ = ()

    def begin(self, layers: Sequence[Weighted]) -> None:
        for layer in layers:
            layer.make_symmetric()

    def derived(self, layer: Weighted, W: np.ndarray) -> np.ndarray:
        return W


BP = BackPropagation("bp", symmetric=True, feedback_rate=1.0)
