"""Orders of presentations: every kind holds what it promises, as a pure function of labels, seed and epoch."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.data import Split
from netsim.errors import ArrayError, OptionError
from netsim.events.streams import Stream, blocked, one_at_a_time, similar_in_a_row

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(np.array)
TEXTS = ["random", "blocked:4", "one-at-a-time", "one-at-a-time:0.25", "one-at-a-time:0.1:2"]


def runs_of(labels):
    return [(label, len(list(run))) for label, run in itertools.groupby(labels.tolist())]


@pytest.mark.parametrize("text", TEXTS)
def test_orders_are_pure_and_change_with_seed_and_epoch(text):
    stream, labels = Stream.parse(text), np.arange(200) % 5
    assert Stream.parse(str(stream)) == stream
    first = stream.order(labels, 3, 0)
    assert first.dtype == np.int64
    np.testing.assert_array_equal(first, stream.order(labels, 3, 0))
    for other in (stream.order(labels, 4, 0), stream.order(labels, 3, 1)):
        assert other.shape == first.shape and np.any(other != first)


@given(LABELS, st.integers(0, 2**40), st.integers(0, 9))
def test_random_and_blocked_show_every_image_once(labels, seed, epoch):
    for text in ("random", "blocked:3"):
        order = Stream.parse(text).order(labels, seed, epoch)
        assert sorted(order.tolist()) == list(range(labels.size))


@given(LABELS, st.integers(1, 9))
def test_runs_are_of_one_class_and_of_the_length_asked_for(labels, length):
    shown = labels[blocked(labels, 1, 0, length)]
    counts = {which: int(np.sum(labels == which)) for which in np.unique(labels)}
    # two runs of one class may meet, so a stretch is made of whole runs and of the class's last, shorter one
    for which, stretch in runs_of(shown):
        rest = counts[which] % length
        assert stretch % length in {0, rest}


def test_class_order_puts_similar_classes_in_a_row():
    labels = np.repeat(np.arange(4), 6)
    images = np.zeros((24, 1, 1, 1))
    images[:, 0, 0, 0] = np.array([0.0, 9.0, 1.0, 5.0])[labels]
    order = similar_in_a_row(images, labels)
    assert order.tolist() == [0, 2, 3, 1]
    shown = labels[blocked(labels, 1, 0, 3, order)]
    assert [which for which, _ in runs_of(shown)] == [0, 2, 3, 1] * 2


def test_a_stream_of_similar_classes_learns_their_order_from_the_images():
    labels = np.tile(np.arange(4), 6)
    images = np.zeros((24, 1, 1, 1), np.float32)
    images[:, 0, 0, 0] = np.array([0.0, 9.0, 1.0, 5.0])[labels]
    stream = Stream.parse("similar:3")
    assert str(stream) == "similar:3"
    with pytest.raises(ArrayError, match="told by the images"):
        stream.order(labels, 0, 0)
    stream = stream.of(Split(images, labels))
    assert stream.class_order == (0, 2, 3, 1)
    orders = [stream.order(labels, seed, epoch) for seed, epoch in ((0, 0), (0, 0), (1, 0), (0, 1))]
    for order in orders:
        assert sorted(order.tolist()) == list(range(24))
        assert runs_of(labels[order]) == [(which, 3) for which in (0, 2, 3, 1)] * 2
    assert np.array_equal(orders[0], orders[1])
    assert np.any(orders[0] != orders[2]) and np.any(orders[0] != orders[3])
    blocks = Stream.parse("blocked:3")
    assert blocks.of(Split(images, labels)) is blocks


def test_one_class_at_a_time_with_refresh():
    labels = np.arange(400) % 4
    shown = labels[one_at_a_time(labels, 1, 0)]
    assert runs_of(shown) == [(which, 100) for which in range(4)]
    order = one_at_a_time(labels, 1, 0, refresh=0.2)
    assert order.size == 100 + 3 * 125
    for number in range(1, 4):
        part = labels[order[100 + (number - 1) * 125 : 100 + number * 125]]
        assert np.sum(part == number) == 100 and np.all(part <= number)
    assert np.unique(labels[order[-125:]]).size == 4


def test_one_class_for_some_epochs():
    labels = np.arange(40) % 4
    classes = [set(labels[one_at_a_time(labels, 1, epoch, 0.0, 2)]) for epoch in range(9)]
    assert classes == [{0}, {0}, {1}, {1}, {2}, {2}, {3}, {3}, {0}]
    # after a full round every other class is an old one
    assert set(labels[one_at_a_time(labels, 1, 8, 0.5, 2)]) == {0, 1, 2, 3}


@pytest.mark.parametrize("text", [
    "rndom", "", "blocked", "blocked:0", "similar", "similar:0", "similar:x",
    "blocked:x", "blocked:2:3", "one-at-a-time:1", "one-at-a-time:-0.1",
    "one-at-a-time:nan", "one-at-a-time:0.1:-1", "one-at-a-time:0.1:1:1", "random:1",
])  # fmt: skip
def test_what_is_no_stream_is_refused_in_one_line(text):
    with pytest.raises(OptionError) as caught:
        Stream.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [[], [[1, 2]], [0.5, 1.0], ["a"]])
def test_labels_must_be_whole_numbers(labels):
    with pytest.raises(ArrayError):
        Stream().order(np.array(labels), 0, 0)
    with pytest.raises(ArrayError):
        similar_in_a_row(np.zeros((3, 1)), np.zeros(2, int))
