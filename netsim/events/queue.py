"""The event queue of one stream: every event of every unit in time order.

The events of one presentation, population and kind form a list in time order; the lists form a heap by their next
time. A run, the events of one list before any other list has one, is worked through together: nobody else reads or
changes anything in between. Events of several lists at one instant all read before any of them writes.
"""

from __future__ import annotations

import numpy as np

from netsim.events.arrivals import carry, look, read_above, read_below
from netsim.events.order import in_time_order
from netsim.events.plasticity import add_up, add_up_all, add_up_readers, note
from netsim.events.state import CODES, LOGGED, NEXT, ONLINE, SIGNAL, SOFTMAX, STALE, TAGGED, X
from netsim.events.wiring import IMAGE, OUTPUT
from netsim.kernels.jit import borrowing, compiled, pasted

_A, _B, _C = 0, 1, 2


@pasted
def _sink(lists, place):
    """Restore the heap below ``place``."""
    size, time, which = lists.size[0], lists.heap_time[place], lists.heap_list[place]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and lists.heap_time[child + 1] < lists.heap_time[child]:
            child += 1
        if lists.heap_time[child] >= time:
            break
        lists.heap_time[place], lists.heap_list[place] = lists.heap_time[child], lists.heap_list[child]
        place = child
    lists.heap_time[place], lists.heap_list[place] = time, which


@borrowing
def push(lists, which, time):
    """Put a list into the heap."""
    place = lists.size[0]
    lists.size[0] += 1
    while place > 0 and lists.heap_time[(place - 1) // 2] > time:
        above = (place - 1) // 2
        lists.heap_time[place], lists.heap_list[place] = lists.heap_time[above], lists.heap_list[above]
        place = above
    lists.heap_time[place], lists.heap_list[place] = time, which


@pasted
def _pop(lists):
    lists.size[0] -= 1
    last = lists.size[0]
    if last > 0:
        lists.heap_time[0], lists.heap_list[0] = lists.heap_time[last], lists.heap_list[last]
        _sink(lists, 0)


@compiled
def fill_list(lists, slot, p, kind, raw, populations, counts):
    """Take over the event times ``raw`` (float64, a time a unit) of one list, and put it into the heap."""
    which = (slot * populations + p) * 3 + kind
    at = lists.at[p, kind]
    times, units = lists.times[slot, at : at + raw.size], lists.units[slot, at : at + raw.size]
    number = in_time_order(raw, times, units, counts)
    lists.head[which], lists.end[which] = at, at + number
    if number > 0:
        lists.left[slot] += 1
        push(lists, which, times[0])


@borrowing
def fill_together(lists, slot, p, kind, time, number, populations):
    """As `fill_list`, for events that all happen at one time."""
    which = (slot * populations + p) * 3 + kind
    at = lists.at[p, kind]
    for unit in range(number):
        lists.times[slot, at + unit], lists.units[slot, at + unit] = time, unit
    lists.head[which], lists.end[which] = at, at + number
    lists.left[slot] += 1
    push(lists, which, time)


@borrowing
def show(w, weights, s, image, label, presentation, slot):
    """Start a presentation (all events up to its start are behind)."""
    add_up_all(w, weights, s)
    look(w, s, image, label, presentation, slot)


@borrowing
def finish(w, weights, s):
    """Add up all plasticity so far."""
    add_up_all(w, weights, s)


@borrowing
def discard(lists, populations, until):
    """Drop all events with time <= until: they have happened already."""
    while lists.size[0] > 0 and lists.heap_time[0] <= until:
        which = lists.heap_list[0]
        slot, head = which // (3 * populations), lists.head[which]
        while head < lists.end[which] and lists.times[slot, head] <= until:
            head += 1
        lists.head[which] = head
        if head < lists.end[which]:
            lists.heap_time[0] = lists.times[slot, head]
            _sink(lists, 0)
        else:
            lists.left[slot] -= 1
            _pop(lists)


@borrowing
def advance(w, weights, s, lists, until):
    """Work through all events with time <= until."""
    populations = w.kind.size
    while lists.size[0] > 0 and lists.heap_time[0] <= until:
        time, which = lists.heap_time[0], lists.heap_list[0]
        following = np.inf
        for child in range(1, min(3, lists.size[0])):
            following = min(following, lists.heap_time[child])
        if following == time:
            _instant(w, weights, s, lists, time)
            continue
        slot, first = which // (3 * populations), lists.head[which]
        times, last = lists.times[slot], first + 1
        while last < lists.end[which] and times[last] < following and times[last] <= until:
            last += 1
        _run(w, weights, s, lists, which, first, last)
        lists.head[which] = last
        if last < lists.end[which]:
            lists.heap_time[0] = times[last]
            _sink(lists, 0)
        else:
            lists.left[slot] -= 1
            _pop(lists)


@pasted
def _run(w, weights, s, lists, which, first, last):
    populations = w.kind.size
    slot, p, kind = which // (3 * populations), which // 3 % populations, which % 3
    units, times, presentation = lists.units[slot], lists.times[slot], lists.presentation[slot]
    if kind == _C:
        _count(w, s, lists, slot, p, kind, first, last)
        note(w, weights, s, p, slot, units, times, first, last)
        return
    # the softmax circuits of the output units read each other: there each instant is worked through by itself
    alone = kind == _B and w.kind[p] == OUTPUT and s.flags[SOFTMAX]
    begin = first
    while begin < last:
        end = begin + 1 if alone else last
        while end < last and times[end] == times[begin]:
            end += 1
        _compute(w, weights, s, lists, slot, p, kind, begin, end, 0)
        carry(w, s, p, kind, slot, presentation, units, begin, end, 0)
        begin = end


@pasted
def _compute(w, weights, s, lists, slot, p, kind, first, last, out):
    """The events read; nothing changes but what has been noted of plasticity, which is added up first."""
    add_up_readers(w, weights, s, p)
    if s.flags[ONLINE] and s.pending_number[p] > 0:
        add_up(w, weights, s, p)
    _count(w, s, lists, slot, p, kind, first, last)
    for n in range(first, last):
        s.time[out + n - first] = lists.times[slot, n]
    if kind == _A:
        read_below(w, weights, s, p, lists.units[slot], first, last, out)
    else:
        read_above(w, weights, s, p, lists.units[slot], first, last, out)


@borrowing
def _instant(w, weights, s, lists, time):
    """Events of several lists at one time: all read, then all write, those of the later presentation last."""
    populations = w.kind.size
    together, ends, number = lists.together, lists.together_end, 0
    while lists.size[0] > 0 and lists.heap_time[0] == time:
        which = lists.heap_list[0]
        slot, last = which // (3 * populations), lists.head[which]
        while last < lists.end[which] and lists.times[slot, last] == time:
            last += 1
        together[number], ends[number] = which, last
        number += 1
        if last < lists.end[which]:
            lists.heap_time[0] = lists.times[slot, last]
            _sink(lists, 0)
        else:
            lists.left[slot] -= 1
            _pop(lists)
    _by_rank(lists, together, ends, number, populations)
    out = 0
    for n in range(number):
        which, first, last = together[n], lists.head[together[n]], ends[n]
        if which % 3 != _C:
            slot, p = which // (3 * populations), which // 3 % populations
            _compute(w, weights, s, lists, slot, p, which % 3, first, last, out)
            out += last - first
    for n in range(number):
        which, first, last = together[n], lists.head[together[n]], ends[n]
        if which % 3 == _C:
            slot, p = which // (3 * populations), which // 3 % populations
            _count(w, s, lists, slot, p, _C, first, last)
            note(w, weights, s, p, slot, lists.units[slot], lists.times[slot], first, last)
    out = 0
    for n in range(number):
        which, first, last = together[n], lists.head[together[n]], ends[n]
        lists.head[which] = last
        if which % 3 != _C:
            slot, p = which // (3 * populations), which // 3 % populations
            add_up_readers(w, weights, s, p)
            carry(w, s, p, which % 3, slot, lists.presentation[slot], lists.units[slot], first, last, out)
            out += last - first


@pasted
def _by_rank(lists, together, ends, number, populations):
    """Sort lists by presentation, then a before b."""
    for n in range(1, number):
        which, end, place = together[n], ends[n], n
        rank = 3 * lists.presentation[which // (3 * populations)] + which % 3
        while place > 0:
            other = together[place - 1]
            if 3 * lists.presentation[other // (3 * populations)] + other % 3 <= rank:
                break
            together[place], ends[place] = other, ends[place - 1]
            place -= 1
        together[place], ends[place] = which, end


@pasted
def _count(w, s, lists, slot, p, kind, first, last):
    """Note which share of what the events read is in the phase that the algorithm means."""
    meant = lists.presentation[slot]
    if kind == _C:
        meant += s.lag[0]
    below = kind == _A or (kind == _C and not s.flags[TAGGED])
    number, total = 0, 0.0
    if below:
        for side in range(2):
            if w.parent[p, side] >= 0:
                number += 1
                total += _share(w, s, w.edge_source[w.parent[p, side]], meant, 0)
    elif kind == _B:
        for k in range(w.out_at[p], w.out_at[p + 1]):
            number += 1
            total += _share(w, s, w.edge_reader[w.out_edge[k]], meant, 1)
    share = total / number if number > 0 else 1.0
    own = 2 * meant + (1 if kind == _C else 0)
    by_unit = kind == _C or (kind == _B and w.kind[p] == OUTPUT)
    s.reads[p, kind] += last - first
    for n in range(first, last):
        mine = share
        if by_unit and s.code[w.first[p] + lists.units[slot, n]] != own:
            mine = 0.0
        s.in_phase[p, kind] += mine
    if s.flags[LOGGED]:
        _log(w, s, lists, slot, p, kind, first, last, meant, below, by_unit)


@pasted
def _share(w, s, p, presentation, arrival):
    """Share of the units of population p that carry x (arrival 0) or the signal (1) of this presentation."""
    if p == IMAGE:
        return 1.0 if s.shown[0] == presentation else 0.0
    return s.counts[p, (2 * presentation + arrival) & (CODES - 1)] / w.units[p]


@borrowing
def _log(w, s, lists, slot, p, kind, first, last, meant, below, by_unit):
    """Keep what the events find, in others and in their own unit."""
    for phase in range(4):
        lists.seen[slot, first, phase] = 0.0
    if below:
        sides = 2 if w.parent[p, 1] >= 0 else 1
        for side in range(sides):
            _find(w, s, lists, slot, first, w.edge_source[w.parent[p, side]], meant, sides)
    elif kind == _B:
        readers = w.out_at[p + 1] - w.out_at[p]
        for k in range(w.out_at[p], w.out_at[p + 1]):
            _find(w, s, lists, slot, first, w.edge_reader[w.out_edge[k]], meant, readers)
    else:
        lists.seen[slot, first, X] = 1.0  # the tag
    for n in range(first, last):
        for phase in range(4):
            lists.seen[slot, n, phase] = lists.seen[slot, first, phase]
        lists.own[slot, n] = _phase(s.code[w.first[p] + lists.units[slot, n]], meant) if by_unit else -1


@pasted
def _find(w, s, lists, slot, n, p, meant, populations):
    """Add the shares of what the units of population p carry, one of several populations that event n reads."""
    if p == IMAGE:
        lists.seen[slot, n, _phase(2 * s.shown[0], meant)] += 1.0 / populations
        return
    last = meant
    for presentation in lists.presentation:
        last = max(last, presentation)
    later, end = 0, min(2 * last + 2, 2 * meant + CODES)
    for code in range(2 * meant + 2, end):
        later += s.counts[p, code & (CODES - 1)]
    x, signal = s.counts[p, (2 * meant) & (CODES - 1)], s.counts[p, (2 * meant + 1) & (CODES - 1)]
    units = w.units[p] * populations
    lists.seen[slot, n, STALE] += (w.units[p] - x - signal - later) / units
    lists.seen[slot, n, X] += x / units
    lists.seen[slot, n, SIGNAL] += signal / units
    lists.seen[slot, n, NEXT] += later / units


@pasted
def _phase(code, meant):
    """What a unit carries, seen from a presentation."""
    if code < 2 * meant:
        return STALE
    if code > 2 * meant + 1:
        return NEXT
    return X if code == 2 * meant else SIGNAL
