"""Arrays and facts in one safetensors file, sealed with a SHA-256 of both: nets that are saved, and checkpoints.

No pickle: safetensors holds arrays, and one metadata entry holds JSON. A flipped bit anywhere is found before a weight
is used.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

#: Metadata: one entry, because safetensors writes several in an order that changes from process to process.
_KEY = "netsim"
#: Where the checksum stands among the facts.
SEAL = "sha256"


class SealError(ValueError):
    """What a file holds is not what was written, or no such file; the message is one line without its path."""


def to_bytes(arrays: dict[str, np.ndarray], facts: dict) -> bytes:
    """The file's content: the same bytes for the same arrays and facts (JSON-able, without NaN)."""
    from safetensors.numpy import save

    sealed = {**facts, SEAL: _digest(arrays, facts)}
    ordered = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    return save(ordered, metadata={_KEY: json.dumps(sealed, allow_nan=False)})


def read(path: Path | str) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and facts of a file that is there. Raises `SealError`.

    The seal is checked and left among the facts; a file that was saved without one has none.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {}).get(_KEY, "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if not isinstance(facts, dict):
            raise SealError("it holds arrays, but none saved by netsim")
        whole = SEAL not in facts or facts[SEAL] == _digest(arrays, facts)
    except SealError:
        raise
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise SealError(" ".join(str(error).split())[:120]) from error
    if not whole:
        raise SealError("its content does not have the checksum written in it")
    return arrays, facts


def _digest(arrays: dict[str, np.ndarray], facts: dict) -> str:
    """SHA-256 of everything in the file but itself, in a fixed order."""
    digest = hashlib.sha256()
    rest = {name: fact for name, fact in facts.items() if name != SEAL}
    digest.update(json.dumps(rest, sort_keys=True, allow_nan=False).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()
