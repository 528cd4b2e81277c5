"""Pictures of timing sweeps. Rows in, PNG bytes out.

The same rows give the same bytes: no date, no settings of the user's matplotlib.
"""

from __future__ import annotations

import contextlib
import io
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.plots import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES = ("-", "--", ":", "-.")

#: Columns of panels side by side; more values of a second quantity go below.
_BESIDE = 5


@contextlib.contextmanager
def defaults() -> Iterator[None]:
    """matplotlib's own settings, whatever the user's are."""
    from matplotlib import style

    with style.context("default"):
        yield


def png(figure: Figure) -> bytes:
    """The figure as PNG, without a date."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    return content.getvalue()


def wrapped(text: str, width: int) -> str:
    """A title in lines of at most so many characters."""
    return "\n".join(textwrap.wrap(text, width))


@dataclass(frozen=True)
class _Sweep:
    """What all panels share: the quantity across, its label and range, and how layers and protocols are drawn."""

    across: str
    label: str
    span: tuple[float, float]
    layers: Mapping[str, tuple]
    protocols: Mapping[str, str]
    seeds: int


def sweep(rows: Sequence[dict], quantities: Sequence[str], labels: Sequence[str], title: str = "") -> bytes:
    """PNG of a sweep.

    Four panels across the first quantity: cosine of each layer's update with the in-phase update (before training:
    thin), share of out-of-phase reads (logarithmic, with a place for 0), validation error, correlation of W and R.
    Layers by color, protocols by line style; the validation error, which is of no layer, has the protocols' own colors.
    Lines are means over the seeds, bands reach from the lowest to the
    highest. Runs whose loss was no longer finite are crosses, and in no mean. Every combination of values of the
    other quantities has panels of its own.

    rows : as `netsim.events.measure.run` returns them; labels : of the quantities.
    """
    with defaults():
        return png(_figure(rows, quantities, labels, title))


def _figure(rows: Sequence[dict], quantities: Sequence[str], labels: Sequence[str], title: str) -> Figure:
    from matplotlib.figure import Figure

    others = quantities[1:]
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[quantity] for quantity in others), []).append(row)
    shared = _shared(rows, quantities[:1], labels)
    if len(groups) == 1:
        figure = Figure(figsize=(11, 8.8), layout="constrained")
        columns = [figure.subplots(2, 2).ravel()]
    else:
        wide, high = min(len(groups), _BESIDE), math.ceil(len(groups) / _BESIDE)
        figure = Figure(figsize=(max(4.4 * wide, 9), 13.5 * high), layout="constrained")
        panels = figure.subplots(4 * high, wide, squeeze=False)
        places = [(block, column) for block in range(high) for column in range(wide)]
        columns = [panels[4 * block : 4 * block + 4, column] for block, column in places]
        for unused in columns[len(groups) :]:
            for axes in unused:
                axes.remove()
    for (values, group), column in zip(groups.items(), columns, strict=False):
        _column(column, group, shared)
        if others:
            column[0].set_title("\n".join(f"{label}: {v:g}" for label, v in zip(labels[1:], values, strict=True)))
    _share_ranges(columns[: len(groups)])
    figure.suptitle(wrapped(title, round(10.5 * figure.get_figwidth())))
    handles = _handles(rows, shared)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), fontsize="small")
    return figure


def _shared(rows: Sequence[dict], quantities: Sequence[str], labels: Sequence[str]) -> _Sweep:
    from matplotlib import colormaps

    across = quantities[0] if quantities else ""
    values = [row[across] for row in rows] if across else [0.0]
    room = 0.05 * (max(values) - min(values)) or 0.5
    names = dict.fromkeys(name.partition(".")[2] for row in rows for name in row if name.startswith("cosine_start."))
    colors = colormaps["viridis"](np.linspace(0, 0.9, max(len(names), 1)))
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    return _Sweep(
        across,
        labels[0] if labels else "",
        (min(values) - room, max(values) + room),
        dict(zip(names, map(tuple, colors), strict=False)),
        {protocol: _STYLES[number % len(_STYLES)] for number, protocol in enumerate(protocols)},
        len({row["seed"] for row in rows}),
    )


def _column(panels: Sequence[Axes], rows: Sequence[dict], shared: _Sweep) -> None:
    cosines, shares, errors, alignment = panels
    for protocol, style in shared.protocols.items():
        own = [row for row in rows if row["protocol"] == protocol]
        for layer, color in shared.layers.items():
            _line(cosines, own, shared, f"cosine.{layer}", color, style)
            _line(cosines, own, shared, f"cosine_start.{layer}", color, style, width=0.7)
            _line(alignment, own, shared, f"alignment.{layer}", color, style)
        color = COLORS.get(protocol, "black")
        _line(errors, own, shared, "validation_error", color, style, factor=100.0)
        _crosses(errors, own, shared, color, list(shared.protocols).index(protocol))
    _line(shares, rows, shared, "out_of_phase", "black", "-")
    for layer, color in shared.layers.items():
        _line(shares, rows, shared, f"out_of_phase.{layer}", color, "-")
    if len(shared.protocols) > 1:
        errors.legend(handles=[_handle(name, style) for name, style in shared.protocols.items()], fontsize="small")
    for axes, name in (
        (cosines, "cosine of the update with the in-phase one\n(thick: after training, thin: before)"),
        (shares, "share of out-of-phase reads\n(black: all, colors: of plasticity)"),
        (errors, "validation error (%)"),
        (alignment, "correlation of W and R after training"),
    ):
        axes.set_xlabel(shared.label)
        axes.set_ylabel(name)
        axes.set_xlim(*shared.span)
        axes.grid(alpha=0.3)
        if not shared.across:
            axes.set_xticks([])
        if not axes.lines and not axes.texts:
            text = "nothing to show:\nno loss is finite, or no update differs from 0"
            axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="gray")


def _line(
    axes: Axes, rows: Sequence[dict], shared: _Sweep, column: str, color, style: str, width=1.8, factor=1.0
) -> None:
    """The mean of a column over the rows that share a place, and a band from the lowest to the highest."""
    found: dict[float, list[float]] = {}
    for row in rows:
        number = row.get(column)
        if number is not None and math.isfinite(number):
            found.setdefault(row[shared.across] if shared.across else 0.0, []).append(factor * number)
    places = sorted(found)
    if not places:
        return
    values = [found[place] for place in places]
    means = [float(np.mean(each)) for each in values]
    axes.plot(places, means, style, color=color, linewidth=width, marker="o", markersize=2.5 + width, zorder=3)
    if any(len(each) > 1 for each in values):
        low, high = [min(each) for each in values], [max(each) for each in values]
        if len(places) > 1:
            axes.fill_between(places, low, high, color=color, alpha=0.13, linewidth=0)
        else:
            axes.vlines(places, low, high, color=color, alpha=0.4)


def _crosses(axes: Axes, rows: Sequence[dict], shared: _Sweep, color, number: int) -> None:
    """A cross near the upper edge where runs have diverged; how many, where not all have."""
    places = sorted({row[shared.across] if shared.across else 0.0 for row in rows})
    for place in places:
        here = [row["diverged"] for row in rows if not shared.across or row[shared.across] == place]
        if any(here):
            height = 0.96 - 0.05 * number
            axes.plot(
                [place], [height], "x", color=color, markersize=7, markeredgewidth=2,
                transform=axes.get_xaxis_transform(), zorder=4,
            )  # fmt: skip
            if not all(here):
                text = f" {sum(here)}/{len(here)}"
                axes.text(place, height, text, color=color, transform=axes.get_xaxis_transform(), va="center",
                          fontsize="x-small")  # fmt: skip


def _share_ranges(columns: Sequence[Sequence[Axes]]) -> None:
    """The same vertical ranges in all columns, with room for the markers."""
    for row, panels in enumerate(zip(*columns, strict=True)):
        values = np.concatenate([[0.0], *(line.get_ydata() for axes in panels for line in _data_lines(axes))])
        for axes in panels:
            if row == 0:
                axes.set_ylim(-1.07, 1.07)
            elif row == 1:
                _logarithmic(axes, values)
            elif row == 2:
                axes.set_ylim(-4, max(1.25 * values.max(), 10))
            else:
                axes.set_ylim(min(-0.1, values.min() - 0.07), 1.07)


def _data_lines(axes: Axes):
    return [line for line in axes.lines if line.get_transform() == axes.transData]


def _logarithmic(axes: Axes, values: np.ndarray) -> None:
    """Shares from the decade of the smallest one up to 1, and below them 0."""
    from matplotlib.ticker import NullLocator

    positive = values[values > 0]
    lowest = math.floor(math.log10(positive.min())) if positive.size else -3
    lowest = max(min(lowest, -1), -9)
    axes.set_yscale("symlog", linthresh=10.0**lowest, linscale=0.5)
    axes.yaxis.set_minor_locator(NullLocator())
    exponents = range(lowest, 1)
    axes.set_yticks([0.0, *(10.0**n for n in exponents)], ["0", *(f"$10^{{{n}}}$" if n else "1" for n in exponents)])
    axes.set_ylim(-0.3 * 10.0**lowest, 1.7)


def _handle(protocol: str, style: str):
    """The legend's line of a protocol in the panel of errors."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=COLORS.get(protocol, "black"), linestyle=style, label=protocol)


def _handles(rows: Sequence[dict], shared: _Sweep) -> list:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list = [Line2D([], [], color=color, linewidth=3, label=layer) for layer, color in shared.layers.items()]
    if len(shared.protocols) > 1:
        for protocol, style in shared.protocols.items():
            handles.append(Line2D([], [], color="black", linestyle=style, label=f"{protocol}, any layer"))
    else:
        handles += [_handle(protocol, style) for protocol, style in shared.protocols.items()]
    if shared.seeds > 1:
        handles.append(Patch(color="gray", alpha=0.25, label=f"lowest to highest of {shared.seeds} seeds"))
    if any(row["diverged"] for row in rows):
        handles.append(Line2D([], [], color="gray", marker="x", linestyle="", markeredgewidth=2, label="diverged"))
    return handles
