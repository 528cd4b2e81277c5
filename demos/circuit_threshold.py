"""The threshold circuit computes gate * u (eq. 3); its error falls by exp(-phase/tau), with neurons by 1/sqrt(N).

    python demos/circuit_threshold.py [--quick] [--out DIR]

Writes circuit-threshold.png: output over h beside the ideal, error over the length of a phase for signed rates
and for signed pairs, error of populations over the number of neurons.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import experiments
import numpy as np

from circuits import accuracy, pictures
from circuits.parameters import Parameters

TOP_DOWN = (-2.0, -1.0, 1.0, 2.0)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="fewer lengths and populations")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the picture")
    options = arguments.parse_args()
    experiments.make_folder("--out", options.out)

    h, u = accuracy.plane()
    worst = np.abs(accuracy.respond("threshold", Parameters(), h, u).error).max()
    print(f"{len(h)} inputs, h in [-3, 3], u in [-2, 2], phases of 10 tau: worst error {worst:.2g}")
    h = np.linspace(-3, 3, 1201)
    outputs = {}
    for u in TOP_DOWN:
        response = accuracy.respond("threshold", Parameters(), h, np.full_like(h, u))
        outputs[f"u = {u:g}"] = (h, response.output[0], response.ideal[0])
    lengths = [4, 8, 12] if options.quick else list(range(3, 16))
    phases = {cells: accuracy.errors_over_phases("threshold", lengths, cells) for cells in ("signed", "pairs")}
    for cells, errors in phases.items():
        print(f"{cells}: slope of log(error) over phase/tau {accuracy.slope(lengths, errors):.3f}")
    neurons = [50, 200, 800] if options.quick else [50, 100, 200, 400, 800, 1600, 3200]
    spiking = accuracy.errors_over_neurons("threshold", neurons)
    print(f"spiking: slope of log(error) over log(N) {accuracy.slope(neurons, spiking, logarithmic=True):.3f}")
    path = options.out / "circuit-threshold.png"
    print(pictures.accuracy_picture(("h", "output"), outputs, lengths, phases, neurons, spiking, path))


if __name__ == "__main__":
    experiments.run(main, "stopped")
