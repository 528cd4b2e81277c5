"""Figure 6: the error of deepnet and deepernet after the last epoch, for each protocol.

    python demos/fig06_deep_errors.py [--quick] [--rules] [--net NET] [--data-dir DIR] [--epochs N]
                                      [--deepernet-epochs N] [--seeds K] [--runs DIR] [--out DIR]

Bars: validation error; black lines: training error (over the epoch, units dropped). deepernet costs five times as much
an epoch, so it may have epochs of its own. Runs are shared with figure 7.
"""

from __future__ import annotations

import argparse

import experiments
import figures
import panels
from matplotlib.figure import Figure

NETS = ("deepnet", "deepernet")


def main(given: list[str] | None = None) -> None:
    arguments = experiments.parser(__doc__, epochs=20)
    arguments.add_argument("--rules", action="store_true", help="add Kolen-Pollack, sign-symmetry and DFA")
    arguments.add_argument(
        "--deepernet-epochs", type=experiments.count, metavar="N", help="epochs of deepernet (as --epochs)"
    )
    arguments.add_argument("--net", choices=NETS, help="one of the two nets alone")
    options = experiments.parse(arguments, given)
    nets = [options.net] if options.net else NETS
    methods = {**experiments.METHODS, **(experiments.RULES if options.rules else {})}
    methods = experiments.chosen(options, methods)
    deeper = argparse.Namespace(**{**vars(options), "epochs": options.deepernet_epochs or options.epochs})
    planned = [
        experiment
        for net in nets
        for experiment in experiments.plan(deeper if net == "deepernet" else options, net, methods)
    ]
    results = experiments.train(options, planned)

    figure = Figure(figsize=(1.5 + 1.0 * len(methods) * len(nets), 5), layout="constrained")
    numbers = {}
    for axes, net in zip(figure.subplots(1, len(nets), squeeze=False)[0], nets, strict=True):
        groups = experiments.by_method([result for result in results if result.experiment.net == net])
        panels.last_errors(axes, groups)
        axes.set_title(net)
        numbers[net] = panels.last(groups)
    name = figures.name(options, "fig06_deep_errors", *([options.net] if options.net else []))
    figures.write(options, name, figure, results, numbers)


if __name__ == "__main__":
    experiments.run(main)
