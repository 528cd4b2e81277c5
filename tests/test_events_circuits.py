"""The exact event engine equals small nets of circuits (Brian2) given the same event times, within a derived bound.

A circuit goes on following its input between its events; the event engine reads once and holds. The two are the same
where what a unit reads at its arrival stays until its own feedback, and what it reads at its feedback stays until its
value is no longer used: in a full net, where every layer's feedback begins after the one above has turned. Plasticity
may come at any time after the unit's own feedback, so its reads fall into either phase of the units below.

Times lie on a grid of whole phases of length T. Then every unit has had T to settle since the last event of any unit,
and the errors obey the circuits' linear equations with the sizes of all terms (as in `circuits.bounds`): with A the
sizes of the couplings that act in a phase, a time step dt takes e to at most d e + (1 - d) (A e + what wrong weights
do), d = exp(-dt/tau); at an event an error grows by the jump of the unit's target.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("brian2", reason="the circuits need Brian2")
from brian2 import ms

from circuits.event_times import EventTimes as CircuitTimes
from circuits.layered import run_layered
from circuits.parameters import Parameters
from circuits.stimuli import glorot, pooled_digits
from netsim import Network
from netsim.events import Distribution, Schedule, exact
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY, EventTimes

LENGTH = 16  # tau in a phase
STEP, BATCH, MU = 0.1, 5, 1 / 3
FLOAT32 = 2.0**-24
SIZES = {"two layers": (8, 6, 4), "three layers": (8, 7, 5, 4)}


class WholePhases(EventTimes):
    """Event times of a schedule whose unit is one phase, rounded to whole phases."""

    def fill(self, presentation, kind, place, times):
        super().fill(presentation, kind, place, times)
        np.rint(times, out=times)


def schedule(layers: int) -> Schedule:
    """Arrivals spread over one or two phases a layer, feedback likewise, plasticity over many phases after it."""
    names = [*(f"full{n}" for n in range(1, layers)), "output"]
    late = Distribution("uniform", 1.49, absolute=True)  # rounded: 0 or 1
    later = Distribution("uniform", 5.49, absolute=True)  # 0 to 5
    up = {name: 1.0 + 2 * n for n, name in enumerate(names)}
    down = {name: 2.0 * layers + 1 + 2 * n for n, name in enumerate(reversed(names))}
    return Schedule(
        feedforward=tuple(up.items()), feedback=tuple(down.items()), plasticity_delay=1.0, plasticity_follows=True,
        jitter_feedforward=late, jitter_feedback=late, jitter_plasticity=later,
        forward_phase=2.0 * layers, feedback_phase=2.0 * layers + 10,
    )  # fmt: skip


def bound(W, R, images, labels, times, rate, starts):
    """Ideal weights after training by these times, and bounds of the circuits' and the engine's distance from them."""
    W, R = [w.copy() for w in W], [r.copy() for r in R]
    wrong_W, wrong_R = ([FLOAT32 * np.abs(w) for w in weights] for weights in (W, R))
    sizes = [len(W[0]), *(w.shape[1] for w in W)]
    first = np.cumsum([0, *sizes])
    where = [slice(a, b) for a, b in itertools.pairwise(first)]
    state, error = np.zeros(first[-1]), np.zeros(first[-1])
    seen = {"late": 0, "reads": 0, "margin": np.inf}
    change = [np.zeros_like(w) for w in W]
    slack = [np.zeros_like(w) for w in W]
    for n, (image, label) in enumerate(zip(images, labels, strict=True)):
        begin, end = round(starts[n]), round(starts[n + 1])
        state[where[0]], error[where[0]] = image, 0
        events = {(layer, kind): np.rint(times[n, layer - 1, kind]) - begin for layer in range(1, len(sizes))
                  for kind in (FEEDFORWARD, FEEDBACK, PLASTICITY)}  # fmt: skip
        gates = [np.zeros(size) for size in sizes]
        for phase in range(end - begin):
            # at the beginning of the phase plasticity and events read what has settled in the one before
            for layer in range(1, len(sizes)):
                learn = events[layer, PLASTICITY] == phase
                post, below = state[where[layer]] * learn, state[where[layer - 1]]
                e_post, e_below = error[where[layer]] * learn, error[where[layer - 1]]
                change[layer - 1] += np.outer(below, post)
                slack[layer - 1] += np.outer(np.abs(below), e_post) + np.outer(e_below, np.abs(post) + e_post)
                turned = events[layer - 1, FEEDBACK] < phase if layer > 1 else np.zeros(sizes[0], bool)
                seen["late"] += int(learn.sum() * turned.sum())
                seen["reads"] += int(learn.sum() * turned.size)
            coupling, wrong = np.zeros((first[-1], first[-1])), np.zeros((first[-1], first[-1]))
            target = state.copy()
            for layer in range(1, len(sizes)):
                top, rows = layer == len(sizes) - 1, where[layer]
                up = (events[layer, FEEDFORWARD] <= phase) & (phase < events[layer, FEEDBACK])
                down = events[layer, FEEDBACK] <= phase
                h = state[where[layer - 1]] @ W[layer - 1]
                target[rows] = np.where(up, h if top else np.clip(h, -1, 1), np.where(down, target[rows], 0))
                turns = events[layer, FEEDBACK] == phase
                if top:
                    own = np.arange(sizes[-1]) == label
                    x = state[rows]
                    answer = np.where(own, np.where(x <= 1, 1.0, 0.0), np.where(x >= -1, -MU, 0.0))
                    target[rows] = np.where(turns, answer, target[rows])
                    level = np.where(own, 1.0, -1.0)
                else:
                    gates[layer] = np.where(turns, np.abs(h) < 1, gates[layer])
                    signal = gates[layer] * (R[layer] @ state[where[layer + 1]])
                    target[rows] = np.where(down, signal, target[rows])
                    level = np.sign(h)
                if turns.any():
                    seen["margin"] = min(seen["margin"], float(np.abs((h - level)[turns]).min()))
                # what the couplings of this phase make of errors
                for unit in np.flatnonzero(up):
                    coupling[first[layer] + unit, where[layer - 1]] = np.abs(W[layer - 1][:, unit])
                    wrong[first[layer] + unit, where[layer - 1]] = wrong_W[layer - 1][:, unit]
                for unit in np.flatnonzero(down & (gates[layer] > 0)) if not top else ():
                    coupling[first[layer] + unit, where[layer + 1]] = np.abs(R[layer][unit])
                    wrong[first[layer] + unit, where[layer + 1]] = wrong_R[layer][unit]
            # LENGTH steps of size tau at once, as a power of one larger matrix
            size, decay = first[-1], np.exp(-1)
            system = np.eye(size + 1) * decay
            system[:size, :size] += (1 - decay) * (coupling + wrong)
            system[: sizes[0]] = np.eye(size + 1)[: sizes[0]]  # the image is as it is
            carried = np.maximum(np.abs(state), np.abs(target))
            system[sizes[0] : size, size] = (1 - decay) * (wrong @ carried)[sizes[0] :]
            system[size, size] = 1
            start = np.append(error + np.abs(target - state), 1)
            error = (np.linalg.matrix_power(system, LENGTH) @ start)[:size]
            state = target
        # the circuits' reset: no input acts, everything decays; the engine's units are not read before their arrival
        error[first[1] :] = (np.abs(state) + error)[first[1] :] * np.exp(-LENGTH)
        state[first[1] :] = 0
        if (n + 1) % BATCH == 0:
            for layer in range(len(W)):
                scale = STEP / BATCH
                rounding = (BATCH + 4) * FLOAT32 * scale * (np.abs(change[layer]) + slack[layer])
                W[layer] += scale * change[layer]
                R[layer] += rate * scale * change[layer]
                wrong_W[layer] += scale * slack[layer] + rounding + FLOAT32 * np.abs(W[layer])
                wrong_R[layer] += rate * (scale * slack[layer] + rounding) + FLOAT32 * np.abs(R[layer])
                change[layer][...] = slack[layer][...] = 0
    return W, R, wrong_W, wrong_R, seen


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(("protocol", "rate"), [("frfb", 0.0), ("urfb", 1.0)])
def test_circuits_and_event_engine_learn_the_same_from_the_same_event_times(sizes, protocol, rate, monkeypatch):
    monkeypatch.setattr(exact, "EventTimes", WholePhases)
    W, R = ([w.astype(np.float32).astype(float) for w in weights] for weights in glorot(sizes, scale=1.5))
    images, labels = pooled_digits(10)
    images = images.astype(np.float32).astype(float)
    layers = len(sizes) - 1
    hidden = "; ".join(f"full {n}" for n in sizes[1:-1])
    net = Network(f"{hidden}; output", (1, 1, sizes[0]), sizes[-1])
    for layer, w, r in zip(net.weighted, W, R, strict=True):
        layer.W, layer.R = w.astype(np.float32), r.astype(np.float32)
    trainer = exact.EventTrainer(net, schedule(layers), protocol, step_size=STEP, mu=MU, streams=1, dtype=np.float64)
    given = WholePhases(trainer.schedule, trainer._plan.layout, trainer.timing_seed)
    starts = [given.start(n) for n in range(len(images) + 1)]
    times = given.arrays(range(len(images)))
    for first in range(0, len(images), BATCH):
        shown = images[first : first + BATCH].astype(np.float32).reshape(BATCH, 1, 1, -1)
        trainer.step(shown, labels[first : first + BATCH])

    parameters = replace(Parameters(), dt=10 * ms).with_phase(LENGTH)
    phase, period = float(parameters.phase / ms), round(starts[1])
    per_unit = {
        kind: [np.stack([np.rint(times[n, layer, kind]) - round(starts[n]) for n in range(len(images))]) * phase * ms
               for layer in range(layers)]
        for kind in (FEEDFORWARD, FEEDBACK, PLASTICITY)
    }  # fmt: skip
    circuit_times = CircuitTimes(
        per_unit[FEEDFORWARD], per_unit[FEEDBACK], per_unit[PLASTICITY], period * phase * ms, (period + 1) * phase * ms
    )
    result = run_layered(
        W, R, images, labels, parameters, feedback_rate=rate, step_size=STEP, mu=MU, batch=BATCH, times=circuit_times
    )
    ideal_W, ideal_R, wrong_W, wrong_R, seen = bound(W, R, images, labels, times, rate, starts)
    # comparators, with half the units' time constant, decide as the algorithm does: each input is far from its level
    assert seen["margin"] > 100 * np.exp(-LENGTH)
    # the case is not vacuous: of the reads of plasticity events many find signals, many x; weights have moved
    assert 0.2 < seen["late"] / seen["reads"] < 0.8
    assert max(limit.max() for limit in (*wrong_W, *wrong_R)) < 1e-4
    for layer, circuit_W, circuit_R, w, r, limit_W, limit_R, before in zip(
        net.weighted, result.W, result.R, ideal_W, ideal_R, wrong_W, wrong_R, W, strict=True
    ):
        assert np.abs(w - before).max() > 0.01
        for found in (circuit_W, layer.W):
            assert (np.abs(found - w) <= limit_W).all()
        for found in (circuit_R, layer.R):
            assert (np.abs(found - r) <= limit_R).all()
        assert (np.abs(circuit_W - layer.W) <= 2 * limit_W).all()
