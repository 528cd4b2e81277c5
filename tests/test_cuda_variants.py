"""What the author's code does otherwise, on the device: the same as on the CPU, each difference by itself and all."""

import numpy as np
import pytest
from cuda_setting import needs_cuda

import netsim
from netsim import presets

pytestmark = needs_cuda

NET = "conv 3 2x2; maxpool 3; untied 2 2x2; conv 2 2x2; sum; drop .3; full 4; output"
SHAPE, CLASSES = (4, 4, 2), 3

EACH = {
    "updated": dict(feedback_through="updated"),
    "updated, bp": dict(feedback_through="updated", protocol="bp"),
    "updated, signs": dict(feedback_through="updated", protocol="sign-symmetry"),
    "epoch": dict(untied_feedback="epoch"),
    "positive": dict(feedback_input="positive", decay=0.1),
    "clip": dict(feedback_clip=4.0),
    "corner": dict(pool_anchor="corner"),
    "ties": dict(pool_ties="all"),
    "positive and updated, frozen": dict(feedback_input="positive", feedback_through="updated", frozen=("conv2",)),
    "author": presets.PRESETS["author"],
}


def network(options):
    """A net with many saturated units below its pool, so that some of a window tie; the options left for a trainer."""
    its = {
        name: options[name]
        for name in ("pool_anchor", "pool_ties", "slope", "thin_output", "untied_start")
        if name in options
    }
    net = netsim.Network(NET, SHAPE, CLASSES, seed=3, **its)
    net["conv1"].W = np.float32(np.round(4 * net["conv1"].W))
    return net, {name: value for name, value in options.items() if name not in its}


def batches(number):
    rng = np.random.default_rng(2)
    for _ in range(number):
        yield np.float32(rng.integers(-2, 3, (4, *SHAPE)) / 8), rng.integers(0, CLASSES, 4)


def learned(kind, options, first=0, **more):
    """(net, losses, signals of another batch, increments of it) after two batches."""
    net, options = network(options)
    trainer = kind(net, step_size=0.3, **options, **more)
    trainer.batch = first
    losses = [trainer.step(images, labels).loss for images, labels in batches(2)]
    (*_, (images, labels)) = batches(3)
    signals = trainer.signals(images, labels)
    increments = {name: array.copy() for name, array in trainer.increments(images, labels)[0].items()}
    return net, losses, signals, increments


def close(ours, theirs, what):
    size = np.abs(theirs).max()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * size + 1e-7, err_msg=what)


@pytest.mark.parametrize("options", EACH.values(), ids=EACH)
def test_each_is_that_of_the_cpu(options):
    from netsim.cuda.trainer import CudaTrainer

    net, losses, signals, increments = learned(CudaTrainer, options, tiled=False)
    host, expected, host_signals, host_increments = learned(netsim.Trainer, options)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert set(increments) == set(host_increments)
    for name, array in host.state().items():
        close(net.state()[name], array, name)
    for name, array in host_increments.items():
        close(increments[name], array, f"increment of {name}")
    for name, array in host_signals.items():
        close(signals[name], array, f"signal of {name}")


def test_each_changes_something_here():
    from netsim.cuda.trainer import CudaTrainer

    plain = learned(CudaTrainer, {}, tiled=False)[0].state()
    for name in ("updated", "epoch", "positive", "clip", "corner", "ties"):
        state = learned(CudaTrainer, EACH[name], tiled=False)[0].state()
        assert any(np.any(state[weights] != array) for weights, array in plain.items()), name


def test_an_epoch_that_is_stopped_and_taken_up_again_has_the_bits_of_single_steps():
    """R of when the epoch began goes with the net's state."""
    from netsim.cuda.learner import CudaLearner
    from netsim.cuda.trainer import CudaTrainer
    from netsim.data.dataset import Split

    rng = np.random.default_rng(4)
    split = Split(rng.random((6, *SHAPE), np.float32), rng.integers(0, CLASSES, 6))
    net, options = network(presets.PRESETS["author"])
    single = CudaTrainer(net, tiled=False, **options)
    for epoch in range(2):
        single.begin_epoch(epoch)
        for first in (0, 2, 4):
            single.step(*split.batch(np.arange(first, first + 2)))
    state = None
    for epoch, pieces in enumerate([[(0, 2, 4)], [(0, 2), (4,)]]):
        for firsts in pieces:
            other, options = network(presets.PRESETS["author"])
            if state is not None:
                other.restore(state)
            trainer = CudaTrainer(other, tiled=False, **options)
            trainer.begin_epoch(epoch)
            trainer.batch = firsts[0] // 2
            learner = CudaLearner(trainer, split, 2)
            learner.begin_epoch(np.arange(6), firsts[0])
            for first in firsts:
                learner.learn(first, first + 2)
            assert len(learner.settle()) == len(firsts)
            state = other.state()
    assert np.any(state["untied1.R_epoch"] != state["untied1.R"])
    for name, array in net.state().items():
        np.testing.assert_array_equal(state[name], array, err_msg=name)
