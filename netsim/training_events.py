"""What happens while a run trains, told to whoever shows it (`netsim.progress`) or collects it."""

from __future__ import annotations

from dataclasses import dataclass

from netsim.configuration import Configuration


@dataclass(frozen=True)
class Started:
    """Training begins or goes on: `done` epochs are done, and `images` images of the next."""

    configuration: Configuration
    done: int
    images: int


@dataclass(frozen=True)
class Stepped:
    """One batch was learned: `images` of the epoch so far, and the mean loss and error over them.

    ``seconds``: spent learning since training began or went on, so without evaluating, saving and drawing.
    """

    epoch: int
    images: int
    loss: float
    error: float
    seconds: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch is done and saved: its line of metrics.jsonl and of timings.jsonl."""

    record: dict
    timing: dict


@dataclass(frozen=True)
class Notice:
    """Something the user should know: one line."""

    text: str


Event = Started | Stepped | EpochDone | Notice
