"""Checkpoints: the weights and the position of a run in one safetensors file, with a checksum of its content.

No pickle: safetensors holds arrays, and one metadata entry holds JSON. The checksum (SHA-256) covers both, so
a flipped bit anywhere is found before a weight is used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from netsim.errors import RunError
from netsim.runs import durable

FORMAT = 1

#: What the names of `Checkpoint.streams` begin with in the file; `netsim.load` leaves them out.
STREAMS = "streams/"

#: Metadata: one entry, because safetensors writes several in an order that changes from process to process.
#: What `netsim.load` reads (`Network.description`) stands at its top level, what is the run's under "run".
_KEY = "netsim"


@dataclass(frozen=True)
class Checkpoint:
    """State of a run between two batches.

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
        from safetensors.numpy import save

        run = {"format": FORMAT, "position": self.position, "metrics": self.metrics}
        facts = {**self.network, "run": run}
        arrays = {**self.weights, **{STREAMS + name: array for name, array in self.streams.items()}}
        facts["sha256"] = _digest(arrays, facts)
        weights = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
        return save(weights, metadata={_KEY: json.dumps(facts, allow_nan=False)})


def _digest(weights: dict[str, np.ndarray], facts: dict) -> str:
    """SHA-256 of everything in a checkpoint, in a fixed order."""
    digest = hashlib.sha256()
    rest = {name: fact for name, fact in facts.items() if name != "sha256"}
    digest.update(json.dumps(rest, sort_keys=True, allow_nan=False).encode())
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def load(path: Path) -> Checkpoint:
    """Read and verify a checkpoint. Raises `RunError` if it is missing, unreadable or damaged."""
    from safetensors import SafetensorError, safe_open

    with durable.refusals(path, "cannot be read"):
        path.stat()
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        facts = json.loads(metadata[_KEY])
        run = facts["run"]
        if run["format"] != FORMAT:
            raise RunError(f"{path} is a checkpoint of format {run['format']!r}; this netsim reads {FORMAT}")
        whole = facts["sha256"] == _digest(weights, facts)
        network = {name: fact for name, fact in facts.items() if name not in ("run", "sha256")}
        streams = {name.removeprefix(STREAMS): weights.pop(name) for name in [*weights] if name.startswith(STREAMS)}
        checkpoint = Checkpoint(weights, dict(run["position"]), run["metrics"], network, streams)
    except RunError:
        raise
    except KeyError as error:
        raise RunError(f"{path} is not a checkpoint of a run: {error} is missing in it") from error
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise RunError(f"{path} is damaged: {' '.join(str(error).split())[:120]}") from error
    if not whole:
        raise RunError(f"{path} is damaged: its content does not have the checksum written in it")
    return checkpoint
