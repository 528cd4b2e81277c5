"""How near the batched event engine comes to the exact one, over the jitter, and where they part.

    python demos/timing_engines.py [--quick] [--out DIR]

A small convolutional net learns handwritten digits in phase for three epochs. Then both engines compute the update
of the same presentations under more and more jitter; timing-engines.png shows each layer's cosine with the in-phase
update by both, and their difference. Means over four seeds of the event times, bars: their standard error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import netsim
from netsim import data
from netsim.events import Distribution, Schedule
from netsim.events.engines import trainer

NET = "conv 8 3x3; maxpool 2; conv 16 3x3; maxpool 2; full 60; output"
STREAMS = 40
LINES = {"exact": "-", "batched": "--"}

#: How far the two may be apart up to 1 τ.
APART = 0.03


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.astype(float).ravel(), other.astype(float).ravel()
    return float((one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum()))


def draw(scales: list[float], found: dict[str, dict[str, np.ndarray]]):
    """Above the cosines of both engines, below batched minus exact; found[engine][layer] is (jitters, seeds)."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(8, 7.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    layers = list(found["exact"])
    for number, name in enumerate(layers):
        for engine, line in LINES.items():
            values = found[engine][name]
            above.errorbar(scales, values.mean(1), error(values), fmt=line, color=f"C{number}", marker=".", capsize=2)
        exact, batched = found["exact"][name], found["batched"][name]
        spread = np.hypot(error(exact), error(batched))
        below.errorbar(
            scales, batched.mean(1) - exact.mean(1), spread, fmt="-", color=f"C{number}", marker=".", capsize=2
        )
    above.set_ylabel("cosine with the in-phase update")
    below.set_ylabel("batched minus exact")
    below.axhspan(-APART, APART, color="gray", alpha=0.15, linewidth=0)
    below.axhline(0.0, color="gray", linewidth=0.8)
    below.set_xscale("log")
    below.set_xticks(scales, [f"{scale:g}" for scale in scales])
    below.xaxis.set_minor_formatter(NullFormatter())
    below.set_xlabel("jitter (standard deviation, units of the layer delay τ)")
    handles = [Line2D([], [], color=f"C{number}", label=name) for number, name in enumerate(layers)]
    handles += [Line2D([], [], color="gray", linestyle=line, label=engine) for engine, line in LINES.items()]
    above.legend(handles=handles, fontsize="small", ncols=2)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.suptitle(f"{NET}, after three epochs of digits")
    return figure


def error(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the seeds: (jitters,); 0 for a single seed."""
    seeds = values.shape[1]
    return values.std(1, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.zeros(len(values))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="400 digits, three jitters, one seed")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the picture")
    options = arguments.parse_args()
    count, seeds = (400, 1) if options.quick else (1400, 4)
    scales = [0.1, 0.25, 1.0] if options.quick else [0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0]

    digits = data.load("digits")
    images, labels = digits.train.batch(np.arange(count))
    net = netsim.Network(NET, digits.input_shape, digits.classes, seed=1)
    plain = netsim.Trainer(net)
    for _ in range(3):
        for start in range(0, count, 50):
            plain.step(images[start : start + 50], labels[start : start + 50])
    in_phase = {name: array.copy() for name, array in plain.increments(images, labels)[0].items()}

    found = {engine: {name: [] for name in in_phase} for engine in LINES}  # of each jitter, the cosines of all seeds
    for scale in scales:
        schedule = Schedule().changed(jitter=Distribution("normal", scale))
        for engine, layers in found.items():
            each = {name: [] for name in layers}
            for seed in range(seeds):
                learner = trainer(net, schedule, engine, streams=STREAMS, timing_seed=seed)
                for name, array in learner.increments(images, labels)[0].items():
                    each[name].append(cosine(array, in_phase[name]))
            for name, values in each.items():
                layers[name].append(values)
        apart = {name: np.mean(found["batched"][name][-1]) - np.mean(found["exact"][name][-1]) for name in in_phase}
        print(f"jitter {scale:g}: batched - exact", {name: round(float(value), 3) for name, value in apart.items()})

    figure = draw(scales, {engine: {n: np.array(v) for n, v in layers.items()} for engine, layers in found.items()})
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "timing-engines.png", dpi=120, metadata={"Software": None})
    print(f"wrote {options.out / 'timing-engines.png'}")


if __name__ == "__main__":
    main()
