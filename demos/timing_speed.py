"""How fast the event engines train simpnet on 32x32x3 images, beside the phase-locked engine, over the jitter.

    python demos/timing_speed.py [--threads N] [--quick] [--out DIR]

Whole training steps on random images: the exact engine in batches of 200, the two others in batches of 500. Every
round goes once through all of them, so that a machine that slows down slows all; medians over the rounds. Writes
timing-speed.csv. Wants a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import experiments
import numpy as np

import netsim
from netsim.events import Distribution, Schedule
from netsim.events.engines import trainer
from netsim.kernels.workers import available

JITTERS = {"exact": (0.0, 0.1, 0.5, 1.0), "batched": (0.1, 0.5, 1.0)}
BATCH = {"phase-locked": 500, "exact": 200, "batched": 500}


def events(net: netsim.Network) -> int:
    """Events of one presentation: two of each unit, and a third where it has weights."""
    weighted = {layer.name for layer in net.weighted}
    return sum(layer.units * (2 + (layer.name in weighted)) for layer in net.layers if layer.kind != "drop")


def learner(engine: str, jitter: float, threads: int) -> netsim.Trainer:
    """A trainer of a net of its own."""
    net = netsim.Network("simpnet", (32, 32, 3), 10, seed=1)
    if engine == "phase-locked":
        return netsim.Trainer(net, threads=threads)
    return trainer(net, Schedule().changed(jitter=Distribution("normal", jitter)), engine, threads=threads)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=experiments.count, default=available(), help="threads of each engine")
    arguments.add_argument("--quick", action="store_true", help="one round of batches of 8, one jitter")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the table")
    options = arguments.parse_args()
    experiments.make_folder("--out", options.out)
    rounds = 1 if options.quick else 7
    cases = [("phase-locked", 0.0), *((engine, jitter) for engine, each in JITTERS.items() for jitter in each)]
    cases = [case for case in cases if case[1] in (0.0, 0.1)] if options.quick else cases
    batch = dict.fromkeys(BATCH, 8) if options.quick else BATCH
    rng = np.random.default_rng(0)
    images, labels = rng.random((500, 32, 32, 3), np.float32), rng.integers(0, 10, 500)
    learners = {case: learner(*case, options.threads) for case in cases}
    seconds: dict[tuple[str, float], list[float]] = {case: [] for case in cases}
    for turn in range(rounds + 1):
        for case, each in learners.items():
            number = batch[case[0]]
            start = time.perf_counter()
            with np.errstate(all="ignore"):  # weights that grow without end take as long
                each.step(images[:number], labels[:number])
            if turn:  # the first is a warm-up
                seconds[case].append((time.perf_counter() - start) / number)
    locked = float(np.median(seconds["phase-locked", 0.0]))
    print(f"{events(learners[cases[0]].net):,} events a presentation, {options.threads} threads")
    with open(options.out / "timing-speed.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["engine", "jitter", "ms_an_image", "lowest", "highest", "images_per_second", "of_phase_locked"])
        for (engine, jitter), each in seconds.items():
            middle = float(np.median(each))
            ms = [f"{1e3 * value:.4f}" for value in (middle, min(each), max(each))]
            table.writerow([engine, jitter, *ms, f"{1 / middle:.1f}", f"{middle / locked:.3f}"])
            print(f"{engine}, jitter {jitter:g}: {ms[0]} ms an image, {1 / middle:.0f}/s, {middle / locked:.2f}")
    print(f"wrote {options.out / 'timing-speed.csv'}")


if __name__ == "__main__":
    experiments.run(main, "stopped")
