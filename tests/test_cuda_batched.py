"""The batched event engine on the device: the draws of the CPU's, and so the same increments, turn after turn."""

import numpy as np
import pytest
from cuda_setting import needs_cuda

import netsim
from netsim.errors import ArrayError, OptionError
from netsim.events import Distribution, Schedule
from netsim.events.batched import BatchedTrainer

pytestmark = needs_cuda

SHAPE, CLASSES, BATCH = (4, 4, 2), 3, 6
STEADY = dict(step_size=0.2, seed=7)

NETS = {
    "conv, pool, drop, full": "conv 3 2x2; maxpool 3; drop .4; full 8; drop .3; output",
    "untied, sum": "untied 3 2x2; conv 3 3x1; sum; drop .3; conv 2 2x2; output",
    "sum beyond a drop": "conv 3 2x2; drop .3; sum; maxpool 2; full 5; full 5; sum; output",
    "sum of pools": "maxpool 2; conv 2 1x2; maxpool 2, stride 1; sum; untied 2 1x1; drop .2; output",
}
SCHEDULES = {
    "jitter": Schedule().changed(jitter=Distribution("normal", 0.6)),
    "little": Schedule().changed(jitter=Distribution("normal", 0.25)),
    "replacement": Schedule(replacement=0.6),
    "late": Schedule().changed(jitter=Distribution("normal", 1.5)),
    "skew, the author's sign": Schedule(skew=(("full1", 1.0),), sign="minus", replacement=0.7),
    "plasticity that follows": Schedule(plasticity_follows=True).changed(jitter=Distribution("normal", 0.7)),
    "plasticity tied to feedback": Schedule(plasticity_follows=True).changed(
        jitter=Distribution("normal", 0.7), jitter_plasticity=None
    ),
}


def network(text):
    net = netsim.Network(text, SHAPE, CLASSES, seed=3)
    for layer in net.weighted:
        layer.W = 1.5 * layer.W
    return net


def batches(number, size=BATCH):
    rng = np.random.default_rng(2)
    return [
        (rng.standard_normal((size, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, size)) for _ in range(number)
    ]


def close(ours, theirs, what):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * np.abs(theirs).max() + 1e-7, err_msg=what)


def pair(text, schedule, streams, tiled=False):
    """A trainer on the device and one on the CPU, with nets that are alike."""
    from netsim.cuda.batched import CudaBatchedTrainer

    return (
        CudaBatchedTrainer(network(text), schedule, streams=streams, tiled=tiled, **STEADY),
        BatchedTrainer(network(text), schedule, streams=streams or BATCH, **STEADY),
    )


CASES = [(net, schedule) for net in NETS for schedule in ("jitter", "little", "replacement")]
CASES += [("conv, pool, drop, full", schedule) for schedule in list(SCHEDULES)[-3:]]


@pytest.mark.parametrize("net, schedule", CASES)
def test_increments_are_those_of_the_cpu(net, schedule):
    text = NETS[net]
    ours, theirs = pair(text, SCHEDULES[schedule], None)
    for images, labels in batches(2):  # the second reads what was kept from the first
        found, result = ours.increments(images, labels)
        expected, same = theirs.increments(images, labels)
        ours.batch = theirs.batch = ours.batch + 1
        assert result.loss == pytest.approx(same.loss, rel=1e-5) and result.error_rate == same.error_rate
        for name, array in expected.items():
            close(found[name], array, name)
            assert np.abs(array).max() > 1e-3
    plain = netsim.Trainer(network(text), **STEADY)
    plain.batch = 1
    plain, _ = plain.increments(images, labels)
    assert any(np.abs(plain[name] - array).max() > 1e-3 * np.abs(array).max() for name, array in expected.items())


def test_units_read_in_parts_here():
    ours, _ = pair(NETS["conv, pool, drop, full"], SCHEDULES["jitter"], None)
    assert sum(parts > 1 for parts in ours._reads.parts.values()) >= 4 and ours._reads.remembered
    assert any(order for order in pair(NETS["untied, sum"], SCHEDULES["late"], None)[0]._reads.order.values())


@pytest.mark.parametrize("text", [NETS["conv, pool, drop, full"], NETS["untied, sum"]])
def test_turn_after_turn_in_tiles_and_late(text):
    """Streams that see several images of a batch, and not equally many."""
    ours, theirs = pair(text, SCHEDULES["late"], 4, tiled=True)
    for images, labels in batches(2):
        result, same = ours.step(images, labels), theirs.step(images, labels)
        assert result.loss == pytest.approx(same.loss, rel=1e-5)
    assert [number for _, number in ours.turns(BATCH)] == [4, 2]
    for name, array in theirs.net.state().items():
        close(ours.net.state()[name], array, name)
    for name, array in theirs.state().items():
        close(ours.state()[name], array, name)
    assert any(name.startswith("kept.") and np.any(array) for name, array in theirs.state().items())


def test_streams_go_on_from_the_device_to_the_cpu_and_back():
    text, (first, second, third) = NETS["conv, pool, drop, full"], batches(3)
    whole = pair(text, SCHEDULES["jitter"], 3)[1]
    for batch in (first, second, third):
        whole.step(*batch)
    ours, theirs = pair(text, SCHEDULES["jitter"], 3)
    ours.step(*first)
    theirs.net.restore(ours.net.state())
    theirs.batch = 1
    theirs.restore(ours.state())
    theirs.step(*second)
    other, _ = pair(text, SCHEDULES["jitter"], 3)
    other.net.restore(theirs.net.state())
    other.batch = 2
    other.restore(theirs.state())
    other.step(*third)
    for name, array in whole.net.state().items():
        close(other.net.state()[name], array, name)
    with pytest.raises(ArrayError, match="not that of this net"):
        other.restore({"numbers": np.array([1, 3])})


def test_an_epoch_on_the_device_has_the_bits_of_single_steps():
    from netsim.cuda.batched import CudaBatchedTrainer
    from netsim.cuda.learner import CudaLearner
    from netsim.data.dataset import Split

    rng = np.random.default_rng(4)
    split = Split(rng.standard_normal((10, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, 10))
    order = rng.permutation(10)
    nets = [network(NETS["conv, pool, drop, full"]) for _ in range(2)]
    single, whole = (CudaBatchedTrainer(net, SCHEDULES["jitter"], streams=2, tiled=False, **STEADY) for net in nets)
    learner = CudaLearner(whole, split, 4)
    for epoch in range(2):  # the second epoch begins with streams at rest
        single.begin_epoch(epoch)
        losses = [single.step(*split.batch(order[first : first + 4])).loss for first in (0, 4, 8)]
        whole.begin_epoch(epoch)
        learner.begin_epoch(order)
        for first in (0, 4, 8):
            learner.learn(first, min(first + 4, 10))
        told = learner.settle()
        assert [result.loss for _, result in told] == losses and [number for number, _ in told] == [4, 4, 2]
    for name, array in nets[0].state().items():
        np.testing.assert_array_equal(nets[1].state()[name], array, err_msg=name)
    for name, array in single.state().items():
        np.testing.assert_array_equal(whole.state()[name], array, err_msg=name)


def test_a_nominal_schedule_is_the_phase_locked_engine():
    from netsim.cuda.trainer import CudaTrainer

    text, ((images, labels),) = NETS["untied, sum"], batches(1)
    ours, _ = pair(text, "nominal", None)
    plain = CudaTrainer(network(text), tiled=False, **STEADY)
    for trainer in (ours, plain):
        trainer.step(images, labels)
    for name, array in plain.net.state().items():
        np.testing.assert_array_equal(ours.net.state()[name], array, err_msg=name)


def test_what_goes_with_the_phase_locked_engine_only_is_refused():
    from netsim.cuda.batched import CudaBatchedTrainer

    for options in ({"feedback_through": "updated"}, {"protocol": "dfa"}, {"circuits": {"gate_leak": 0.1}}):
        with pytest.raises(OptionError, match="phase-locked engine"):
            CudaBatchedTrainer(network("conv 2 2x2; output"), SCHEDULES["jitter"], **options)


def test_signals_are_those_of_the_phase_locked_step_and_leave_the_streams_alone():
    ours, theirs = pair(NETS["conv, pool, drop, full"], SCHEDULES["jitter"], 4)
    (images, labels), (again, targets) = batches(2)
    for trainer in (ours, theirs):
        trainer.step(images, labels)
    expected = theirs.signals(again, targets)
    for name, array in ours.signals(again, targets).items():
        close(array, expected[name], name)
    for trainer in (ours, theirs):
        trainer.step(again, targets)
    for name, array in theirs.net.state().items():
        close(ours.net.state()[name], array, name)
