"""`netsim plot`: training and validation errors of runs over one another, as in the paper's figure 4."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netsim.errors import OptionError, RunError, nearest


def plot(
    run: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            show_default=False,
            help="Picture: .png, .pdf or .svg. Default: curves.png in the run, or runs.png for several.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="A,B,...", show_default=False, help="Names in the legend."),
    ] = None,
) -> None:
    """Draw the errors of runs: training solid, validation dotted; BP green, URFB blue, FRFB red."""
    from netsim import configuration, plots, runs
    from netsim.runs import durable

    names = None if labels is None else [label.strip() for label in labels.split(",")]
    if names is not None and len(names) != len(run):
        raise OptionError(f"--labels names {len(names)} runs, but {len(run)} are given")
    kind = "png" if out is None else out.suffix.lower().lstrip(".")
    if kind not in plots.FORMATS:
        raise OptionError(
            f"--out {out}: the name must end in .png, .pdf or .svg{nearest(kind, plots.FORMATS)}"
        )
    if out is not None and not out.parent.is_dir():
        raise OptionError(f"--out {out}: there is no folder {out.parent}")
    curves, folders = [], []
    for index, path in enumerate(run):
        folder = runs.find(path)
        source = str(folder.configuration_path)
        settings = configuration.build(configuration.parse(folder.configuration(), source), source)
        records = folder.metrics()
        if not records:
            raise RunError(f"{folder.path} has no epoch to draw yet")
        label = names[index] if names else (settings.run_name if len(run) == 1 else folder.path.name)
        curves.append(plots.Curve(records, settings.protocol, label))
        folders.append(folder)
    single = len(run) == 1 and kind == "png"
    target = out if out is not None else (folders[0].curves_path if single else Path("runs.png"))
    content = plots.curves(curves[0]) if single else plots.overlay(curves, kind)
    durable.write(target, content)
    typer.echo(str(target))
