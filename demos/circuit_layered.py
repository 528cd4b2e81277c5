"""A net of circuits learns what the phase-locked engine learns, to within the bound that its phases imply.

    python demos/circuit_layered.py [--quick] [--out DIR]

An 8-6-4 net of threshold and output error circuits sees 100 handwritten digits, pooled to 8 inputs, under FRFB
and URFB, made of signed rates and of signed pairs. Writes circuit-layered.png: largest difference of a weight
from netsim's engine over the length of a phase, beside its bound. The engine computes in float32, which is the
floor of both.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import experiments
import numpy as np
from brian2 import ms

from circuits.bounds import layered_bound
from circuits.layered import run_layered
from circuits.parameters import Parameters
from circuits.pictures import agreement_over_phases_picture
from circuits.stimuli import glorot, pooled_digits
from netsim.cli.circuit_layered import BATCH, PROTOCOLS, SCALE, SIZES, STEP_SIZE, phase_locked

FLOAT32 = 2.0**-24  # unit roundoff of the engine


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="two lengths, 20 digits")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the picture")
    options = arguments.parse_args()
    experiments.make_folder("--out", options.out)

    presentations, lengths = (20, [10, 14]) if options.quick else (100, [8, 10, 12, 14, 16, 18])
    images, labels = pooled_digits(presentations)
    W, R = ([w.astype(np.float32).astype(float) for w in weights] for weights in glorot(SIZES, scale=SCALE))
    engine = {
        name: phase_locked(W, R, images, labels, protocol=name, step_size=STEP_SIZE, batch=BATCH) for name in PROTOCOLS
    }
    found = {f"{name}, {cells}": ([], []) for cells in ("signed", "pairs") for name in PROTOCOLS}
    how = {"step_size": STEP_SIZE, "batch": BATCH, "mu": 1 / (SIZES[-1] - 1)}
    for length in lengths:
        parameters = replace(Parameters(), dt=5 * ms).with_phase(length)
        for cells in ("signed", "pairs"):
            rates = list(PROTOCOLS.values())
            result = run_layered(W, R, images, labels, parameters, cells=cells, feedback_rate=rates, **how)
            for copy, (name, rate) in enumerate(PROTOCOLS.items()):
                mine = [weights[copy] for weights in (*result.W, *result.R)]
                theirs = [*engine[name][0], *engine[name][1]]
                difference = max(np.abs(a - b).max() for a, b in zip(mine, theirs, strict=True))
                bound = layered_bound(
                    W, R, images, labels, parameters, cells=cells, feedback_rate=rate, roundoff=FLOAT32, **how
                )
                limit = math.nan if bound.undecided else max(part.max() for part in (*bound.W, *bound.R))
                found[f"{name}, {cells}"][0].append(difference)
                found[f"{name}, {cells}"][1].append(limit)
                shown = "none" if bound.undecided else f"{limit:.2g}"
                print(f"{length} tau, {name}, {cells}: largest difference {difference:.2g}, bound {shown}")
    title = f"{'-'.join(map(str, SIZES))} net of circuits against the engine, {presentations} digits"
    print(agreement_over_phases_picture(lengths, found, title, options.out / "circuit-layered.png"))


if __name__ == "__main__":
    experiments.run(main, "stopped")
