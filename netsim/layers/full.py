"""Full connections. W, R : (n_in, n_out); a map below is flattened row-major (H, W, C)."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Border, Span
from netsim.geometry import Place, units
from netsim.kernels.memory import empty
from netsim.kernels.products import COLUMNS, STORE, products
from netsim.kernels.weights import transpose_panels
from netsim.kernels.workers import Workers
from netsim.layers.kept import WORTHWHILE, ByBatch, ByImage, KeptLists
from netsim.layers.layer import EMPTY, Downward, Weighted


class Full(Weighted):
    """Every unit reads every unit of the layer below."""

    saturates = True
    by_image = False

    def __init__(self, place: Place, slope: float = 1.0):
        self.n_in, self.n_out = units(place.below), units(place.shape)
        super().__init__(place, slope, (self.n_in, self.n_out), (self.n_in, self.n_out))

    def activity(self, images: int, border: Border, parents: tuple[Activity, ...]) -> Activity:
        """The layer's units; a layer below that drops units is asked to list the ones it keeps."""
        (below,) = parents
        if below.kept is not None and below.lists is None:
            below.lists = KeptLists(images, self.n_in)
        return super().activity(images, border, parents)

    def _of_kept_units(self, below: Activity, images: int) -> ByImage | ByBatch | None:
        """The products over the kept units alone, where most of the units below are silent."""
        if below.kept is None or below.fraction < WORTHWHILE or not below.is_contiguous:
            return None
        return ByImage(self, below.lists) if below.kept_image else ByBatch(self, below.kept_units, images)

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, span: Span) -> None:
        """x = sigma(W x_below) (eq. 1)."""
        (below,) = parents
        if sparse := self._of_kept_units(below, span.last):
            sparse.feedforward(below, own, span)
            return
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
        if sparse := self._of_kept_units(below, span.last):
            sparse.hebbian(below, own, increment, fresh, span)
            return
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
        below, one, R = down.activity, np.zeros(1, np.int64), self.R.reshape(-1)
        if not below.is_contiguous:
            self._feedback_by_rows(own, down, span)
            return
        if not down.use_also and (sparse := self._of_kept_units(below, span.last)):
            sparse.feedback(own, down, span)
            return
        panel = self.n_out * COLUMNS

        def task(first: int, last: int) -> None:
            # the panels of R that this piece needs, transposed while they are in the cache
            panels = empty((last - first) * panel)
            transpose_panels(panels, R, self.n_in, self.n_out, first, last)
            products(
                below.values, down.also, own.values, panels, below.series, own.series,
                one + below.origin, one, one - first * panel,
                0, 1, 0, span.last, first * COLUMNS, min(last * COLUMNS, self.n_in),
                self.n_out, 1, 1, 0, COLUMNS, 0, panel,
                int(down.use_also), down.finish, down.slope,
            )  # fmt: skip

        span.workers.run(task, -(-self.n_in // COLUMNS))

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
