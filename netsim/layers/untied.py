"""Locally connected layer: a filter of its own at every location. W, R : (H, W, Kh, Kw, C_in, C_out) (section 4.1)."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Span
from netsim.geometry import Place
from netsim.kernels.memory import empty
from netsim.kernels.products import COLUMNS, STORE, products
from netsim.kernels.weights import turn_untied
from netsim.kernels.workers import Workers
from netsim.layers.layer import EMPTY, Downward
from netsim.layers.maps import FilterLayer


class Untied(FilterLayer):
    """Untied filters over a map: the connections of a convolution, each with a weight of its own.

    The products run location by location, over the images of the chunk: the location's weights are read once for
    all of them.
    """

    by_image = False

    def __init__(self, place: Place, slope: float = 1.0):
        height, width, self.c_in = place.below
        rows, columns, filters = place.spec.rows, place.spec.columns, place.spec.filters
        self.c_out, area = filters, rows * columns
        self.locations = height * width
        shape = (height, width, rows, columns, self.c_in, filters)
        super().__init__(place, slope, shape, (area * self.c_in, area * filters))
        self._turned = EMPTY
        block = area * self.c_in * filters
        self._blocks = np.arange(self.locations, dtype=np.int64) * block

    def prepare(self, workers: Workers, feedback: bool) -> None:
        """Turn R for the feedback: float32 (H, W, Kh, Kw, C_out, C_in), for each location below the weights by which
        the locations around read it.
        """
        if feedback:
            if self._turned is EMPTY:
                self._turned = empty(self.W.size)
            (height, width, _), spec, R = self.shape, self.spec, self.R.reshape(-1)

            def task(first: int, last: int) -> None:
                turn_untied(self._turned, R, height, width, spec.rows, spec.columns, self.c_in, self.c_out, first, last)

            workers.run(task, self.locations)

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, span: Span) -> None:
        """x = sigma(sum over the filter of W x_below), W of the unit's own location (eq. 1)."""
        (below,), run, weights = parents, self.spec.columns * self.c_in, self.W.reshape(-1)

        def task(first: int, last: int) -> None:
            products(
                own.values, EMPTY, below.values, weights, own.series, below.series,
                own.units, own.inputs, self._blocks,
                first, last, 0, span.last, 0, self.c_out,
                run, self.spec.rows, 1, below.row, self.c_out, run * self.c_out, COLUMNS,
                0, self.finish, self.slope,
            )  # fmt: skip

        span.workers.run(task, self.locations)

    def hebbian(self, below: Activity, own: Activity, increment: np.ndarray, fresh: bool, span: Span) -> None:
        """increment += sum over images of delta x_below, for every location by itself (section 4.1)."""

        def task(first: int, last: int) -> None:
            products(
                increment, increment, below.values, own.values, own.filters, own.entries,
                self._blocks, own.inputs, own.units,
                first, last, 0, len(own.filters), 0, self.c_out,
                span.last, 1, below.image, 0, own.image, 0, COLUMNS,
                int(not fresh), STORE, self.slope,
            )  # fmt: skip

        span.workers.run(task, self.locations)

    def feedback(self, own: Activity, down: Downward, span: Span) -> None:
        """x_below <- gate * (sum of R delta over the locations that read it [+ also]) (eq. 2 with R)."""
        below, run = down.activity, self.spec.columns * self.c_out

        def task(first: int, last: int) -> None:
            products(
                below.values, down.also, own.values, self._turned, below.series, own.series,
                below.units, own.signals, self._blocks,
                first, last, 0, span.last, 0, self.c_in,
                run, self.spec.rows, 1, own.row, self.c_in, run * self.c_in, COLUMNS,
                int(down.use_also), down.finish, down.slope,
            )  # fmt: skip

        span.workers.run(task, self.locations)
