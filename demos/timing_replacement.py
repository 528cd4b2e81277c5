"""Desynchronised replacement: each hidden unit carries its signal with probability p, else still x. Two signs.

    python demos/timing_replacement.py [--quick] [--out DIR]

In netsim a unit carries minus the derivative of the loss, and every update is a plus: then x times x is added where a
signal is missing. In the author's code the signal is the derivative itself, and every update a minus: then x times x
is taken away. In phase the two are the same; here the difference is measured, on digits, with a fully connected net
64-50-10 in plain numpy (URFB, hinge loss, batches of 50), for several step sizes. Writes timing-replacement.csv.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from pathlib import Path

import numpy as np

from netsim import data

HIDDEN, BATCH = 50, 50


def train(images, labels, held, epochs: int, step: float, p: float, sign: int, seed: int) -> float:
    """Validation error. sign : 1, a unit carries minus the derivative (update +); -1, the derivative (update -)."""
    random = np.random.default_rng(seed)
    sizes = (images.shape[1], HIDDEN, 10)
    W, R = (
        [random.uniform(-1, 1, pair) * np.sqrt(6 / sum(pair)) for pair in itertools.pairwise(sizes)] for _ in range(2)
    )
    own = np.eye(10, dtype=bool)[labels]
    for _ in range(epochs):
        order = random.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            x_0 = images[rows]
            x_1 = np.clip(x_0 @ W[0], -1, 1)
            x_2 = x_1 @ W[1]
            delta = np.where(own[rows], np.where(x_2 <= 1, 1.0, 0.0), np.where(x_2 >= -1, -1 / 9, 0.0))
            carried_2 = sign * delta
            carried_1 = (np.abs(x_1) < 1) * (carried_2 @ R[1].T)
            carried_1 = np.where(random.random(x_1.shape) < p, carried_1, x_1)  # where no signal came: still x
            # the update of the output layer comes before the units below are replaced
            for layer, change in ((1, x_1.T @ carried_2), (0, x_0.T @ carried_1)):
                change = sign * step / BATCH * change
                W[layer] += change
                R[layer] += change
    scores = np.clip(held[0] @ W[0], -1, 1) @ W[1]
    return 1.0 if not np.isfinite(scores).all() else float(np.mean(scores.argmax(axis=1) != held[1]))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="one seed, one step size, 5 epochs")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the table")
    options = arguments.parse_args()
    steps, seeds, epochs = ([0.1], 1, 5) if options.quick else ([0.1, 0.03, 0.01], 3, 30)
    digits = data.load("digits")
    learn, hold = digits.holdout(360)
    images, labels = learn.batch(np.arange(len(learn)))
    held = hold.batch(np.arange(len(hold)))
    held = held[0].reshape(len(hold), -1), held[1]
    rows = []
    for step in steps:
        for sign, name in ((1, "netsim"), (-1, "author")):
            for p in (1.0, 0.99, 0.95, 0.8):
                errors = [
                    100 * train(images.reshape(len(images), -1), labels, held, epochs, step, p, sign, seed)
                    for seed in range(seeds)
                ]
                rows.append({"step_size": step, "sign": name, "p": p, "lowest": min(errors), "highest": max(errors)})
                span = f"{min(errors):.1f}" if seeds == 1 else f"{min(errors):.1f} to {max(errors):.1f}"
                print(f"step {step:g}, sign of {name}, p = {p:g}: validation error {span} %", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    with open(options.out / "timing-replacement.csv", "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
