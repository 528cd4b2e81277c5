"""Figure 10: correlation, and angle, of W and R in the layers of simpnet over the epochs, URFB and FRFB.

    python demos/fig10_simpnet_alignment.py [--quick] [--data-dir DIR] [--epochs N] [--seeds K] [--runs DIR] [--out DIR]

Above the paper's measure, Pearson's correlation of the flattened weights; below the field's, the angle between them.
R of the lowest layer reaches no unit; it gets the layer's increments all the same. Runs are shared with figures 4, 5.
"""

from __future__ import annotations

import experiments
import panels


def main(given: list[str] | None = None) -> None:
    options = experiments.parse(experiments.parser(__doc__, epochs=40), given)
    methods = {name: experiments.METHODS[name] for name in ("URFB", "FRFB")}
    results = experiments.train(options, experiments.plan(options, "simpnet", experiments.chosen(options, methods)))
    groups = experiments.by_method(results)

    layers = ["conv1", "full1", "output"]
    figure = panels.alignment_figure(groups, layers, "simpnet")
    numbers = {method: panels.alignments(found, layers) for method, found in groups.items()}
    experiments.write(options, "fig10_simpnet_alignment", figure, results, numbers)


if __name__ == "__main__":
    experiments.run(main)
