"""The event model, slow and obvious: one queue of events, float64, one unit after another, nothing of ours imported.

The model is the text of `netsim/events/__init__.py`. A network is a listing as in `naive.py`. Event times are given:
``times[n, layer, event]`` is an array of absolute times, one a unit (infinite: never), for event "a", "b" or "c" of
presentation n; ``starts[n]`` is S_n, with one entry more than there are images: the end.
"""

import heapq
import itertools
import math

import naive
import numpy as np

KINDS = ("a", "b", "c")


class Synapses:
    """Who reads whom: by[layer][i] is a list of (parent side, source unit j, index of the weight or None)."""

    def __init__(self, layers, input_shape, classes):
        self.kind = dict(zip(naive.names_of(layers), (kind for kind, _ in layers), strict=True))
        self.shape = naive.shapes_of(layers, input_shape, classes)
        self.populations = ["input", *(name for name, kind in self.kind.items() if kind != "drop")]
        parents = naive.parents_of(layers)
        self.sources = {}  # layer -> list of (population, drops in between)
        for name in self.populations[1:]:
            self.sources[name] = []
            for parent in parents[name]:
                drops = []
                while self.kind.get(parent) == "drop":
                    drops.append(parent)
                    (parent,) = parents[parent]
                self.sources[name].append((parent, drops))
        parameters = dict(zip(self.kind, (p for _, p in layers), strict=True))
        self.by = {name: self._inputs(name, parameters[name]) for name in self.populations[1:]}

    def _inputs(self, name, p):
        kind, own = self.kind[name], self.shape[name]
        below = self.shape[self.sources[name][0][0]]
        lists = []
        for unit in np.ndindex(*own):
            if kind in ("full", "output"):
                reads = [(0, j, j * own[0] + unit[0]) for j in range(math.prod(below))]
            elif kind == "sum":
                j = int(np.ravel_multi_index(unit, own))
                reads = [(0, j, None), (1, j, None)]
            elif kind == "maxpool":
                low, high = -((p["window"] - 1) // 2), p["window"] // 2
                reads = []
                for dy, dx in itertools.product(range(low, high + 1), repeat=2):
                    y, x = unit[0] * p["stride"] + dy, unit[1] * p["stride"] + dx
                    inside = 0 <= y < below[0] and 0 <= x < below[1]
                    reads.append((0, int(np.ravel_multi_index((y, x, unit[2]), below)) if inside else None, None))
            else:
                reads = []
                place = own[:2] if kind == "untied" else ()
                weights = (*place, p["rows"], p["columns"], below[2], p["filters"])
                for h, w, c in np.ndindex(p["rows"], p["columns"], below[2]):
                    y, x = unit[0] + h - (p["rows"] - 1) // 2, unit[1] + w - (p["columns"] - 1) // 2
                    if 0 <= y < below[0] and 0 <= x < below[1]:
                        at = (*(unit[:2] if kind == "untied" else ()), h, w, c, unit[2])
                        j = int(np.ravel_multi_index((y, x, c), below))
                        reads.append((0, j, int(np.ravel_multi_index(at, weights))))
            lists.append(reads)
        return lists


class Stream:
    """One stream of presentations.

    masks[n][drop layer] : float array of the drop's units (0 or 1/(1-p)); tag_decay : None for no tag;
    rates : None for increments at the end, or (rate of W, rate of R) for weights that change at once.
    lag : whole presentations by which plasticity is late.
    """

    def __init__(self, layers, input_shape, classes, W, R, *, slope=1.0, mu=1.0, loss="hinge", tag_decay=None,
                 rates=None, sign=1, lag=0):  # fmt: skip
        self.net = Synapses(layers, input_shape, classes)
        self.W = {name: np.array(w, float).reshape(-1) for name, w in W.items()}
        self.R = {name: np.array(r, float).reshape(-1) for name, r in R.items()}
        self.shapes = {name: np.shape(w) for name, w in W.items()}
        self.slope, self.mu, self.loss, self.tag_decay, self.rates = slope, mu, loss, tag_decay, rates
        self.sign = sign
        size = {name: math.prod(self.net.shape[name]) for name in self.net.populations}
        self.r = {name: [0.0] * size[name] for name in size}
        self.gate = {name: [True] * size[name] for name in size}
        self.winner = {name: [None] * size[name] for name in size}
        self.tags = {}  # (n, population, j) -> (value, time, presentation shown then)
        self.delta = {name: np.zeros(w.size) for name, w in self.W.items()}
        self.shown, self.label, self.masks = -1, None, {}
        self.reads = {name: [[] for _ in range(size[name])] for name in size}
        for name, lists in self.net.by.items():
            for i, reads in enumerate(lists):
                for side, j, at in reads:
                    if j is not None:
                        self.reads[self.net.sources[name][side][0]][j].append((name, side, i, at))
        self.saw = {}  # (n, unit) -> what the output unit's error circuit read
        self.last = {name: [None] * size[name] for name in size}  # (n, event) that each unit's value is of
        self.lag, self.found = lag, {}  # found[n, name, event][i] : what the event found, see `phases`

    def mask(self, name, side, j, shown):
        factor = 1.0
        for drop in self.net.sources[name][side][1]:
            if shown >= 0:
                factor *= float(np.reshape(self.masks[shown][drop], -1)[j])
        return factor

    def play(self, images, labels, masks, starts, times):
        self.masks = masks
        queue, order = [], itertools.count()
        for n in range(len(images)):
            heapq.heappush(queue, (starts[n], 1, next(order), (n, None, None, None)))
        for (n, name, event), when in times.items():
            for i, t in enumerate(when):
                if t <= starts[-1]:
                    heapq.heappush(queue, (t, 0, next(order), (n, name, event, i)))
        while queue:
            t, starting = queue[0][:2]
            now = []
            while queue and queue[0][:2] == (t, starting):
                now.append(heapq.heappop(queue)[3])
            if starting:
                (n, _, _, _) = now[0]
                self.start(n, t, images[n], labels[n])
            else:
                self.instant(t, now)
        return {name: d.reshape(self.shapes[name]) for name, d in self.delta.items()}

    def start(self, n, t, image, label):
        self.shown, self.label = n, int(label)
        self.r["input"] = [float(v) for v in np.reshape(image, -1)]
        self.last["input"] = [(n, "a")] * len(self.r["input"])
        for j, value in enumerate(self.r["input"]):
            self.tags[n, "input", j] = (value, t, n)

    def instant(self, t, now):
        """All events of one time: every read before every write."""
        writes, changes = [], []
        for n, name, event, i in now:
            self.found.setdefault((n, name, event), {})[i] = self.phases(n, name, event, i)
            if event == "a":
                writes.append((n, 0, name, i, *self.feedforward(name, i)))
            elif event == "b":
                writes.append((n, 1, name, i, self.feedback(n, name, i), None))
            else:
                changes += self.plasticity(n, name, i, t)
        for name, at, product in changes:
            self.delta[name][at] += product
            if self.rates is not None:
                self.W[name][at] += self.rates[0] * product
                self.R[name][at] += self.rates[1] * product
        for n, event, name, i, value, winner in sorted(writes, key=lambda write: write[:2]):
            self.r[name][i], self.last[name][i] = value, (n, "ab"[event])
            if event == 0:
                self.gate[name][i] = abs(value) < 1
                self.winner[name][i] = winner
                self.tags[n, name, i] = (value, t, self.shown)

    def phases(self, n, name, event, i):
        """What an event finds: shares of (stale, x, signal, next) in the populations that it reads; in its own unit.

        Seen from the presentation that is meant: its own; for plasticity without a tag, the one in which it comes.
        """
        if event == "c" and self.tag_decay is None:
            n += self.lag

        def phase(last):
            if last is None or last[0] < n:
                return 0
            return 3 if last[0] > n else "ab".index(last[1]) + 1

        own = phase(self.last[name][i]) if event == "c" or (event == "b" and self.net.kind[name] == "output") else -1
        if event == "c" and self.tag_decay is not None:
            return [0.0, 1.0, 0.0, 0.0], own
        if event == "b":
            others = [reader for reader, sources in self.net.sources.items() for source, _ in sources if source == name]
        else:
            others = [source for source, _ in self.net.sources[name]]
        shares = np.zeros(4)
        for other in others:
            carried = [phase(last) for last in self.last[other]]
            shares += np.bincount(carried, minlength=4) / len(carried) / len(others)
        return shares, own

    def feedforward(self, name, i):
        kind, total, best, winner = self.net.kind[name], 0.0, None, None
        for side, j, at in self.net.by[name][i]:
            x = 0.0
            if j is not None:
                source = self.net.sources[name][side][0]
                x = self.mask(name, side, j, self.shown) * self.r[source][j]
            if kind == "maxpool":
                if best is None or x > best:
                    best, winner = x, j
            else:
                total += x if kind == "sum" else self.W[name][at] * x
        if kind == "maxpool":
            return best, winner
        if kind in naive.SATURATED:
            total = min(max(self.slope * total, -1.0), 1.0)
        return total, None

    def feedback(self, n, name, i):
        kind = self.net.kind[name]
        if kind == "output":
            return self.sign * self.error(n, name, i)
        total = 0.0
        for reader, side, k, at in self.reads[name][i]:
            weight = 1.0 if at is None else self.R[reader][at]
            if self.net.kind[reader] == "maxpool" and self.winner[reader][k] != i:
                weight = 0.0
            total += weight * self.mask(reader, side, i, self.shown) * self.r[reader][k]
        if kind in naive.SATURATED:
            return self.slope * total if self.gate[name][i] else 0.0
        return total

    def error(self, n, name, i):
        x = self.r[name][i]
        self.saw[n, i] = x
        if self.label is None:
            return 0.0
        if self.loss == "softmax":
            powers = [math.exp(v - max(self.r[name])) for v in self.r[name]]
            return float(i == self.label) - powers[i] / sum(powers)
        if i == self.label:
            return 1.0 if x <= 1 else 0.0
        return -self.mu if x >= -1 else 0.0

    def plasticity(self, n, name, i, t):
        changes = []
        for side, j, at in self.net.by[name][i]:
            source = self.net.sources[name][side][0]
            if self.tag_decay is None:
                x = self.mask(name, side, j, self.shown) * self.r[source][j]
            elif (n, source, j) in self.tags:
                value, since, shown = self.tags[n, source, j]
                x = value * self.mask(name, side, j, shown) * math.exp(-(t - since) / self.tag_decay)
            else:
                x = 0.0
            changes.append((name, at, self.sign * self.r[name][i] * x))
        return changes
