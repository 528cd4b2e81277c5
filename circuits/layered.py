"""Layered: whole small nets of threshold and output error circuits, with plastic W and R. Wiring: ours.

Hidden units are threshold circuits, output units are output error circuits, input units carry the image.
Feedforward synapses W and feedback synapses R join the same pairs of units. At a unit's plasticity event
each of its synapses from below, W and R alike, is tagged with the product of the two activities that it
joins at that moment; the tags change the weights when a batch of presentations ends. So the feedback of a
batch passes through R as it was before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from circuits.errors import ParameterError, choose
from circuits.event_times import EventTimes
from circuits.layered_wiring import SmallNet, Wiring
from circuits.motifs import CELLS, check_cells, check_margin
from circuits.parameters import Parameters, check_kind, check_number, check_seed
from circuits.simulation import Traces, code_target, own
from circuits.spiking import SpikingParameters


@dataclass(frozen=True)
class LayeredResult:
    """What a layered circuit became. With several feedback rates every array has them as its first axis.

    W, R         weights afterwards, one (n_{l-1}, n_l) array for each layer 1..L
    activity     what each unit carried when its feedback arrived: x_l, one (P, n_l) array for each layer 1..L
    feedback     what it carried at its plasticity event: delta_l, likewise
    traces       time courses "layer 0" .. "layer L", (T, copies * n_l), or None
    """

    W: list[np.ndarray]
    R: list[np.ndarray]
    activity: list[np.ndarray]
    feedback: list[np.ndarray]
    traces: Traces | None


def run_layered(
    W: Sequence[np.ndarray],
    R: Sequence[np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    parameters: Parameters | None = None,
    *,
    cells: str = "signed",
    spiking: SpikingParameters | None = None,
    feedback_rate: float | Sequence[float] = 1.0,
    step_size: float = 0.1,
    mu: float | None = None,
    batch: int = 1,
    times: EventTimes | None = None,
    record: bool = False,
    seed: int = 0,
    target: str = "numpy",
) -> LayeredResult:
    """Show images (P, n_0) of classes labels (P,) one after another to a net of circuits that learns.

    W, R: one (n_{l-1}, n_l) array for each layer 1..L. feedback_rate: epsilon, 0 is FRFB and 1 is URFB; given
    several, as many independent copies of the net run side by side. mu: off-class factor, 1/(C-1) by default.
    batch: presentations for each change of the weights, whose step is step_size/batch. times: per-unit event
    times, by default `EventTimes.nominal`. Warns (ShortPhaseWarning) for phases, or times between a unit's events,
    that are too short. Errors: CircuitError.
    """
    parameters = check_kind("parameters", Parameters() if parameters is None else parameters, Parameters)
    choose("kind of cells", cells, CELLS)
    check_margin(parameters)
    net = SmallNet.checked(W, R, images, labels, batch)
    mu = 1 / max(net.sizes[-1] - 1, 1) if mu is None else check_number("mu", mu, 0)
    step_size = check_number("step_size", step_size, 0)
    rates = feedback_rate if isinstance(feedback_rate, Iterable) else [feedback_rate]
    rates = [check_number("feedback_rate", rate, 0, 1) for rate in rates]
    if not rates:
        raise ParameterError("feedback_rate must be a number in [0, 1], or several")
    spiking = check_kind("spiking", spiking if spiking is not None else SpikingParameters(), SpikingParameters)
    check_cells(cells, parameters, spiking)
    if times is not None:
        check_kind("times", times, EventTimes)
    steps = (times or EventTimes.nominal(net.sizes, parameters)).in_steps(net.sizes, len(net.images), parameters)
    # a hidden unit moves from at most 1 to its feedback, an output unit from its input to at most max(1, mu)
    membrane = spiking.tau_membrane if cells == "spiking" else None
    if times is None:  # every window is a phase or more
        parameters.warn_if_short(2.0, tau_membrane=membrane)
    else:
        steps.warn_if_short(2.0, parameters, tau_membrane=membrane)
    with code_target(target, check_seed(seed)):
        wiring = Wiring(
            net,
            steps,
            parameters,
            cells=cells,
            spiking=spiking,
            feedback_rates=rates,
            step_size=step_size,
            mu=mu,
            batch=batch,
            seed=seed,
            record=record,
        )
        wiring.run()
    single = (lambda array: array[0]) if np.ndim(feedback_rate) == 0 else (lambda array: array)
    layers = range(1, len(net.sizes))
    traces = None
    if record:
        values = {f"layer {level}": own(monitor.r).T for level, monitor in enumerate(wiring.monitors)}
        traces = Traces(own(wiring.monitors[0].t), values)
    return LayeredResult(
        W=[single(wiring.weights(synapses)) for synapses in wiring.W],
        R=[single(wiring.weights(synapses).transpose(0, 2, 1)) for synapses in wiring.R],
        activity=[single(wiring.read(layer, "carried")) for layer in layers],
        feedback=[single(wiring.read(layer, "learned")) for layer in layers],
        traces=traces,
    )
