"""Figure 9: the error of simpnet and deepnet_s with tied and with untied filters, for each protocol.

    python demos/fig09_untied_errors.py [--quick] [--net NET] [--start apart|spread] [--data-dir DIR] [--epochs N]
                                        [--tied-epochs N] [--seeds K] [--runs DIR] [--out DIR]

simpnet untied learns from scratch. deepnet_s untied takes the first layer of the tied run, frozen; all else learns from
scratch (section 4.1). "Scratch" is here a filter drawn for every pixel; with --start spread, as in the author's
published code, one filter that is the same at every pixel at first. Bars: validation error after the last epoch, in
the protocols' colors, tied full and untied pale; black lines: training error (over the epoch, units dropped). Runs are
shared with figures 4, 5, 8, 10 and 11.
"""

from __future__ import annotations

import experiments
import figures
import panels
import untied
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

NETS = {"simpnet": untied.simpnet, "deepnet_s": untied.deepnet_s}
KINDS = ("tied", "untied")


def main(given: list[str] | None = None) -> None:
    arguments = untied.parser(__doc__)
    untied.add_start(arguments)
    arguments.add_argument("--net", choices=NETS, help="one of the two nets alone")
    options = experiments.parse(arguments, given)
    nets = [options.net] if options.net else NETS
    methods = {name: experiments.METHODS[name] for name in ("BP-H", "URFB", "FRFB")}
    methods = experiments.chosen(options, methods)
    planned = {net: dict(zip(KINDS, NETS[net](options, methods, options.start), strict=True)) for net in nets}
    everything = [run for filters in planned.values() for experiment in filters.values() for run in experiment]
    results = {result.experiment.name: result for result in experiments.train(options, everything)}

    figure = Figure(figsize=(1 + 4.5 * len(nets), 5), layout="constrained")
    numbers = {}
    row = figure.subplots(1, len(nets), sharey=True, squeeze=False)[0]
    for axes, (net, filters) in zip(row, planned.items(), strict=True):
        groups = {
            kind: experiments.by_method([results[experiment.name] for experiment in filters[kind]]) for kind in KINDS
        }
        numbers[net] = {kind: panels.last(groups[kind]) for kind in KINDS}
        draw(axes, groups)
        axes.set_title(f"{net}, untied filters {untied.TITLES[options.start]}")
    words = [*([options.net] if options.net else []), *untied.words(options.start)]
    name = figures.name(options, "fig09_untied_errors", *words)
    figures.write(options, name, figure, list(results.values()), numbers, untied.REMARKS[options.start])


def draw(axes: Axes, groups: dict[str, dict]) -> None:
    """Two bars a method, tied and untied. groups : kind -> method -> results."""
    epochs = {kind: len(next(iter(found.values()))[0].records) for kind, found in groups.items()}
    handles = []
    for shift, kind in zip((-0.2, 0.2), KINDS, strict=True):
        for place, (method, group) in enumerate(groups[kind].items()):
            color = panels.COLORS[method]
            shade, text = (color, "white") if kind == "tied" else (panels.pale(color), "black")
            panels.bar(axes, place + shift, group, shade, 0.38, text)
        words = kind if len(set(epochs.values())) == 1 else f"{kind}, {epochs[kind]} epochs"
        handles.append(Patch(color="dimgray" if kind == "tied" else panels.pale("dimgray"), label=words))
    panels.name_bars(axes, list(groups["tied"]))
    axes.legend(handles=handles)


if __name__ == "__main__":
    experiments.run(main)
