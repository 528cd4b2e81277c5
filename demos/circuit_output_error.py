"""The output error circuit computes eq. 6; its error falls by exp(-phase/tau), with neurons by 1/sqrt(N).

    python demos/circuit_output_error.py [--quick] [--out DIR]

Writes circuit-output-error.png: error signal over x for the own class and another beside the ideal, error over
the length of a phase for signed rates and for signed pairs, error of populations over the number of neurons.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import experiments
import numpy as np

from circuits import accuracy, pictures
from circuits.parameters import Parameters


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="fewer lengths and populations")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the picture")
    options = arguments.parse_args()
    experiments.make_folder("--out", options.out)

    x, teacher = accuracy.line()
    worst = np.abs(accuracy.respond("output-error", Parameters(), x, teacher).error).max()
    print(f"{len(x)} inputs, x in [-3, 3], both classes, phases of 10 tau: worst error {worst:.2g}")
    x = np.linspace(-3, 3, 1201)
    outputs = {}
    for name, sign in (("own class", 1.0), ("another class", -1.0)):
        response = accuracy.respond("output-error", Parameters(), x, np.full_like(x, sign))
        outputs[name] = (x, response.output[0], response.ideal[0])
    lengths = [4, 8, 12] if options.quick else list(range(3, 16))
    phases = {cells: accuracy.errors_over_phases("output-error", lengths, cells) for cells in ("signed", "pairs")}
    for cells, errors in phases.items():
        print(f"{cells}: slope of log(error) over phase/tau {accuracy.slope(lengths, errors):.3f}")
    neurons = [50, 200, 800] if options.quick else [50, 100, 200, 400, 800, 1600, 3200]
    spiking = accuracy.errors_over_neurons("output-error", neurons)
    print(f"spiking: slope of log(error) over log(N) {accuracy.slope(neurons, spiking, logarithmic=True):.3f}")
    path = options.out / "circuit-output-error.png"
    print(pictures.accuracy_picture(("x", "error signal"), outputs, lengths, phases, neurons, spiking, path))


if __name__ == "__main__":
    experiments.run(main, "stopped")
