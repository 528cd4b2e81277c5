"""Full connections. W, R : (n_in, n_out); a map below is flattened row-major (H, W, C)."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Span
from netsim.geometry import Place, units
from netsim.kernels.products import COLUMNS, STORE, products
from netsim.kernels.weights import transpose_panels
from netsim.kernels.workers import Workers
from netsim.layers.layer import EMPTY, Downward, Weighted


class Full(Weighted):
    """Every unit reads every unit of the layer below."""

    saturates = True
    by_image = False

    def __init__(self, place: Place, slope: float = 1.0):
        self.n_in, self.n_out = units(place.below), units(place.shape)
        super().__init__(place, slope, (self.n_in, self.n_out), (self.n_in, self.n_out))
        self._panels = EMPTY

    def prepare(self, workers: Workers, feedback: bool) -> None:
        if feedback:
            number = -(-self.n_in // COLUMNS)
            if self._panels is EMPTY:
                self._panels = np.empty(number * COLUMNS * self.n_out, np.float32)
            R = self.R.reshape(-1)
            workers.run(
                lambda first, last: transpose_panels(self._panels, R, self.n_in, self.n_out, first, last), number
            )

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, span: Span) -> None:
        """x = sigma(W x_below) (eq. 1)."""
        (below,) = parents
        weights, one = self.W.reshape(-1), np.zeros(1, np.int64)
        inputs = below.series + below.origin
        n_k, n_h = (self.n_in, 1) if below.is_contiguous else (below.row_length, below.height)

        def task(i_from: int, i_to: int, j_from: int, j_to: int) -> None:
            products(
                own.values, EMPTY, below.values, weights, own.series, inputs, one, one, one,
                0, 1, i_from, i_to, j_from, j_to,
                n_k, n_h, 1, below.row, self.n_out, n_k * self.n_out, COLUMNS,
                0, self.finish, self.slope,
            )  # fmt: skip

        _over_blocks(task, span.last, self.n_out, span.workers)

    def hebbian(self, below: Activity, own: Activity, increment: np.ndarray, fresh: bool, span: Span) -> None:
        """increment += sum over images of delta x_below (section 3.1)."""
        one = np.zeros(1, np.int64)
        rows = np.arange(self.n_in, dtype=np.int64) * self.n_out
        if below.is_contiguous:
            inputs = np.arange(self.n_in, dtype=np.int64)
        else:
            channels = below.shape[2]
            inputs = (below.units[:, None] + np.arange(channels)).reshape(-1)

        def task(first: int, last: int) -> None:
            products(
                increment, increment, below.values, own.values, rows, inputs, one, one, one,
                0, 1, first, last, 0, self.n_out,
                span.last, 1, below.image, 0, own.image, 0, COLUMNS,
                int(not fresh), STORE, self.slope,
            )  # fmt: skip

        span.workers.run(task, self.n_in, 12)

    def feedback(self, own: Activity, down: Downward, span: Span) -> None:
        """x_below <- gate * (R delta [+ also]) (eq. 2 with R for the transposed W)."""
        below, one = down.activity, np.zeros(1, np.int64)
        if below.is_contiguous:
            targets, panels, columns = np.zeros(1, np.int64) + below.origin, one, self.n_in
        else:
            self._feedback_by_rows(own, down, span)
            return

        def task(i_from: int, i_to: int, j_from: int, j_to: int) -> None:
            products(
                below.values, down.also, own.values, self._panels, below.series, own.series, targets, one, panels,
                0, 1, i_from, i_to, j_from, j_to,
                self.n_out, 1, 1, 0, COLUMNS, 0, self.n_out * COLUMNS,
                int(down.use_also), down.finish, down.slope,
            )  # fmt: skip

        _over_blocks(task, span.last, columns, span.workers)

    def _feedback_by_rows(self, own: Activity, down: Downward, span: Span) -> None:
        """The same into a map with a border: a product for each of its rows, from R row by row, unpacked."""
        below, one = down.activity, np.zeros(1, np.int64)
        turned = np.ascontiguousarray(self.R.T).reshape(-1)
        rows = np.arange(below.height, dtype=np.int64)

        def task(first: int, last: int) -> None:
            products(
                below.values, down.also, own.values, turned, below.series, own.series,
                below.origin + rows * below.row, np.repeat(one, below.height), rows * below.row_length,
                first, last, 0, span.last, 0, below.row_length,
                self.n_out, 1, 1, 0, self.n_in, 0, COLUMNS,
                int(down.use_also), down.finish, down.slope,
            )  # fmt: skip

        span.workers.run(task, below.height)


class Output(Full):
    """The top layer: full connections, no sigma (section 3.1)."""

    saturates = False


def _over_blocks(task, rows: int, columns: int, workers: Workers) -> None:
    """Run ``task(i_from, i_to, j_from, j_to)`` over blocks of columns, and of rows where there are few columns."""
    panels = -(-columns // COLUMNS)
    if panels >= 2 * workers.threads:
        workers.run(lambda a, b: task(0, rows, a * COLUMNS, min(b * COLUMNS, columns)), panels)
    else:
        workers.run(lambda a, b: task(a, b, 0, columns), rows, 12)
