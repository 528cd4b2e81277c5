"""What a user sees of a training run: a live bar on a terminal, one plain line an epoch elsewhere, a table at
the end.

Watchers are called with the events of `netsim.training` and are context managers. They only look: a run
learns the same bits with any of them, or none.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.console import console
from netsim.runs.records import merit
from netsim.training_events import EpochDone, Event, Notice, Started, Stepped

if TYPE_CHECKING:
    from netsim.configuration import Configuration
    from netsim.preparation import Prepared
    from netsim.runs import Run
    from netsim.training import Outcome

#: Seconds of learning over which the speed shown is averaged, and seconds between two redrawings of the bar.
_SPEED_SECONDS = 10.0
_REDRAW_SECONDS = 0.1


def watcher(prepared: Prepared, quiet: bool = False) -> Quiet:
    """The watcher that suits standard output: a bar on a terminal, lines elsewhere; quiet, notices only."""
    if quiet:
        return Quiet(prepared)
    return Bar(prepared) if sys.stdout.isatty() else Lines(prepared)


class Quiet:
    """Prints notices, on stderr, and nothing else."""

    def __init__(self, prepared: Prepared):
        self.configuration = prepared.configuration
        self.images = len(prepared.train)

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            print(f"netsim: note: {event.text}", file=sys.stderr, flush=True)

    def headline(self) -> str:
        """One line: what is trained, on what, how."""
        c = self.configuration
        facts = c.resolved
        rate = "" if c.feedback_rate is None else f", feedback rate {c.feedback_rate:g}"
        return (
            f"{c.label} with {c.protocol}{rate}, {c.loss} loss, on {c.data}: {facts['train']} images to "
            f"learn, {facts['validation']} to validate, batches of {c.batch}, seed {c.seed}"
        )


class Lines(Quiet):
    """One plain line an epoch."""

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, Started):
            print(self.headline(), flush=True)
            if event.done or event.images:
                within = f", image {event.images} of the next" if event.images else ""
                print(f"going on after epoch {event.done}{within}", flush=True)
        elif isinstance(event, EpochDone):
            print(epoch_line(event.record, event.timing, self.configuration.epochs), flush=True)


class Bar(Quiet):
    """A live bar: epochs, errors, images/s, time left."""

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.console = Console()
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("error: train {task.fields[train]}, validation {task.fields[validation]}"),
            TextColumn("{task.fields[speed]} images/s"),
            TimeRemainingColumn(),
            console=self.console,
            auto_refresh=False,
        )
        self.task = None
        self.speed = _Speed()
        self.drawn = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.console.print(f"note: {event.text}", highlight=False, markup=False)
        elif isinstance(event, Started):
            self.console.print(self.headline(), highlight=False, markup=False)
            total = event.configuration.epochs * self.images
            self.done = event.done * self.images + event.images
            self.task = self.bar.add_task(
                "", total=total, completed=self.done,
                epoch=f"{event.done}/{event.configuration.epochs}", train="-", validation="-", speed="-",
            )  # fmt: skip
            self.bar.start()
        elif isinstance(event, Stepped):
            self.done = (event.epoch - 1) * self.images + event.images
            self.speed.learned(self.done, event.seconds)
            if time.monotonic() - self.drawn >= _REDRAW_SECONDS:
                self._draw(event.epoch, train=_percent(event.error))
        elif isinstance(event, EpochDone):
            record = event.record
            train, validation = _percent(record["train_error"]), _percent(record["validation_error"])
            self._draw(record["epoch"], train=train, validation=validation)

    def _draw(self, epoch: int, **errors: str) -> None:
        speed = self.speed.images_per_second()
        self.bar.update(
            self.task, completed=self.done, epoch=f"{epoch}/{self.configuration.epochs}",
            speed="-" if speed is None else f"{speed:,.0f}", **errors,
        )  # fmt: skip
        self.bar.refresh()
        self.drawn = time.monotonic()


class _Speed:
    """Images learned a second, over the last seconds of learning, from the end of the first batch on.

    In the first batch kernels are compiled.
    """

    def __init__(self) -> None:
        self.points: deque[tuple[float, int]] = deque()  # (seconds of learning, images learned)

    def learned(self, images: int, seconds: float) -> None:
        """`images` were learned in all when learning had taken so many seconds."""
        if self.points and self.points[-1][0] == seconds:  # steps that a device tells of together
            self.points.pop()
        self.points.append((seconds, images))
        while seconds - self.points[0][0] > _SPEED_SECONDS and len(self.points) > 2:
            self.points.popleft()

    def images_per_second(self) -> float | None:
        """None before the second batch."""
        if not self.points:
            return None
        (first, before), (last, after) = self.points[0], self.points[-1]
        return (after - before) / (last - first) if last > first else None


def epoch_line(record: dict, timing: dict, epochs: int) -> str:
    """``epoch 3/40  train 0.123 loss / 4.5 %  validation 0.150 loss / 5.0 %  12,345 images/s``"""
    parts = [f"epoch {record['epoch']}/{epochs}", f"train {_pair(record, 'train')}"]
    if record["validation_error"] is not None:
        parts.append(f"validation {_pair(record, 'validation')}")
    if timing.get("images_per_second"):
        parts.append(f"{timing['images_per_second']:,.0f} images/s")
    return "  ".join(parts)


def _pair(record: dict, kind: str) -> str:
    return f"{record[f'{kind}_loss']:.4g} loss / {_percent(record[f'{kind}_error'])}"


def _percent(error: float | None) -> str:
    return "-" if error is None else f"{100 * error:.1f} %"


def _number(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.4g}"


def quoted(path: Path | str) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))


def summary(prepared: Prepared, run: Run, outcome: Outcome, quiet: bool = False) -> None:
    """The end of the output: a table of the last and best epoch, the run folder, what can be done next."""
    configuration = prepared.configuration
    if quiet:
        print(run.path, flush=True)
        return
    records = outcome.records
    if records:
        _table(configuration, outcome)
    print(f"run folder: {run.path}")
    if outcome.finished:
        path = quoted(run.path)
        print("next:")
        print(f"  netsim train --resume {path} --epochs {2 * configuration.epochs}   # go on")
        if prepared.validation is not None or prepared.test is not None:
            print(f"  netsim eval {path}")
        print(f"  netsim plot {path}", flush=True)


def _table(configuration: Configuration, outcome: Outcome) -> None:
    from rich.table import Table

    last, best = outcome.records[-1], min(outcome.records, key=merit)
    print(configuration.run_name)
    table = Table()
    table.add_column("")
    table.add_column(f"last (epoch {last['epoch']})", justify="right")
    table.add_column(f"best (epoch {best['epoch']})", justify="right")
    for kind in ("train", "validation"):
        for what, form in (("error", _percent), ("loss", _number)):
            key = f"{kind}_{what}"
            table.add_row(f"{kind} {what}", form(last[key]), form(best[key]))
    for layer, value in last["correlation"].items():
        row = [f"correlation of W and R, {layer}"]
        row += ["-" if v is None else f"{v:.3f}" for v in (value, best["correlation"].get(layer))]
        table.add_row(*row)
    speeds = [t["images_per_second"] for t in outcome.timings if t.get("images_per_second")]
    if speeds:
        table.add_row("images/s (median)", f"{sorted(speeds)[len(speeds) // 2]:,.0f}", "")
    console().print(table)
