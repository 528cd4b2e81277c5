"""The engine's step against the float64 twin: scores, delta of every layer, the change of every W and R."""

import dataclasses
import threading
import time

import agreement
import numpy as np
import pytest
from agreement import Case, check
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from netsim.kernels.layouts import transpose
from netsim.kernels.workers import Workers
from netsim.layers import full
from netsim.workspace import Workspace

ARCHITECTURES = {
    # weights: channels that are no multiples of 8 or 16; filters even, flat, larger than the map
    "output alone": "output",
    "full": "full 9; output",
    "two full": "full 17; full 5; output",
    "conv": "conv 4 3x3; output",
    "conv 1x1": "conv 17 1x1; conv 3 1x1; output",
    "even filters": "conv 3 2x2; conv 5 4x4; output",
    "rectangular filters": "conv 3 2x4; conv 9 1x5; conv 2 4x1; output",
    "filter above map": "conv 3 7x9; output",
    "sixteen and more": "conv 16 3x3; conv 33 1x1; full 16; output",
    "untied": "untied 3 3x3; output",
    "untied everywhere": "untied 3 3x3; maxpool 3; untied 5 2x2; untied 4 1x3; output",
    "untied above conv": "conv 4 3x3; untied 9 4x2; conv 3 3x3; full 6; output",
    # pools
    "pool": "conv 4 3x3; maxpool 3; conv 5 3x3; output",
    "pool first": "maxpool 2; conv 4 3x3; output",
    "pool alone": "maxpool 3; output",
    "pool of one": "conv 4 3x3; maxpool 1, stride 1; conv 3 3x3; output",
    "stride above window": "conv 4 3x3; maxpool 2, stride 3; full 5; output",
    "window 1 stride 2": "conv 4 3x3; maxpool 1; output",
    "stride above map": "conv 4 3x3; maxpool 2, stride 9; full 5; output",
    "stride 1": "conv 4 3x3; maxpool 3, stride 1; conv 3 3x3; output",
    "even window": "conv 4 3x3; maxpool 4; conv 3 3x3; output",
    "window is the map": "conv 4 3x3; maxpool 5, stride 2; full 5; output",
    "pools in a row": "conv 4 3x3; maxpool 2; maxpool 3; maxpool 2; full 4; output",
    # sums: two parents, of which one may have other readers
    "sum": "conv 4 3x3; conv 4 3x3; sum; output",
    "sum to conv": "conv 4 3x3; conv 4 3x3; sum; conv 3 3x3; output",
    "sum to pool": "conv 4 3x3; conv 4 3x3; sum; maxpool 3; conv 3 3x3; output",
    "sum to full": "conv 4 3x3; conv 4 3x3; sum; full 5; output",
    "sum to drop": "conv 4 3x3; conv 4 3x3; sum; drop .5; full 5; output",
    "sum of full": "full 6; full 6; sum; full 5; output",
    "sum above output's parent": "full 6; full 6; sum; output",
    "sums in a row": "conv 4 3x3; conv 4 3x3; sum; sum; sum; output",
    "residual blocks": "conv 3 3x3; conv 3 3x3; sum; conv 3 3x3; conv 3 3x3; sum; maxpool 3; full 7; output",
    "sum, conv, sum": "conv 3 3x3; conv 3 3x3; sum; conv 3 3x3; sum; output",
    "sum with a drop": "conv 4 3x3; drop .5; sum; conv 3 3x3; output",
    "sum with a pool": "conv 4 3x3; maxpool 3, stride 1; sum; conv 3 3x3; output",
    "sum below a pool twice": "conv 4 3x3; conv 4 3x3; sum; maxpool 3, stride 1; sum; full 4; output",
    "sum of untied": "untied 3 3x3; conv 3 2x2; sum; untied 3 2x2; sum; output",
    # dropout
    "drop": "conv 4 3x3; drop .5; full 5; output",
    "drop first": "drop .25; conv 4 3x3; output",
    "drop before output": "full 9; drop .3; output",
    "drop before conv": "conv 4 3x3; maxpool 3; drop .6; conv 5 3x3; output",
    "drop before untied": "conv 4 3x3; drop .6; untied 5 3x3; output",
    "drop before pool": "conv 4 3x3; drop .5; maxpool 2; full 5; output",
    "drops in a row": "conv 4 3x3; drop .5; drop .25; full 5; output",
    "drop nothing": "conv 4 3x3; drop 0; full 5; output",
    "simpnet, small": "conv 8 5x5; maxpool 3; drop .5; full 20; drop .3; output",
    "deepnet, small": "conv 4 5x5; maxpool 3; conv 4 3x3; conv 4 3x3; maxpool 3; drop .5; "
    "conv 4 3x3; conv 4 3x3; maxpool 2; drop .3; full 9; output",
}


@pytest.mark.parametrize("loss", ["hinge", "softmax"])
@pytest.mark.parametrize("protocol", ["bp", "frfb", "urfb", "sign-symmetry", "dfa"])
@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_every_architecture_protocol_and_loss(architecture, protocol, loss):
    drawn = check(Case(architecture, protocol=protocol, loss=loss))
    assert any(np.any(drawn.run.W[name] != drawn.W[name]) for name in drawn.W)


@pytest.mark.parametrize(
    "input_shape", [(1, 1, 1), (1, 1, 5), (1, 7, 2), (7, 1, 2), (2, 9, 1), (3, 3, 17)], ids=str
)
@pytest.mark.parametrize("architecture", [
    "conv 4 3x3; conv 4 2x2; sum; full 5; output",
    "untied 4 3x3; untied 4 2x4; sum; drop .5; output",
    "maxpool 1; conv 3 5x5; maxpool 1, stride 3; conv 9 3x3; output",
])  # fmt: skip
def test_awkward_maps(architecture, input_shape):
    check(Case(architecture, input_shape, classes=2, batch=4))


WITH_ALL = "conv 4 3x3; conv 4 3x3; sum; maxpool 3; drop .5; untied 5 2x3; full 9; drop .25; output"

OPTIONS = {
    "batch of 1": dict(batch=1),
    "batch of 17": dict(batch=17, input_shape=(4, 4, 2)),
    "one pair of classes": dict(classes=2),
    "many classes": dict(classes=19),
    "classes above 16 lanes, softmax": dict(classes=33, loss="softmax"),
    "mu": dict(mu=0.7),
    "mu of 0": dict(mu=0.0),
    "step size": dict(step_size=0.73),
    "epsilon a quarter": dict(feedback_rate=0.25),
    "epsilon 0": dict(feedback_rate=0.0),
    "epsilon 1": dict(feedback_rate=1.0),
    "kolen-pollack": dict(protocol="kolen-pollack"),
    "kolen-pollack, decay": dict(protocol="kolen-pollack", decay=0.4, connectivity=0.5),
    "sign-symmetry": dict(protocol="sign-symmetry"),
    "sign-symmetry, softmax": dict(protocol="sign-symmetry", loss="softmax", drop="batch"),
    "sign-symmetry, few connections": dict(protocol="sign-symmetry", connectivity=0.4, thin_output=True, decay=0.2),
    "sign-symmetry, frozen": dict(protocol="sign-symmetry", frozen=("conv2", "output"), slope=0.5),
    "dfa": dict(protocol="dfa"),
    "dfa, softmax": dict(protocol="dfa", loss="softmax"),
    "dfa, slope, decay": dict(protocol="dfa", slope=0.5, decay=0.3, connectivity=0.5),
    "dfa, frozen": dict(protocol="dfa", frozen=("conv2", "output"), drop="batch"),
    "dfa, ragged chunks, two threads": dict(protocol="dfa", batch=7, trainer=dict(chunk=3, threads=2)),
    "decay": dict(decay=0.3),
    "decay, frfb": dict(decay=0.3, protocol="frfb"),
    "decay, bp": dict(decay=0.3, protocol="bp"),
    "decay, epsilon a quarter": dict(decay=0.3, feedback_rate=0.25),
    "slope 0.5": dict(slope=0.5),
    "slope 0.7, bp": dict(slope=0.7, protocol="bp"),
    "slope 1.5": dict(slope=1.5),
    "frozen below": dict(frozen=("conv1",)),
    "frozen in the middle": dict(frozen=("conv2", "untied1"), decay=0.1),
    "frozen on top": dict(frozen=("output",), protocol="bp"),
    "all frozen but one": dict(frozen=("conv1", "conv2", "full1", "output")),
    "half of the connections": dict(connectivity=0.5),
    "half, output too": dict(connectivity=0.5, thin_output=True),
    "half, frfb": dict(connectivity=0.5, thin_output=True, protocol="frfb"),
    "half, bp": dict(connectivity=0.5, protocol="bp"),
    "few connections, decay": dict(connectivity=0.2, decay=0.2),
    "pools at the corner": dict(pool_anchor="corner"),
    "all ties of a pool": dict(pool_ties="all", slope=1.5),
    "pools at the corner, all ties, bp": dict(pool_anchor="corner", pool_ties="all", protocol="bp", slope=1.5),
    "updated feedback": dict(feedback_through="updated"),
    "updated feedback, bp": dict(feedback_through="updated", protocol="bp", step_size=0.5),
    "updated feedback, frfb": dict(feedback_through="updated", protocol="frfb"),
    "updated feedback, decay": dict(feedback_through="updated", decay=0.5, step_size=0.5, connectivity=0.5),
    "updated feedback, half rate, softmax": dict(feedback_through="updated", feedback_rate=0.5, loss="softmax"),
    "updated feedback, sign-symmetry": dict(feedback_through="updated", protocol="sign-symmetry", step_size=0.5),
    "updated feedback, frozen, ragged": dict(feedback_through="updated", frozen=("conv2", "full1"), batch=7,
                                             trainer=dict(chunk=3, threads=2)),
    "untied feedback of the epoch": dict(untied_feedback="epoch"),
    "untied feedback of the epoch, updated": dict(untied_feedback="epoch", feedback_through="updated", decay=0.3),
    "untied feedback of the epoch, bp": dict(untied_feedback="epoch", protocol="bp"),
    "positive input": dict(feedback_input="positive", batch=6),
    "positive input, updated, half rate": dict(feedback_input="positive", feedback_through="updated",
                                               feedback_rate=0.5, decay=0.2, connectivity=0.5),
    "clipped feedback": dict(feedback_clip=3.0),
    "clipped feedback, slope 0.5, bp": dict(feedback_clip=2.0, slope=0.5, protocol="bp"),
    "the author's": dict(slope=0.5, feedback_through="updated", untied_feedback="epoch", pool_anchor="corner",
                         pool_ties="all", connectivity=0.5, batch=7),
    "drop by batch": dict(drop="batch"),
    "drop by batch, bp, softmax": dict(drop="batch", protocol="bp", loss="softmax"),
    "drop off": dict(drop="off"),
    "a thread": dict(trainer=dict(threads=1)),
    "two threads": dict(trainer=dict(threads=2)),
    "one image at a time": dict(batch=5, trainer=dict(chunk=1)),
    "ragged chunks": dict(batch=5, trainer=dict(chunk=2)),
    "ragged chunks, two threads, by batch": dict(batch=7, drop="batch", trainer=dict(chunk=3, threads=2)),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options(options):
    check(Case(WITH_ALL, **options))


@pytest.mark.parametrize("drop", ["sample", "batch"])
def test_dropout_masks_differ_from_image_to_image_only_by_sample(drop):
    drawn = check(Case("drop .5; full 8; output", batch=4, drop=drop))
    silent = drawn.run.x["drop1"] == 0
    assert 0.2 < silent.mean() < 0.8
    assert (silent == silent[0]).all() == (drop == "batch")


def test_scores_and_error_rate_are_those_of_the_twin_in_words():
    drawn = check(Case(WITH_ALL, batch=8, drop="off"))
    wrong = [int(s.argmax() != label) for s, label in zip(drawn.run.scores, drawn.labels, strict=True)]
    assert drawn.run.error_rate == sum(wrong) / 8
    assert 0 < sum(wrong) < 8


@pytest.mark.parametrize("sizes", [(5, 2), (2, 5), (4, 1, 4)], ids=str)
@pytest.mark.parametrize("drop", ["sample", "batch"])
def test_a_ragged_batch_and_what_the_buffers_held_before(sizes, drop):
    """Batches of several sizes through one trainer, scores in between: nothing of one is left in the next."""
    case = Case(WITH_ALL, batch=sizes[0], drop=drop)
    drawn = agreement.draw(case)
    trainer = agreement.check_step(drawn)
    for turn, size in enumerate(sizes[1:], 1):
        drawn.net.scores(np.float32(np.random.default_rng(turn).uniform(-1, 1, (3, *case.input_shape))))
        now = dataclasses.replace(case, batch=size, batch_number=case.batch_number + turn)
        assert trainer.batch == now.batch_number
        for number in range(40):
            rng = np.random.default_rng([turn, number])
            images, labels = agreement.draw_batch(now, rng)
            run, bound = agreement.twin_of(now, drawn.net, images, labels)
            if bound.close == 0:
                break
        assert bound.close == 0
        result = trainer.step(images, labels)
        assert abs(result.loss - run.loss) <= bound.loss
        for layer in drawn.net.weighted:
            agreement.within(layer.W, run.W[layer.name], bound.W[layer.name], f"W of {layer.name}")
            agreement.within(layer.R, run.R[layer.name], bound.R[layer.name], f"R of {layer.name}")


# --------------------------------------------------------------- the same bits however the work is divided
DIVIDED = {
    "small": Case(WITH_ALL, (7, 6, 3), classes=5, batch=23),
    "one mask": Case(WITH_ALL, (7, 6, 3), classes=5, batch=23, drop="batch", connectivity=0.5),
    "wide": Case("conv 24 5x5; maxpool 3; conv 40 3x3; conv 40 3x3; sum; drop .5; untied 8 3x3; full 150; output",
                 (12, 12, 3), classes=10, batch=40),
}  # fmt: skip


def weights_after(case, **options):
    """(losses, weights, scores) after three batches."""
    net, rng = case.network(), np.random.default_rng(5)
    W, R = agreement.draw_weights(case, rng)
    for layer in net.weighted:
        layer.W = W[layer.name] if layer.W_mask is None else W[layer.name] * layer.W_mask
        layer.R = R[layer.name] if layer.R_mask is None else R[layer.name] * layer.R_mask
    trainer = case.train(net, **options)
    results = [trainer.step(*agreement.draw_batch(case, rng)) for _ in range(3)]
    images, _ = agreement.draw_batch(case, rng)
    return [r.loss for r in results], net.state(), net.scores(images, threads=options["threads"])


@pytest.mark.parametrize("chunk", [None, 1, 4, 16, 23])
@pytest.mark.parametrize("case", DIVIDED.values(), ids=DIVIDED)
def test_the_same_bits_for_any_number_of_threads_and_any_chunk(case, chunk, monkeypatch):
    losses, state, scores = weights_after(case, threads=1)
    tasks, run_tasks = [], Workers.run_tasks
    monkeypatch.setattr(Workers, "run_tasks", lambda self, work: (tasks.append(len(work)), run_tasks(self, work)))
    for threads in (1, 2, 3):
        other_losses, other_state, other_scores = weights_after(case, threads=threads, chunk=chunk)
        assert other_losses == losses
        np.testing.assert_array_equal(other_scores, scores)
        for name, array in state.items():
            np.testing.assert_array_equal(other_state[name], array, err_msg=f"{name}, {threads} threads")
    assert max(tasks) > 3, "nothing was divided"


@pytest.mark.parametrize("drop", ["sample", "batch", "off"])
@pytest.mark.parametrize(
    ("architecture", "input_shape"),
    [
        ("conv 9 1x1; drop .8; full 150; output", (9, 9, 2)),  # 729 units, most of them silent
        ("conv 9 1x1; drop .25; full 150; output", (9, 9, 2)),
        ("conv 20 3x3; full 70; output", (3, 30, 2)),  # rows of 600 units, with a border between
    ],
)
def test_full_layers_larger_than_the_blocks_they_are_cut_into(architecture, input_shape, drop):
    net = Case(architecture, input_shape).network()
    assert net["full1"].n_in > max(full._INPUTS, full._ROWS, full._PANELS * full.COLUMNS)
    check(Case(architecture, input_shape, drop=drop, batch=2, trainer=dict(threads=2)))


@pytest.mark.parametrize(
    ("architecture", "input_shape"),
    [("conv 16 1x1; drop .8; full 33; output", (8, 8, 2)), ("full 1024; output", (3, 3, 1))],
)
def test_images_that_fill_whole_pages_lie_further_apart(architecture, input_shape):
    drawn = check(Case(architecture, input_shape, batch=2))
    space = Workspace(drawn.net.layers, input_shape, 4)
    spread = [at for at in space.at.values() if at.image > at.height * at.row]
    assert spread
    assert all(at.image % 1024 for at in spread)


def test_weights_set_between_batches_that_share_a_mask():
    """What a full layer lays out for a batch's mask does not outlive its weights."""
    case = Case("conv 9 1x1; drop .8; full 40; output", (9, 9, 2), drop="batch")
    net, rng = case.network(), np.random.default_rng(0)
    images, labels = agreement.draw_batch(case, rng)
    trainer = case.train(net)
    before = {name: values.copy() for name, values in trainer.increments(images, labels)[0].items()}
    net["full1"].W = np.float32(rng.normal(0, 0.1, net["full1"].W.shape))
    after, _ = trainer.increments(images, labels)
    expected, _ = case.train(net).increments(images, labels)
    assert np.any(after["output"] != before["output"])
    for name, values in expected.items():
        np.testing.assert_array_equal(after[name], values, err_msg=name)


@pytest.mark.parametrize("rows", [1, 7, 16, 33])
@pytest.mark.parametrize("columns", [1, 4, 16, 35])
def test_transposed_in_squares_and_their_remainder(rows, columns):
    source = np.arange(5 + rows * (columns + 3), dtype=np.float32)
    target = np.full(2 + columns * (rows + 1), -1, np.float32)
    transpose(target, 2, rows + 1, source, 5, columns + 3, rows, columns)
    expected = np.full_like(target, -1)
    for i, j in np.ndindex(rows, columns):
        expected[2 + j * (rows + 1) + i] = source[5 + i * (columns + 3) + j]
    np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("chunk", [None, 10, 40])
def test_no_two_threads_add_to_one_sum(chunk, monkeypatch):
    """Parts of a batch that are larger than what a thread takes at once: their images come in order, one by one."""
    monkeypatch.setattr("netsim.steps.increments._PARTS", 3)
    monkeypatch.setattr("netsim.workspace._BLOCK", 2)
    case = Case("conv 4 3x3; maxpool 2; full 5; output", batch=40)
    net = case.network()
    layer, adding, spans, lock = net["conv1"], set(), {}, threading.Lock()
    hebbian = layer.hebbian

    def watched(below, own, increment, fresh, span):
        address = increment.ctypes.data
        with lock:
            assert address not in adding, "two threads at once"
            adding.add(address)
            spans.setdefault(address, []).append(fresh)
        time.sleep(0.001)
        hebbian(below, own, increment, fresh, span)
        with lock:
            adding.remove(address)

    monkeypatch.setattr(layer, "hebbian", watched)
    case.train(net, threads=4, chunk=chunk).step(*agreement.draw_batch(case, np.random.default_rng(0)))
    assert len(spans) == 3
    assert all(fresh == [True] + [False] * (len(fresh) - 1) for fresh in spans.values())
    assert sum(map(len, spans.values())) >= 20


# ------------------------------------------------------------------------------------ random architectures
@st.composite
def cases(draw_):
    """Random small cases whose geometry is possible."""
    height, width, channels = (draw_(st.integers(1, 7)) for _ in range(3))
    shapes, layers = [(height, width, channels)], []
    for _ in range(draw_(st.integers(0, 5))):
        shape = shapes[-1]
        kinds = ["full", "drop"]
        if len(shape) == 3:
            kinds += ["conv", "conv", "untied", "maxpool"]
        if len(layers) >= 2 and shapes[-2] == shape:
            kinds += ["sum"] * 3
        kind = draw_(st.sampled_from(kinds))
        if kind in ("conv", "untied"):
            # often as many as the layer below, so that sums can follow
            filters = draw_(st.sampled_from([shape[2], 1, 3, 8, 9] if kind == "conv" else [shape[2], 2]))
            layers.append(f"{kind} {filters} {draw_(st.integers(1, 5))}x{draw_(st.integers(1, 5))}")
            shapes.append((*shape[:2], filters))
        elif kind == "maxpool":
            window, stride = draw_(st.integers(1, min(4, *shape[:2]))), draw_(st.integers(1, 4))
            layers.append(f"maxpool {window}, stride {stride}")
            shapes.append((-(-shape[0] // stride), -(-shape[1] // stride), shape[2]))
        elif kind == "full":
            units = draw_(st.sampled_from([shape[0] if len(shape) == 1 else 6, 1, 9, 17]))
            layers.append(f"full {units}")
            shapes.append((units,))
        else:
            layers.append("sum" if kind == "sum" else f"drop {draw_(st.sampled_from(['.25', '.5', '.8']))}")
            shapes.append(shape)
    architecture = "; ".join([*layers, "output"])
    protocol = draw_(st.sampled_from(["bp", "frfb", "urfb", "urfb", "kolen-pollack", "sign-symmetry", "dfa"]))
    return Case(
        architecture, (height, width, channels), draw_(st.integers(2, 5)), draw_(st.integers(1, 6)),
        slope=draw_(st.sampled_from([1.0, 0.5])), connectivity=draw_(st.sampled_from([1.0, 0.6])),
        protocol=protocol, loss=draw_(st.sampled_from(["hinge", "softmax"])),
        feedback_rate=draw_(st.sampled_from([None, 0.3])) if protocol == "urfb" else None,
        decay=draw_(st.sampled_from([None, 0.0, 0.2])), drop=draw_(st.sampled_from(["sample", "batch", "off"])),
        pool_anchor=draw_(st.sampled_from(["center", "corner"])), pool_ties=draw_(st.sampled_from(["first", "all"])),
        feedback_through="old" if protocol == "dfa" else draw_(st.sampled_from(["old", "old", "updated"])),
        feedback_clip=None if protocol == "dfa" else draw_(st.sampled_from([None, None, 2.0])),
        feedback_input=draw_(st.sampled_from(["x", "positive"])) if protocol == "urfb" else "x",
        seed=draw_(st.integers(0, 99)), trainer=dict(chunk=draw_(st.integers(1, 4))),
    )  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(cases())
def test_random_architectures(case):
    try:
        drawn = agreement.draw(case, tries=12, vivid=False)
        agreement.check_forward(drawn)
        agreement.check_step(drawn)
    except agreement.Vague:
        assume(False)
