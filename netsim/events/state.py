"""What the event kernels work on: the state of one stream, its weights, its lists of events still to come."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from netsim.events.wiring import Plan

#: Places in `State.constants`.
ZERO, ONE, SLOPE, MU, RATE, FEEDBACK_RATE, SIGN = range(7)
#: Places in `State.flags`.
SOFTMAX, ONLINE, SYMMETRIC, TAGGED, LOGGED = range(5)
#: Codes of what a unit carries are counted modulo this.
CODES = 256
#: Exponents of the factors of tags stay within this, so that float32 holds them.
REACH = 60.0
#: What a read can find, seen from the presentation that is meant: something of an earlier one (or rest), x or the
#: signal of this one, something of a later one.
STALE, X, SIGNAL, NEXT = range(4)


class State(NamedTuple):
    """One stream. N units of all populations, V numbers in the views, S slots of presentations under way.

    r : (N,) what each unit carries; gate : uint8 (N,), 1 open; winner : int32 (N,), unit of the source or -1
    code : int32 (N,), 2 presentation + (0 for x, 1 for the signal), -1 at rest; counts : (P, CODES) units by code
    views : (V,); mask, next_mask : drop masks of the edges; scores : (C,), what each output unit carried at b
    shown : int64 (2,), presentation and label shown, or -1
    post : (N,), pending : int32 (N,), pending_number, pending_slot : int64 (P,), of plasticity events not yet
        added up: their times lie behind, but what they read has not changed since
    delta : the increments, in the order of `weights.by_unit`
    tags : (S, V) presynaptic tags, or (1, 1); tag_start : (S, P) time from which a tag's fading is reckoned
    tag_decay : (1,)
    value, time, aux : room for what events computed before it is carried
    in_phase, reads : (P, 3) sum of the shares of in-phase reads, and number of events, by kind of event
    lag : int64 (1,), presentations after its own in which a plasticity event reads (0 with tags: these are its own)
    """

    r: np.ndarray
    gate: np.ndarray
    winner: np.ndarray
    code: np.ndarray
    counts: np.ndarray
    views: np.ndarray
    mask: np.ndarray
    next_mask: np.ndarray
    scores: np.ndarray
    shown: np.ndarray
    post: np.ndarray
    pending: np.ndarray
    pending_number: np.ndarray
    pending_slot: np.ndarray
    delta: np.ndarray
    tags: np.ndarray
    tag_start: np.ndarray
    tag_decay: np.ndarray
    value: np.ndarray
    time: np.ndarray
    aux: np.ndarray
    in_phase: np.ndarray
    reads: np.ndarray
    lag: np.ndarray
    constants: np.ndarray
    flags: np.ndarray


class Weights(NamedTuple):
    """Weights for the kernels, flat: see `netsim.events.weights`.

    forward, backward : floats; forward_mask, backward_mask : uint8, empty where every connection exists
    learns : uint8 (P,)
    """

    forward: np.ndarray
    backward: np.ndarray
    forward_mask: np.ndarray
    backward_mask: np.ndarray
    learns: np.ndarray


class Lists(NamedTuple):
    """Events still to come, by presentation (slot), population and kind, each list in time order.

    times, units : (S, M) float64, int32; a list (p, kind) of slot s lies at times[s, at[p, kind] : ...]
    seen : float32 (S, M, 4), shares of what each event finds in other units, by `STALE` .. `NEXT`, or (1, 1, 1)
    own : int8 (S, M), what an event finds in its own unit, -1 where it does not read that, or (1, 1)
    head, end : int64 (S * P * 3,), by list number (s * P + p) * 3 + kind
    presentation, left : int64 (S,), -1 for a free slot; lists not yet used up
    heap_time, heap_list : the lists by the time of their first event, a binary heap; size : (1,)
    together, together_end : room for the lists that have events at one instant
    """

    times: np.ndarray
    units: np.ndarray
    seen: np.ndarray
    own: np.ndarray
    at: np.ndarray
    head: np.ndarray
    end: np.ndarray
    presentation: np.ndarray
    left: np.ndarray
    heap_time: np.ndarray
    heap_list: np.ndarray
    size: np.ndarray
    together: np.ndarray
    together_end: np.ndarray


def new_state(
    plan: Plan, dtype, slots: int, constants: dict[int, float], flags: dict[int, bool], tag_decay, lag: int
) -> State:
    """A stream at rest."""
    wiring = plan.wiring
    number, populations = int(wiring.units.sum()), wiring.units.size
    masks = sum(mask.units for mask in plan.masks)
    values = np.zeros(7, dtype)
    values[ONE] = values[SIGN] = 1
    for place, value in constants.items():
        values[place] = value
    switches = np.zeros(5, np.int64)
    for place, on in flags.items():
        switches[place] = on
    counts = np.zeros((populations, CODES), np.int64)
    counts[:, -1 & (CODES - 1)] = wiring.units
    tag_shape = (slots, plan.view_size) if tag_decay is not None else (1, 1)
    room = 2 * number * slots
    return State(
        r=np.zeros(number, dtype),
        gate=np.ones(number, np.uint8),
        winner=np.full(number, -1, np.int32),
        code=np.full(number, -1, np.int32),
        counts=counts,
        views=np.zeros(plan.view_size, dtype),
        mask=np.ones(masks, dtype),
        next_mask=np.ones(masks, dtype),
        scores=np.zeros(int(wiring.units[-1]), dtype),
        shown=np.full(2, -1, np.int64),
        post=np.zeros(number, dtype),
        pending=np.zeros(number, np.int32),
        pending_number=np.zeros(populations, np.int64),
        pending_slot=np.full(populations, -1, np.int64),
        delta=np.zeros(plan.weights_size, dtype),
        tags=np.zeros(tag_shape, dtype),
        tag_start=np.zeros((slots, populations)),
        tag_decay=np.full(1, np.inf if tag_decay is None else tag_decay),
        value=np.zeros(room, dtype),
        time=np.zeros(room),
        aux=np.zeros(room, np.int32),
        in_phase=np.zeros((populations, 3)),
        reads=np.zeros((populations, 3), np.int64),
        lag=np.full(1, lag, np.int64),
        constants=values,
        flags=switches,
    )


def new_lists(plan: Plan, slots: int, logged: bool) -> Lists:
    """No events."""
    units = plan.wiring.units
    plastic = plan.wiring.weights_at >= 0
    sizes = np.stack([units, units, np.where(plastic, units, 0)], axis=1)
    sizes[0] = 0
    at = np.concatenate([[0], np.cumsum(sizes.reshape(-1))[:-1]]).reshape(sizes.shape).astype(np.int64)
    length, number = int(sizes.sum()), slots * units.size * 3
    return Lists(
        times=np.zeros((slots, length)),
        units=np.zeros((slots, length), np.int32),
        seen=np.zeros((slots, length, 4) if logged else (1, 1, 1), np.float32),
        own=np.zeros((slots, length) if logged else (1, 1), np.int8),
        at=at,
        head=np.zeros(number, np.int64),
        end=np.zeros(number, np.int64),
        presentation=np.full(slots, -1, np.int64),
        left=np.zeros(slots, np.int64),
        heap_time=np.zeros(number),
        heap_list=np.zeros(number, np.int64),
        size=np.zeros(1, np.int64),
        together=np.zeros(number, np.int64),
        together_end=np.zeros(number, np.int64),
    )
