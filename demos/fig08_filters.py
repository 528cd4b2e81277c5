"""Figure 8: filters of the untied simpnet at four places, and how alike the filters are over space.

    python demos/fig08_filters.py [--quick] [--data-dir DIR] [--epochs N] [--tied-epochs N] [--seeds K] [--runs DIR]
                                  [--out DIR]

Two starts. "apart": every pixel's filters are drawn apart. "copies": the filters of a tied run, the same at every
pixel. The number is the mean correlation of a filter at one pixel and the same filter at another, over all pairs of
pixels: of the weights, and of what was learned, their change since the start; the mean over seeds. The filters shown
are those of seed 1. All with URFB. Gray is 0; each row has one scale. Runs are shared with figure 9.
"""

from __future__ import annotations

import experiments
import figures
import numpy as np
import untied
from matplotlib.figure import Figure

import netsim
from netsim.likeness import filter_likeness


def main(given: list[str] | None = None) -> None:
    options = experiments.parse(untied.parser(__doc__, methods=False), given)
    method = {"URFB": experiments.METHODS["URFB"]}
    planned = [*untied.simpnet(options, method, "apart")[1], *untied.simpnet_from_copies(options, method)]
    for experiment in planned:
        experiments.check_weights(experiment, options.runs, "--epochs")
    results = experiments.train(options, planned)
    nets = [netsim.load(result.path / "last.safetensors") for result in results]
    apart, copies = nets[: options.seeds], nets[options.seeds :]

    numbers = {"seeds": list(range(1, options.seeds + 1)), "apart": [], "apart_at_start": [], "apart_learned": []}
    for net in apart:
        W, drawn = (
            found["untied1"].W for found in (net, netsim.Network(net.specs, net.input_shape, net.classes, net.seed))
        )
        numbers["apart"].append(likeness(W))
        numbers["apart_at_start"].append(likeness(drawn))
        numbers["apart_learned"].append(likeness(W - drawn))
    numbers["copies"] = [likeness(net["untied1"].W) for net in copies]
    means = {name: np.mean([one["mean"] for one in found]) for name, found in numbers.items() if name != "seeds"}
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    left, right = figure.subfigures(1, 2)
    title = (
        f"drawn apart at every pixel\nlikeness {means['apart']:z.3f}; of what was learned {means['apart_learned']:z.3f}"
    )
    show(left, apart[0]["untied1"].W, title)
    title = f"at first copies of a tied run's filters\nlikeness {means['copies']:.3f} (1 at the start)"
    show(right, copies[0]["untied1"].W, title)
    remark = (
        "URFB; the filters of seed 1."
        if options.seeds == 1
        else "URFB; the filters of seed 1, likeness over all seeds."
    )
    figures.write(options, figures.name(options, "fig08_filters"), figure, results, numbers, remark)


def likeness(W: np.ndarray) -> dict:
    """The mean over the layer's filters, and each."""
    each = filter_likeness(W)
    return {"mean": round(float(each.mean()), 4), "each": each.round(4).tolist()}


def show(part, W: np.ndarray, title: str) -> None:
    """A row a filter, a column a place, each row on one scale: the two filters most alike, and the median one."""
    rows, columns, *_, filters = W.shape
    places = [(y * rows // 4, x * columns // 4) for y in (1, 3) for x in (1, 3)]
    rank = np.argsort(filter_likeness(W))[[-1, -2, filters // 2]]
    for line, number in zip(part.subplots(3, len(places)), rank, strict=True):
        images = [W[y, x, ..., number] for y, x in places]
        largest = max(np.abs(image).max() for image in images)
        for axes, image, (y, x) in zip(line, images, places, strict=True):
            shown = 0.5 + 0.5 * image / largest
            axes.imshow(shown if shown.shape[-1] == 3 else shown[:, :, 0], cmap="gray", vmin=0, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
            if number == rank[0]:
                axes.set_title(f"row {y}, column {x}", fontsize="small")
        line[0].set_ylabel(f"filter {number}", fontsize="small")
    part.suptitle(title, fontsize="medium")


if __name__ == "__main__":
    experiments.run(main)
