"""Epochs on the device: data stay there, results are read at the end, and the bits are those of single steps."""

import numpy as np
import pytest
from cuda_setting import needs_cuda

import netsim
from netsim import losses
from netsim.data.dataset import Split
from netsim.steps.setting import StepResult

pytestmark = needs_cuda

ARCHITECTURE = "conv 3 3x3; maxpool 2; drop .5; full 5; output"


def split(dtype=np.uint8, images=11):
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (images, 4, 4, 2)).astype(dtype)
    return Split(pixels, rng.integers(0, 3, images), 1 / 255)


def trainer_of(protocol="urfb", drop="sample", **options):
    from netsim.cuda.trainer import CudaTrainer

    net = netsim.Network(ARCHITECTURE, (4, 4, 2), 3, seed=5)
    return net, CudaTrainer(net, protocol, drop=drop, tiled=False, **options)


def epoch(trainer, data, number, order, batch, first=0, last=None):
    """Results of the batches from image ``first`` to ``last`` of an epoch."""
    from netsim.cuda.learner import CudaLearner

    learner = CudaLearner(trainer, data, batch)
    trainer.begin_epoch(number)
    trainer.batch = first // batch
    learner.begin_epoch(order, first)
    for start in range(first, last or len(data), batch):
        assert learner.learn(start, min(start + batch, len(data))) == []
    return learner.settle(), learner


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("drop", ["sample", "batch", "off"])
def test_an_epoch_on_the_device_has_the_bits_of_single_steps(drop, dtype):
    data, batch = split(dtype), 4
    order = np.random.default_rng(1).permutation(len(data))
    net, trainer = trainer_of(drop=drop)
    found, _ = epoch(trainer, data, 2, order, batch)
    other, single = trainer_of(drop=drop)
    single.begin_epoch(2)
    results = [single.step(*data.batch(order[start : start + batch])) for start in range(0, len(data), batch)]
    assert found == list(zip([4, 4, 3], results, strict=True))
    assert all(isinstance(one, StepResult) for _, one in found)
    assert trainer.batch == single.batch == 3
    for name, array in other.state().items():
        np.testing.assert_array_equal(net.state()[name], array, err_msg=name)


def test_it_is_the_step_of_the_cpu_with_the_same_masks_and_order():
    data, batch = split(), 4
    order = np.random.default_rng(1).permutation(len(data))
    net, trainer = trainer_of(step_size=0.5)
    found, _ = epoch(trainer, data, 1, order, batch)
    host = netsim.Network(ARCHITECTURE, (4, 4, 2), 3, seed=5)
    before = host.state()
    single = netsim.Trainer(host, step_size=0.5)
    single.begin_epoch(1)
    for start, (_, one) in zip(range(0, len(data), batch), found, strict=True):
        theirs = single.step(*data.batch(order[start : start + batch]))
        assert one.error_rate == theirs.error_rate
        assert one.loss == pytest.approx(theirs.loss, rel=1e-5)
    for name, array in host.state().items():
        change = np.linalg.norm(array - before[name])
        assert change > 0
        assert np.linalg.norm(net.state()[name] - array) <= 1e-4 * change, name


def test_going_on_within_an_epoch_gives_the_same_bits():
    """Stop after two batches, go on with a new trainer and learner from the net's arrays."""
    data, batch = split(), 3
    order = np.random.default_rng(2).permutation(len(data))
    whole, trainer = trainer_of()
    results, _ = epoch(trainer, data, 0, order, batch)
    net, trainer = trainer_of()
    first, _ = epoch(trainer, data, 0, order, batch, last=6)
    from netsim.cuda.trainer import CudaTrainer

    second, _ = epoch(CudaTrainer(net, drop="sample", tiled=False), data, 0, order, batch, first=6)
    assert first + second == results
    for name, array in whole.state().items():
        np.testing.assert_array_equal(net.state()[name], array, err_msg=name)


def captured(work):
    """A stand-in for a graph: the launches of ``work``, noted and not run; calling it runs them as they were noted."""
    from netsim.cuda.jit import Kernel

    noted, launch = [], Kernel.launch
    Kernel.launch = lambda kernel, *arguments: noted.append((kernel, arguments))
    try:
        work()
    finally:
        Kernel.launch = launch
    assert noted
    return lambda: [launch(kernel, *arguments) for kernel, arguments in noted]


@pytest.mark.parametrize("options", [{}, dict(drop="batch", protocol="sign-symmetry"), dict(protocol="dfa")], ids=str)
def test_steps_are_the_same_launches_each_time_so_a_graph_of_one_does_them_all(options, monkeypatch):
    from netsim.cuda import learner as learners

    data = split(images=15)
    order, found = np.random.default_rng(3).permutation(len(data)), []
    for capture in (lambda work: None, captured):
        monkeypatch.setattr(learners, "capture", capture)
        net, trainer = trainer_of(**options)
        learner = learners.CudaLearner(trainer, data, 4)
        for number in range(2):
            trainer.begin_epoch(number)
            learner.begin_epoch(order)
            for start in range(0, len(data), 4):
                learner.learn(start, min(start + 4, len(data)))
            results = learner.settle()
        found.append((results, net.state(), learner.graphs))
    assert [graphs for *_, graphs in found] == ["off: the simulator has none", "on"]
    assert found[0][0] == found[1][0]
    for name, array in found[0][1].items():
        np.testing.assert_array_equal(array, found[1][1][name], err_msg=name)


def test_a_graph_that_cannot_be_built_is_told_and_done_without(monkeypatch):
    from netsim.cuda import learner as learners

    def refuse(work):
        raise RuntimeError("no graphs\nhere")

    monkeypatch.setattr(learners, "capture", refuse)
    data = split()
    _, trainer = trainer_of()
    found, learner = epoch(trainer, data, 0, np.arange(len(data)), 4)
    assert len(found) == 3
    assert learner.graphs == "off: no graphs here"


@pytest.mark.parametrize("number, what", [(0, "11 images do"), (4, "4 images of this net do")])
def test_what_does_not_fit_into_memory_is_told_in_a_line(number, what, monkeypatch):
    from netsim.cuda import jit
    from netsim.errors import OptionError

    asked = []

    def full(*arguments):
        asked.append(arguments)
        if len(asked) > number:
            raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
        return device_array(*arguments)

    _, trainer = trainer_of()
    device_array = jit.cuda.device_array
    monkeypatch.setattr(jit.cuda, "to_device" if number == 0 else "device_array", full)
    with pytest.raises(OptionError, match=f"^{what} not fit into the GPU's memory: take smaller batches"):
        epoch(trainer, split(), 0, np.arange(11), 4)


def test_the_net_on_the_device_answers_for_evaluation():
    from netsim import evaluation

    data = split()
    net, trainer = trainer_of()
    _, learner = epoch(trainer, data, 0, np.arange(len(data)), 5)
    ours = evaluation.evaluate(learner.network, data, "hinge", trainer.mu)
    theirs = evaluation.evaluate(net, data, "hinge", trainer.mu)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    np.testing.assert_array_equal(ours.confusion, theirs.confusion)
    assert evaluation.saturation(learner.network, data) == evaluation.saturation(net, data)


def test_checkpoints_move_between_the_two(tmp_path):
    """A net saved after a step on the device goes on on the CPU, and back."""
    from netsim.cuda.trainer import CudaTrainer

    rng = np.random.default_rng(0)
    net, trainer = trainer_of()
    images, labels = rng.random((4, 4, 4, 2), np.float32), rng.integers(0, 3, 4)
    trainer.step(images, labels)
    net.save(tmp_path / "net.safetensors")
    loaded = netsim.load(tmp_path / "net.safetensors")
    again = netsim.load(tmp_path / "net.safetensors")
    netsim.Trainer(loaded).step(images, labels)
    CudaTrainer(again).step(images, labels)
    for name, array in loaded.state().items():
        np.testing.assert_allclose(again.state()[name], array, rtol=0, atol=1e-6, err_msg=name)
        assert np.any(array != net.state()[name])


SCORES = np.array(
    [[1.0, -1.0, 0.0], [1.5, 1.5, -2.0], [-1.0, np.nextafter(np.float32(-1), -2), 3.0], [0.0, 0.0, 0.0],
     [np.nan, 1.0, 2.0], [1.0, np.inf, np.nan], [-np.inf, 0.0, 0.5], [80.0, -80.0, 0.25]],
    np.float32,
)  # fmt: skip


@pytest.mark.parametrize("name", ["hinge", "softmax"])
@pytest.mark.parametrize("mu", [0.5, 0.0, 1 / 3])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy in the simulator, where scores are not finite
def test_output_errors_at_the_margins_ties_and_beyond(name, mu):
    from netsim.cuda.jit import fetch, upload, zeros
    from netsim.cuda.units import OUTPUT_ERRORS

    labels = np.array([0, 1, 1, 2, 2, 0, 1, 0])
    with np.errstate(all="ignore"):
        delta, loss = losses.find(name)(SCORES.copy(), labels, mu)
    top, found, wrong = upload(SCORES), zeros(8, np.float64), zeros(8, np.uint8)
    OUTPUT_ERRORS[name].over(8, top, upload(labels), found, wrong, zeros(1, np.int64), np.float64(mu), 3)
    np.testing.assert_allclose(fetch(top).reshape(8, 3), delta, rtol=1e-6, atol=0)
    np.testing.assert_allclose(fetch(found), loss, rtol=1e-6)
    np.testing.assert_array_equal(fetch(wrong), SCORES.argmax(axis=1) != labels)


@pytest.mark.parametrize("window, stride", [(2, 2), (3, 2), (3, 1), (4, 3), (2, 3)])
def test_pools_with_many_ties_choose_the_winners_of_the_cpu(window, stride):
    from netsim.cuda.trainer import CudaTrainer

    text = f"conv 2 1x1; maxpool {window}, stride {stride}; output"
    rng = np.random.default_rng(7)
    images = rng.integers(-1, 2, (3, 5, 4, 2)).astype(np.float32) / 2
    labels, found = rng.integers(0, 3, 3), []
    for kind in (netsim.Trainer, CudaTrainer):
        net = netsim.Network(text, (5, 4, 2), 3, seed=2)
        net["conv1"].W = np.eye(2).reshape(1, 1, 2, 2)
        found.append(kind(net).signals(images, labels)["conv1"])
    assert np.any(found[0] != 0)
    np.testing.assert_array_equal(found[0] != 0, found[1] != 0)
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-6)
