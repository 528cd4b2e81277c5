"""The kinds of layers, one file a kind: feedforward, Hebbian and feedback one under another."""

from __future__ import annotations

from netsim.geometry import Place
from netsim.layers.conv import Conv
from netsim.layers.direct import direct_way
from netsim.layers.drop import Drop
from netsim.layers.full import Full, Output
from netsim.layers.layer import Downward, Layer, Weighted
from netsim.layers.maxpool import Maxpool
from netsim.layers.pool_rules import ORDINARY, PoolRules, RuledMaxpool
from netsim.layers.sum import Sum
from netsim.layers.untied import Untied

__all__ = [
    "Conv",
    "Downward",
    "Drop",
    "Full",
    "Layer",
    "Maxpool",
    "Output",
    "PoolRules",
    "RuledMaxpool",
    "Sum",
    "Untied",
    "Weighted",
    "direct_way",
    "make_layer",
]

KINDS: dict[str, type[Layer]] = {
    "conv": Conv,
    "untied": Untied,
    "maxpool": Maxpool,
    "drop": Drop,
    "full": Full,
    "sum": Sum,
    "output": Output,
}


def make_layer(place: Place, slope: float, pools: PoolRules = ORDINARY) -> Layer:
    """The layer that a place in the net asks for; ``pools`` : the rules of max pools."""
    if place.kind == "maxpool" and not pools.ordinary:
        return RuledMaxpool(place, slope, pools)
    return KINDS[place.kind](place, slope)
