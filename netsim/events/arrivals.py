"""Feedforward and feedback arrivals: what a unit reads at its event, and what it carries from then on."""

from __future__ import annotations

import numpy as np

from netsim.events.runs import dot_runs
from netsim.events.state import CODES, MU, ONE, REACH, SIGN, SLOPE, SOFTMAX, TAGGED, ZERO
from netsim.events.wiring import CONV, FULL, IMAGE, OUTPUT, POOL, SUM, UNTIED
from netsim.kernels.jit import pasted


@pasted
def read_below(w, weights, s, p, units, first, last, out):
    """Events a of population p for units[first:last]: s.value[out:] and, for pools, the winner in s.aux[out:].

    Reads the views of the edges from below; changes nothing else.
    """
    kind, edge = w.kind[p], w.parent[p, 0]
    view, row = w.edge_view[edge], w.edge_row[edge]
    one, slope = s.constants[ONE], s.constants[SLOPE]
    rows = w.rows[p]
    run = w.columns[p] * w.channels[w.edge_source[edge]]
    base_at, weights_at = w.base_at[p], w.weights_at[p]
    if kind == POOL:
        _largest(w, s, p, units, first, last, out)
    elif kind == SUM:
        other = w.edge_view[w.parent[p, 1]]
        for n in range(first, last):
            s.value[out + n - first] = s.views[view + units[n]] + s.views[other + units[n]]
    else:
        for n in range(first, last):
            unit = np.int64(units[n])
            if kind == CONV:
                filter_at = weights_at + unit % w.channels[p] * (rows * run)
                h = dot_runs(weights.forward, filter_at, run, s.views, view + w.base[base_at + unit], row, rows, run)
            elif kind == UNTIED:
                filter_at = weights_at + unit * (rows * run)
                h = dot_runs(weights.forward, filter_at, run, s.views, view + w.base[base_at + unit], row, rows, run)
            else:
                inputs = w.inputs[p]
                h = dot_runs(weights.forward, weights_at + unit * inputs, 0, s.views, view, 0, 1, inputs)
            if kind != OUTPUT:
                # sigma, by comparisons: a NaN must stay one
                h = slope * h
                if h > one:
                    h = one
                elif h < -one:
                    h = -one
            s.value[out + n - first] = h


@pasted
def _largest(w, s, p, units, first, last, out):
    edge = w.parent[p, 0]
    source = w.edge_source[edge]
    view, row, base_at = w.edge_view[edge], w.edge_row[edge], w.base_at[p]
    window, stride, channels, width = w.rows[p], w.stride[p], w.channels[p], w.width[p]
    high, wide, top = w.height[source], w.width[source], (w.rows[p] - 1) // 2
    for n in range(first, last):
        unit = np.int64(units[n])
        pixel = unit // channels
        y, x = pixel // width * stride - top, pixel % width * stride - top
        here = view + w.base[base_at + unit]
        best, winner = s.views[here], np.int64(0)
        for place in range(1, window * window):
            value = s.views[here + place // window * row + place % window * channels]
            if value > best:
                best, winner = value, place
        y, x = y + winner // window, x + winner % window
        inside = 0 <= y < high and 0 <= x < wide
        s.value[out + n - first] = best
        s.aux[out + n - first] = (y * wide + x) * channels + unit % channels if inside else -1


@pasted
def read_above(w, weights, s, p, units, first, last, out):
    """Events b of population p for units[first:last]: the unit's signal in s.value[out:].

    Reads what the readers of p carry, and the gates and winners latched at a; changes only s.scores (output).
    """
    zero, slope = s.constants[ZERO], s.constants[SLOPE]
    kind = w.kind[p]
    gated = kind in (CONV, UNTIED, FULL)
    for n in range(first, last):
        unit = np.int64(units[n])
        if kind == OUTPUT:
            s.value[out + n - first] = s.constants[SIGN] * _output_error(w, s, p, unit)
            continue
        total = zero
        if not gated or s.gate[w.first[p] + unit] == 1:
            for k in range(w.out_at[p], w.out_at[p + 1]):
                edge = w.out_edge[k]
                if w.edge_mask[edge] < 0:
                    total += _signal(w, weights, s, p, unit, edge)
                else:
                    factor = s.mask[w.edge_mask[edge] + unit]
                    if factor != zero:
                        total += factor * _signal(w, weights, s, p, unit, edge)
        s.value[out + n - first] = slope * total if gated else total


@pasted
def _output_error(w, s, p, unit):
    """The error circuit of an output unit: eq. 6, or y - softmax. Nothing before the first presentation."""
    zero, one = s.constants[ZERO], s.constants[ONE]
    first, label = w.first[p], s.shown[1]
    x = s.r[first + unit]
    s.scores[unit] = x
    if label < 0:
        return zero
    if s.flags[SOFTMAX]:
        top = s.r[first]
        for k in range(1, w.units[p]):
            top = max(top, s.r[first + k])
        total = 0.0
        for k in range(w.units[p]):
            total += np.exp(np.float64(s.r[first + k]) - np.float64(top))
        share = np.exp(np.float64(x) - np.float64(top)) / total
        return zero + ((1.0 if unit == label else 0.0) - share) * one
    if unit == label:
        return one if x <= one else zero
    return -s.constants[MU] if x >= -one else zero


@pasted
def _signal(w, weights, s, p, unit, edge):
    """Sum of R r over the units of one reader that read ``unit``."""
    q = w.edge_reader[edge]
    kind, zero = w.kind[q], s.constants[ZERO]
    weights_at = w.weights_at[q]
    if kind == CONV:
        rows, run = w.rows[q], w.columns[q] * w.channels[q]
        at = weights_at + unit % w.channels[p] * (rows * run)
        here = w.signal_view[q] + w.signal_base[w.signal_base_at[edge] + unit]
        return dot_runs(weights.backward, at, run, s.views, here, w.signal_row[q], rows, run)
    if kind in (FULL, OUTPUT):
        number = w.units[q]
        return dot_runs(weights.backward, weights_at + unit * number, 0, s.r, w.first[q], 0, 1, number)
    if kind == SUM:
        return s.r[w.first[q] + unit]
    channels, width, height = w.channels[p], w.width[p], w.height[p]
    c, pixel = unit % channels, unit // channels
    y, x = pixel // width, pixel % width
    total = zero
    if kind == POOL:
        low, high, stride = (w.rows[q] - 1) // 2, w.rows[q] // 2, w.stride[q]
        for above in range(max(0, -((high - y) // stride)), min(w.height[q] - 1, (y + low) // stride) + 1):
            for beside in range(max(0, -((high - x) // stride)), min(w.width[q] - 1, (x + low) // stride) + 1):
                k = w.first[q] + (above * w.width[q] + beside) * channels + c
                if s.winner[k] == unit:
                    total += s.r[k]
        return total
    rows, columns, filters = w.rows[q], w.columns[q], w.channels[q]
    for kh in range(rows):
        above = y + (rows - 1) // 2 - kh
        if 0 <= above < height:
            for kw in range(columns):
                beside = x + (columns - 1) // 2 - kw
                if 0 <= beside < width:
                    reader = above * width + beside
                    at = weights_at + (((reader * rows + kh) * columns + kw) * channels + c) * filters
                    total += dot_runs(weights.backward, at, 0, s.r, w.first[q] + reader * filters, 0, 1, filters)
    return total


@pasted
def carry(w, s, p, arrival, slot, presentation, units, first, last, out):
    """The units of population p now carry s.value[out:], read at s.time[out:]; arrival : 0 for a, 1 for b.

    At a the gate, the pool's winner and the tags are latched.
    """
    begin, pool, code = w.first[p], w.kind[p] == POOL, np.int32(2 * presentation + arrival)
    one, tagged = s.constants[ONE], s.flags[TAGGED] and arrival == 0
    for n in range(first, last):
        unit = np.int64(units[n])
        value = s.value[out + n - first]
        s.r[begin + unit] = value
        s.counts[p, s.code[begin + unit] & (CODES - 1)] -= 1
        s.counts[p, code & (CODES - 1)] += 1
        s.code[begin + unit] = code
        if arrival == 0:
            s.gate[begin + unit] = abs(value) < one
            if pool:
                s.winner[begin + unit] = s.aux[out + n - first]
        factor = one
        if tagged:
            exponent = (s.time[out + n - first] - s.tag_start[slot, p]) / s.tag_decay[0]
            factor = one * np.exp(min(max(exponent, -REACH), REACH))
        put(w, s, p, unit, value, slot if tagged else -1, factor)


@pasted
def put(w, s, p, unit, value, slot, factor):
    """Write what a unit carries into the views of its readers; with a slot, also into the tags, times ``factor``."""
    for k in range(w.out_at[p], w.out_at[p + 1]):
        edge = w.out_edge[k]
        here = w.edge_view[edge] + w.place[w.edge_place[edge] + unit]
        seen = value
        if w.edge_mask[edge] >= 0:
            seen = value * s.mask[w.edge_mask[edge] + unit]
        s.views[here] = seen
        if slot >= 0:
            s.tags[slot, here] = seen * factor
    if w.signal_view[p] >= 0:
        s.views[w.signal_view[p] + w.place[w.signal_place[p] + unit]] = value


@pasted
def look(w, s, image, label, presentation, slot):
    """A presentation starts: the input takes the pixels of ``image``, the teacher its label, the masks change."""
    s.shown[0], s.shown[1] = presentation, label
    for place in range(s.mask.size):
        s.mask[place] = s.next_mask[place]
    if not s.flags[TAGGED]:
        slot = -1
    for unit in range(w.units[IMAGE]):
        s.r[unit] = image[unit]
        put(w, s, IMAGE, unit, s.r[unit], slot, s.constants[ONE])
    for edge in range(w.edge_source.size):
        p = w.edge_source[edge]
        if w.edge_mask[edge] >= 0 and p != IMAGE:
            for unit in range(w.units[p]):
                here = w.edge_view[edge] + w.place[w.edge_place[edge] + unit]
                s.views[here] = s.r[w.first[p] + unit] * s.mask[w.edge_mask[edge] + unit]
