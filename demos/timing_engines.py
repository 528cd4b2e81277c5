"""How near the batched event engine comes to the exact one, over the jitter, and where they part.

    python demos/timing_engines.py [--table] [--quick] [--out DIR]

A small convolutional net learns handwritten digits in phase for three epochs. Then both engines compute the update
of the same presentations under more and more jitter; timing-engines.png shows each layer's cosine with the in-phase
update by both, and their difference. Means over four seeds of the event times, bars: their standard error.
With --table: under other schedules, too; timing-engines.csv has each layer's mean cosine by both engines.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

import netsim
from netsim import data
from netsim.events import Distribution, Schedule, preset
from netsim.events.engines import trainer

NET = "conv 8 3x3; maxpool 2; conv 16 3x3; maxpool 2; full 60; output"
STREAMS = 40
LINES = {"exact": "-", "batched": "--"}

#: How far the two may be apart up to 1 τ.
APART = 0.03


def jittered(distribution: str, scale: float, *events: str) -> Schedule:
    """Jitter of these events, of all if none is named."""
    draw = Distribution(distribution, scale, scale if distribution == "wald" else None)
    return Schedule().changed(**{f"jitter_{event}": draw for event in events} if events else {"jitter": draw})


#: Schedules of the table.
SCHEDULES = {
    **{f"normal {scale:g}": jittered("normal", scale) for scale in (0.1, 0.15, 0.25, 0.5, 0.75, 1)},
    **{f"{kind} {scale:g}": jittered(kind, scale) for kind in ("uniform", "exponential", "wald") for scale in (0.5, 1)},
    **{
        f"normal {scale:g}, {event} only": jittered("normal", scale, event)
        for event in ("feedforward", "feedback", "plasticity")
        for scale in (0.3, 0.5, 1)
    },
    **{f"desynchronised {p:g}": preset(f"desynchronised:{p:g}") for p in (0.8, 0.5)},
    "skew of full1 by 1": Schedule(skew=(("full1", 1.0),)),
}


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


def measure(net, images, labels, in_phase, schedule: Schedule, seeds: int) -> dict[str, dict[str, list[float]]]:
    """found[engine][layer]: cosines with the in-phase update, of each seed."""
    found = {}
    for engine in LINES:
        found[engine] = {name: [] for name in in_phase}
        for seed in range(seeds):
            learner = trainer(net, schedule, engine, streams=STREAMS, timing_seed=seed)
            for name, array in learner.increments(images, labels)[0].items():
                found[engine][name].append(cosine(array, in_phase[name]))
    return found


def write_table(path: Path, rows: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    """A line a schedule and engine: mean and standard error of each layer's cosine."""
    with open(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        layers = list(next(iter(rows.values()))["exact"])
        table.writerow(["schedule", "engine", *(f"{word}.{name}" for name in layers for word in ("mean", "error"))])
        for name, found in rows.items():
            for engine, cosines in found.items():
                values = {layer: np.array([each]) for layer, each in cosines.items()}
                numbers = [number for v in values.values() for number in (v.mean(), error(v)[0])]
                table.writerow([name, engine, *(f"{number:.4f}" for number in numbers)])


def apart(found: dict[str, dict[str, list[float]]]) -> dict[str, float]:
    """Batched minus exact of each layer, means over seeds."""
    return {
        name: round(float(np.mean(found["batched"][name]) - np.mean(values)), 3)
        for name, values in found["exact"].items()
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--table", action="store_true", help="other schedules, too, as a table")
    arguments.add_argument("--quick", action="store_true", help="400 digits, three jitters or schedules, one seed")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of picture and table")
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
    options.out.mkdir(parents=True, exist_ok=True)

    if options.table:
        rows = {}
        for name, schedule in list(SCHEDULES.items())[:: 8 if options.quick else 1]:
            rows[name] = measure(net, images, labels, in_phase, schedule, seeds)
            print(f"{name}: batched - exact", apart(rows[name]), flush=True)
        write_table(options.out / "timing-engines.csv", rows)
        print(f"wrote {options.out / 'timing-engines.csv'}")
        return

    found = {engine: {name: [] for name in in_phase} for engine in LINES}
    for scale in scales:
        at = measure(net, images, labels, in_phase, jittered("normal", scale), seeds)
        print(f"jitter {scale:g}: batched - exact", apart(at), flush=True)
        for engine, layers in at.items():
            for name, values in layers.items():
                found[engine][name].append(values)
    figure = draw(scales, {engine: {n: np.array(v) for n, v in layers.items()} for engine, layers in found.items()})
    figure.savefig(options.out / "timing-engines.png", dpi=120, metadata={"Software": None})
    print(f"wrote {options.out / 'timing-engines.png'}")


if __name__ == "__main__":
    main()
