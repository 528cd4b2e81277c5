"""Figure 11: correlation, and angle, of W and R in the seven updated layers of deepnet_s, URFB and FRFB.

    python demos/fig11_deepnet_s_alignment.py [--quick] [--start apart|spread] [--data-dir DIR] [--epochs N]
                                              [--tied-epochs N] [--seeds K] [--runs DIR] [--out DIR]

deepnet_s learns with tied filters first. Then its first layer is frozen, the other convolutions are untied, and all but
the first layer learn from scratch (section 4.1): from a filter drawn for every pixel, or, with --start spread, as in
the author's published code, from one filter that is the same at every pixel at first. Above Pearson's correlation of
the flattened weights, below the angle between them. Runs are shared with figure 9.
"""

from __future__ import annotations

import experiments
import figures
import panels
import untied


def main(given: list[str] | None = None) -> None:
    arguments = untied.parser(__doc__)
    untied.add_start(arguments)
    options = experiments.parse(arguments, given)
    methods = {name: experiments.METHODS[name] for name in ("URFB", "FRFB")}
    _, planned = untied.deepnet_s(options, experiments.chosen(options, methods), options.start)
    results = experiments.train(options, planned)
    groups = experiments.by_method(results)

    layers = [*(f"untied{number}" for number in range(1, 6)), "full1", "output"]
    title = f"deepnet_s, untied filters {untied.TITLES[options.start]}"
    figure = panels.alignment_figure(groups, layers, title)
    numbers = {method: panels.alignments(found, layers) for method, found in groups.items()}
    name = figures.name(options, "fig11_deepnet_s_alignment", *untied.words(options.start))
    figures.write(options, name, figure, results, numbers, untied.REMARKS[options.start])


if __name__ == "__main__":
    experiments.run(main)
