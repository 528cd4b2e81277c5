"""Small real training runs for tests: data of three noisy patterns, a net of every common kind, folders compared."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netsim import configuration, plots, preparation, runs, training

if TYPE_CHECKING:
    import pytest

NET = "conv 4 3x3; maxpool 2; drop .3; full 10; output"
#: The `netsim` command, as a process of its own that needs no installed script.
COMMAND = (sys.executable, "-c", "from netsim.cli import main; main()")

#: What must be the same bits however a run came about.
COMPARED = ("metrics.jsonl", "last.safetensors", "best.safetensors", "curves.png")


def write_data(path: Path, images: int = 60, classes: int = 3, side: int = 6, seed: int = 0) -> str:
    """Write an .npz file of noisy patterns, one a class; return its name as `--data` takes it."""
    random = np.random.default_rng(seed)
    patterns = random.integers(0, 256, (classes, side, side, 1))
    labels = np.arange(images) % classes
    pixels = patterns[labels] + random.normal(0, 60, (images, side, side, 1))
    np.savez(path, images=np.clip(pixels, 0, 255).astype(np.uint8), labels=labels)
    return f"npz:{path}"


def settings(data: str, **options: object) -> configuration.Configuration:
    """Configuration of a small run: 54 images in batches of 8, so that the last batch is ragged."""
    return configuration.build({"net": NET, "data": data, "batch": 8, "epochs": 3, "seed": 5, **options})


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare this process what takes most of a small run's time: drawing, and waiting for the disk.

    The picture becomes a digest of all that is drawn. Without the waiting a killed process loses nothing, for the
    system has what was written; what a power cut loses is played in test_runs_crash.py. Processes of their own are
    not touched by this.
    """

    def digest(curve: plots.Curve) -> bytes:
        drawn = json.dumps([curve.protocol, curve.label, list(curve.records)])
        return hashlib.sha256(drawn.encode()).digest()

    monkeypatch.setattr(plots, "curves", digest)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


def start(folder: Path, data: str, on_event=lambda event: None, stop=lambda: False, **options: object):
    """Train a new run in `folder`; return its outcome."""
    prepared = preparation.prepare(settings(data, **options))
    with runs.create(folder, prepared.configuration.to_toml()) as run:
        return training.train(prepared, run, on_event, stop)


def resume(folder: Path, on_event=lambda event: None, stop=lambda: False, **changes: object):
    """Go on with the run in `folder`; return its outcome."""
    with runs.find(folder).lock() as run:
        values = configuration.parse(run.configuration())
        prepared = preparation.prepare(configuration.build({**values, **changes}))
        return training.train(prepared, run, on_event, stop)


def bits(folder: Path, names: tuple[str, ...] = COMPARED) -> dict[str, bytes]:
    """The bytes of the files of a finished run that two equal runs share."""
    return {name: (folder / name).read_bytes() for name in names}


def bits_of(folder: str) -> dict[str, bytes]:
    """`bits` of a folder given as text."""
    return bits(Path(folder))
