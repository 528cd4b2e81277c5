"""Imperfect circuits on the device: the same chance, and so the same signals and increments, as on the CPU."""

import numpy as np
import pytest
from cuda_setting import needs_cuda
from test_cuda_variants import CLASSES, SHAPE, batches, close

import netsim
from netsim.errors import OptionError

pytestmark = needs_cuda

NET = "conv 3 2x2; maxpool 3; conv 3 2x2; conv 3 2x2; sum; drop .3; untied 2 2x2; full 4; output"

CIRCUITS = {
    "thresholds": dict(gate_spread=0.3, gate_width=0.2, gate_bias=0.1, error_spread=0.3),
    "gates": dict(gate_leak=0.4, gate_noise=0.2, noise_onset=0.3),
    "errors": dict(error_width=0.4, error_bias=-0.3, error_noise=0.2, noise_onset=0.7),
}


def learned(kind, circuits, number=2, **options):
    """(net, losses, signals of another batch, increments of it) after some batches."""
    net = netsim.Network(NET, SHAPE, CLASSES, seed=3, slope=0.7)
    net["conv1"].W = 4 * net["conv1"].W
    trainer = kind(net, step_size=0.3, circuits=circuits, **options)
    losses = [trainer.step(images, labels).loss for images, labels in batches(number)]
    (*_, (images, labels)) = batches(number + 1)
    signals = trainer.signals(images, labels)
    increments = {name: array.copy() for name, array in trainer.increments(images, labels)[0].items()}
    return net, losses, signals, increments


@pytest.mark.parametrize("circuits", CIRCUITS.values(), ids=CIRCUITS)
def test_each_is_that_of_the_cpu(circuits):
    from netsim.cuda.trainer import CudaTrainer

    net, losses, signals, increments = learned(CudaTrainer, circuits, tiled=False)
    host, expected, host_signals, host_increments = learned(netsim.Trainer, circuits)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert set(increments) == set(host_increments)
    for name, array in host.state().items():
        close(net.state()[name], array, name)
    for name, array in host_increments.items():
        close(increments[name], array, f"increment of {name}")
    for name, array in host_signals.items():
        close(signals[name], array, f"signal of {name}")
    plain = learned(netsim.Trainer, None)[3]
    assert all(np.abs(increments[name] - array).max() > 1e-4 for name, array in plain.items())


def test_a_leak_goes_with_softmax_and_a_wrong_error_does_not():
    from netsim.cuda.trainer import CudaTrainer

    ours, theirs = (
        learned(kind, {"gate_leak": 0.5}, 1, loss="softmax")[0].state() for kind in (CudaTrainer, netsim.Trainer)
    )
    for name, array in theirs.items():
        close(ours[name], array, name)
    with pytest.raises(OptionError, match="the loss is 'softmax'"):
        CudaTrainer(netsim.Network(NET, SHAPE, CLASSES), circuits={"error_noise": 0.1}, loss="softmax")


def test_epochs_on_the_device_and_scores_of_ideal_units():
    """A learner's epochs have the bits of single steps, and what a net answers passes no imperfect circuit."""
    from netsim.cuda.learner import CudaLearner
    from netsim.cuda.trainer import CudaTrainer
    from netsim.data.dataset import Split

    rng = np.random.default_rng(4)
    split = Split(rng.random((5, *SHAPE), np.float32), rng.integers(0, CLASSES, 5))
    options = dict(circuits=CIRCUITS["thresholds"] | CIRCUITS["gates"], tiled=False)
    single, whole = (CudaTrainer(netsim.Network(NET, SHAPE, CLASSES, seed=3), **options) for _ in range(2))
    for first in (0, 2, 4):
        single.step(*split.batch(np.arange(first, min(first + 2, 5))))
    learner = CudaLearner(whole, split, 2)
    whole.begin_epoch(0)
    learner.begin_epoch(np.arange(5))
    for first in (0, 2, 4):
        learner.learn(first, min(first + 2, 5))
    learner.settle()
    for name, array in single.net.state().items():
        np.testing.assert_array_equal(whole.net.state()[name], array, err_msg=name)
    close(learner.network.scores(split.images), whole.net.scores(split.images), "scores")
