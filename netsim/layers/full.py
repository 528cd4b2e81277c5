"""Full connections. W, R : (n_in, n_out); a map below is flattened row-major (H, W, C)."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Border, Span
from netsim.geometry import Place, units
from netsim.kernels.memory import empty
from netsim.kernels.products import COLUMNS, STORE, Product, products
from netsim.kernels.weights import pack_panels, transpose_panels
from netsim.kernels.workers import Workers
from netsim.layers.kept import WORTHWHILE_BY_BATCH, WORTHWHILE_BY_IMAGE, ByBatch, ByImage, KeptLists
from netsim.layers.layer import Downward, Weighted

#: Units below whose weights are packed at once, rows of an increment, and panels of R, that a cache holds.
_INPUTS, _ROWS, _PANELS = 512, 96, 4


class Full(Weighted):
    """Every unit reads every unit of the layer below."""

    saturates = True
    by_image = False

    def __init__(self, place: Place, slope: float = 1.0):
        self.n_in, self.n_out = units(place.below), units(place.shape)
        super().__init__(place, slope, (self.n_in, self.n_out), (self.n_in, self.n_out))
        #: the stretch of its units that reads and learns: all of them, but in parts of a layer (event times)
        self.begin, self.end = 0, self.n_out
        #: units that a whole batch keeps, and their weights in panels, for the step at hand
        self.packed: tuple[np.ndarray, np.ndarray] | None = None

    def prepare(self, workers: Workers, feedback: bool) -> None:
        """Forget the weights that the last step packed; W and R are laid out within the products."""
        self.packed = None

    def activity(self, images: int, border: Border, parents: tuple[Activity, ...]) -> Activity:
        """The layer's units; a layer below that drops units is asked to list the ones it keeps."""
        (below,) = parents
        if below.kept is not None and below.lists is None:
            below.lists = KeptLists(images, self.n_in)
        return super().activity(images, border, parents)

    def _of_kept_units(self, below: Activity, images: int) -> ByImage | ByBatch | None:
        """The products over the kept units alone, where most of the units below are silent."""
        if below.kept is None or not below.is_contiguous:
            return None
        if below.kept_image:
            return ByImage(self, below.lists) if below.fraction >= WORTHWHILE_BY_IMAGE else None
        return ByBatch(self, below.kept_units, images) if below.fraction >= WORTHWHILE_BY_BATCH else None

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, span: Span) -> None:
        """x = sigma(W x_below) (eq. 1)."""
        (below,) = parents
        if sparse := self._of_kept_units(below, span.last):
            sparse.feedforward(below, own, span)
            return
        W, one = self.W.reshape(-1), np.zeros(1, np.int64)
        inputs, outputs = below.series + below.origin, own.series + self.begin

        def task(i_from: int, i_to: int, j_from: int, j_to: int) -> None:
            # the weights in blocks of units below, packed into panels that stay in the cache
            panels = empty(min(_INPUTS, self.n_in) * -(-(j_to - j_from) // COLUMNS) * COLUMNS)
            for first, last, begin in _runs(below):
                size = last - first
                pack_panels(panels, W, first, last, self.begin + j_from, self.begin + j_to, self.n_out)
                products(
                    own.values, own.values, below.values, panels, outputs, inputs, one, one + begin,
                    one - j_from // COLUMNS * size * COLUMNS, 0, 1, i_from, i_to, j_from, j_to,
                    size, 1, 1, 0, COLUMNS, 0, size * COLUMNS,
                    first > 0, self.finish if last == self.n_in else STORE, self.slope,
                )  # fmt: skip

        _over_blocks(task, span.last, self.end - self.begin, span.last * self.W.size, span.workers)

    def hebbian(self, below: Activity, own: Activity, increment: np.ndarray, fresh: bool, span: Span) -> None:
        """increment += sum over images of delta x_below (section 3.1)."""
        if sparse := self._of_kept_units(below, span.last):
            sparse.hebbian(below, own, increment, fresh, span)
            return
        one, columns = np.zeros(1, np.int64), self.end - self.begin
        rows = np.arange(self.n_in, dtype=np.int64) * self.n_out + self.begin
        if below.is_contiguous:
            inputs = np.arange(self.n_in, dtype=np.int64)
        else:
            channels = below.shape[2]
            inputs = (below.units[:, None] + np.arange(channels)).reshape(-1)

        product = Product(
            increment, increment, below.values, own.values, rows, inputs, one, one, one + self.begin, columns,
            span.last, 1, below.image, 0, own.image, 0, COLUMNS, int(not fresh), STORE, self.slope,
        )  # fmt: skip

        def task(first: int, last: int) -> None:
            for row in range(first, last, _ROWS):  # their part of the increment stays in the cache
                product.run_block(0, 1, row, min(row + _ROWS, last), 0, columns)

        span.workers.run_each(task, self.n_in, span.last * self.W.size)

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
            # R a few panels at a time, transposed while they are in the cache
            panels = empty(min(_PANELS, last - first) * panel)
            for begin in range(first, last, _PANELS):
                end = min(begin + _PANELS, last)
                transpose_panels(panels, R, self.n_in, self.n_out, begin, end)
                products(
                    below.values, down.also, own.values, panels, below.series, own.series,
                    one + below.origin, one, one - begin * panel,
                    0, 1, 0, span.last, begin * COLUMNS, min(end * COLUMNS, self.n_in),
                    self.n_out, 1, 1, 0, COLUMNS, 0, panel,
                    int(down.use_also), down.finish, down.slope,
                )  # fmt: skip

        span.workers.run_each(task, -(-self.n_in // COLUMNS), span.last * self.W.size)

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


def _runs(below: Activity):
    """Yield (first unit, last unit, place in an image) for runs of up to `_INPUTS` units that lie side by side."""
    length = below.height * below.row_length if below.is_contiguous else below.row_length
    for row in range(below.height * below.row_length // length):
        for first in range(0, length, _INPUTS):
            unit = row * length + first
            yield unit, unit + min(_INPUTS, length - first), row * below.row + first


def _over_blocks(task, rows: int, columns: int, work: int, workers: Workers) -> None:
    """Run ``task(i_from, i_to, j_from, j_to)`` over blocks of columns, or of rows where there are few columns.

    ``work`` : multiply-adds of all blocks together.
    """
    panels = -(-columns // COLUMNS)
    if panels >= 2 * workers.threads:
        workers.run_each(lambda a, b: task(0, rows, a * COLUMNS, min(b * COLUMNS, columns)), panels, work)
    else:
        workers.run_each(lambda a, b: task(a, b, 0, columns), rows, work)
