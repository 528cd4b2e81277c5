"""Convolution: one filter for all locations. W, R : (Kh, Kw, C_in, C_out)."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity
from netsim.geometry import Place
from netsim.kernels.products import COLUMNS, STORE, products
from netsim.kernels.weights import add_parts, turn_filters
from netsim.kernels.workers import Workers
from netsim.layers.layer import EMPTY, Downward
from netsim.layers.maps import FilterLayer, filter_entries

#: The sum over a batch is cut into at most so many parts, whatever the number of threads.
_PARTS = 16
#: ... and into fewer where the parts would hold more than so many numbers.
_PART_NUMBERS = 1 << 22


class Conv(FilterLayer):
    """Tied filters over a map."""

    def __init__(self, place: Place, slope: float = 1.0):
        rows, columns, filters = place.spec.rows, place.spec.columns, place.spec.filters
        self.c_in, self.c_out = place.below[2], filters
        area = rows * columns
        super().__init__(place, slope, (rows, columns, self.c_in, filters), (area * self.c_in, area * filters))
        self._turned = EMPTY
        self._parts = EMPTY

    def prepare(self, workers: Workers, feedback: bool) -> None:
        if feedback:
            if self._turned is EMPTY:
                self._turned = np.empty(self.W.size, np.float32)
            turn_filters(self._turned, self.R.reshape(-1), self.spec.rows, self.spec.columns, self.c_in, self.c_out)

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, images: int, workers: Workers) -> None:
        """x = sigma(sum over the filter of W x_below) (eq. 1)."""
        (below,) = parents
        filters, inputs = self.W.reshape(-1), below.units + self.first_input(below)
        run = self.spec.columns * self.c_in

        def task(first: int, last: int) -> None:
            products(
                own.values, EMPTY, below.values, filters, own.units, inputs,
                own.series, below.series, np.zeros(images, np.int64),
                first, last, 0, len(own.units), 0, self.c_out,
                run, self.spec.rows, 1, below.row, self.c_out, run * self.c_out, COLUMNS,
                0, self.finish, self.slope,
            )  # fmt: skip

        workers.run(task, images)

    def hebbian(
        self, below: Activity, own: Activity, increment: np.ndarray, batch: int, offset: int, images: int,
        workers: Workers,
    ) -> None:  # fmt: skip
        """increment += sum over images and locations of delta x_below (section 3.1).

        The batch's images [offset, offset + images) are at hand. Part p of the sum takes the images from
        p * batch // parts on, one after another; the parts are added up, in order, when the batch is complete.
        """
        parts = max(1, min(_PARTS, _PART_NUMBERS // self.W.size, batch))
        if self._parts.size != parts * self.W.size:
            self._parts = np.empty(parts * self.W.size, np.float32)
        entries = filter_entries(below, self.spec.rows, self.spec.columns)
        rows = np.arange(len(entries), dtype=np.int64) * self.c_out
        width, height = self.shape[1], self.shape[0]
        x_series = below.series + (below.origin + self.first_input(below))
        delta_series = own.series + own.origin

        def part_task(part: int):
            start, end = part * batch // parts, (part + 1) * batch // parts
            first, last = max(start - offset, 0), min(end - offset, images)
            target = np.full(images, part * self.W.size, np.int64)

            def task() -> None:
                for a, b, fresh in ((first, first + 1, offset + first == start), (first + 1, last, False)):
                    products(
                        self._parts, self._parts, below.values, own.values, rows, entries,
                        target, x_series, delta_series,
                        a, b, 0, len(rows), 0, self.c_out,
                        width, height, self.c_in, below.row, self.c_out, own.row, COLUMNS,
                        0 if fresh else 1, STORE, self.slope,
                    )  # fmt: skip

            return task if first < last else None

        workers.run_tasks([task for task in map(part_task, range(parts)) if task is not None])
        if offset + images == batch:
            total, size = increment.reshape(-1), self.W.size
            workers.run(lambda first, last: add_parts(total, self._parts, parts, size, first, last), size, 1 << 14)

    def feedback(self, own: Activity, down: Downward, images: int, workers: Workers) -> None:
        """x_below <- gate * (sum over the filters of R delta [+ also]) (eq. 2 with R for the transposed W)."""
        below, signals = down.activity, own.units + self.first_signal(own)
        run = self.spec.columns * self.c_out

        def task(first: int, last: int) -> None:
            products(
                below.values, down.also, own.values, self._turned, below.units, signals,
                below.series, own.series, np.zeros(images, np.int64),
                first, last, 0, len(below.units), 0, self.c_in,
                run, self.spec.rows, 1, own.row, self.c_in, run * self.c_in, COLUMNS,
                int(down.use_also), down.finish, down.slope,
            )  # fmt: skip

        workers.run(task, images)
