"""Checkpoints: the weights and the position of a run in one file with a checksum of its content (`netsim.sealed`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from netsim import sealed
from netsim.errors import RunError
from netsim.runs import durable

FORMAT = 1

#: What the names of `Checkpoint.streams` begin with in the file; `netsim.load` leaves them out.
STREAMS = "streams/"


@dataclass(frozen=True)
class Checkpoint:
    """State of a run between two batches.

    In the file, ``network`` stands at the top level of the facts, where `netsim.load` looks, and the rest under "run".

    ``weights``: name -> array, what `Network.state` gives. ``network``: what `Network.description` gives, so
    that `netsim.load` reads a checkpoint, too. ``position``: JSON-able facts of where the run stands.
    ``metrics``: the text of metrics.jsonl up to here. ``streams``: what `EventTrainer.state` gives between two batches
    of an epoch under a schedule, else nothing.
    """

    weights: dict[str, np.ndarray]
    position: dict
    metrics: str = ""
    network: dict = field(default_factory=dict)
    streams: dict[str, np.ndarray] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The file's content: the same bytes for the same checkpoint."""
        run = {"format": FORMAT, "position": self.position, "metrics": self.metrics}
        arrays = {**self.weights, **{STREAMS + name: array for name, array in self.streams.items()}}
        return sealed.to_bytes(arrays, {**self.network, "run": run})


def load(path: Path) -> Checkpoint:
    """Read and verify a checkpoint. Raises `RunError` if it is missing, unreadable or damaged."""
    durable.check_file(path)
    try:
        weights, facts = sealed.read(path)
        run = facts["run"]
        if sealed.SEAL not in facts:
            raise KeyError(sealed.SEAL)
        if run["format"] != FORMAT:
            raise RunError(f"{path} is a checkpoint of format {run['format']!r}; this netsim reads {FORMAT}")
        network = {name: fact for name, fact in facts.items() if name not in ("run", sealed.SEAL)}
        streams = {name.removeprefix(STREAMS): weights.pop(name) for name in [*weights] if name.startswith(STREAMS)}
        return Checkpoint(weights, dict(run["position"]), run["metrics"], network, streams)
    except RunError:
        raise
    except KeyError as error:
        raise RunError(f"{path} is not a checkpoint of a run: {error} is missing in it") from error
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
