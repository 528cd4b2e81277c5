"""Pictures of runs: errors and alignment of one run, errors of several over one another.

Records in, PNG bytes (or a figure file) out. The same records give the same bytes: no date, no settings of
the user's matplotlib. Colors and line styles are those of Amit (2019), figure 4: BP green, URFB blue, FRFB
red; training error solid, validation error dotted. Several runs of one protocol: see `looks`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = {"bp": "tab:green", "urfb": "tab:blue", "frfb": "tab:red"}
_OTHER = ("tab:purple", "tab:orange", "tab:brown", "tab:pink", "tab:gray", "tab:olive", "tab:cyan")
_MARKERS = ("", "s", "^", "D", "v", "P", "X", "*", "h")

#: Most runs whose training and validation error have lines of their own in the legend.
_BOTH_IN_LEGEND = 4

#: File types of `netsim plot --out`.
FORMATS = ("png", "pdf", "svg")


@dataclass(frozen=True)
class Curve:
    """One run to draw: its records (an epoch each), its protocol, its name in the legend."""

    records: Sequence[dict]
    protocol: str
    label: str


@contextlib.contextmanager
def _defaults() -> Iterator[None]:
    """matplotlib's own settings, whatever the user's are, with fixed ids in SVG files."""
    import matplotlib
    from matplotlib import style

    with style.context("default"), matplotlib.rc_context({"svg.hashsalt": "netsim"}):
        yield


def _column(records: Sequence[dict], key: str, factor: float = 1.0) -> tuple[list[int], list[float]]:
    """Epochs and values of `key`, without the epochs that have none."""
    known = [(record["epoch"], factor * record[key]) for record in records if record.get(key) is not None]
    return [epoch for epoch, _ in known], [value for _, value in known]


def looks(protocols: Sequence[str]) -> list[tuple[str, str]]:
    """Color and marker of each run. No two are alike for as many as 90 runs of one protocol, or 9 of each of several.

    Runs of different protocols have the protocols' colors. Where one protocol has several runs, the later ones have
    markers; where all runs have the same protocol, they differ by color first.
    """
    kinds = list(dict.fromkeys(protocols))
    others = [protocol for protocol in kinds if protocol not in COLORS]
    palette = {**COLORS, **{protocol: _OTHER[n % len(_OTHER)] for n, protocol in enumerate(others)}}
    if len(kinds) == 1:
        first = palette[kinds[0]]
        colors = [first, *(color for color in (*COLORS.values(), *_OTHER) if color != first)]
        return [(colors[n % len(colors)], _MARKERS[n // len(colors) % len(_MARKERS)]) for n in range(len(protocols))]
    found, drawn = [], dict.fromkeys(kinds, 0)
    for protocol in protocols:
        found.append((palette[protocol], _MARKERS[drawn[protocol] % len(_MARKERS)]))
        drawn[protocol] += 1
    return found


def _draw_errors(axes, curve: Curve, color, marker: str = "", both: bool = True) -> None:
    """Both errors over the epochs. both : name each of them in the legend, else the run alone."""
    for key, line, what in (("train_error", "-", "training"), ("validation_error", ":", "validation")):
        epochs, values = _column(curve.records, key, 100.0)
        if not epochs:
            continue
        label = " ".join(filter(None, [curve.label, what])) if both else curve.label if line == "-" else None
        # A single epoch is a point, which a line without markers would not show; the dotted line's is hollow.
        alone = len(curve.records) == 1
        axes.plot(
            epochs, values, line, color=color, marker=marker or ("o" if alone else ""), label=label,
            markevery=max(1, len(epochs) // 10), markerfacecolor="white" if alone and line == ":" else color,
            markersize=6 if alone else 4,
        )  # fmt: skip


def _from_zero(axes) -> None:
    """From 0 to a little above the largest value; a single epoch has its number alone below."""
    values = [value for line in axes.lines for value in line.get_ydata()]
    axes.set_ylim(0, 1.05 * max(values, default=0) or 1)
    epochs = {epoch for line in axes.lines for epoch in line.get_xdata()}
    if len(epochs) == 1:
        (epoch,) = epochs
        axes.set_xlim(epoch - 1, epoch + 1)


def _finish(axes, ylabel: str, legend: bool = True) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")


def _curves_figure(curve: Curve) -> Figure:
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    errors, alignment = figure.subplots(1, 2)
    figure.suptitle(curve.label)
    _draw_errors(errors, Curve(curve.records, curve.protocol, ""), COLORS.get(curve.protocol, _OTHER[0]))
    _from_zero(errors)
    _finish(errors, "error (%)")
    layers = list(curve.records[0].get("correlation") or {}) if curve.records else []
    shades = colormaps["viridis"]
    for index, layer in enumerate(layers):
        known = [
            (record["epoch"], record["correlation"][layer])
            for record in curve.records
            if (record.get("correlation") or {}).get(layer) is not None
        ]
        if known:
            epochs, values = zip(*known, strict=True)
            color = shades(0.9 * index / max(len(layers) - 1, 1))
            alignment.plot(epochs, values, marker="o" if len(known) == 1 else "", color=color, label=layer)
    negative = any(min(line.get_ydata()) < -0.05 for line in alignment.lines)
    alignment.set_ylim(-1.05 if negative else -0.05, 1.05)
    _finish(alignment, "correlation of W and R")
    return figure


def _overlay_figure(curves: Sequence[Curve]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    both = len(curves) <= _BOTH_IN_LEGEND
    figure = Figure(figsize=(8 if both else 10.5, 5), layout="constrained")
    axes = figure.subplots()
    for curve, (color, marker) in zip(curves, looks([curve.protocol for curve in curves]), strict=True):
        _draw_errors(axes, curve, color, marker, both)
    _from_zero(axes)
    _finish(axes, "error (%)", legend=both)
    if not both:
        words = (("training", "-"), ("validation", ":"))
        lines = [Line2D([], [], color="black", linestyle=line, label=what) for what, line in words]
        lines += axes.get_legend_handles_labels()[0]
        figure.legend(handles=lines, loc="outside right upper", fontsize="small", ncols=1 + len(lines) // 25)
    return figure


def _bytes(figure: Figure, kind: str) -> bytes:
    # No dates and no version numbers in the file: the same records, the same bytes.
    metadata = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "svg": {"Date": None, "Creator": None},
    }[kind]
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=120, metadata=metadata)
    return content.getvalue()


def curves(curve: Curve) -> bytes:
    """PNG of one run: errors (left), correlation of W and R in each layer (right)."""
    with _defaults():
        return _bytes(_curves_figure(curve), "png")


def overlay(curves: Sequence[Curve], kind: str = "png") -> bytes:
    """Errors of several runs in one picture, as in the paper's figure 4. kind: one of `FORMATS`."""
    with _defaults():
        return _bytes(_overlay_figure(curves), kind)
