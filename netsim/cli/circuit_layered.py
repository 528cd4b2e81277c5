"""Layered circuits on the command line: small nets of circuits beside netsim's phase-locked engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer

from netsim.cli.circuit_tables import table
from netsim.console import console

if TYPE_CHECKING:
    from circuits.parameters import Parameters
    from circuits.spiking import SpikingParameters

SIZES = (8, 6, 4)
PROTOCOLS = {"frfb": 0.0, "urfb": 1.0}
STEP_SIZE = 0.1
BATCH = 5
SCALE = 1.5  # of Glorot's limits: so that some units saturate and some outputs pass the margin


def phase_locked(
    W: Sequence[np.ndarray],
    R: Sequence[np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    protocol: str,
    step_size: float,
    batch: int,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """W and R after netsim's engine has learned from images (P, n_0), labels (P,) in batches, float32.

    W, R : (n_{l-1}, n_l) for layers 1..L.
    """
    from netsim import Network, Trainer

    hidden = "; ".join(f"full {w.shape[1]}" for w in W[:-1])
    net = Network(f"{hidden}; output", (1, 1, images.shape[1]), W[-1].shape[1])
    for layer, w, r in zip(net.weighted, W, R, strict=True):
        layer.W, layer.R = w.astype(np.float32), r.astype(np.float32)
    trainer = Trainer(net, protocol=protocol, step_size=step_size, threads=1)
    shown = images.astype(np.float32).reshape(len(images), 1, 1, -1)
    for start in range(0, len(images), batch):
        trainer.step(shown[start : start + batch], labels[start : start + batch])
    return [layer.W.copy() for layer in net.weighted], [layer.R.copy() for layer in net.weighted]


def layered(
    parameters: Parameters,
    cells: str,
    spiking: SpikingParameters,
    presentations: int | None,
    target: str,
    seed: int,
    out: Path,
) -> None:
    """Show digits to an 8-6-4 net of circuits under FRFB and URFB; compare W and R with the engine's."""
    from circuits import ideal
    from circuits.diagrams import draw_wiring
    from circuits.layered import run_layered
    from circuits.pictures import agreement_picture, layered_picture
    from circuits.stimuli import glorot, pooled_digits

    if presentations is None:
        presentations = 5 if cells == "spiking" else 100
    batch = BATCH if presentations % BATCH == 0 else 1
    images, labels = pooled_digits(presentations, seed=seed)
    # both sides start from the same numbers
    W, R = ([w.astype(np.float32).astype(float) for w in weights] for weights in glorot(SIZES, seed=seed, scale=SCALE))
    how = {"cells": cells, "spiking": spiking, "seed": seed, "target": target}
    result = run_layered(
        W,
        R,
        images,
        labels,
        parameters,
        feedback_rate=list(PROTOCOLS.values()),
        step_size=STEP_SIZE,
        batch=batch,
        **how,
    )
    rows, pairs, undecided = [], {}, 0
    for copy, (protocol, rate) in enumerate(PROTOCOLS.items()):
        engine = phase_locked(W, R, images, labels, protocol=protocol, step_size=STEP_SIZE, batch=batch)
        bound = _bound(W, R, images, labels, parameters, cells, rate, batch)
        undecided += bound.undecided if bound else 0
        for side, (name, start) in enumerate((("W", W), ("R", R))):
            circuits = [weights[copy] for weights in (result.W, result.R)[side]]
            for layer, (mine, theirs, before) in enumerate(zip(circuits, engine[side], start, strict=True), 1):
                limit = f"{(bound.W, bound.R)[side][layer - 1].max():.1e}" if bound and not bound.undecided else "none"
                change, error = np.abs(theirs - before).max(), np.abs(mine - theirs).max()
                rows.append((protocol, f"{name}{layer}", f"{change:.3f}", f"{error:.1e}", limit))
            pairs[f"{protocol}, {name}"] = [
                (mine - before, theirs - before)
                for mine, theirs, before in zip(circuits, engine[side], start, strict=True)
            ]
    net = "-".join(map(str, SIZES))
    shown = f"{presentations} digits in batches of {batch}"
    title = f"{net} net of circuits ({cells}), {shown}, phases of {parameters.phase_over_tau:g} tau"
    headings = ("protocol", "weights", "largest change", "largest difference from the engine", "bound")
    console().print(table(title, headings, rows))
    if undecided:
        typer.echo(
            f"no bound: {undecided} inputs were nearer to a threshold than phases of {parameters.phase_over_tau:g} tau "
            "resolve for certain; longer phases do"
        )
    suffix = "" if cells == "signed" else f"-{cells}"
    one = run_layered(W, R, images[:1], labels[:1], parameters, record=True, **how)
    wanted = ideal.presentation(W, R, images[0], labels[0], 1 / (SIZES[-1] - 1))
    paths = [
        layered_picture(
            one, list(zip(wanted.x[1:], wanted.delta, strict=True)), parameters, out / f"layered{suffix}.png"
        ),
        agreement_picture(pairs, f"{net} net, {shown}", out / f"layered{suffix}-engine.png"),
        draw_wiring("layered", out / "layered-wiring.png"),
    ]
    if cells != "signed":
        paths.append(draw_wiring("weight-pairs", out / "weight-pairs-wiring.png"))
    for path in paths:
        typer.echo(str(path))


def _bound(W, R, images, labels, parameters: Parameters, cells: str, rate: float, batch: int):
    """Bounds of W and R with room for the engine's float32, or None for populations of neurons."""
    from circuits.bounds import layered_bound

    if cells == "spiking":
        return None
    return layered_bound(
        W, R, images, labels, parameters,
        cells=cells, step_size=STEP_SIZE, mu=1 / (SIZES[-1] - 1), feedback_rate=rate, batch=batch, roundoff=2.0**-24,
    )  # fmt: skip
