"""Records of the epochs, one JSON object a line: metrics.jsonl (what the run learned) and timings.jsonl.

The two are apart because a promise holds for the first only: the metrics of a run are the same bits after any
kill and resume, and wall-clock times cannot be. The checkpoint carries the metrics too (`checkpoints`), so
metrics.jsonl never decides anything: a resumed run writes it anew.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from netsim.runs import durable


def line(record: dict) -> bytes:
    """One record as a line of JSON; floats are written so that they read back as the same bits."""
    return (json.dumps(record, allow_nan=False) + "\n").encode()


def append(path: Path, record: dict) -> None:
    """Add `record`, synced to disk. Raises `RunError`."""
    durable.append(path, line(record))


def read(path: Path) -> list[dict]:
    """The records in the file; none if there is no file. Raises `RunError` if it cannot be read."""
    return parse(durable.read(path) or b"")


def parse(content: bytes) -> list[dict]:
    """The records of the whole lines of `content`.

    A last line that does not end is left out: it was being written when the process was killed. So is a line
    that is no record.
    """
    records: list[dict] = []
    for text in content.split(b"\n")[:-1]:
        record = _record(text)
        if record is not None:
            records.append(record)
    return records


def damaged(content: bytes) -> int:
    """How many whole lines are no records: they come of a disk or an editor, not of a kill."""
    return sum(_record(text) is None for text in content.split(b"\n")[:-1])


def _record(text: bytes) -> dict | None:
    """The record of a line; None where there is none in it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if _is_record(found) else None


def _is_record(found: object) -> bool:
    """Whether `found` is an epoch's numbers: {"epoch": 3, "train_loss": 0.1, "correlation": {"conv1": 0.2}, ..}."""
    if not isinstance(found, dict) or type(found.get("epoch")) is not int:
        return False
    parts = [value.values() if isinstance(value, dict) else (value,) for value in found.values()]
    return all(value is None or _is_number(value) for part in parts for value in part)


def _is_number(value: object) -> bool:
    """Whether it is a number that a run writes: NaN and infinity, which JSON in Python's way may hold, are none."""
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # a whole number larger than any float
        return False


def merit(record: dict) -> tuple[float, float]:
    """What makes one epoch better than another, the smaller the better: the error, then the loss.

    On the validation images; without any, on the training images.
    """
    kind = "validation" if record["validation_error"] is not None else "train"
    return record[f"{kind}_error"], record[f"{kind}_loss"]


def rewrite(path: Path, content: bytes) -> None:
    """Let the file hold exactly `content`; it is touched only if it does not already. Raises `RunError`."""
    durable.check_place(path)
    if (durable.read(path) or b"") != content:
        durable.write(path, content)


class History:
    """The metrics of a run so far: the records, and the text of metrics.jsonl, which a checkpoint carries."""

    def __init__(self, text: str = ""):
        self.text = text
        self.records = parse(text.encode())

    def add(self, record: dict) -> None:
        """Note the record of one more epoch."""
        self.records.append(record)
        self.text += line(record).decode()
