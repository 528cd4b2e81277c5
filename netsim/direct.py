"""Direct feedback: the output error reaches every hidden layer straight, through a matrix of its own (DFA).

See `netsim.protocols.dfa`. The matrix of a layer is the R of a full layer of its own from that layer to the output;
so the product is that of any full layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsim.activity import Span
from netsim.geometry import Place
from netsim.layers import Downward, Full, Output, Weighted
from netsim.notation import Output as OutputSpec

if TYPE_CHECKING:
    from netsim.engine import Trainer
    from netsim.workspace import Workspace


def path(layer: Weighted, classes: int) -> Full:
    """A way from the output straight to ``layer``: a full layer whose R : (units, classes) is the matrix D."""
    spec = OutputSpec()
    return Output(Place(f"{layer.name}.D", spec, (layer.name,), layer.shape, (classes,)))


def reach(trainer: Trainer, space: Workspace, layer: Weighted, number: int) -> None:
    """delta = gate * (D delta_L) REPLACES the units of a hidden layer, for the first ``number`` images (eq. 3)."""
    top, own = space.at[trainer.net.layers[-1].name], space.at[layer.name]
    layer.direct.feedback(top, Downward(own, None, layer.saturates, layer.slope), Span(0, number, trainer._workers))


def descend(trainer: Trainer, space: Workspace, offset: int, number: int, parts, here) -> None:
    """From the top down: the output error reaches a layer, and the layer learns; its inputs still carry x."""
    for layer in reversed(trainer.net.weighted):
        if layer.name in trainer._increments:
            if layer.direct is not None and layer is not trainer.net.layers[-1]:
                reach(trainer, space, layer, number)
            space.run(
                (layer,),
                lambda span, layer=layer: trainer._hebbian(space, layer, span, offset, parts),
                here,
                trainer._workers,
            )
