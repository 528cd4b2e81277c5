"""Figure 10: correlation, and angle, of W and R in the layers of simpnet over the epochs, URFB and FRFB.

    python demos/fig10_simpnet_alignment.py [--quick] [--data-dir DIR] [--epochs N] [--seeds K] [--runs DIR] [--out DIR]

Above the paper's measure, Pearson's correlation of the flattened weights; below the field's, the angle between them.
R of the lowest layer reaches no unit; it gets the layer's increments all the same. --net deepnet draws a
deep net. Runs are shared with figures 4 to 7.
"""

from __future__ import annotations

import experiments
import figures
import panels


def main(given: list[str] | None = None) -> None:
    arguments = experiments.parser(__doc__, epochs=40)
    arguments.add_argument("--net", choices=("simpnet", "deepnet"), default="simpnet", help="net (simpnet)")
    options = experiments.parse(arguments, given)
    methods = {name: experiments.METHODS[name] for name in ("URFB", "FRFB")}
    results = experiments.train(options, experiments.plan(options, options.net, experiments.chosen(options, methods)))
    groups = experiments.by_method(results)

    layers = list(results[0].records[0]["correlation"])
    figure = panels.alignment_figure(groups, layers, options.net)
    numbers = {method: panels.alignments(found, layers) for method, found in groups.items()}
    figures.write(options, figures.name(options, f"fig10_{options.net}_alignment"), figure, results, numbers)


if __name__ == "__main__":
    experiments.run(main)
