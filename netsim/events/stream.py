"""One stream of presentations under way: its state, the lists of events to come, the step to the next presentation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netsim.events import queue
from netsim.events.state import SIGNAL, TAGGED, Lists, State, Weights, X, new_lists, new_state
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY, EventTimes
from netsim.events.wiring import Plan

#: What of a stream's state the next presentation depends on (the rest is scratch, or drawn again).
_KEPT = ("r", "gate", "winner", "code", "counts", "views", "mask", "scores", "shown", "in_phase", "reads")


class EventStream:
    """A stream of presentations, worked through event by event.

    Parameters
    ----------
    plan : the net; times : the stream's event times; dtype : float32 or float64
    constants, flags : see `netsim.events.state`
    first : number of the first presentation; nothing is before it
    logged : number of the presentation of which `log` keeps every event, or None

    Attributes
    ----------
    presentation : number of the next presentation
    state : `State`; what the units carry, the increments, counts of reads
    log : once all events of the logged presentation are over, a dict for each layer and kind of event, bottom up:
        layer, kind; times, float64 (n,), ascending; units, int32 (n,);
        seen, float32 (n, 4): shares of what the event found in the units that it reads, by `state.STALE` .. `NEXT`;
        own, int8 (n,): what it found in its own unit, -1 where it does not read that;
        in_phase, float32 (n,): share of its reads that found what the algorithm means
    """

    def __init__(
        self, plan: Plan, times: EventTimes, dtype, constants, flags, first: int = 0, logged: int | None = None
    ):
        self.plan, self.times = plan, times
        self.presentation = self._first = self._scheduled = first
        self._slots = times.ahead + 3 + times.whole_lag
        self._logged = logged
        self.state: State = self._new_state(dtype, constants, flags)
        self._lists: Lists = new_lists(plan, self._slots, logged is not None)
        self._slot_of: dict[int, int] = {}
        self._raw = np.empty(int(plan.wiring.units.max()))
        self._counts = np.empty(self._raw.size + 1, np.int64)
        self.log: list[dict] = []

    def _new_state(self, dtype, constants, flags) -> State:
        decay = self.times.schedule.tag_decay
        lag = self.times.whole_lag if decay is None else 0
        return new_state(self.plan, dtype, self._slots, constants, flags, decay, lag)

    def show(self, image: np.ndarray, label: int, masks: np.ndarray, weights: Weights) -> np.ndarray:
        """One presentation, from its start to the start of the next one.

        image : flat, of the stream's dtype; masks : (all masks,) of the edges, see `Plan.masks`.
        Returns what the error circuits of the output units read, float (C,), a view.
        """
        n, wiring = self.presentation, self.plan.wiring
        if n == self._first:
            self._schedule(n + self.times.ahead)
            queue.advance(wiring, weights, self.state, self._lists, self.times.start(n))
        self.state.next_mask[:] = masks
        queue.show(wiring, weights, self.state, image, label, n, self._slot_of.get(n, -1))
        # nothing noted is waiting now, so the slots of finished presentations may be used again
        self._schedule(n + 1 + self.times.ahead)
        queue.advance(wiring, weights, self.state, self._lists, self.times.start(n + 1))
        self.presentation += 1
        logged = self._slot_of.get(self._logged)
        if logged is not None and self._lists.left[logged] == 0 and not self.log:
            self._keep_log(logged)
        return self.state.scores

    def finish(self, weights: Weights) -> None:
        """Add up all plasticity so far: a batch ends."""
        queue.finish(self.plan.wiring, weights, self.state)

    # ---------------------------------------------------------------------------------- between two batches
    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that the next presentation depends on, by name. To be taken after `finish`."""
        state = {name: getattr(self.state, name).copy() for name in _KEPT}
        under_way = [n for n, slot in self._slot_of.items() if self._lists.left[slot] > 0]
        state["presentation"] = np.array([self.presentation, self._scheduled], np.int64)
        state["under_way"] = np.array(sorted(under_way), np.int64)
        if self.state.flags[TAGGED]:
            state["tags"] = self.state.tags[[self._slot_of[n] for n in sorted(under_way)]]
        return state

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on, in a new stream, where `snapshot` was taken."""
        for name in _KEPT:
            getattr(self.state, name)[...] = state[name]
        self.presentation, self._scheduled = (int(n) for n in state["presentation"])
        for place, n in enumerate(state["under_way"]):
            slot = self._free_slot()
            self._list_events(int(n), slot)
            if self.state.flags[TAGGED]:
                self.state.tags[slot] = state["tags"][place]
        if self.presentation > 0:
            queue.discard(self._lists, self.plan.wiring.units.size, self.times.start(self.presentation))

    def _schedule(self, last: int) -> None:
        while self._scheduled <= last:
            self._list_events(self._scheduled, self._free_slot())
            self._scheduled += 1

    def _free_slot(self) -> int:
        lists = self._lists
        for slot in range(self._slots):
            if lists.left[slot] == 0:
                if lists.presentation[slot] >= 0:
                    self._retire(slot)
                return slot
        self._grow()
        return self._free_slot()

    def _retire(self, slot: int) -> None:
        presentation = int(self._lists.presentation[slot])
        self._lists.presentation[slot] = -1
        del self._slot_of[presentation]
        if self.state.tags.size > 1:
            self.state.tags[slot] = 0

    def _grow(self) -> None:
        """Twice the room for presentations under way."""
        self._slots *= 2
        for name in ("state", "_lists"):
            old = getattr(self, name)
            if name == "state":
                flags = {n: bool(on) for n, on in enumerate(old.flags)}
                constants = {n: float(value) for n, value in enumerate(old.constants)}
                new = self._new_state(old.r.dtype, constants, flags)
            else:
                new = new_lists(self.plan, self._slots, self._logged is not None)
            for before, after in zip(old, new, strict=True):
                after[tuple(slice(side) for side in before.shape)] = before
            setattr(self, name, new)

    def _list_events(self, presentation: int, slot: int) -> None:
        lists, times, wiring = self._lists, self.times, self.plan.wiring
        populations = wiring.units.size
        lists.presentation[slot], lists.left[slot] = presentation, 0
        self._slot_of[presentation] = slot
        self.state.tag_start[slot, 0] = times.start(presentation)
        for p in range(1, populations):
            place, units = p - 1, int(wiring.units[p])
            self.state.tag_start[slot, p] = times.unshifted(presentation, FEEDFORWARD, place)
            for kind in (FEEDFORWARD, FEEDBACK, PLASTICITY):
                if kind == PLASTICITY and wiring.weights_at[p] < 0:
                    continue
                if not times.moves(kind, place):
                    time = times.unshifted(presentation, kind, place)
                    queue.fill_together(lists, slot, p, kind, time, units, populations)
                    continue
                raw = self._raw[:units]
                times.fill(presentation, kind, place, raw)
                queue.fill_list(lists, slot, p, kind, raw, populations, self._counts)

    def _keep_log(self, slot: int) -> None:
        """Move the events of the presentation into `log`: one entry a list."""
        lists, populations = self._lists, self.plan.wiring.units.size
        for p in range(1, populations):
            for kind in (FEEDFORWARD, FEEDBACK, PLASTICITY):
                which, at = (slot * populations + p) * 3 + kind, lists.at[p, kind]
                part = slice(at, lists.end[which])
                if kind == PLASTICITY and self.plan.wiring.weights_at[p] < 0:
                    continue
                seen, own = lists.seen[slot, part].copy(), lists.own[slot, part].copy()
                others = seen[:, SIGNAL if kind == FEEDBACK else X] if seen.any() else 1.0
                self.log.append({
                    "layer": self.plan.layers[p - 1].name,
                    "kind": kind,
                    "times": lists.times[slot, part].copy(),
                    "units": lists.units[slot, part].copy(),
                    "seen": seen,
                    "own": own,
                    "in_phase": others * ((own < 0) | (own == (X if kind == FEEDBACK else SIGNAL))),
                })  # fmt: skip
