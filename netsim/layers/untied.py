"""Locally connected layer: a filter of its own at every location. W, R : (H, W, Kh, Kw, C_in, C_out) (section 4.1)."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity
from netsim.geometry import Place
from netsim.kernels.products import COLUMNS, STORE, products
from netsim.kernels.weights import turn_untied
from netsim.kernels.workers import Workers
from netsim.layers.layer import EMPTY, Downward
from netsim.layers.maps import FilterLayer, filter_entries


class Untied(FilterLayer):
    """Untied filters over a map: the connections of a convolution, each with a weight of its own.

    The products run location by location, over the images of the chunk: the location's weights are read once for
    all of them.
    """

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
        if feedback:
            if self._turned is EMPTY:
                self._turned = np.empty(self.W.size, np.float32)
            (height, width, _), spec, R = self.shape, self.spec, self.R.reshape(-1)

            def task(first: int, last: int) -> None:
                turn_untied(
                    self._turned, R, height, width, spec.rows, spec.columns, self.c_in, self.c_out, first, last
                )

            workers.run(task, self.locations)

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, images: int, workers: Workers) -> None:
        """x = sigma(sum over the filter of W x_below), W of the unit's own location (eq. 1)."""
        (below,) = parents
        weights, inputs = self.W.reshape(-1), below.units + self.first_input(below)
        run = self.spec.columns * self.c_in

        def task(first: int, last: int) -> None:
            products(
                own.values, EMPTY, below.values, weights, own.series, below.series,
                own.units, inputs, self._blocks,
                first, last, 0, images, 0, self.c_out,
                run, self.spec.rows, 1, below.row, self.c_out, run * self.c_out, COLUMNS,
                0, self.finish, self.slope,
            )  # fmt: skip

        workers.run(task, self.locations)

    def hebbian(
        self, below: Activity, own: Activity, increment: np.ndarray, batch: int, offset: int, images: int,
        workers: Workers,
    ) -> None:  # fmt: skip
        """increment += sum over images of delta x_below, for every location by itself (section 4.1)."""
        total = increment.reshape(-1)
        entries = filter_entries(below, self.spec.rows, self.spec.columns)
        rows = np.arange(len(entries), dtype=np.int64) * self.c_out
        inputs = below.units + self.first_input(below)

        def task(first: int, last: int) -> None:
            products(
                total, total, below.values, own.values, rows, entries,
                self._blocks, inputs, own.units,
                first, last, 0, len(rows), 0, self.c_out,
                images, 1, below.image, 0, own.image, 0, COLUMNS,
                int(offset > 0), STORE, self.slope,
            )  # fmt: skip

        workers.run(task, self.locations)

    def feedback(self, own: Activity, down: Downward, images: int, workers: Workers) -> None:
        """x_below <- gate * (sum of R delta over the locations that read it [+ also]) (eq. 2 with R)."""
        below, signals = down.activity, own.units + self.first_signal(own)
        run = self.spec.columns * self.c_out

        def task(first: int, last: int) -> None:
            products(
                below.values, down.also, own.values, self._turned, below.series, own.series,
                below.units, signals, self._blocks,
                first, last, 0, images, 0, self.c_in,
                run, self.spec.rows, 1, own.row, self.c_in, run * self.c_in, COLUMNS,
                int(down.use_also), down.finish, down.slope,
            )  # fmt: skip

        workers.run(task, self.locations)
