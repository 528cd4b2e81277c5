"""The kinds of layers, one file a kind: feedforward, Hebbian and feedback one under another."""

from __future__ import annotations

from netsim.geometry import Place
from netsim.layers.conv import Conv
from netsim.layers.drop import Drop
from netsim.layers.full import Full, Output
from netsim.layers.layer import Downward, Layer, Weighted
from netsim.layers.maxpool import Maxpool
from netsim.layers.sum import Sum
from netsim.layers.untied import Untied

__all__ = ["Conv", "Downward", "Drop", "Full", "Layer", "Maxpool", "Output", "Sum", "Untied", "Weighted", "make_layer"]

KINDS: dict[str, type[Layer]] = {
    "conv": Conv,
    "untied": Untied,
    "maxpool": Maxpool,
    "drop": Drop,
    "full": Full,
    "sum": Sum,
    "output": Output,
}


def make_layer(place: Place, slope: float) -> Layer:
    """The layer that a place in the net asks for."""
    return KINDS[place.kind](place, slope)
