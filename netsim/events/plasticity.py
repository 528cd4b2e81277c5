"""Plasticity events: the product of what a unit and its inputs carry at that instant (section 3.1).

An event only notes what its unit carries; the products are added up when an input is about to change, unit by unit
in their order. Until then nothing that they read has changed, so this is exact; and events that see one and the
same phase give one and the same sum, to the bit, in whatever order they come.
"""

from __future__ import annotations

import numpy as np

from netsim.events.runs import add_runs
from netsim.events.state import FEEDBACK_RATE, ONLINE, RATE, REACH, SIGN, SYMMETRIC, TAGGED, ZERO
from netsim.events.wiring import CONV, FULL, OUTPUT, UNTIED
from netsim.kernels.jit import pasted


@pasted
def note(w, weights, s, q, slot, units, times, first, last):
    """Events c of population q for units[first:last] at times[first:last]."""
    if s.pending_number[q] > 0 and s.pending_slot[q] != slot:
        add_up(w, weights, s, q)
    s.pending_slot[q] = slot
    begin, number = w.first[q], s.pending_number[q]
    start = s.tag_start[slot, w.edge_source[w.parent[q, 0]]]
    for n in range(first, last):
        unit = units[n]
        value = s.constants[SIGN] * s.r[begin + unit]
        if s.flags[TAGGED]:
            fading = np.exp(min(max((start - times[n]) / s.tag_decay[0], -REACH), REACH))
            value = s.constants[ZERO] + value * fading
        s.post[begin + unit] = value
        s.pending[begin + number] = unit
        number += 1
    s.pending_number[q] = number


@pasted
def add_up(w, weights, s, q):
    """Add the products of the noted events of population q to the increments, or to the weights (online)."""
    begin, number = w.first[q], s.pending_number[q]
    s.pending_number[q] = 0
    if not weights.learns[q]:
        return
    noted = s.pending[begin : begin + number]
    if number < w.units[q]:
        _sort(noted)
    inputs = s.tags[s.pending_slot[q]] if s.flags[TAGGED] else s.views
    zero, everyone = s.constants[ZERO], number == w.units[q]
    for n in range(number):
        unit = n if everyone else np.int64(noted[n])
        value = s.post[begin + unit]
        if value != zero:
            if s.flags[ONLINE]:
                _change(w, weights, s, q, unit, value, inputs)
            else:
                _accumulate(w, s, q, unit, value, inputs)


@pasted
def _sort(numbers):
    """Sort whole numbers in place: Shell's sort, each gap 4/9 of the one before."""
    gap = max(1, numbers.size * 4 // 9)
    while gap > 0:
        for here in range(gap, numbers.size):
            number, place = numbers[here], here
            while place >= gap and numbers[place - gap] > number:
                numbers[place] = numbers[place - gap]
                place -= gap
            numbers[place] = number
        gap = 0 if gap == 1 else max(1, gap * 4 // 9)


@pasted
def _accumulate(w, s, q, unit, value, inputs):
    edge, kind = w.parent[q, 0], w.kind[q]
    view = w.edge_view[edge]
    if kind in (FULL, OUTPUT):
        number = w.inputs[q]
        add_runs(s.delta, w.weights_at[q] + unit * number, 0, value, inputs, view, 0, 1, number)
        return
    rows, run = w.rows[q], w.columns[q] * w.channels[w.edge_source[edge]]
    own = unit % w.channels[q] if kind == CONV else unit
    here = view + w.base[w.base_at[q] + unit]
    add_runs(s.delta, w.weights_at[q] + own * rows * run, run, value, inputs, here, w.edge_row[edge], rows, run)


@pasted
def _change(w, weights, s, q, unit, value, inputs):
    """W and R change at once: W += rate times the product, R epsilon times that. Where no connection is, nothing."""
    edge, kind = w.parent[q, 0], w.kind[q]
    view, at, channels = w.edge_view[edge], w.weights_at[q], w.channels[w.edge_source[edge]]
    rate = s.constants[RATE] * value
    back = rate if s.flags[SYMMETRIC] else s.constants[FEEDBACK_RATE] * value
    if kind in (FULL, OUTPUT):
        number, units = w.inputs[q], w.units[q]
        for j in range(number):
            _add(weights.forward, weights.forward_mask, at + unit * number + j, rate * inputs[view + j])
            _add(weights.backward, weights.backward_mask, at + j * units + unit, back * inputs[view + j])
        return
    rows, columns, filters = w.rows[q], w.columns[q], w.channels[q]
    own, pixel = unit % filters, unit // filters
    here = view + w.base[w.base_at[q] + unit]
    for kh in range(rows):
        for kw in range(columns):
            for c in range(channels):
                x = inputs[here + kh * w.edge_row[edge] + kw * channels + c]
                if kind == UNTIED:
                    i = ((unit * rows + kh) * columns + kw) * channels + c
                    j = (((pixel * rows + kh) * columns + kw) * channels + c) * filters + own
                else:
                    i = ((own * rows + kh) * columns + kw) * channels + c
                    j = ((c * rows + rows - 1 - kh) * columns + columns - 1 - kw) * filters + own
                _add(weights.forward, weights.forward_mask, at + i, rate * x)
                _add(weights.backward, weights.backward_mask, at + j, back * x)


@pasted
def _add(weights, mask, place, change):
    if mask.size == 0 or mask[place] == 1:
        weights[place] += change


@pasted
def add_up_readers(w, weights, s, p):
    """Add up what the readers of population p have noted: p is about to change."""
    for k in range(w.out_at[p], w.out_at[p + 1]):
        q = w.edge_reader[w.out_edge[k]]
        if s.pending_number[q] > 0:
            add_up(w, weights, s, q)


@pasted
def add_up_all(w, weights, s):
    """Add up everything noted."""
    for q in range(w.kind.size):
        if s.pending_number[q] > 0:
            add_up(w, weights, s, q)
