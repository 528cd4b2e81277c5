"""The way of direct feedback: from the output straight to a hidden layer, through a matrix D (`netsim.protocols.dfa`).

D is the R of a full layer of its own between that layer and the output; so its product is that of any full layer.
"""

from netsim.geometry import Place
from netsim.layers.full import Full, Output
from netsim.layers.layer import Weighted
from netsim.notation import Output as OutputSpec


def direct_way(layer: Weighted, classes: int) -> Full:
    """A way from the output to ``layer``: a full layer whose R : (units, classes) is the matrix D."""
    return Output(Place(f"{layer.name}.D", OutputSpec(), (layer.name,), layer.shape, (classes,)))
