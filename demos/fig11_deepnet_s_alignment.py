"""Figure 11: correlation, and angle, of W and R in the seven updated layers of deepnet_s, URFB and FRFB.

    python demos/fig11_deepnet_s_alignment.py [--quick] [--data-dir DIR] [--epochs N] [--tied-epochs N] [--seeds K]
                                              [--runs DIR] [--out DIR]

deepnet_s learns with tied filters first. Then its first layer is frozen, the other convolutions are untied, and all but
the first layer learn from scratch (section 4.1). Above Pearson's correlation of the flattened weights, below the angle
between them. Runs are shared with figure 9.
"""

from __future__ import annotations

import experiments
import panels
import untied


def main(given: list[str] | None = None) -> None:
    arguments = untied.parser(__doc__)
    options = experiments.parse(arguments, given)
    methods = {name: experiments.METHODS[name] for name in ("URFB", "FRFB")}
    _, planned = untied.deepnet_s(options, experiments.chosen(options, methods))
    results = experiments.train(options, planned)
    groups = experiments.by_method(results)

    layers = [*(f"untied{number}" for number in range(1, 6)), "full1", "output"]
    figure = panels.alignment_figure(groups, layers, "deepnet_s, untied")
    numbers = {method: panels.alignments(found, layers) for method, found in groups.items()}
    experiments.write(options, "fig11_deepnet_s_alignment", figure, results, numbers)


if __name__ == "__main__":
    experiments.run(main)
