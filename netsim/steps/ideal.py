"""The phase-locked step: all units of a layer in step, a batch of presentations at a time (section 3.1).

`IdealStep.increments` is the paper's algorithm in the paper's order. A unit carries one number, first its activity x,
then its feedback signal delta in the same place; so a layer's weights change after the layer's own units were
replaced and before the units below are (Remark 1).
"""

from __future__ import annotations

import numpy as np

from netsim.activity import Span
from netsim.steps.setting import Setting, StepResult
from netsim.steps.signals import Signals
from netsim.workspace import Workspace


class IdealStep:
    """The step of a setting whose circuits are ideal and whose signals go from layer to layer."""

    def __init__(self, setting: Setting):
        self.setting = setting

    def increments(self, images: np.ndarray, labels: np.ndarray) -> tuple[dict[str, np.ndarray], StepResult]:
        """As `netsim.Trainer.increments`, of checked arrays."""
        setting = self.setting
        batch, loss, wrong = len(images), np.empty(len(images)), 0
        parts = setting.sums.begin(batch)
        for space, offset, chunk in setting.chunks(images):
            seen = slice(offset, offset + len(chunk))
            space.feedforward(chunk, setting.workers)
            wrong += setting.output_error(space, labels[seen], loss[seen])
            here = [(max(a - offset, 0), min(b - offset, len(chunk))) for a, b in parts]
            self._descend(space, offset, len(chunk), parts, [(a, b) for a, b in here if a < b])
        setting.sums.finish(len(parts), setting.workers)
        return setting.sums.total, StepResult(float(loss.mean()), wrong / batch)

    def _descend(self, space: Workspace, offset: int, number: int, parts, here) -> None:
        """The feedback phase of a chunk: from the top down each layer learns, then its signal goes to the one below.

        parts : of the batch; here : the same where they lie in the chunk, whose first is image ``offset``
        """
        setting = self.setting
        for stage in reversed(space.stages):
            layers = [layer for layer in reversed(stage) if layer.name in setting.reached]
            if layers:

                def descend(span: Span, layers=layers) -> None:
                    for layer in layers:
                        setting.sums.add(space, layer, span, offset, parts)
                        if layer is not setting.lowest:
                            space.feedback(layer, span)

                space.run(stage, descend, here, setting.workers)

    def signals(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """As `netsim.Trainer.signals`, of checked arrays."""
        setting = self.setting
        signals = Signals(setting.net, len(images))
        for space, offset, chunk in setting.chunks(images):
            number = len(chunk)
            space.feedforward(chunk, setting.workers)
            setting.output_error(space, labels[offset : offset + number], np.empty(number))
            self._send_all_down(space, number)
            signals.note(space, offset, number)
        return signals.found

    def _send_all_down(self, space: Workspace, number: int) -> None:
        """Every signal, down to the lowest layer."""
        for layer in reversed(self.setting.net.layers[1:]):
            space.feedback(layer, Span(0, number, self.setting.workers))
