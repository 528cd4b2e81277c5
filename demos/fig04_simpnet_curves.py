"""Figure 4: the error of simpnet over the epochs, BP, URFB and FRFB.

    python demos/fig04_simpnet_curves.py [--quick] [--data-dir DIR] [--epochs N] [--seeds K] [--runs DIR] [--out DIR]

Training error solid (over the epoch, units dropped), validation error dotted. All with the hinge loss; the training
loss and step are the paper's (batches of 500, step 0.1). Runs are shared with figures 5, 9 and 10.
"""

from __future__ import annotations

import experiments
import figures
import panels
from matplotlib.figure import Figure


def main(given: list[str] | None = None) -> None:
    options = experiments.parse(experiments.parser(__doc__, epochs=40), given)
    options.methods = options.methods or "BP-H,URFB,FRFB"
    methods = experiments.chosen(options, experiments.METHODS)
    results = experiments.train(options, experiments.plan(options, "simpnet", methods))
    groups = experiments.by_method(results)

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    panels.errors_over_epochs(axes, groups)
    axes.set_title("simpnet")
    figures.write(options, figures.name(options, "fig04_simpnet_curves"), figure, results, panels.curves(groups))


if __name__ == "__main__":
    experiments.run(main)
