"""``netsim data``: list, fetch and show the data sets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

from netsim.cli import Group
from netsim.cli.pictures import check_picture
from netsim.console import console

data_app = typer.Typer(cls=Group, add_completion=False, no_args_is_help=True, help="List, fetch and show data sets.")

Name = Annotated[str, typer.Argument(help="A name from `netsim data list`.", show_default=False)]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder with the files, or the archive. Default: NETSIM_DATA or the user's cache."),
]


@data_app.command("list")
def list_data_sets(data_dir: DataDir = None) -> None:
    """The data sets: shapes, sizes, where they stand or how to get them."""
    from rich.table import Table

    from netsim import data
    from netsim.data import places

    if data_dir is not None:
        places.check_named(data_dir)
    table = Table("name", "image", "classes", "train", "test", box=None, pad_edge=False)
    table.add_column("where", overflow="fold")
    for name in data.known():
        entry = data.describe(name)
        where = _where(entry, data_dir)
        shape = "x".join(map(str, entry.input_shape))
        test = f"{entry.test_size:,}" if entry.test_size else "-"
        table.add_row(name, shape, str(entry.classes), f"{entry.train_size:,}", test, where)
    table.add_row("npz:PATH", "any", "any", "any", "any", "a file of your own: see docs/data.md")
    console().print(table)


@data_app.command("fetch")
def fetch_data_set(
    name: Name,
    data_dir: DataDir = None,
    layout: Annotated[str | None, typer.Option(help="binary or python (CIFAR).", show_default="binary")] = None,
) -> None:
    """Download the official files of a data set and compare their checksums."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from netsim import data

    if not name.startswith("npz:"):
        data.describe(name)  # refuse an unknown name before anything is drawn
    columns = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks = {}

        def advance(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = progress.add_task(file)
            progress.update(tasks[file], completed=done, total=total or None)

        path = data.fetch(name, data_dir, layout, advance)
    typer.echo(f"{name}: {path}")


@data_app.command("show")
def show_data_set(
    name: Name,
    data_dir: DataDir = None,
    out: Annotated[Path | None, typer.Option(help="File to write (.png, .pdf, .svg).", show_default="NAME.png")] = None,
) -> None:
    """Draw images of every class, like figure 3 of the paper."""
    from netsim import data, plots
    from netsim.data.picture import class_sheet
    from netsim.runs import durable

    dataset = data.load(name, data_dir)  # what is no data set has no name for a picture
    target = _target(name, out)
    kind = check_picture(target, plots.FORMATS)
    picture = io.BytesIO()
    class_sheet(dataset).savefig(picture, format=kind)
    durable.write(target, picture.getvalue())
    typer.echo(str(target))


def _target(name: str, out: Path | None) -> Path:
    """The file to write: NAME.png here or in the folder ``out``; .png where the ending is left out."""
    out = out or Path()
    target = out / f"{Path(name.removeprefix('npz:')).stem}" if out.is_dir() else out
    return target if target.suffix else target.with_name(f"{target.name}.png")


def _where(entry, data_dir: Path | None) -> str:
    from netsim.errors import DataError

    if not entry.layouts:
        return "embedded in scikit-learn"
    try:
        found = entry.find(data_dir)
    except DataError as error:
        return str(error)
    if found is not None and found.is_complete:
        return str(found.path)
    return f"netsim data fetch {entry.name}" + (f" --data-dir {data_dir}" if data_dir else "")
