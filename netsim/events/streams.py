"""Streams: in which order the images of a data set are presented.

Each order is a pure function of (labels, seed, epoch). Source of the question: Amit (2019), section 6: images of
similar classes in sequence, and classes learned one at a time with the old ones refreshed now and then.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netsim.errors import ArrayError, OptionError, nearest

if TYPE_CHECKING:
    from netsim.data import Split

KINDS = ("random", "blocked", "similar", "one-at-a-time")
_FORMS = "known: random, blocked:RUN_LENGTH, similar:RUN_LENGTH, one-at-a-time[:REFRESH[:EPOCHS_PER_CLASS]]"
#: What is shuffled, in the words of the counter hash.
_IMAGES, _MEMBERS, _RUNS, _NEW, _OLD, _PLACES = range(1, 7)
_GAMMA, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mixed(words: np.ndarray) -> np.ndarray:
    words = words + np.uint64(_GAMMA)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(_FIRST)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(_SECOND)
    return words ^ (words >> np.uint64(31))


def _shuffled(items: np.ndarray, *words: int) -> np.ndarray:
    """The items in an order given by the counter hash of the words (and of nothing else)."""
    stream = np.array([_GAMMA], np.uint64)
    for word in words:
        stream = _mixed(stream ^ np.uint64(int(word) & (2**64 - 1)))
    counters = np.arange(items.size, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
    return items[np.argsort(_mixed(stream + counters), kind="stable")]


def _labels(labels: object) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise ArrayError(f"labels must be a row of whole numbers, got {labels.dtype} of shape {labels.shape}")
    return labels


def _whole(value: object, what: str, low: int) -> int:
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < low:
        raise OptionError(f"{what} is {value!r}: it must be a whole number of at least {low}")
    return number


def random(labels, seed: int, epoch: int) -> np.ndarray:
    """Every presentation once, in random order. labels : int (N,). Returns int64 (N,)."""
    return _shuffled(np.arange(_labels(labels).size), seed, epoch, _IMAGES)


def blocked(labels, seed: int, epoch: int, run_length: int, class_order=None) -> np.ndarray:
    """Every presentation once, in runs of one class.

    Each class is shuffled and cut into runs of ``run_length`` (the last one shorter); the runs come in random
    order, or, with ``class_order``, a run of each of its classes in turn (similar classes in a row, see
    `similar_in_a_row`).

    labels : int (N,). class_order : classes in their order; those left out come last. Returns int64 (N,).
    """
    labels = _labels(labels)
    run_length = _whole(run_length, "run length", 1)
    runs = []
    for which in np.unique(labels):
        members = _shuffled(np.flatnonzero(labels == which), seed, epoch, _MEMBERS, int(which))
        runs += [(int(which), n, members[at : at + run_length])
                 for n, at in enumerate(range(0, members.size, run_length))]  # fmt: skip
    if class_order is None:
        return np.concatenate([runs[n][2] for n in _shuffled(np.arange(len(runs)), seed, epoch, _RUNS)])
    places = {int(which): place for place, which in enumerate(class_order)}
    runs.sort(key=lambda run: (run[1], places.get(run[0], len(places)), run[0]))
    return np.concatenate([run[2] for run in runs])


def one_at_a_time(labels, seed: int, epoch: int, refresh: float = 0.0, epochs_per_class: int = 0) -> np.ndarray:
    """Classes one after another, in ascending order, with old ones refreshed.

    labels : int (N,). refresh : in [0, 1), the share of presentations that are of classes already learned, each
    drawn at random with replacement from their images and put at a random place among those of the new class.
    epochs_per_class : 0 shows all classes, one after another, in every epoch; k > 0 shows only the class number
    (epoch // k) mod C, and its refreshed predecessors (after a full round: all others). Returns int64 indices.
    """
    labels = _labels(labels)
    if isinstance(refresh, bool) or not isinstance(refresh, (int, float)) or not 0.0 <= refresh < 1.0:
        raise OptionError(f"refresh is {refresh!r}: it must be at least 0 and below 1")
    each = _whole(epochs_per_class, "epochs per class", 0)
    classes = np.unique(labels)
    turn = epoch // each if each else 0
    numbers = [turn % classes.size] if each else range(classes.size)
    parts = []
    for number in numbers:
        new = _shuffled(np.flatnonzero(labels == classes[number]), seed, epoch, _NEW, number)
        past = classes[classes != classes[number]] if turn >= classes.size else classes[:number]
        old = np.flatnonzero(np.isin(labels, past))
        count = round(new.size * refresh / (1.0 - refresh)) if old.size else 0
        rounds = [
            _shuffled(old, seed, epoch, _OLD, number, turn) for turn in range(-(-count // old.size) if count else 0)
        ]
        again = np.concatenate(rounds)[:count] if rounds else old[:0]
        # the places of the old ones among the new ones
        is_old = _shuffled(np.arange(new.size + count), seed, epoch, _PLACES, number) < count
        part = np.empty(new.size + count, np.int64)
        part[is_old], part[~is_old] = again, new
        parts.append(part)
    return np.concatenate(parts)


def similar_in_a_row(images, labels) -> np.ndarray:
    """An order of the classes in which neighbors look alike: from the mean image of the first class on, always the
    nearest one (Euclidean) of those left.

    images : (N, H, W, C). labels : int (N,). Returns the classes, int64.
    """
    labels = _labels(labels)
    images = np.asarray(images)
    if images.shape[:1] != labels.shape:
        raise ArrayError(f"{labels.size} labels for images of shape {images.shape}")
    classes = np.unique(labels)
    means = np.stack([images[labels == c].reshape(np.sum(labels == c), -1).mean(0, np.float64) for c in classes])
    chain, left = [0], list(range(1, classes.size))
    while left:
        distances = np.linalg.norm(means[left] - means[chain[-1]], axis=1)
        chain.append(left.pop(int(np.argmin(distances))))
    return classes[chain]


@dataclass(frozen=True, slots=True)
class Stream:
    """A kind of stream with its numbers; `parse` reads the text of the command line.

    kind : "random", "blocked" or "similar" (with ``run_length``), "one-at-a-time" (with ``refresh``,
        ``epochs_per_class``)
    class_order : of "similar", which `of` sets

    Raises OptionError for an unknown kind or a number out of range.
    """

    kind: str = "random"
    run_length: int = 1
    refresh: float = 0.0
    epochs_per_class: int = 0
    class_order: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(f"unknown stream {self.kind!r}{nearest(self.kind, KINDS)}")
        # the functions check the numbers
        if self.kind == "similar":
            blocked(np.zeros(1, np.int64), 0, 0, self.run_length)
        else:
            self.order(np.zeros(1, np.int64), 0, 0)

    @classmethod
    def parse(cls, text: str) -> Stream:
        """``random``, ``blocked:50``, ``similar:50``, ``one-at-a-time``, ``one-at-a-time:0.1``,
        ``one-at-a-time:0.1:2``.
        """
        kind, *numbers = str(text).split(":")
        try:
            if kind == "random" and not numbers:
                return cls()
            if kind in ("blocked", "similar") and len(numbers) == 1:
                return cls(kind, run_length=int(numbers[0]))
            if kind == "one-at-a-time" and len(numbers) <= 2:
                refresh, epochs = (*numbers, *("0", "0")[len(numbers) :])
                return cls("one-at-a-time", refresh=float(refresh), epochs_per_class=int(epochs))
        except OptionError:
            raise
        except ValueError:
            pass
        if kind not in KINDS:
            raise OptionError(f"unknown stream {kind!r}{nearest(kind, KINDS)}")
        raise OptionError(f"cannot read the stream {str(text)!r}; {_FORMS}")

    def of(self, split: Split) -> Stream:
        """The stream of these images: with what its order takes from them."""
        if self.kind != "similar":
            return self
        classes = similar_in_a_row(split.images, split.labels)
        return replace(self, class_order=tuple(int(which) for which in classes))

    def __str__(self) -> str:
        if self.kind == "random":
            return self.kind
        if self.kind == "one-at-a-time":
            return f"one-at-a-time:{self.refresh:g}:{self.epochs_per_class}"
        return f"{self.kind}:{self.run_length}"

    def order(self, labels, seed: int, epoch: int) -> np.ndarray:
        """Indices of the presentations of an epoch, int64. labels : int (N,), those of the images given to `of`.

        Raises ArrayError for labels that are no whole numbers, and for similar classes without `of`.
        """
        if self.kind == "random":
            return random(labels, seed, epoch)
        if self.kind == "blocked":
            return blocked(labels, seed, epoch, self.run_length)
        if self.kind == "similar":
            if not self.class_order:
                raise ArrayError("which classes are similar is told by the images: take Stream.of(split)")
            return blocked(labels, seed, epoch, self.run_length, self.class_order)
        return one_at_a_time(labels, seed, epoch, self.refresh, self.epochs_per_class)
