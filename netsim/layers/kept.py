"""Full connections from a layer that drops most of its units: products over the kept ones alone.

With a mask for each image, each image's kept units are listed; with one mask for the batch the products are dense
ones over the units that it keeps. Either way silent units cost nothing, neither going up, coming down, nor learning.
"""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Span
from netsim.kernels.memory import empty
from netsim.kernels.products import COLUMNS, STORE, Product, products
from netsim.kernels.sparse import (
    BLOCK,
    gather_kept,
    gather_units,
    list_kept,
    order_kept,
    pack_rows,
    scatter_units,
    sparse_feedback,
    sparse_feedforward,
    sparse_hebbian,
    transpose_rows,
)
from netsim.layers.layer import EMPTY, Downward

#: Fraction of dropped units from which leaving them out pays: where each image keeps its own, and where all keep the
#: same ones.
WORTHWHILE_BY_IMAGE, WORTHWHILE_BY_BATCH = 0.7, 0.5


#: Rows of an increment that a cache holds.
_ROWS = 96


class KeptLists:
    """Lists of the kept units of each image; see `netsim.kernels.sparse`."""

    def __init__(self, images: int, units: int):
        self.units, self._blocks = units, -(-units // BLOCK)
        self.lists = np.zeros(images * units + 1, np.int32)
        self.starts = np.zeros(images * (self._blocks + 1), np.int32)
        self.offsets = np.zeros(images * self._blocks + 1, np.int64)
        self.entries, self.values = np.zeros(1, np.int32), np.zeros(1, np.float32)

    def write(self, kept: np.ndarray, span: Span) -> None:
        """List the kept units of a span's images."""
        list_kept(kept, self.lists, self.starts, self.units, span.first, span.last)

    def gather(self, below: Activity, span: Span) -> None:
        """Lay out the kept units of a chunk, and what they carry, block after block."""
        images = span.last
        order_kept(self.offsets, self.starts, self._blocks, images)
        number = int(self.offsets[self._blocks * images])
        if len(self.entries) <= number:
            self.entries, self.values = (np.zeros(number + number // 8 + 1, kind) for kind in (np.int32, np.float32))
        arrays = (self.entries, self.values, self.offsets, below.values, below.image, below.origin)
        span.workers.run(
            lambda a, b: gather_kept(*arrays, self.lists, self.starts, self.units, images, a, b), images, 4
        )  # fmt: skip


class ByImage:
    """The three products of a full layer where each image keeps units of its own.

    W, R and the increment : (n_in, n_out); the activities below : (images, n_in), of the layer : (images, n_out).
    """

    def __init__(self, full, lists: KeptLists):
        self.full, self.lists = full, lists

    def feedforward(self, below: Activity, own: Activity, span: Span) -> None:
        """x = sigma(W x_below), from each image's kept units alone (eq. 1)."""
        full, lists, W = self.full, self.lists, self.full.W.reshape(-1)
        lists.gather(below, span)

        def task(first: int, last: int) -> None:
            sparse_feedforward(
                own.values, own.image, W, lists.entries, lists.values, lists.offsets, span.last,
                -(-full.n_in // BLOCK), full.n_out, full.begin, full.end, full.finish, full.slope, first, last,
            )  # fmt: skip

        span.workers.run_each(task, span.last)  # every piece reads all the weights

    def hebbian(self, below: Activity, own: Activity, increment: np.ndarray, fresh: bool, span: Span) -> None:
        """increment += sum over images of delta x_below, in the rows of units that an image keeps (section 3.1).

        increment : float32 (n_in * n_out,); fresh : it is set, in place of added to.
        """
        full, lists, images = self.full, self.lists, span.last
        lists.gather(below, span)

        def task(first: int, last: int) -> None:
            scratch = (np.empty(BLOCK * images, np.int32), np.empty(BLOCK * images, np.float32), np.empty(BLOCK, int))
            sparse_hebbian(
                increment, own.values, own.image, lists.entries, lists.values, lists.offsets, images,
                full.n_in, full.n_out, full.begin, full.end, fresh, *scratch, first, last,
            )  # fmt: skip

        span.workers.run(task, -(-full.n_in // BLOCK))

    def feedback(self, own: Activity, down: Downward, span: Span) -> None:
        """x_below <- R delta in the units that the image keeps (eq. 2 with R); the others need no signal: the drop
        below passes none on from them.
        """
        full, lists, below, R = self.full, self.lists, down.activity, self.full.R.reshape(-1)

        def task(first: int, last: int) -> None:
            sparse_feedback(
                below.values, below.image, below.origin, own.values, own.image, R, lists.lists, lists.starts,
                full.n_in, full.n_out, span.last, first, last,
            )  # fmt: skip

        span.workers.run(task, -(-full.n_in // BLOCK))


class ByBatch:
    """The three products of a full layer where all images keep the same units.

    kept : int64 (number kept,), ascending; shapes as in `ByImage`. The activity of the kept units lies side by side in
    ``compact``, float32 (images, number kept).
    """

    def __init__(self, full, kept: np.ndarray, images: int):
        self.full, self.kept = full, kept
        self.compact = empty(images * len(kept))
        self.series = np.arange(images, dtype=np.int64) * len(kept)
        self.zero = np.zeros(1, np.int64)

    def _gather(self, below: Activity, span: Span) -> None:
        """The activity of the kept units, side by side."""
        span.workers.run_each(
            lambda a, b: gather_units(self.compact, below.values, below.image, below.origin, self.kept, a, b),
            span.last, self.compact.size,
        )  # fmt: skip

    def feedforward(self, below: Activity, own: Activity, span: Span) -> None:
        """x = sigma(W x_below), from the rows of W of the kept units alone (eq. 1)."""
        full, kept, W, workers = self.full, self.kept, self.full.W.reshape(-1), span.workers
        columns = full.end - full.begin
        count, number = len(kept), -(-columns // COLUMNS)
        if full.packed is None or full.packed[0] is not kept:  # once a step, for all of its chunks
            panels = empty(number * count * COLUMNS)
            workers.run_each(lambda a, b: pack_rows(panels, W, kept, full.n_out, full.begin, full.end, a, b), number)
            full.packed = (kept, panels)
        panels = full.packed[1]
        self._gather(below, span)

        def task(first: int, last: int) -> None:
            products(
                own.values, EMPTY, self.compact, panels, own.series + full.begin, self.series,
                self.zero, self.zero, self.zero, 0, 1, 0, span.last, first * COLUMNS, min(last * COLUMNS, columns),
                count, 1, 1, 0, COLUMNS, 0, count * COLUMNS, 0, full.finish, full.slope,
            )  # fmt: skip

        workers.run_each(task, number)

    def hebbian(self, below: Activity, own: Activity, increment: np.ndarray, fresh: bool, span: Span) -> None:
        """increment += sum over images of delta x_below, in the rows of the kept units (section 3.1).

        increment : float32 (n_in * n_out,); fresh : it is set, in place of added to.
        """
        full, kept, columns = self.full, self.kept, self.full.end - self.full.begin
        if fresh and full.begin == 0:  # of the parts of a layer the first is the first to learn
            span.workers.run_each(lambda a, b: increment[a:b].fill(0), increment.size)
        self._gather(below, span)
        product = Product(
            increment, increment, self.compact, own.values, kept * full.n_out + full.begin, np.arange(len(kept)),
            self.zero, self.zero, self.zero + full.begin, columns,
            span.last, 1, len(kept), 0, own.image, 0, COLUMNS, int(not fresh), STORE, full.slope,
        )  # fmt: skip

        def task(first: int, last: int) -> None:
            for row in range(first, last, _ROWS):  # their part of the increment stays in the cache
                product.run_block(0, 1, row, min(row + _ROWS, last), 0, columns)

        span.workers.run_each(task, len(kept))

    def feedback(self, own: Activity, down: Downward, span: Span) -> None:
        """x_below <- R delta in the kept units (eq. 2 with R), scattered to their places."""
        full, kept, below, R, workers = self.full, self.kept, down.activity, self.full.R.reshape(-1), span.workers
        count, number = len(kept), -(-len(kept) // COLUMNS)
        panel = full.n_out * COLUMNS

        def task(first: int, last: int) -> None:
            panels = empty((last - first) * panel)
            transpose_rows(panels, R, kept, full.n_out, first, last)
            products(
                self.compact, EMPTY, own.values, panels, self.series, own.series,
                self.zero, self.zero, self.zero - first * panel,
                0, 1, 0, span.last, first * COLUMNS, min(last * COLUMNS, count),
                full.n_out, 1, 1, 0, COLUMNS, 0, full.n_out * COLUMNS, 0, STORE, full.slope,
            )  # fmt: skip

        workers.run_each(task, number)
        workers.run_each(
            lambda a, b: scatter_units(below.values, below.image, below.origin, self.compact, kept, a, b),
            span.last, self.compact.size,
        )  # fmt: skip
