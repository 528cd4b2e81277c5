"""How near the batched event engine comes to the exact one, over the jitter, and where they part.

    python demos/timing_engines.py [--quick] [--out DIR]

A small convolutional net learns handwritten digits in phase for three epochs. Then both engines compute the update
of the same presentations under more and more jitter; timing-engines.png shows each layer's cosine with the in-phase
update. Means over four seeds of the event times.
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


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one.astype(float).ravel(), other.astype(float).ravel()
    return float((one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum()))


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

    found = {engine: {name: [] for name in in_phase} for engine in ("exact", "batched")}
    for scale in scales:
        schedule = Schedule().changed(jitter=Distribution("normal", scale))
        for engine, layers in found.items():
            each = {name: [] for name in layers}
            for seed in range(seeds):
                learner = trainer(net, schedule, engine, streams=STREAMS, timing_seed=seed)
                for name, array in learner.increments(images, labels)[0].items():
                    each[name].append(cosine(array, in_phase[name]))
            for name, values in each.items():
                layers[name].append(np.mean(values))
        apart = {name: found["batched"][name][-1] - found["exact"][name][-1] for name in in_phase}
        print(f"jitter {scale:g}: batched - exact", {name: round(float(value), 3) for name, value in apart.items()})

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(in_phase):
        for engine, line in (("exact", "-"), ("batched", "--")):
            axes.plot(scales, found[engine][name], line, color=f"C{number}", marker=".", label=f"{name}, {engine}")
    axes.set_xscale("log")
    axes.set_xlabel("jitter (standard deviation, units of the layer delay τ)")
    axes.set_ylabel("cosine with the in-phase update")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", ncols=2)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "timing-engines.png", dpi=120, metadata={"Software": None})
    print(f"wrote {options.out / 'timing-engines.png'}")


if __name__ == "__main__":
    main()
