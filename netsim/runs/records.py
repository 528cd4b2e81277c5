"""Records of the epochs, one JSON object a line: metrics.jsonl (what the run learned) and timings.jsonl.

The two are apart because a promise holds for the first only: the metrics of a run are the same bits after any
kill and resume, and wall-clock times cannot be. The checkpoint carries the metrics too (`checkpoints`), so
metrics.jsonl never decides anything: a resumed run writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from netsim.runs import durable


def line(record: dict) -> bytes:
    """One record as a line of JSON; floats are written so that they read back as the same bits."""
    return (json.dumps(record, allow_nan=False) + "\n").encode()


def append(path: Path, record: dict) -> None:
    """Add `record`, synced to disk. Raises `RunError`."""
    durable.append(path, line(record))


def read(path: Path) -> list[dict]:
    """The whole lines of the file; none if there is no file. Raises `RunError` if it cannot be read.

    A last line that does not end is left out: it was being written when the process was killed. So is a line
    that is no record with a whole number as its epoch.
    """
    with durable.refusals(path, "cannot be read"):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return []
    records: list[dict] = []
    for text in content.split(b"\n")[:-1]:
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and type(record.get("epoch")) is int:
            records.append(record)
    return records


def rewrite(path: Path, records: Iterable[dict]) -> None:
    """Let the file hold exactly `records`; it is touched only if it does not already. Raises `RunError`."""
    content = b"".join(line(record) for record in records)
    with durable.refusals(path, "cannot be read"):
        try:
            stands = path.read_bytes()
        except FileNotFoundError:
            stands = b""
    if stands != content:
        durable.write(path, content)
