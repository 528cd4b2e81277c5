"""The panels that figures 4 to 11 are made of, with the paper's axes: error over epochs, bars, alignment."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLORS = {
    "BP": "tab:olive", "BP-H": "tab:green", "URFB": "tab:blue", "FRFB": "tab:red",
    "URFB 50%": "tab:cyan", "FRFB 50%": "tab:orange",
    "Kolen-Pollack": "tab:purple", "sign-symmetry": "tab:brown", "DFA": "tab:pink",
}  # fmt: skip


def percent(results, key: str) -> np.ndarray:
    """(seeds, epochs): an error of each record, in percent."""
    return 100 * np.array([[record[key] for record in result.records] for result in results])


def errors_over_epochs(axes: Axes, groups: dict) -> None:
    """Training error solid, validation error dotted; the mean over seeds, each seed faint beside it."""
    for method, results in groups.items():
        for key, line, what in (("train_error", "-", "training"), ("validation_error", ":", "validation")):
            values = percent(results, key)
            epochs = np.arange(1, values.shape[1] + 1)
            if len(values) > 1:
                axes.plot(epochs, values.T, line, color=COLORS[method], alpha=0.25)
            marker = "o" if len(epochs) == 1 else ""
            label = f"{method} {what}"
            axes.plot(epochs, values.mean(axis=0), line, color=COLORS[method], marker=marker, label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel("error (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def last_errors(axes: Axes, groups: dict) -> None:
    """A bar a method: validation error after the last epoch; a line across it: training error."""
    for place, (method, results) in enumerate(groups.items()):
        bar(axes, place, results, COLORS[method], 0.7)
    name_bars(axes, list(groups))


def pale(color: str) -> tuple[float, ...]:
    """Half of the way to white."""
    return tuple((1 + channel) / 2 for channel in to_rgb(color))


def bar(axes: Axes, place: float, results, color, width: float, text: str = "white") -> None:
    """The mean over seeds of the validation error after the last epoch, with the standard error of the mean.

    text : color of the number in the bar.
    """
    values = percent(results, "validation_error")[:, -1]
    training = percent(results, "train_error")[:, -1].mean()
    spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
    axes.bar(place, values.mean(), width, yerr=spread, capsize=4, color=color)
    axes.plot([place - width / 2, place + width / 2], [training, training], color="black", lw=1.5)
    axes.annotate(
        f"{values.mean():.1f}", (place, 0), (0, 4), textcoords="offset points", ha="center", color=text, fontsize=9
    )


def name_bars(axes: Axes, names: list[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=30 if len(names) > 4 else 0)
    axes.set_ylabel("error (%): bars validation, lines training")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3, axis="y")
    axes.set_axisbelow(True)


def alignment(axes: Axes, results, key: str, layers: list[str]) -> None:
    """One line a layer, solid and dashed in turn: correlation, or angle in degrees, of W and R; means over seeds."""
    shades = colormaps["viridis"]
    for number, layer in enumerate(layers):
        values = np.array([[record[key][layer] for record in result.records] for result in results], float)
        epochs = np.arange(1, values.shape[1] + 1)
        color = shades(0.92 * number / max(len(layers) - 1, 1))
        axes.plot(
            epochs, values.mean(axis=0), "-" if number % 2 == 0 else "--", color=color,
            marker="o" if len(epochs) == 1 else "", label=layer,
        )  # fmt: skip
    axes.set_ylabel("correlation of W and R" if key == "correlation" else "angle of W and R (degrees)")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def alignment_figure(groups: dict, layers: list[str], net: str) -> Figure:
    """A column a method: correlation above, angle below, a line a layer."""
    figure = Figure(figsize=(5 * len(groups), 7.5), layout="constrained")
    columns = figure.subplots(2, len(groups), sharex=True, sharey="row", squeeze=False).T
    for column, (method, results) in zip(columns, groups.items(), strict=True):
        alignment(column[0], results, "correlation", layers)
        alignment(column[1], results, "angle_degrees", layers)
        column[0].set_title(f"{net}, {method}")
        column[0].set_xlabel("")
    correlation, angle = columns[0]  # the others share their limits
    correlation.set_ylim(min(-0.05, correlation.get_ylim()[0]), 1.02)
    angle.set_ylim(0, max(95, angle.get_ylim()[1]))
    columns[-1][0].legend(fontsize="small")
    return figure


def curves(groups: dict) -> dict:
    """The numbers behind `errors_over_epochs`, in percent: method -> seeds -> epochs."""
    keys = ("train_error", "validation_error")
    return {
        method: {f"{key}_percent": percent(results, key).round(2).tolist() for key in keys}
        for method, results in groups.items()
    }


def last(groups: dict) -> dict:
    """The numbers behind `last_errors`, in percent: method -> seeds."""
    keys = ("train_error", "validation_error")
    return {
        method: {f"{key}_percent": percent(results, key)[:, -1].round(2).tolist() for key in keys}
        for method, results in groups.items()
    }


def alignments(results, layers: list[str]) -> dict:
    """The numbers behind `alignment`: measure -> layer -> seeds -> epochs."""
    return {
        key: {layer: [[_rounded(r[key][layer]) for r in result.records] for result in results] for layer in layers}
        for key in ("correlation", "angle_degrees")
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
