"""The trainer: one object that takes a net through batches, in the way that its options ask for.

The paper's algorithm itself is `netsim.steps.ideal`; the other ways stand beside it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable

import numpy as np

from netsim.arrays import check_images, check_labels
from netsim.errors import OptionError
from netsim.network import Network
from netsim.steps.direct import DirectStep
from netsim.steps.ideal import IdealStep
from netsim.steps.imperfect import ImperfectStep
from netsim.steps.setting import Setting, StepResult
from netsim.steps.variant import VariantStep
from netsim.variants import Variants


class Trainer(Setting):
    """Trains a net by Hebbian updates with the feedback weights of a protocol.

    Parameters
    ----------
    net : `netsim.Network`; its weights change in place
    protocol : "bp" (R = W), "frfb" (R fixed), "urfb" (R updated like W), "kolen-pollack" (the same, with decay),
        "sign-symmetry" (R has the signs of W) or "dfa" (signals straight from the output): see `netsim.protocols`
    loss : "hinge" (eq. 4) or "softmax"
    step_size : eta, >= 0
    mu : off-class factor of the hinge loss, >= 0; None is 1 / (C - 1)
    feedback_rate : epsilon in [0, 1] (eq. 7), in place of URFB's 1
    decay : lambda >= 0; weights that learn shrink by the factor 1 - eta * lambda a step; None is the protocol's, 0
        but for "kolen-pollack"
    drop : "sample" (a mask for each image), "batch" (one for the whole batch), "off"
    frozen : names of layers whose W and R stay
    seed : of the dropout masks; None takes the net's
    threads : number of threads; None takes all processors. Results do not depend on it.
    chunk : images worked through at once; None chooses by memory. Results do not depend on it.
    feedback_through, untied_feedback, feedback_input, feedback_clip : where the step differs from the paper's text:
        see `netsim.variants.Variants`; "old", "current", "x" and None. A variant takes the whole batch at once
    circuits : imperfect gates and output errors: `netsim.components.Components`, a mapping of its attributes, or the
        path of a calibration (`netsim circuit calibrate`); None, and all zeros, are the paper's

    Attributes
    ----------
    epoch, batch : counters that, with the seed, determine the dropout masks; `step` adds 1 to ``batch``. Set them
        to go on with an earlier run: the trainer has no other hidden state. Whole numbers, or `OptionError`.

    Raises
    ------
    OptionError : a value out of range or unknown
    UnknownNameError : a frozen layer that the net does not have
    """

    def __init__(
        self,
        net: Network,
        protocol: str = "urfb",
        loss: str = "hinge",
        step_size: float = 0.1,
        mu: float | None = None,
        *,
        feedback_rate: float | None = None,
        decay: float | None = None,
        drop: str = "sample",
        frozen: Iterable[str] = (),
        seed: int | None = None,
        threads: int | None = None,
        chunk: int | None = None,
        circuits=None,
        feedback_through: str = "old",
        untied_feedback: str = "current",
        feedback_input: str = "x",
        feedback_clip: float | None = None,
    ):
        super().__init__(
            net, protocol, loss, step_size, mu,
            feedback_rate=feedback_rate, decay=decay, drop=drop, frozen=frozen, seed=seed, threads=threads,
            chunk=chunk, circuits=circuits,
        )  # fmt: skip
        self.variants = Variants(feedback_through, untied_feedback, feedback_input, feedback_clip)
        # a trainer that its own way referred to would stay in memory until Python looks for circles
        itself = weakref.proxy(self)
        self._other_way = None if self.components.ideal else ImperfectStep(itself)
        if self.variants.chosen:
            self._other_way = VariantStep(itself, self.variants)
        self._check_engine()

    @property
    def _way(self) -> IdealStep | ImperfectStep | VariantStep:
        """The way of making a step that the options ask for; the usual ones keep nothing, and are not kept."""
        return self._other_way or (DirectStep(self) if self.protocol.direct else IdealStep(self))

    def _check_engine(self) -> None:
        """Engines that do the step in their own way do the paper's alone, with pools by the ordinary rules."""
        if type(self).increments is Trainer.increments:
            return
        chosen = [*self.variants.chosen, *([] if self.net.pools.ordinary else ["pool_anchor or pool_ties"])]
        if chosen:
            why = "goes with the phase-locked engine, that of runs without a schedule; so does the preset author"
            raise OptionError(why, chosen[0])

    def step(self, images, labels) -> StepResult:
        """One batch: feedforward phase, output error, feedback phase, update of W and R.

        Parameters
        ----------
        images : (B, H, W, C), numbers of any type; float64 or uint8 are converted to float32 as they are, not scaled
        labels : (B,) whole numbers, 0 to C - 1

        Returns
        -------
        StepResult, of the weights before the update

        Raises
        ------
        ArrayError : wrong shape or dtype, pixels that are not finite, labels out of range
        """
        increments, result = self.increments(images, labels)
        self.apply(increments, len(labels))
        self.batch += 1
        return result

    def increments(self, images, labels) -> tuple[dict[str, np.ndarray], StepResult]:
        """The Hebbian increments of a batch: for each layer that learns, the sum over the batch of delta x_below.

        Returns
        -------
        (layer name -> float32 array of the shape of W, StepResult). The arrays are overwritten by the next call.
        """
        images, labels = self._begin(images, labels)
        return self._way.increments(images, labels)

    def apply(self, increments: dict[str, np.ndarray], batch: int) -> None:
        """W += (eta / B) increment; R += epsilon times the same (section 3.1, eq. 7); with decay both shrink first."""
        for name, increment in increments.items():
            if not name.endswith(".R"):
                layer = self.net[name]
                self.update_layer(layer, layer.W, layer.R, increment, increments.get(f"{name}.R", increment), batch)
        self.protocol.follow(self.learning)

    def signals(self, images, labels) -> dict[str, np.ndarray]:
        """What each unit carries at the end of the feedback phase: layer name -> float32 (B, *shape).

        Of the phase-locked step, for trainers with a schedule too: there units have no common end of a phase.
        """
        images, labels = self._begin(images, labels)
        return self._way.signals(images, labels)

    def _begin(self, images, labels) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of a batch, checked, and the feedback weights set up."""
        images, labels = self._checked(images, labels)
        self.begin_step()
        return images, labels

    def _checked(self, images, labels) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels as arrays. Raises ArrayError."""
        images = check_images(images, self.net.input_shape)
        return images, check_labels(labels, len(images), self.net.classes)
