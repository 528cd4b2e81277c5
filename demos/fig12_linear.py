"""Figure 12: in a deep linear net the error falls the faster, the larger ε, the rate of the feedback's update.

    python demos/fig12_linear.py [--quick] [--seeds N] [--iterations N] [--out DIR]

Section 5.1: three layers of weights, 40-100-100-10, inputs with X Xᵗ = I, a target T = W3* W2* W1* with entries
N(0, 0.2²) in each factor. BP starts from random W(0); ε = 0 (FRFB), 0.25, 0.5 and 1 (URFB) start from W(0) = 0 and
random R(0). The paper states neither the step nor the size of the random weights: here 0.003 and N(0, 0.1²).
Writes fig12_linear.png and fig12_linear.json.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import experiments
import figures
import numpy as np
from matplotlib.figure import Figure

from netsim import linear

STEP_SIZE, START_DEVIATION = 0.003, 0.1
#: Label -> (epsilon, color); the paper draws FRFB green here.
LEARNERS = {
    "BP": (None, "black"),
    "ε = 0 (FRFB)": (0.0, "tab:green"),
    "ε = 0.25": (0.25, "tab:orange"),
    "ε = 0.5": (0.5, "tab:purple"),
    "ε = 1 (URFB)": (1.0, "tab:blue"),
}


def run(seed: int, iterations: int) -> dict[str, linear.LinearRun]:
    """All learners on one random target."""
    random = np.random.default_rng(seed)
    target = linear.product(linear.draw(linear.SIZES, linear.DEVIATION, random))
    start = linear.draw(linear.SIZES, START_DEVIATION, random)
    feedback = [matrix.T for matrix in linear.draw(linear.SIZES, START_DEVIATION, random)]
    nothing = [np.zeros_like(matrix) for matrix in start]
    return {
        label: linear.simulate(
            target, start if epsilon is None else nothing, feedback,
            feedback_rate=epsilon, step_size=STEP_SIZE, iterations=iterations,
        )
        for label, (epsilon, _) in LEARNERS.items()
    }  # fmt: skip


def draw(found: list[dict[str, linear.LinearRun]]) -> Figure:
    """The paper's panels: a column a run, the error on top, then the correlation in each layer, the top one first."""
    layers = len(linear.SIZES) - 1
    figure = Figure(figsize=(4 * len(found), 9), layout="constrained")
    panels = figure.subplots(1 + layers, len(found), sharex=True, sharey="row", squeeze=False)
    for column, learners in enumerate(found):
        for label, (epsilon, color) in LEARNERS.items():
            trace = learners[label]
            panels[0, column].semilogy(trace.error, color=color, label=label)
            if epsilon is not None:  # in BP the correlation is 1 at every moment
                for row in range(layers):
                    panels[1 + row, column].plot(trace.correlation[layers - 1 - row], color=color)
        panels[0, column].set_title(f"run {column + 1}")
        panels[-1, column].set_xlabel("iteration")
    panels[0, 0].set_ylabel("error tr(EᵗE)")
    panels[0, 0].legend(fontsize="small")
    for row in range(layers):
        panels[1 + row, 0].set_ylabel(f"correlation of W{layers - row} and R{layers - row}ᵗ")
        panels[1 + row, 0].set_ylim(min(-0.1, panels[1 + row, 0].get_ylim()[0]), 1.05)
    for axes in panels.flat:
        axes.grid(alpha=0.3)
    return figure


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="one run of 300 iterations")
    parser.add_argument("--seeds", type=experiments.count, metavar="N", help="runs (3)")
    parser.add_argument("--iterations", type=experiments.count, metavar="N", help="iterations of each (1000)")
    parser.add_argument("--out", type=Path, default=Path("."), metavar="DIR", help="folder of the results (.)")
    options = parser.parse_args(given)
    experiments.check_folder("--out", options.out)
    seeds = options.seeds or (1 if options.quick else 3)
    iterations = options.iterations or (300 if options.quick else 1000)
    began = time.perf_counter()
    found = [run(seed, iterations) for seed in range(1, seeds + 1)]
    seconds = time.perf_counter() - began
    summary = {
        label: {
            "iterations_to_1_percent": [learners[label].iterations_to(0.01) for learners in found],
            "iterations_to_1e-9": [learners[label].iterations_to(1e-9) for learners in found],
            "error_start": [learners[label].error[0] for learners in found],
            "error_end": [learners[label].error[-1] for learners in found],
            "correlation_end": [learners[label].correlation[:, -1].tolist() for learners in found],
        }
        for label in LEARNERS
    }
    for label, facts in summary.items():
        print(f"{label:13} iterations to 1 % of the error: {facts['iterations_to_1_percent']}")
    every = max(1, iterations // 100)
    curves = [
        {
            label: {"error": trace.error[::every].tolist(), "correlation": _known(trace.correlation[:, ::every])}
            for label, trace in learners.items()
        }
        for learners in found
    ]
    content = {
        "seeds": list(range(1, seeds + 1)), "iterations": iterations, "every": every,
        "sizes": linear.SIZES, "target_deviation": linear.DEVIATION, "start_deviation": START_DEVIATION,
        "step_size": STEP_SIZE, "seconds": round(seconds, 1), "summary": summary, "curves": curves,
    }  # fmt: skip
    figures.save(options.out / "fig12_linear", draw(found), caption(seeds, iterations, seconds), content, indent=None)


def caption(seeds: int, iterations: int, seconds: float) -> str:
    """What was simulated, and the time it took."""
    of = "Seed 1" if seeds == 1 else f"Seeds 1 to {seeds}"
    return (
        f"{of}, each a random target: layers of {'-'.join(map(str, linear.SIZES))} units, entries of its factors "
        f"N(0, {linear.DEVIATION:g}²). {iterations:,} iterations, step {STEP_SIZE:g}, in {seconds:.1f} s. "
        f"BP from W(0), the others from R(0) with entries N(0, {START_DEVIATION:g}²) and W(0) = 0."
    )


def _known(correlation: np.ndarray) -> list[list[float | None]]:
    """Correlations to four digits; None while the weights are 0."""
    return [[None if np.isnan(value) else round(float(value), 4) for value in layer] for layer in correlation]


if __name__ == "__main__":
    experiments.run(main)
