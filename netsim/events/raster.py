"""Picture of one presentation: who has its events when, and in which phase each read fell. A log in, PNG bytes out.

The same log gives the same bytes: no date, no settings of the user's matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.events.plots import defaults, png, wrapped
from netsim.events.state import NEXT, SIGNAL, STALE, X
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What a read can find: (name, color), by `netsim.events.state.STALE` .. `NEXT`.
PHASES = (("stale", "tab:brown"), ("x", "tab:blue"), ("signal", "tab:red"), ("next image", "tab:purple"))
_MARKERS = {FEEDFORWARD: "^", FEEDBACK: "v", PLASTICITY: "o"}
KINDS = {FEEDFORWARD: "feedforward", FEEDBACK: "feedback", PLASTICITY: "plasticity"}
_IN_PHASE = "0.55"

#: Units of a layer that are shown at most, evenly chosen.
_ROWS = 60

#: Starts of later presentations that are drawn at most.
_STARTS = 20


@dataclass(frozen=True)
class Reads:
    """The reads of one kind of event of a layer: what they are called, and the mean shares of what they found.

    meant : what the algorithm means them to find; shares : by `STALE` .. `NEXT`
    """

    layer: str
    name: str
    meant: int
    shares: tuple[float, ...]


def reads(entries: Sequence[dict]) -> list[Reads]:
    """What the events of a log (`EventStream.log`) found: in other units, and in their own."""
    found = []
    for entry in entries:
        layer, kind = entry["layer"], entry["kind"]
        others, own = SIGNAL if kind == FEEDBACK else X, X if kind == FEEDBACK else SIGNAL
        if entry["seen"].any():
            shares = entry["seen"].mean(0, dtype=np.float64)
            name = {FEEDFORWARD: "feedforward", FEEDBACK: "feedback", PLASTICITY: "plasticity, inputs"}[kind]
            found.append(Reads(layer, name, others, tuple(map(float, shares))))
        if (entry["own"] >= 0).any():
            shares = np.bincount(entry["own"], minlength=len(PHASES)) / entry["own"].size
            found.append(Reads(layer, f"{KINDS[kind]}, own unit", own, tuple(map(float, shares))))
    return found


def raster(entries: Sequence[dict], unit: str, starts: Sequence[float], title: str = "") -> bytes:
    """PNG of one presentation, layer by layer: left each event, right the mean of what the reads found.

    An event all of whose reads are in phase is gray. Another one has the color of what most of its wrong reads found,
    and is filled in proportion to their share (a plasticity event's own unit counts as all of them).

    entries : `EventStream.log`, bottom up; unit : of the times; starts : of the presentation, of the next one, and so
    on: at least these two.
    """
    with defaults():
        return png(_figure(entries, unit, starts, title))


def _figure(entries: Sequence[dict], unit: str, starts: Sequence[float], title: str) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    layers = list(dict.fromkeys(entry["layer"] for entry in entries))
    figure = Figure(figsize=(13, 1.6 + 1.3 * len(layers)), layout="constrained")
    figure.suptitle(wrapped(title, 120))
    stack = figure.subplots(
        len(layers), 2, sharex="col", squeeze=False, gridspec_kw={"width_ratios": (3, 1), "wspace": 0.02}
    )
    everything = reads(entries)
    for (events, shares), layer in zip(stack[::-1], layers, strict=True):
        _events(events, [entry for entry in entries if entry["layer"] == layer], layer, starts)
        _bars(shares, [each for each in everything if each.layer == layer])
    events, shares = stack[-1]
    events.set_xlabel(f"time since the presentation began ({'τ' if unit == 'tau' else unit})")
    shares.set_xlabel("share of what the reads found")
    handles = [
        Line2D([], [], color=_IN_PHASE, marker=_MARKERS[kind], linestyle="", mfc="none", label=name)
        for kind, name in KINDS.items()
    ]
    handles += [Patch(color=_IN_PHASE, label="found in phase")]
    handles += [Patch(color=color, label=f"found out of phase: {name}") for name, color in PHASES]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    return figure


def _events(axes: Axes, entries: Sequence[dict], layer: str, starts: Sequence[float]) -> None:
    units = max(int(entry["units"].max(initial=0)) for entry in entries) + 1
    chosen = np.unique(np.linspace(0, units - 1, min(units, _ROWS)).astype(int))
    rows = np.full(units, -1)
    rows[chosen] = np.arange(chosen.size)
    for entry in entries:
        kind, shown = entry["kind"], rows[entry["units"]] >= 0
        colors, wrong = _colors(entry)
        faces = colors.copy()
        faces[:, 3] = wrong
        for first in (True, False):  # what is out of phase above the rest
            which = shown & ((wrong == 0.0) == first)
            axes.scatter(
                entry["times"][which] - starts[0], rows[entry["units"][which]], s=14, marker=_MARKERS[kind],
                edgecolors=colors[which], facecolors=faces[which], linewidths=0.7, zorder=2 if first else 3,
            )  # fmt: skip
    number = "unit" if units == 1 else "units"
    axes.set_ylabel(
        f"{layer}\n{units:,} {number}" if chosen.size == units else f"{layer}\n{chosen.size} of {units:,} units",
        rotation=0, ha="right", va="center",
    )  # fmt: skip
    axes.set_yticks([])
    axes.margins(y=0.08)
    last = max(entry["times"].max(initial=starts[0]) for entry in entries)
    for number, start in enumerate(starts[: _STARTS + 1]):
        if number < 2 or start <= last:
            axes.axvline(start - starts[0], color="gray", linewidth=0.8)


def _colors(entry: dict) -> tuple[np.ndarray, np.ndarray]:
    """Color (n, 4) of each event, and its share of wrong reads (n,)."""
    from matplotlib.colors import to_rgba

    kind, own = entry["kind"], entry["own"]
    others, mine = SIGNAL if kind == FEEDBACK else X, X if kind == FEEDBACK else SIGNAL
    wrong = entry["seen"].astype(np.float64)
    wrong[:, others] = 0.0
    found = wrong.argmax(1)
    astray = (own >= 0) & (own != mine)
    found[astray] = own[astray]
    share = np.where(astray, 1.0, wrong.sum(1)).clip(0.0, 1.0)
    palette = np.array([to_rgba(color) for _, color in PHASES])
    colors = palette[found]
    colors[share == 0.0] = to_rgba(_IN_PHASE)
    return colors, share


def _bars(axes: Axes, found: Sequence[Reads]) -> None:
    """What the reads of a layer found, a bar for each kind of read."""
    from matplotlib.transforms import blended_transform_factory

    beside = blended_transform_factory(axes.transAxes, axes.transData)
    for row, each in enumerate(found):
        left = 0.0
        order = [each.meant, *(phase for phase in (STALE, X, SIGNAL, NEXT) if phase != each.meant)]
        for phase in order:
            color = _IN_PHASE if phase == each.meant else PHASES[phase][1]
            axes.barh(row, each.shares[phase], left=left, color=color, height=0.7)
            left += each.shares[phase]
        wrong = 1.0 - each.shares[each.meant]
        text = f"{each.name} ({PHASES[each.meant][0]}): {percent(wrong)} out of phase"
        axes.text(0.02, row, text, transform=beside, fontsize="x-small", va="center", color="white")
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_yticks([])


def percent(share: float) -> str:
    """A share as per cent, with the places that it takes to tell it from 0 and from 1: ``0 %``, ``0.02 %``, ``12.3 %``.

    Shares that are nearer to 0 or 1 than float32 can tell are 0 or 1.
    """
    away = min(share, 1.0 - share)
    places = 0 if away < 2.0**-23 else 1 if away >= 0.001 else math.ceil(-math.log10(100 * away))
    return f"{100 * share:.{places}f} %"
