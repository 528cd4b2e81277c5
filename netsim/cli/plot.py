"""`netsim plot`: training and validation errors of runs over one another, as in the paper's figure 4."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netsim.cli.pictures import check_picture
from netsim.errors import OptionError, RunError

if TYPE_CHECKING:
    from netsim.configuration import Configuration


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
        typer.Option(
            "--labels",
            metavar="A,B,...",
            show_default=False,
            help="Names in the legend: net, data and protocol; where runs share them also the seed, then the folder.",
        ),
    ] = None,
) -> None:
    """Draw the errors of runs: training solid, validation dotted; BP green, URFB blue, FRFB red.

    Several runs of one protocol differ by markers, or, where all runs have the same protocol, by color.
    """
    from netsim import configuration, plots, runs
    from netsim.runs import durable

    names = None if labels is None else [label.strip() for label in labels.split(",")]
    if names is not None and len(names) != len(run):
        raise OptionError(f"--labels names {len(names)} runs, but {len(run)} are given")
    kind = "png" if out is None else check_picture(out, plots.FORMATS)
    folders, histories, settings = [], [], []
    for path in run:
        folder = runs.find(path)
        if any(folder.path.samefile(other.path) for other in folders):
            raise OptionError(f"{path} is given twice")
        source = str(folder.configuration_path)
        settings.append(configuration.build(configuration.parse(folder.configuration(), source), source))
        histories.append(folder.metrics())
        if not histories[-1]:
            raise RunError(f"{folder.path} has no epoch to draw yet")
        folders.append(folder)
    if names is None:
        names = [settings[0].run_name] if len(run) == 1 else labels_of(settings, [folder.path for folder in folders])
    curves = [
        plots.Curve(records, setting.protocol, name)
        for records, setting, name in zip(histories, settings, names, strict=True)
    ]
    single = len(run) == 1 and kind == "png"
    target = out if out is not None else (folders[0].curves_path if single else Path("runs.png"))
    content = plots.curves(curves[0]) if single else plots.overlay(curves, kind)
    durable.write(target, content)
    typer.echo(str(target))


def labels_of(settings: Sequence[Configuration], folders: Sequence[Path]) -> list[str]:
    """Names of runs in one legend: net, data and protocol; where runs share them the seed; then the folder."""
    labels = [configuration.subject for configuration in settings]
    seeds, places = [f"-seed{configuration.seed}" for configuration in settings], [f" ({path})" for path in folders]
    for more in (seeds, places):
        shared = [labels.count(label) > 1 for label in labels]
        labels = [label + end if wanted else label for label, end, wanted in zip(labels, more, shared, strict=True)]
    return labels
