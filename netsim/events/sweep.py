"""Run the points of a timing sweep: side by side in processes, each saved when it is done, so that a sweep resumes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from netsim import toml_text
from netsim.errors import RunError
from netsim.events import measure
from netsim.events.grid import Point, version, with_threads
from netsim.kernels.workers import available
from netsim.processes import run_tasks
from netsim.runs import durable

#: What a sweep writes into its folder, beside the points.
WRITTEN = ("sweep.toml", "schedule.toml", "timing.csv", "timing.png")

#: Entries of sweep.toml that do not tell which sweep it is.
_BESIDE = {"command", "versions"}


def check_free(path: Path, facts: dict[str, object], schedule: str | None) -> None:
    """Refuse a folder that holds another sweep, or what is no sweep; facts, schedule : as for `describe`.

    Raises RunError.
    """
    with durable.refusals(path, "cannot be read"):
        try:
            names = sorted(name for name in os.listdir(path) if not name.endswith(".tmp"))
        except FileNotFoundError:
            return
    for name in names:
        if name not in ("points", *WRITTEN):
            raise RunError(f"{path} is no folder of a sweep ({name!r} is in it): choose another folder (--out)")
    told, text = (durable.read(path / name) for name in ("sweep.toml", "schedule.toml"))
    if told is None:
        return
    try:
        there = toml_text.loads(told.decode())
    except ValueError:
        raise RunError(f"{path / 'sweep.toml'} is damaged: choose another folder (--out)") from None
    there = {**there, "schedule": there.get("schedule") if text is None else text.decode(errors="replace")}
    here = {**facts, "schedule": facts.get("schedule") if schedule is None else schedule}
    for name in sorted({*there, *here} - _BESIDE):
        if there.get(name) != here.get(name):
            raise RunError(
                f"{path} holds another sweep ({name.replace('_', '-')} is not the same): choose another folder (--out)"
            )


def place(path: Path, facts: dict[str, object], schedule: str | None) -> Path:
    """The first of ``path``, ``path-2``, ``path-3``, .. that `check_free` does not refuse."""
    for ordinal in range(1, 1000):
        here = path if ordinal == 1 else path.with_name(f"{path.name}-{ordinal}")
        with contextlib.suppress(RunError):
            check_free(here, facts, schedule)
            return here
    check_free(path, facts, schedule)
    return path


def folder(path: Path) -> Path:
    """Make the folder of a sweep. Raises RunError where it cannot be, or where no file can stand in it (a link, ..)."""
    durable.make_folder(path / "points")
    for name in WRITTEN:  # now, and not when hours of measuring are over
        durable.check_place(path / name)
    return path


def saved(path: Path, point: Point) -> dict | None:
    """The row of a point that is done, by this version of netsim, or None. Raises RunError where no file stands."""
    try:
        found = json.loads(durable.read(_file(path, point)) or b"null")
    except (ValueError, RecursionError):  # damaged: measured anew
        return None
    return found if isinstance(found, dict) else None


def outdated(path: Path, points: Sequence[Point]) -> int:
    """How many of the points are done by another version only."""
    there = {file.stem.rpartition("-")[0] for file in (path / "points").glob("*.json")}
    return sum(point.name in there and not _file(path, point).exists() for point in points)


def _file(path: Path, point: Point) -> Path:
    return path / "points" / f"{point.name}-{version()}.json"


def _save(path: Path, point: Point, row: dict) -> None:
    durable.write(_file(path, point), json.dumps(row, indent=1).encode())


def run(
    path: Path, points: Sequence[Point], workers: int | None = None, done: Callable[[dict], None] = lambda row: None
) -> list[dict]:
    """Measure every point that is not saved yet; return all rows in the order of the points.

    workers : processes; None takes the processors this process may use. With one, points run in this process with
    all threads; with more, each has one thread. Results are the same. done : told each row.
    """
    rows: dict[str, dict] = {}
    waiting: list[Point] = []

    def measured(number: int, row: dict) -> None:
        _save(path, waiting[number], row)
        rows[waiting[number].name] = row
        done(row)

    for point in points:
        row = saved(path, point)
        if row is None:
            waiting.append(point)
        else:
            rows[point.name] = row
            done(row)
    workers = min(workers or available(), len(waiting))
    if workers > 1:
        run_tasks(measure.run, [with_threads(point, 1) for point in waiting], workers, measured)
    else:
        for number, point in enumerate(waiting):
            measured(number, measure.run(point))
    return [rows[point.name] for point in points]


def describe(path: Path, command: str, facts: dict[str, object], schedule: str | None) -> None:
    """Write what a sweep is into its folder: sweep.toml, and schedule.toml where the schedule is from a file.

    command : what repeats the sweep; facts : plain values; schedule : the text of the file, or None.
    """
    import tomli_w

    from netsim.configuration import versions

    content = {"command": command, **facts, "versions": {**versions(), "sources": version()}}
    durable.write(path / "sweep.toml", tomli_w.dumps(content).encode())
    if schedule is not None:
        durable.write(path / "schedule.toml", schedule.encode())


def table(rows: Sequence[dict]) -> str:
    """The rows as CSV, a column for each name that occurs, in the order of first occurrence."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(row.get(name)) for name in names} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value
