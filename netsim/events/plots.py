"""Pictures of timing sweeps and of single presentations. Rows or event logs in, PNG bytes out.

The same rows give the same bytes: no date, no settings of the user's matplotlib.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from netsim.plots import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = ("-", "--", ":", "-.")
_EVENTS = (("feedforward", "tab:blue"), ("feedback", "tab:red"), ("plasticity", "tab:green"))

#: Units of a layer that a raster shows at most, evenly chosen.
_ROWS = 60


@contextlib.contextmanager
def _defaults() -> Iterator[None]:
    from matplotlib import style

    with style.context("default"):
        yield


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120, metadata={"Software": None})
    return content.getvalue()


def _layers(rows: Sequence[dict], prefix: str) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row if name.startswith(f"{prefix}."))
    return [name.partition(".")[2] for name in names]


def _means(rows: Sequence[dict], across: str, value: str) -> tuple[list[float], list[float]]:
    """Values of ``across``, ascending, and the mean of ``value`` over the rows that share it."""
    found: dict[float, list[float]] = {}
    for row in rows:
        number = row.get(value)
        if number is not None and not math.isnan(number):
            found.setdefault(row[across], []).append(number)
    places = sorted(found)
    return places, [float(np.mean(found[place])) for place in places]


def sweep(rows: Sequence[dict], across: str, label: str, title: str = "") -> bytes:
    """PNG of a sweep across one quantity, means over everything else but the protocol.

    Above: cosine of each layer's update with the in-phase update (before training: thin), share of out-of-phase
    reads. Below: validation error, correlation of W and R. Lines: layers by color, protocols by line style (in the
    panels without layers by the paper's colors).
    """
    with _defaults():
        return _png(_sweep_figure(rows, across, label, title))


def _sweep_figure(rows: Sequence[dict], across: str, label: str, title: str) -> Figure:
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    figure.suptitle(title)
    ((cosines, shares), (errors, alignment)) = figure.subplots(2, 2)
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    layers = _layers(rows, "cosine_start")
    colors = dict(zip(layers, colormaps["viridis"](np.linspace(0, 0.9, max(len(layers), 1))), strict=True))
    for number, protocol in enumerate(protocols):
        own, line = [row for row in rows if row["protocol"] == protocol], _LINES[number % len(_LINES)]
        for layer in layers:
            name = f"{layer}, {protocol}" if len(protocols) > 1 else layer
            for axes, column, width, text in (
                (cosines, f"cosine.{layer}", 1.8, name),
                (cosines, f"cosine_start.{layer}", 0.7, None),
                (alignment, f"alignment.{layer}", 1.8, name),
            ):
                x, y = _means(own, across, column)
                axes.plot(x, y, line, color=colors[layer], linewidth=width, marker=".", label=text)
        color = COLORS.get(protocol, "black")
        x, y = _means(own, across, "validation_error")
        errors.plot(x, [100 * value for value in y], line, color=color, marker="o", label=protocol)
    x, y = _means(rows, across, "out_of_phase")
    shares.plot(x, y, color="black", marker="o", label="all reads")
    for layer in _layers(rows, "out_of_phase"):
        x, y = _means(rows, across, f"out_of_phase.{layer}")
        shares.plot(x, y, color=colors.get(layer, "gray"), marker=".", label=f"plasticity of {layer}")
    for axes, name, span in (
        (
            cosines,
            "cosine of the update with the in-phase update\n(thick: after training, thin: before)",
            (-1.05, 1.05),
        ),
        (shares, "share of out-of-phase reads", (-0.03, 1.03)),
        (errors, "validation error (%)", (0, None)),
        (alignment, "correlation of W and R after training", (-0.35, 1.05)),
    ):
        axes.set_xlabel(label)
        axes.set_ylabel(name)
        axes.set_ylim(*span)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="x-small")
    return figure


def raster(entries: Sequence[dict], unit: str, start: float, end: float, title: str = "") -> bytes:
    """PNG of one presentation: who has its events when, layer by layer; open circles are reads out of phase.

    entries : as `EventTrainer.event_log` gives them, of one presentation, bottom up; start, end : of the presentation.
    """
    with _defaults():
        return _png(_raster_figure(entries, unit, start, end, title))


def _raster_figure(entries: Sequence[dict], unit: str, start: float, end: float, title: str) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    layers = list(dict.fromkeys(entry["layer"] for entry in entries))
    figure = Figure(figsize=(11, 1.2 + 1.25 * len(layers)), layout="constrained")
    figure.suptitle(title)
    stack = figure.subplots(len(layers), 1, sharex=True, squeeze=False)[:, 0]
    for axes, layer in zip(stack[::-1], layers, strict=True):
        own = [entry for entry in entries if entry["layer"] == layer]
        row_of = _rows(max(int(entry["units"].max(initial=0)) for entry in own) + 1)
        for entry in own:
            _scatter(axes, entry, row_of, start)
        axes.set_ylabel(layer, rotation=0, ha="right", va="center")
        axes.set_yticks([])
        for edge in (0.0, end - start):
            axes.axvline(edge, color="gray", linewidth=0.8)
    stack[-1].set_xlabel(f"time since the presentation began ({unit})")
    handles = [Line2D([], [], color=color, marker="o", linestyle="", label=name) for name, color in _EVENTS]
    handles.append(
        Line2D([], [], color="gray", marker="o", mfc="none", linestyle="", label="half or more out of phase")
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    return figure


def _rows(units: int) -> Callable[[np.ndarray], np.ndarray]:
    """Row of each unit in the picture, -1 for those left out."""
    chosen = np.unique(np.linspace(0, units - 1, min(units, _ROWS)).astype(int))
    rows = np.full(units, -1)
    rows[chosen] = np.arange(chosen.size)
    return lambda which: rows[which]


def _scatter(axes, entry: dict, row_of: Callable[[np.ndarray], np.ndarray], start: float) -> None:
    rows = row_of(entry["units"])
    color = _EVENTS[entry["kind"]][1]
    seen = rows >= 0
    for share, face in ((entry["in_phase"] > 0.5, color), (entry["in_phase"] <= 0.5, "none")):
        which = seen & share
        axes.scatter(entry["times"][which] - start, rows[which], s=9, edgecolors=color, facecolors=face, linewidths=0.7)
