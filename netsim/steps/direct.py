"""The phase-locked step with direct feedback: the output error reaches every hidden layer straight (DFA).

See `netsim.protocols.dfa`; the matrices are those of `netsim.layers.direct`.
"""

from __future__ import annotations

from netsim.activity import Span
from netsim.layers import Downward, Weighted
from netsim.steps.ideal import IdealStep
from netsim.workspace import Workspace


class DirectStep(IdealStep):
    """The step of a setting whose protocol is "dfa"."""

    def _descend(self, space: Workspace, offset: int, number: int, parts, here) -> None:
        """From the top down: the output error reaches a layer, and the layer learns; its inputs still carry x."""
        setting = self.setting
        for layer in reversed(setting.learning):
            if layer is not setting.net.layers[-1]:
                self._reach(space, layer, number)
            space.run(
                (layer,),
                lambda span, layer=layer: setting.sums.add(space, layer, span, offset, parts),
                here,
                setting.workers,
            )

    def _send_all_down(self, space: Workspace, number: int) -> None:
        for layer in self.setting.net.weighted[:-1]:
            self._reach(space, layer, number)

    def _reach(self, space: Workspace, layer: Weighted, number: int) -> None:
        """delta = gate * (D delta_L) REPLACES the units of a hidden layer, for the first ``number`` images (eq. 3)."""
        top, own = space.at[self.setting.net.layers[-1].name], space.at[layer.name]
        span = Span(0, number, self.setting.workers)
        layer.direct.feedback(top, Downward(own, None, layer.saturates, layer.slope), span)
