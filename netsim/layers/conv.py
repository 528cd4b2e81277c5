"""Convolution: one filter for all locations. W, R : (Kh, Kw, C_in, C_out)."""

from __future__ import annotations

import numpy as np

from netsim.activity import Activity, Span
from netsim.geometry import Place
from netsim.kernels.memory import empty
from netsim.kernels.products import COLUMNS, STORE, Product
from netsim.kernels.weights import turn_filters
from netsim.kernels.workers import Workers
from netsim.layers.layer import EMPTY, Downward
from netsim.layers.maps import FilterLayer


class Conv(FilterLayer):
    """Tied filters over a map."""

    def __init__(self, place: Place, slope: float = 1.0):
        rows, columns, filters = place.spec.rows, place.spec.columns, place.spec.filters
        self.c_in, self.c_out = place.below[2], filters
        area = rows * columns
        super().__init__(place, slope, (rows, columns, self.c_in, filters), (area * self.c_in, area * filters))
        self._turned = EMPTY

    def prepare(self, workers: Workers, feedback: bool) -> None:
        """Turn R for the feedback: float32 (Kh, Kw, C_out, C_in), upside down and left to right; so it is a filter over
        the signals.
        """
        if feedback:
            if self._turned is EMPTY:
                self._turned = empty(self.W.size)
            turn_filters(self._turned, self.R.reshape(-1), self.spec.rows, self.spec.columns, self.c_in, self.c_out)

    def feedforward(self, parents: tuple[Activity, ...], own: Activity, span: Span) -> None:
        """x = sigma(sum over the filter of W x_below) (eq. 1)."""
        product = own.products.get("feedforward")
        if product is None:
            (below,), run = parents, self.spec.columns * self.c_in
            product = own.products["feedforward"] = Product(
                own.values, EMPTY, below.values, self.W.reshape(-1), own.units, own.inputs,
                own.series, below.series, own.zeros, self.c_out,
                run, self.spec.rows, 1, below.row, self.c_out, run * self.c_out, COLUMNS,
                0, self.finish, self.slope,
            )  # fmt: skip
        product.run(span.first, span.last)

    def hebbian(self, below: Activity, own: Activity, increment: np.ndarray, fresh: bool, span: Span) -> None:
        """increment += sum over images and locations of delta x_below (section 3.1), image after image."""
        product = own.products.get("hebbian")
        if product is None:
            height, width, _ = self.shape
            product = own.products["hebbian"] = Product(
                EMPTY, EMPTY, below.values, own.values, own.filters, own.entries + own.inputs[0],
                own.zeros, below.series, own.series + own.units[0], self.c_out,
                width, height, self.c_in, below.row, self.c_out, own.row, COLUMNS,
                1, STORE, self.slope,
            )  # fmt: skip
        product.add_to(increment, fresh, span.first, span.last)

    def feedback(self, own: Activity, down: Downward, span: Span) -> None:
        """x_below <- gate * (sum over the filters of R delta [+ also]) (eq. 2 with R for the transposed W)."""
        product = down.product
        if product is None:
            below, run = down.activity, self.spec.columns * self.c_out
            product = down.product = Product(
                below.values, down.also, own.values, self._turned, below.units, own.signals,
                below.series, own.series, own.zeros, self.c_in,
                run, self.spec.rows, 1, own.row, self.c_in, run * self.c_in, COLUMNS,
                down.use_also, down.finish, down.slope,
            )  # fmt: skip
        product.run(span.first, span.last)
