"""How much imperfection of its circuits learning tolerates: simpnet on handwritten digits, validation error.

    python demos/circuit_tolerance.py [--quick] [--seeds N] [--epochs N] [--calibrations FILE ...] [--out DIR]

Four sweeps, all else ideal: spread of the thresholds from unit to unit (gates and margins of the output error),
share of the feedback that leaks through a shut gate, noise of what open gates pass, noise of the output error. Writes
circuit-tolerance.png: mean over seeds, with the standard error of that mean. Calibrations of populations of spiking
neurons (`netsim circuit calibrate --spiking`) are marked where they lie.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import experiments
import numpy as np

from netsim import Network, Trainer, data
from netsim.components import Components

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
SWEEPS = {
    "spread of the thresholds": ("gate_spread", "error_spread"),
    "leak of a shut gate": ("gate_leak",),
    "noise of open gates": ("gate_noise",),
    "noise of the output error": ("error_noise",),
}
#: Signals below this size are less noisy: what populations of spiking neurons have, of 50 neurons as of 200.
NOISE_ONSET = 0.26
COLORS = {"urfb": "tab:blue", "frfb": "tab:red"}
VALIDATION, BATCH = 360, 50


def validation_error(dataset, circuits: dict, protocol: str, seed: int, epochs: int) -> float:
    """Share of validation images that simpnet gets wrong after so many epochs."""
    train, validation = dataset.holdout(VALIDATION)
    net = Network("simpnet", dataset.input_shape, dataset.classes, seed=seed)
    trainer = Trainer(net, protocol, circuits={**circuits, "noise_onset": NOISE_ONSET})
    random = np.random.default_rng(seed)
    for epoch in range(epochs):
        trainer.begin_epoch(epoch)
        order = random.permutation(len(train))
        for start in range(0, len(order), BATCH):
            trainer.step(*train.batch(order[start : start + BATCH]))
    images, labels = validation.batch(np.arange(len(validation)))
    return float((net.scores(images).argmax(axis=1) != labels).mean())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="two levels; one seed, three epochs unless told")
    arguments.add_argument("--seeds", type=experiments.count, metavar="N", help="runs of each setting (5)")
    arguments.add_argument("--epochs", type=experiments.count, metavar="N", help="epochs of each run (20)")
    arguments.add_argument("--calibrations", type=Path, nargs="*", default=[], help="populations to be marked")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the picture")
    options = arguments.parse_args()
    levels = (0.0, 0.5) if options.quick else LEVELS
    seeds = options.seeds or (1 if options.quick else 5)
    epochs = options.epochs or (3 if options.quick else 20)
    marks = {label(path): Components.from_json(path) for path in options.calibrations}
    experiments.make_folder("--out", options.out)
    dataset = data.load("digits")
    found: dict[str, dict[str, np.ndarray]] = {}
    ideal = {name: [validation_error(dataset, {}, name, seed, epochs) for seed in range(seeds)] for name in COLORS}
    for title, names in SWEEPS.items():
        found[title] = {}
        for protocol in COLORS:
            errors = [
                [validation_error(dataset, dict.fromkeys(names, level), protocol, s, epochs) for s in range(seeds)]
                if level
                else ideal[protocol]
                for level in levels
            ]
            found[title][protocol] = 100 * np.array(errors)
            means = " ".join(f"{value:.1f}" for value in found[title][protocol].mean(axis=1))
            print(f"{title}, {protocol}: {means} % at {' '.join(f'{level:g}' for level in levels)}", flush=True)
    print(draw(levels, found, marks, f"{seeds} seeds, {epochs} epochs", options.out / "circuit-tolerance.png"))


def label(calibration: Path) -> str:
    """What the mark of a calibration is called: the number of neurons in its populations, or else its path."""
    Components.from_json(calibration)  # one clear error where it is none
    circuit = json.loads(calibration.read_text(encoding="utf-8")).get("circuit")
    neurons = circuit.get("neurons") if isinstance(circuit, dict) else None
    return f"N = {neurons}" if neurons else str(calibration)


def draw(levels, found: dict[str, dict[str, np.ndarray]], marks: dict[str, Components], how: str, path: Path) -> Path:
    """One panel a sweep, one line a protocol, a mark where calibrated circuits lie."""
    from circuits.figures import default_style, new_figure, save

    with default_style():
        figure = new_figure(14, 4)
        panels = figure.subplots(1, len(found), sharey=True)
        for axes, (title, protocols) in zip(panels, found.items(), strict=True):
            for protocol, errors in protocols.items():
                deviation = errors.std(axis=1, ddof=1) if errors.shape[1] > 1 else np.zeros(len(errors))
                axes.errorbar(
                    levels, errors.mean(axis=1), deviation / np.sqrt(errors.shape[1]), color=COLORS[protocol],
                    marker="o", capsize=3, label=protocol.upper(),
                )  # fmt: skip
            for (circuit, components), dashes in zip(marks.items(), itertools.cycle(("--", ":", "-.")), strict=False):
                largest = max(getattr(components, name) for name in SWEEPS[title])
                axes.axvline(largest, color="gray", linestyle=dashes, label=circuit)
            axes.set_xlabel(title)
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("validation error (%)")
        panels[0].set_ylim(bottom=0)
        panels[0].legend()
        figure.suptitle(f"simpnet on handwritten digits with imperfect circuits: {how}")
        return save(figure, path)


if __name__ == "__main__":
    experiments.run(main, "stopped")
