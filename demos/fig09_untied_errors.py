"""Figure 9: the error of simpnet and deepnet_s with tied and with untied filters, for each protocol.

    python demos/fig09_untied_errors.py [--quick] [--data-dir DIR] [--epochs N] [--tied-epochs N] [--seeds K]
                                        [--runs DIR] [--out DIR]

simpnet untied learns from scratch. deepnet_s untied takes the first layer of the tied run, frozen; all else learns from
scratch (section 4.1). Bars: validation error after the last epoch, tied blue, untied red; black lines: training error
(over the epoch, units dropped). Runs are shared with figures 4, 5, 8, 10 and 11.
"""

from __future__ import annotations

import experiments
import panels
import untied
from matplotlib.figure import Figure

COLORS = {"tied": "tab:blue", "untied": "tab:red"}


def main(given: list[str] | None = None) -> None:
    options = experiments.parse(untied.parser(__doc__), given)
    methods = {name: experiments.METHODS[name] for name in ("BP-H", "URFB", "FRFB")}
    methods = experiments.chosen(options, methods)
    planned = {
        net: dict(zip(COLORS, plan(options, methods), strict=True))
        for net, plan in (("simpnet", untied.simpnet), ("deepnet_s", untied.deepnet_s))
    }
    everything = [run for filters in planned.values() for experiment in filters.values() for run in experiment]
    results = {result.experiment.name: result for result in experiments.train(options, everything)}

    figure = Figure(figsize=(10, 5), layout="constrained")
    numbers = {}
    for axes, (net, filters) in zip(figure.subplots(1, 2, sharey=True), planned.items(), strict=True):
        numbers[net] = {}
        for shift, (kind, color) in zip((-0.2, 0.2), COLORS.items(), strict=True):
            groups = experiments.by_method([results[experiment.name] for experiment in filters[kind]])
            for place, group in enumerate(groups.values()):
                panels.bar(axes, place + shift, group, color, 0.38, kind if place == 0 else None)
            numbers[net][kind] = panels.last(groups)
        panels.name_bars(axes, list(methods))
        axes.set_title(net)
        axes.legend()
    experiments.write(options, "fig09_untied_errors", figure, list(results.values()), numbers)


if __name__ == "__main__":
    experiments.run(main)
