"""What each unit carries at the end of the feedback phase, put together from the chunks of a batch."""

from __future__ import annotations

import numpy as np

from netsim.network import Network
from netsim.workspace import Workspace


class Signals:
    """Room for the signals of a batch of ``images`` images.

    Attributes
    ----------
    found : layer name -> float32 (images, *shape)
    """

    def __init__(self, net: Network, images: int):
        self._net = net
        self.found = {layer.name: np.empty((images, *layer.shape), np.float32) for layer in net.layers}

    def note(self, space: Workspace, offset: int, number: int) -> None:
        """Note what the units carry for the images of a chunk, whose first is image ``offset`` of the batch; a dropped
        unit stays silent.
        """
        for name, array in self.found.items():
            array[offset : offset + number] = space.at[name].array(number)
            if space.at[name].kept is not None:
                array[offset : offset + number] *= self._net[name].masks(space.at[name], number)
