"""Wiring of a layered circuit: its layers, plastic synapses and monitors as Brian2 objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from brian2 import Equations, Network, NeuronGroup, StateMonitor, Synapses

from circuits.errors import ParameterError
from circuits.event_times import EventSteps
from circuits.motifs import motif_equations
from circuits.parameters import Parameters, as_array, check_whole
from circuits.simulation import loader, own, unit_group
from circuits.spiking import Spiking, SpikingParameters

EVENTS = """
plasticity_step : integer    # event c of this unit, in steps since the presentation began
carried : 1                  # what the unit carried when its feedback arrived
learned : 1                  # what it carried at its plasticity event
"""

SIGNED_INPUT = "r : 1      # the pixel, for the whole presentation"

PAIR_INPUT = """
r_on : 1                                                                            # the pixel's positive part,
r_off : 1                                                                           # and its negative part
r = r_on - r_off : 1                                                                # the pixel
dinhibitory_on/dt = (-inhibitory_on + r_on)/tau_interneuron : 1                     # interneurons follow
dinhibitory_off/dt = (-inhibitory_off + r_off)/tau_interneuron : 1
"""

SIGNED_SYNAPSE = """
weight : 1                              # of either sign
tag : 1                                 # change to come at the end of the batch
rate : 1 (constant)                     # step size over batch; for R also times the feedback rate
"""
SIGNED_CURRENT = "{signal}_post = weight*r_pre : 1 (summed)"
SIGNED_TAG = "tag += rate*r_pre*r_post"
SIGNED_CHANGE = "weight += tag\ntag = 0"

PAIR_SYNAPSE = """
excitatory : 1                          # strength between cells of like sign, not negative
crossed : 1                             # strength between cells of unlike sign, not negative
tag : 1                                 # change of excitatory - crossed, to come at the end of the batch
rate : 1 (constant)                     # step size over batch; for R also times the feedback rate
"""
# excitation by cells, inhibition by their interneurons: like signs through one, unlike signs through the other
PAIR_CURRENT = """
{signal}_on_post = excitatory*(r_on_pre - inhibitory_off_pre) + crossed*(r_off_pre - inhibitory_on_pre) : 1 (summed)
{signal}_off_post = excitatory*(r_off_pre - inhibitory_on_pre) + crossed*(r_on_pre - inhibitory_off_pre) : 1 (summed)
"""
# cells of like sign that are active together strengthen the excitatory synapses, cells of unlike sign the crossed
PAIR_TAG = "tag += rate*(r_on_pre*r_on_post + r_off_pre*r_off_post - r_on_pre*r_off_post - r_off_pre*r_on_post)"
# a pair of strengths is stored as their difference allows: one of the two is 0
PAIR_CHANGE = "net = excitatory - crossed + tag\nexcitatory = clip(net, 0, inf)\ncrossed = clip(-net, 0, inf)\ntag = 0"


@dataclass(frozen=True)
class SmallNet:
    """Sizes (n_0, ..., n_L), weights (n_{l-1}, n_l), images (P, n_0), labels (P,)."""

    sizes: list[int]
    W: list[np.ndarray]
    R: list[np.ndarray]
    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def checked(
        cls, W: Sequence[np.ndarray], R: Sequence[np.ndarray], images: np.ndarray, labels: np.ndarray, batch: int
    ) -> SmallNet:
        """The net of these arrays, if they fit together and `batch` divides the presentations. Errors: CircuitError."""
        if not (isinstance(W, Iterable) and isinstance(R, Iterable)):
            raise ParameterError("W and R must be lists of arrays, one for each layer above the input")
        W, R = [as_array("W", w) for w in W], [as_array("R", r) for r in R]
        if not W or len(W) != len(R):
            raise ParameterError(f"W has {len(W)} layers and R has {len(R)}; both need the same number, 1 or more")
        for layer, (w, r) in enumerate(zip(W, R, strict=True), 1):
            below = W[layer - 2].shape[1] if layer > 1 else len(w) if w.ndim else 1
            if w.ndim != 2 or w.shape != r.shape or w.shape[0] != below:
                raise ParameterError(f"layer {layer}: W {w.shape} and R {r.shape} must both be ({below}, units)")
            if 0 in w.shape:
                raise ParameterError(f"layer {layer}: W {w.shape} has no units on one side; each layer needs 1 or more")
            if not (np.isfinite(w).all() and np.isfinite(r).all()):
                raise ParameterError(f"layer {layer}: W and R must be finite")
        images, classes = as_array("images", images), W[-1].shape[1]
        if images.ndim != 2 or images.shape[1] != len(W[0]) or len(images) == 0 or not np.isfinite(images).all():
            raise ParameterError(f"images {images.shape} must be finite (presentations, {len(W[0])}), one or more")
        try:
            labels = np.asarray(labels)
        except ValueError:  # lists of unequal lengths
            labels = np.empty(0)
        if labels.shape != (len(images),) or not np.isin(labels, np.arange(classes)).all():
            raise ParameterError(f"labels must be {len(images)} whole numbers from 0 to {classes - 1}")
        if len(images) % check_whole("batch", batch, 1):
            raise ParameterError(
                f"batch = {batch!r} must be a whole number that divides the {len(images)} presentations"
            )
        return cls([len(W[0]), *(w.shape[1] for w in W)], W, R, images, labels.astype(int))


class Wiring:
    """A net of circuits, as many independent copies side by side as there are rates of the feedback update.

    Unit i of copy k is neuron k * n_l + i of its layer's group.
    """

    def __init__(
        self,
        net: SmallNet,
        steps: EventSteps,
        parameters: Parameters,
        *,
        cells: str,
        spiking: SpikingParameters,
        feedback_rates: Sequence[float],
        step_size: float,
        mu: float,
        batch: int,
        seed: int,
        record: bool,
    ) -> None:
        self.net, self.steps, self.parameters = net, steps, parameters
        self.cells, self.spiking, self.seed = cells, spiking, seed
        self.copies = len(feedback_rates)
        self.paired = cells != "signed"
        self.period = steps.period * parameters.dt
        self.parts: list[object] = []
        self.layers = [self._input()]
        for layer in range(1, len(net.sizes)):
            self.layers.append(self._layer(layer, mu))
        self.W: list[Synapses] = []
        self.R: list[Synapses] = []
        change_every = batch * self.period
        rate = step_size / batch
        for layer, (w, r) in enumerate(zip(net.W, net.R, strict=True), 1):
            below, above = self.layers[layer - 1], self.layers[layer]
            once, scaled = np.ones(self.copies), np.asarray(feedback_rates)
            self.W.append(self._synapses(below, above, w, "h", rate * once, change_every))
            # nothing reads a feedback signal in the input layer; its synapses learn all the same
            signal = "u" if layer > 1 else None
            self.R.append(self._synapses(above, below, r.T, signal, rate * scaled, change_every))
        self.ends = [
            StateMonitor(group, ["carried", "learned"], record=True, dt=self.period, when="before_start", order=-2)
            for group in self.layers[1:]
        ]
        self.monitors = [StateMonitor(group, "r", record=True) for group in self.layers if record]
        self.parts += [*self.ends, *self.monitors]

    def run(self) -> None:
        """Run all presentations, and one step more: in it the last tags change the weights and monitors sample."""
        steps = len(self.net.images) * self.steps.period + 1
        Network(*self.parts).run(steps * self.parameters.dt, namespace={})

    def weights(self, synapses: Synapses) -> np.ndarray:
        """Signed weights now: (copies, n_pre, n_post)."""
        values = synapses.excitatory[:] - synapses.crossed[:] if self.paired else synapses.weight[:]
        return own(values).reshape(self.copies, len(synapses.source) // self.copies, -1)

    def read(self, layer: int, name: str) -> np.ndarray:
        """`carried` or `learned` of layer 1..L in every presentation: (copies, P, n_l)."""
        values = own(getattr(self.ends[layer - 1], name))[:, 1:]
        return values.reshape(self.copies, self.net.sizes[layer], -1).transpose(0, 2, 1)

    def _load(self, group: NeuronGroup, rows: Mapping[str, np.ndarray]) -> None:
        """Set parameters (P, n) of the group whenever a presentation begins, the same for every copy of the net."""
        copied = {name: np.tile(values, self.copies) for name, values in rows.items()}
        self.parts += [group, loader(group, copied, self.period)]

    def _input(self) -> NeuronGroup:
        group = NeuronGroup(
            self.copies * self.net.sizes[0],
            PAIR_INPUT if self.paired else SIGNED_INPUT,
            method="exponential_euler",
            dt=self.parameters.dt,
            namespace={"tau_interneuron": self.parameters.tau_interneuron},
        )
        images = self.net.images
        pair = {"r_on": np.maximum(images, 0), "r_off": np.maximum(-images, 0)}
        self._load(group, pair if self.paired else {"r": images})
        return group

    def _layer(self, layer: int, mu: float) -> NeuronGroup:
        steps, top = self.steps, layer == len(self.net.sizes) - 1
        motif = "output-error" if top else "threshold"
        rows = {
            "arrival_step": steps.arrival[layer - 1],
            "feedback_step": steps.feedback[layer - 1],
            "plasticity_step": steps.plasticity[layer - 1],
        }
        names: dict[str, object] = {"release_step": steps.release, "period": steps.period}
        if top:
            own = self.net.labels[:, None] == np.arange(self.net.sizes[-1])
            rows["teacher"] = np.where(own, 1, -1)
            names["mu"] = mu
        populations = None
        if self.cells == "spiking":
            populations = Spiking(self.spiking, self.parameters, self.seed + layer)
            names |= populations.constants()
        group = unit_group(
            motif_equations(motif, self.cells) + Equations(EVENTS),
            self.copies * self.net.sizes[layer],
            self.parameters,
            names,
            # the state after step k is the state at time k + 1: what a unit carries when its event comes
            events={"turn": "moment + 1 == feedback_step", "plasticity": "moment + 1 == plasticity_step"},
            name=f"layer_{layer:03}",
        )
        for event, effect in (("turn", "carried = r"), ("plasticity", "learned = r")):
            group.set_event_schedule(event, when="thresholds")
            group.run_on_event(event, effect, when="before_synapses")  # before spikes of this step arrive
        self._load(group, rows)
        self.parts += populations.attach(group) if populations else []
        return group

    def _synapses(
        self,
        source: NeuronGroup,
        to: NeuronGroup,
        weights: np.ndarray,
        signal: str | None,
        rates: np.ndarray,
        change_every: object,
    ) -> Synapses:
        """Plastic synapses with `weights` (n_source, n_to) in every copy, which change by `rates` (copies,).

        The plasticity event is that of the upper layer: the target of W, the source of R (`signal` "h" or not).
        """
        current = (PAIR_CURRENT if self.paired else SIGNED_CURRENT).format(signal=signal) if signal else ""
        effect = {"plasticity": PAIR_TAG if self.paired else SIGNED_TAG}
        event = {"plasticity": "plasticity"}
        synapses = Synapses(
            source,
            to,
            (PAIR_SYNAPSE if self.paired else SIGNED_SYNAPSE) + current,
            **({"on_post": effect} if signal == "h" else {"on_pre": effect}),
            on_event=event,
            dt=self.parameters.dt,
        )
        # before spikes of this step arrive, whose pathways have Brian2's order for "pre", -1: with a tie, names would
        # decide which of W and R sees the activities after them
        synapses.plasticity.order = -2
        n, m = weights.shape
        copy, i, j = (index.ravel() for index in np.meshgrid(range(self.copies), range(n), range(m), indexing="ij"))
        synapses.connect(i=copy * n + i, j=copy * m + j)
        values = np.tile(weights.ravel(), self.copies)
        if self.paired:
            synapses.excitatory, synapses.crossed = np.maximum(values, 0), np.maximum(-values, 0)
        else:
            synapses.weight = values
        synapses.rate = rates[copy]
        change = PAIR_CHANGE if self.paired else SIGNED_CHANGE
        synapses.run_regularly(change, dt=change_every, when="before_start", order=-1)
        self.parts.append(synapses)
        return synapses
