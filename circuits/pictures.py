"""Pictures of what circuits did: time courses with shaded phases beside what the paper's equations give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from circuits.comparator import ComparatorTrace
from circuits.figures import COMPARATOR, EXCITATORY, IDEAL, INHIBITORY, default_style, new_figure, save, shade_phases
from circuits.layered import LayeredResult
from circuits.motifs import Response
from circuits.parameters import Parameters

MS = 1000.0  # milliseconds in a second
KINDS = {"signed": "signed rates", "pairs": "signed pairs"}


def motif_picture(motif: str, response: Response, parameters: Parameters, path: Path) -> Path:
    """Time courses of the recorded circuits of a Response of one presentation, one column a circuit.

    Rows: input, cells (of pairs and populations), comparators, the unit beside the ideal. Errors: OSError.
    """
    values = response.traces.values
    time = response.traces.time * MS
    phase = float(parameters.phase) * MS
    spans = [(0, phase, "feedforward"), (phase, 2 * phase, "feedback"), (2 * phase, 3 * phase, "reset")]
    columns = values["r"].shape[1]
    paired = "r_on" in values
    rows = 4 if paired else 3
    with default_style():
        figure = new_figure(3.6 * columns + 0.6, 2.0 * rows + 0.8)
        axes = figure.subplots(rows, columns, sharex=True, sharey="row", squeeze=False)
        for column in range(columns):
            for row in range(rows):
                shade_phases(axes[row, column], spans, label=row == 0)
                axes[row, column].axhline(0, color="gray", lw=0.6)
            _inputs(axes[0, column], time, values, column, motif)
            if paired:
                axes[1, column].plot(time, values["r_on"][:, column], color=EXCITATORY, label="ON cell")
                axes[1, column].plot(time, values["r_off"][:, column], color=INHIBITORY, label="OFF cell")
                for sign, color in (("on", EXCITATORY), ("off", INHIBITORY)):
                    if f"inhibitory_{sign}" in values:
                        interneuron = values[f"inhibitory_{sign}"][:, column]
                        axes[1, column].plot(time, interneuron, ":", color=color, label=f"{sign.upper()} interneuron")
            _comparators(axes[-2, column], time, values, column, parameters)
            unit = axes[-1, column]
            unit.plot(time, values["r"][:, column], color=EXCITATORY, label="unit")
            x = values["h"][0, column]
            x = np.clip(x, parameters.lower, parameters.upper) if motif == "threshold" else x
            ideal = np.repeat([x, response.ideal[0, column], 0.0], 2)
            unit.plot(
                np.repeat([0, phase, 2 * phase, 3 * phase], 2)[1:-1], ideal, "--", color=IDEAL, lw=1.4, label="ideal"
            )
            unit.set_xlabel("time (ms)")
            axes[0, column].set_title(_headline(motif, values, column, response, parameters), size=10, pad=20)
        _room_for_marks(axes[-2])
        labels = ["input", *(["ON, OFF cells"] if paired else []), "comparators", "activity of the unit"]
        for row, label in enumerate(labels):
            axes[row, 0].set_ylabel(label)
            axes[row, -1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        axes[0, 0].set_xlim(0, 3 * phase)
        return save(figure, path)


def _headline(
    motif: str, values: dict[str, np.ndarray], column: int, response: Response, parameters: Parameters
) -> str:
    h = values["h"][0, column]
    if motif == "threshold":
        gate = "open" if parameters.lower < h < parameters.upper else "shut"
        return f"h = {h:g}, u = {values['u'][0, column]:g}: gate {gate}"
    kind = "own class" if values["teacher"][0, column] > 0 else "another class"
    return f"x = {h:g}, {kind}: error {response.ideal[0, column]:.3g}"


def _inputs(axes, time: np.ndarray, values: dict[str, np.ndarray], column: int, motif: str) -> None:
    ff, fb = values["ff"][:, column], values["fb"][:, column]
    axes.plot(time, values["h"][:, column] * ff, color="black", drawstyle="steps-post", label="from below: h")
    if motif == "threshold":
        axes.plot(time, values["u"][:, column] * fb, color="darkorange", drawstyle="steps-post", label="from above: u")
    else:
        axes.plot(time, values["teacher"][:, column] * fb, color="darkorange", drawstyle="steps-post", label="teacher")


def _comparators(axes, time: np.ndarray, values: dict[str, np.ndarray], column: int, parameters: Parameters) -> None:
    if "potential_up" in values:
        axes.plot(time, values["potential_up"][:, column], color=COMPARATOR, label="upper, potential")
        axes.plot(time, values["potential_low"][:, column], color="peru", label="lower, potential")
        for level in {float(parameters.upper), -float(parameters.lower)}:
            axes.axhline(level, color="gray", lw=0.9, ls=":", label="threshold")
        firing = (values["fired_up"] + values["fired_low"])[:, column] > 0
        _mark(axes, time, firing, "one fires")
    else:
        axes.plot(time, values["fired_up"][:, column], color=COMPARATOR, label="upper population")
        axes.plot(time, values["fired_low"][:, column], color="peru", label="lower population")


def _mark(axes, time: np.ndarray, where: np.ndarray, label: str) -> None:
    """A bar along the bottom of the axes at the times that a condition holds."""
    axes.fill_between(
        time, 0.02, 0.07, where=where, transform=axes.get_xaxis_transform(), color=COMPARATOR, step="post", label=label
    )


def _room_for_marks(row) -> None:
    """Room below the curves of a row of axes, which share their scale."""
    low, high = row[0].get_ylim()
    row[0].set_ylim(low - 0.1 * (high - low), high)


def comparator_picture(trace: ComparatorTrace, titles: Sequence[str], parameters: Parameters, path: Path) -> Path:
    """Drive, potential and firing of comparators, one column with a title each. Errors: OSError."""
    time = trace.time * MS
    end = time[-1] + float(parameters.dt) * MS
    edges = np.flatnonzero(np.diff(trace.reset, prepend=1 - trace.reset[0], append=1 - trace.reset[-1]))
    spans = [(time[a], time[b] if b < len(time) else end, "reset") for a, b in pairwise(edges) if trace.reset[a]]
    with default_style():
        figure = new_figure(3.6 * len(trace.drive) + 0.6, 5)
        axes = figure.subplots(2, len(trace.drive), sharex=True, sharey="row", squeeze=False)
        for column, (drive, potential, fired) in enumerate(zip(trace.drive, trace.potential, trace.fired, strict=True)):
            for row in (0, 1):
                shade_phases(axes[row, column], spans, label=row == 0)
            axes[0, column].plot(time, drive, color="black", drawstyle="steps-post", label="drive")
            axes[1, column].plot(time, potential, color=COMPARATOR, label="potential")
            _mark(axes[1, column], time, fired > 0, "fires")
            for row in (0, 1):
                axes[row, column].axhline(parameters.upper, color="gray", lw=0.9, ls=":", label="threshold")
            axes[0, column].set_title(titles[column], size=10, pad=20)
            axes[1, column].set_xlabel("time (ms)")
        _room_for_marks(axes[1])
        for row, label in enumerate(("drive", "potential")):
            axes[row, 0].set_ylabel(label)
            axes[row, -1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        axes[0, 0].set_xlim(0, end)
        return save(figure, path)


def layered_picture(
    result: LayeredResult, ideal: Sequence[tuple[np.ndarray, np.ndarray]], parameters: Parameters, path: Path
) -> Path:
    """Time courses of every unit of a net in one presentation, one row a layer, beside the ideal.

    result: of one net, one presentation, with traces. ideal: for layers 1..L, (x, delta), each (n_l,).
    """
    layers = len(ideal)
    phase = float(parameters.phase) * MS
    time = result.traces.time * MS
    with default_style():
        figure = new_figure(11, 2.3 * (layers + 1) + 0.5)
        axes = figure.subplots(layers + 1, 1, sharex=True)
        for level, axis in enumerate(axes):
            up, down = level * phase, (2 * layers + 1 - level) * phase
            end, period = (2 * layers + 1) * phase, (2 * layers + 2) * phase
            if level == 0:
                shade_phases(axis, [(0, period, "image")], label=True)
            else:
                spans = [(up, down, "feedforward"), (down, end, "feedback"), (end, period, "reset")]
                shade_phases(axis, spans, label=True)
                axis.axvline(down + phase, color="black", lw=1, ls="-.")
                axis.text(down + phase, 0.97, " W, R change", transform=axis.get_xaxis_transform(), va="top", size=8)
            values = result.traces.values[f"layer {level}"]
            for unit in range(values.shape[1]):
                line = axis.plot(time, values[:, unit], lw=1.3)[0]
                if level:
                    x, delta = ideal[level - 1]
                    for value, start, stop in ((x[unit], up, down), (delta[unit], down, end)):
                        axis.plot([start, stop], [value, value], "--", color=line.get_color(), lw=0.9)
            axis.axhline(0, color="gray", lw=0.6)
            names = {0: "input units"} | {layers: "output units"}
            axis.set_ylabel(names.get(level, f"hidden units, layer {level}"))
        axes[-1].set_xlabel("time (ms); solid: circuits, one color a unit; dashed: what the paper's algorithm gives")
        axes[0].set_xlim(0, (2 * layers + 2) * phase)
        return save(figure, path)


def agreement_picture(changes: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]], title: str, path: Path) -> Path:
    """Change of every weight in the circuits over its change in the engine, one panel an entry of `changes`.

    changes: name -> for each layer, (change in the circuits, change in the engine), (n_{l-1}, n_l) both.
    """
    with default_style():
        figure = new_figure(3.2 * len(changes), 4.1)
        panels = figure.subplots(1, len(changes), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (name, layers) in zip(panels, changes.items(), strict=True):
            limit = max(float(np.abs(engine).max()) for _, engine in layers)
            axes.plot([-limit, limit], [-limit, limit], color="gray", lw=0.8, label="equal")
            for level, (circuits, engine) in enumerate(layers, 1):
                difference = np.abs(circuits - engine).max()
                label = f"layer {level}: " + (f"within {difference:.0e}" if difference else "equal")
                axes.plot(engine.ravel(), circuits.ravel(), "os"[level % 2], ms=4, mfc="none", label=label)
            axes.set_title(name)
            axes.set_xlabel("change in the engine")
            axes.legend(fontsize=8, loc="upper left")
            axes.set_box_aspect(1)
        panels[0].set_ylabel("change in the circuits")
        figure.suptitle(f"Learned changes of weights: circuits against netsim's engine, {title}")
        return save(figure, path)


def accuracy_picture(
    axis_names: tuple[str, str],
    outputs: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    lengths: Sequence[float],
    phases: Mapping[str, Sequence[float]],
    neurons: Sequence[int],
    spiking: Sequence[float],
    path: Path,
) -> Path:
    """Output over input beside the ideal; error over the length of a phase; error over the number of neurons.

    outputs: name -> (input, output, ideal), each (n,). phases: kind of cells -> error at each of `lengths`.
    """
    with default_style():
        figure = new_figure(13, 4)
        first, second, third = figure.subplots(1, 3)
        for number, (name, (x, output, ideal)) in enumerate(outputs.items()):
            color = f"C{number}"
            first.plot(x, ideal, color=color, lw=1, label=f"{name}: ideal")
            first.plot(x[::30], output[::30], "o", color=color, ms=3.5, mfc="none", label=f"{name}: circuit")
        first.set(xlabel=axis_names[0], ylabel=axis_names[1], title="phases of 10 tau")
        first.legend(fontsize=7, loc="upper left", bbox_to_anchor=(0.0, -0.16), ncols=2, frameon=False)
        for number, (cells, errors) in enumerate(phases.items()):
            second.semilogy(lengths, errors, "os"[number], ms=7 - 3 * number, label=KINDS[cells])
        start = next(iter(phases.values()))[0] * np.exp(lengths[0])
        second.semilogy(lengths, start * np.exp(-np.asarray(lengths, float)), color="gray", lw=1, label="slope -1")
        second.set(xlabel="phase / tau", ylabel="largest error", title="rates")
        second.legend(fontsize=8)
        third.loglog(neurons, spiking, "o", label="populations")
        guide = spiking[0] * np.sqrt(neurons[0] / np.asarray(neurons, float))
        third.loglog(neurons, guide, color="gray", lw=1, label="slope -1/2")
        third.set(xlabel="neurons in a population", ylabel="root mean square error", title="populations of neurons")
        third.set_xticks(neurons, [str(number) for number in neurons], minor=False)
        heights = [
            height for height in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if min(spiking) / 2 < height < 2 * max(spiking)
        ]
        third.set_yticks(heights, [f"{height:g}" for height in heights])
        third.minorticks_off()
        third.legend(fontsize=8)
        for axes in (second, third):
            axes.grid(alpha=0.3)
        return save(figure, path)


def agreement_over_phases_picture(
    lengths: Sequence[float], found: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, path: Path
) -> Path:
    """Largest difference of a weight from the engine's over the length of a phase, beside its bound.

    found: name -> (difference at each of `lengths`, bound of it, nan where there is none).
    """
    with default_style():
        figure = new_figure(7.5, 4.6)
        axes = figure.subplots()
        for number, (name, (differences, bounds)) in enumerate(found.items()):
            color, marker = f"C{number}", "osD^"[number % 4]
            axes.semilogy(lengths, differences, marker, color=color, mfc="none", ms=8 - number, label=name)
            axes.semilogy(lengths, bounds, color=color, lw=1, ls=("-", "--")[number % 2], label=f"{name}: bound")
        axes.set(ylabel="largest difference of any W or R", title=title)
        axes.set_xlabel("phase / tau (no bound where an input comes too near to a threshold for so short a phase)")
        axes.legend(fontsize=8, loc="upper right")
        axes.grid(alpha=0.3)
        return save(figure, path)
