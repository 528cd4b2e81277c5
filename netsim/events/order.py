"""Put the events of one layer in time order: linear in their number, ties in the order of units."""

from __future__ import annotations

import numpy as np

from netsim.kernels.jit import compiled

#: A bucket with more events than this is sorted by merging, not by insertion.
_SMALL = 48


@compiled
def _insert(times, units, first, last):
    for here in range(first + 1, last):
        time, unit = times[here], units[here]
        place = here
        while place > first and times[place - 1] > time:
            times[place], units[place] = times[place - 1], units[place - 1]
            place -= 1
        times[place], units[place] = time, unit


@compiled
def in_time_order(raw, times, units, counts):
    """Sort finite times; return how many there are.

    raw : float64 (n,), infinite where an event never happens. times : float64 (n,), set to the sorted times.
    units : int32 (n,), set to their indices in ``raw``; equal times keep their order. counts : int64 (n + 1,),
    scratch. Buckets of equal width over the range of the times, then a short sort in each bucket.
    """
    n = raw.size
    low, high, number = np.inf, -np.inf, 0
    for unit in range(n):
        if raw[unit] < np.inf:
            low, high, number = min(low, raw[unit]), max(high, raw[unit]), number + 1
    scale = (number - 1) / (high - low) if high > low else 0.0
    if scale == 0.0 or scale == np.inf:
        place = 0
        for unit in range(n):
            if raw[unit] < np.inf:
                times[place], units[place] = raw[unit], unit
                place += 1
        if high > low:
            _merge_sort(times, units, 0, number)
        return number
    counts[: number + 1] = 0
    for unit in range(n):
        if raw[unit] < np.inf:
            counts[int((raw[unit] - low) * scale) + 1] += 1
    for bucket in range(1, number + 1):
        counts[bucket] += counts[bucket - 1]
    for unit in range(n):
        if raw[unit] < np.inf:
            bucket = int((raw[unit] - low) * scale)
            place = counts[bucket]
            counts[bucket] += 1
            times[place], units[place] = raw[unit], unit
    first = 0
    for bucket in range(number):
        last = counts[bucket]
        if last - first > _SMALL:
            _merge_sort(times, units, first, last)
        elif last - first > 1:
            _insert(times, units, first, last)
        first = last
    return number


@compiled
def _merge_sort(times, units, first, last):
    """A stable sort of a stretch; already sorted stretches (ties) cost one pass."""
    ordered = True
    for place in range(first + 1, last):
        if times[place - 1] > times[place]:
            ordered = False
            break
    if ordered:
        return
    order = np.argsort(times[first:last], kind="mergesort")
    sorted_times, sorted_units = times[first:last][order], units[first:last][order]
    times[first:last], units[first:last] = sorted_times, sorted_units
