"""Records of the epochs, one JSON object a line: metrics.jsonl (what the run learned) and timings.jsonl.

The two are apart because a promise holds for the first only: the metrics of a run are the same bits after any
kill and resume, and wall-clock times cannot be. The checkpoint carries the metrics too (`checkpoints`), so
metrics.jsonl never decides anything: a resumed run writes it anew.
"""

from __future__ import annotations

import json
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
    with durable.refusals(path, "cannot be read"):
        try:
            return parse(path.read_bytes())
        except FileNotFoundError:
            return []


def parse(content: bytes) -> list[dict]:
    """The records of the whole lines of `content`.

    A last line that does not end is left out: it was being written when the process was killed. So is a line
    that is no record.
    """
    records: list[dict] = []
    for text in content.split(b"\n")[:-1]:
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if _is_record(record):
            records.append(record)
    return records


def _is_record(found: object) -> bool:
    """Whether `found` is an epoch's numbers: {"epoch": 3, "train_loss": 0.1, "correlation": {"conv1": 0.2}, ..}."""
    if not isinstance(found, dict) or type(found.get("epoch")) is not int:
        return False
    values = [*found.values()]
    values += [inner for value in values if isinstance(value, dict) for inner in value.values()]
    return all(value is None or isinstance(value, int | float | dict) for value in values)


def merit(record: dict) -> tuple[float, float]:
    """What makes one epoch better than another, the smaller the better: the error, then the loss.

    On the validation images; without any, on the training images.
    """
    kind = "validation" if record["validation_error"] is not None else "train"
    return record[f"{kind}_error"], record[f"{kind}_loss"]


def rewrite(path: Path, content: bytes) -> None:
    """Let the file hold exactly `content`; it is touched only if it does not already. Raises `RunError`."""
    with durable.refusals(path, "cannot be read"):
        try:
            stands = path.read_bytes()
        except FileNotFoundError:
            stands = b""
    if stands != content:
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
