"""Pictures of runs: errors and alignment of one run, errors of several over one another.

Records in, PNG bytes (or a figure file) out. The same records give the same bytes: no date, no settings of
the user's matplotlib. Colors and line styles are those of Amit (2019), figure 4: BP green, URFB blue, FRFB
red; training error solid, validation error dotted.
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


def _draw_errors(axes, curve: Curve, color) -> None:
    label = f"{curve.label} " if curve.label else ""
    # A single epoch is a point, which a line without markers would not show.
    marker = "o" if len(curve.records) == 1 else ""
    for key, line, what in (("train_error", "-", "training"), ("validation_error", ":", "validation")):
        epochs, values = _column(curve.records, key, 100.0)
        if epochs:
            axes.plot(epochs, values, line, color=color, marker=marker, label=label + what)


def _finish(axes, ylabel: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")


def _curves_figure(curve: Curve) -> Figure:
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    errors, alignment = figure.subplots(1, 2)
    figure.suptitle(curve.label)
    _draw_errors(errors, Curve(curve.records, curve.protocol, ""), COLORS.get(curve.protocol, _OTHER[0]))
    errors.set_ylim(bottom=0)
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
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    others = [curve.protocol for curve in curves if curve.protocol not in COLORS]
    palette = {**COLORS, **{p: _OTHER[i % len(_OTHER)] for i, p in enumerate(dict.fromkeys(others))}}
    drawn: dict[str, int] = {}
    total = {curve.protocol: sum(c.protocol == curve.protocol for c in curves) for curve in curves}
    for curve in curves:
        # Runs of one protocol share its color, the later ones lighter.
        light = 0.65 * drawn.get(curve.protocol, 0) / max(total[curve.protocol], 1)
        color = tuple(channel + (1 - channel) * light for channel in to_rgb(palette[curve.protocol]))
        drawn[curve.protocol] = drawn.get(curve.protocol, 0) + 1
        _draw_errors(axes, curve, color)
    axes.set_ylim(bottom=0)
    _finish(axes, "error (%)")
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
