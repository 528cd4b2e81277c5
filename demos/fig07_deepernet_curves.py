"""Figure 7: the error of deepernet over the epochs, BP, URFB and FRFB.

    python demos/fig07_deepernet_curves.py [--quick] [--data-dir DIR] [--epochs N] [--seeds K] [--runs DIR] [--out DIR]

Training error solid (over the epoch, units dropped), validation error dotted. All with the hinge loss. --net deepnet
draws the other deep net. Runs are shared with figure 6.
"""

from __future__ import annotations

import experiments
import figures
import panels
from matplotlib.figure import Figure


def main(given: list[str] | None = None) -> None:
    arguments = experiments.parser(__doc__, epochs=20)
    arguments.add_argument("--net", choices=("deepernet", "deepnet"), default="deepernet", help="net (deepernet)")
    options = experiments.parse(arguments, given)
    options.methods = options.methods or "BP-H,URFB,FRFB"
    methods = experiments.chosen(options, experiments.METHODS)
    results = experiments.train(options, experiments.plan(options, options.net, methods))
    groups = experiments.by_method(results)

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    panels.errors_over_epochs(axes, groups)
    axes.set_title(options.net)
    name = figures.name(options, f"fig07_{options.net}_curves")
    figures.write(options, name, figure, results, panels.curves(groups))


if __name__ == "__main__":
    experiments.run(main)
