"""Figure 5: the error of simpnet after the last epoch, for each protocol and loss.

    python demos/fig05_simpnet_errors.py [--quick] [--rules] [--data cifar10|cifar100|digits] [--data-dir DIR]
                                         [--epochs N] [--seeds K] [--runs DIR] [--out DIR]

BP: back-propagation with softmax and cross-entropy; BP-H and all others: hinge loss; 50%: half of the connections, W
and R apart. --rules adds three rules that the paper does not have. Bars: validation error; black lines: training error
(over the epoch, units dropped). Runs are shared with figures 4, 9 and 10.
"""

from __future__ import annotations

import experiments
import figures
import panels
from matplotlib.figure import Figure


def main(given: list[str] | None = None) -> None:
    arguments = experiments.parser(__doc__, epochs=40)
    arguments.add_argument("--rules", action="store_true", help="add Kolen-Pollack, sign-symmetry and DFA")
    options = experiments.parse(arguments, given)
    methods = {**experiments.METHODS, **(experiments.RULES if options.rules else {})}
    results = experiments.train(options, experiments.plan(options, "simpnet", experiments.chosen(options, methods)))
    groups = experiments.by_method(results)

    figure = Figure(figsize=(1.5 + 1.1 * len(groups), 5), layout="constrained")
    axes = figure.subplots()
    panels.last_errors(axes, groups)
    axes.set_title("simpnet")
    figures.write(options, figures.name(options, "fig05_simpnet_errors"), figure, results, panels.last(groups))


if __name__ == "__main__":
    experiments.run(main)
