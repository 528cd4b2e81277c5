"""Every bad array and option of the Python interface: the right error, one line, with the offending value."""

import numpy as np
import pytest

import netsim
from netsim import errors
from netsim.errors import ArrayError, GeometryError, NotationError, OptionError, UnknownNameError

TEXT = "conv 4 3x3; maxpool 2; drop .5; full 6; output"
SHAPE, CLASSES = (5, 4, 2), 3
IMAGES = np.zeros((4, *SHAPE), np.float32)
LABELS = np.array([0, 1, 2, 1])


def with_pixel(value):
    images = IMAGES.astype(np.float64)
    images[2, 1, 3, 0] = value
    return images


def build(architecture=TEXT, input_shape=SHAPE, classes=CLASSES, **options):
    return lambda: netsim.Network(architecture, input_shape, classes, **options)


def train(**options):
    return lambda: netsim.Trainer(netsim.Network(TEXT, SHAPE, CLASSES), **options)


def step(images=IMAGES, labels=LABELS):
    return lambda: netsim.Trainer(netsim.Network(TEXT, SHAPE, CLASSES)).step(images, labels)


def score(images, **options):
    return lambda: netsim.Network(TEXT, SHAPE, CLASSES).scores(images, **options)


def set_weights(layer, which, array, **options):
    return lambda: setattr(netsim.Network(TEXT, SHAPE, CLASSES, **options)[layer], which, array)


def restore(change):
    def call():
        net = netsim.Network(TEXT, SHAPE, CLASSES)
        state = net.state()
        change(state)
        net.restore(state)

    return call


FULL = np.ones((24, 6), np.float32)

BAD = {
    # networks
    "unknown network": (build("simpnett"), UnknownNameError, ["simpnett", "did you mean 'simpnet'"]),
    "unknown kind": (build("conv 4 3x3; maxpol 2; output"), NotationError, ["maxpol", "did you mean 'maxpool'"]),
    "place of what is malformed": (build("conv 4 3x3; full; output"), NotationError, ["layer 2", "column"]),
    "no output": (build("full 4"), NotationError, ["output"]),
    "architecture of no kind": (build(17), NotationError, []),
    "pool above its map": (build("maxpool 5; output"), GeometryError, ["maxpool1", "5x5", "5x4"]),
    "pool above a pooled map": (build("maxpool 2; maxpool 2; maxpool 2; output"), GeometryError, ["maxpool3", "2x1"]),
    "sum of unequal shapes": (build("conv 4 3x3; conv 5 3x3; sum; output"), GeometryError, ["sum1", "5x4x4", "5x4x5"]),
    "sum without two layers": (build("conv 4 3x3; sum; output"), (NotationError, GeometryError), ["sum"]),
    "sum first": (build("sum; output"), (NotationError, GeometryError), ["sum"]),
    "conv above full": (build("full 5; conv 4 3x3; output"), GeometryError, ["conv1", "full1"]),
    "pool above full": (build("full 5; maxpool 2; output"), GeometryError, ["maxpool1", "full1"]),
    "no classes": (build(classes=0), errors.NetsimError, ["classes", "0"]),
    "one class": (build(classes=1), errors.NetsimError, ["classes", "1"]),
    "half a class": (build(classes=2.5), errors.NetsimError, ["classes", "2.5"]),
    "flat input": (build(input_shape=(5, 4)), ArrayError, ["input_shape", "(5, 4)"]),
    "input without pixels": (build(input_shape=(5, 0, 1)), ArrayError, ["input_shape", "(5, 0, 1)"]),
    "input of words": (build(input_shape="32x32x3"), ArrayError, ["input_shape", "32x32x3"]),
    "input of nothing": (build(input_shape=None), ArrayError, ["input_shape", "None"]),
    "connectivity 0": (build(connectivity=0.0), OptionError, ["connectivity", "0.0"]),
    "connectivity above 1": (build(connectivity=1.5), OptionError, ["connectivity", "1.5"]),
    "connectivity nan": (build(connectivity=float("nan")), OptionError, ["connectivity", "nan"]),
    "slope 0": (build(slope=0.0), OptionError, ["slope", "0.0"]),
    "slope of words": (build(slope="steep"), OptionError, ["slope", "steep"]),
    "negative seed": (build(seed=-1), OptionError, ["seed", "-1"]),
    "seed of words": (build(seed="one"), OptionError, ["seed", "one"]),
    "layer": (lambda: netsim.Network(TEXT, SHAPE, 3)["conv2"], UnknownNameError, ["conv2", "did you mean 'conv1'"]),
    "layer by number": (lambda: netsim.Network(TEXT, SHAPE, CLASSES)[3], UnknownNameError, ["3"]),
    # trainers
    "protocol": (train(protocol="urbf"), OptionError, ["urbf", "did you mean 'urfb'"]),
    "protocol of no kind": (train(protocol=3), OptionError, ["3"]),
    "protocol in a list": (train(protocol=["bp"]), OptionError, ["bp"]),
    "loss": (train(loss="hing"), OptionError, ["hing", "did you mean 'hinge'"]),
    "loss in a list": (train(loss=["hinge"]), OptionError, ["hinge"]),
    "drop": (train(drop="samples"), OptionError, ["samples", "did you mean 'sample'"]),
    "drop in a list": (train(drop=["off"]), OptionError, ["off"]),
    "negative step size": (train(step_size=-0.1), OptionError, ["step_size", "-0.1"]),
    "infinite step size": (train(step_size=float("inf")), OptionError, ["step_size", "inf"]),
    "step size of words": (train(step_size="fast"), OptionError, ["step_size", "fast"]),
    "negative mu": (train(mu=-1), OptionError, ["mu", "-1"]),
    "negative decay": (train(decay=-0.5), OptionError, ["decay", "-0.5"]),
    "decay nan": (train(decay=float("nan")), OptionError, ["decay", "nan"]),
    "feedback rate above 1": (train(feedback_rate=1.01), OptionError, ["feedback_rate", "1.01"]),
    "negative feedback rate": (train(feedback_rate=-0.2), OptionError, ["feedback_rate", "-0.2"]),
    "feedback rate of words": (train(feedback_rate="half"), OptionError, ["feedback_rate", "half"]),
    "feedback rate with bp": (train(protocol="bp", feedback_rate=0.5), OptionError, ["feedback_rate", "0.5", "bp"]),
    "unknown frozen layer": (train(frozen=("conv3",)), UnknownNameError, ["conv3", "did you mean 'conv1'"]),
    "unknown frozen layer by name": (train(frozen="ful1"), UnknownNameError, ["ful1", "did you mean 'full1'"]),
    "frozen pool": (train(frozen=("maxpool1",)), OptionError, ["maxpool1"]),
    "frozen number": (train(frozen=3), OptionError, ["3"]),
    "negative seed of masks": (train(seed=-4), OptionError, ["seed", "-4"]),
    "no threads": (train(threads=0), OptionError, ["threads", "0"]),
    "half a thread": (train(threads=0.5), OptionError, ["threads", "0.5"]),
    "empty chunk": (train(chunk=0), OptionError, ["chunk", "0"]),
    "threads of scores": (score(IMAGES, threads=-1), OptionError, ["threads", "-1"]),
    # images
    "one image without a batch": (step(IMAGES[0]), ArrayError, ["images", "(5, 4, 2)"]),
    "channels first": (step(IMAGES.transpose(0, 3, 1, 2)), ArrayError, ["images", "(4, 2, 5, 4)", "5, 4, 2"]),
    "no images": (step(IMAGES[:0], LABELS[:0]), ArrayError, ["images", "(0, 5, 4, 2)"]),
    "images of words": (step(IMAGES.astype(str)), ArrayError, ["images", "<U32"]),
    "complex images": (step(IMAGES.astype(complex)), ArrayError, ["images", "complex128"]),
    "images of objects": (step(IMAGES.astype(object)), ArrayError, ["images", "object"]),
    "ragged images": (step([[1.0], [1.0, 2.0]]), ArrayError, ["images"]),
    "images of nothing": (step(None), ArrayError, ["images"]),
    "nan pixel": (step(with_pixel(np.nan)), ArrayError, ["images", "nan", "(2, 1, 3, 0)"]),
    "infinite pixel": (step(with_pixel(-np.inf)), ArrayError, ["images", "-inf", "(2, 1, 3, 0)"]),
    "pixel that float32 cannot hold": (step(with_pixel(1e300)), ArrayError, ["images", "(2, 1, 3, 0)"]),
    "scores of one image": (score(IMAGES[0]), ArrayError, ["images", "(5, 4, 2)"]),
    "scores of a nan": (score(with_pixel(np.nan)), ArrayError, ["images", "nan"]),
    "scores of a number": (score(7), ArrayError, ["images"]),
    "scores of nothing": (score(None), ArrayError, ["images"]),
    "scores of no images": (score(IMAGES[:0]), ArrayError, ["images", "(0, 5, 4, 2)"]),
    # labels
    "label too large": (step(labels=[0, 1, 3, 1]), ArrayError, ["label", "3", "0 to 2"]),
    "negative label": (step(labels=[0, 1, -1, 1]), ArrayError, ["label", "-1", "0 to 2"]),
    "label of 64 bits": (step(labels=np.array([0, 1, 2**64 - 1, 1], np.uint64)), ArrayError, ["label", str(2**64 - 1)]),
    "labels as floats": (step(labels=LABELS.astype(float)), ArrayError, ["label", "float64"]),
    "labels as bools": (step(labels=LABELS > 0), ArrayError, ["label", "bool"]),
    "labels as words": (step(labels=["cat"] * 4), ArrayError, ["label"]),
    "one-hot labels": (step(labels=np.eye(3, dtype=int)[LABELS]), ArrayError, ["label", "(4, 3)"]),
    "too few labels": (step(labels=LABELS[:3]), ArrayError, ["label", "(3,)", "(4,)"]),
    "one label": (step(labels=1), ArrayError, ["label", "()"]),
    "labels of nothing": (step(labels=None), ArrayError, ["label"]),
    "ragged labels": (step(labels=[[0], [1, 2]]), ArrayError, ["label"]),
    # weights
    "weights transposed": (set_weights("full1", "W", FULL.T), ArrayError, ["full1.W", "(6, 24)", "(24, 6)"]),
    "feedback weights transposed": (set_weights("full1", "R", FULL.T), ArrayError, ["full1.R", "(6, 24)", "(24, 6)"]),
    "a number as weights": (set_weights("full1", "W", 0.5), ArrayError, ["full1.W", "()"]),
    "nan weight": (set_weights("full1", "W", FULL * np.nan), ArrayError, ["full1.W", "finite"]),
    "weight above float32": (set_weights("full1", "R", FULL.astype(float) * 1e300), ArrayError, ["full1.R", "finite"]),
    "complex weights": (set_weights("full1", "W", FULL + 1j), ArrayError, ["full1.W", "complex"]),
    "ragged weights": (set_weights("full1", "W", [[0.0], [1.0, 2.0]]), ArrayError, ["full1.W"]),
    "weights where nothing is connected": (set_weights("full1", "W", FULL, connectivity=0.5), ArrayError, ["full1.W"]),
    # states
    "state without a layer": (restore(lambda s: s.pop("conv1.R")), ArrayError, ["conv1.R"]),
    "state with one more": (restore(lambda s: s.update({"conv2.W": s["conv1.W"]})), ArrayError, ["conv2.W"]),
    "state of another shape": (restore(lambda s: s.update({"full1.W": FULL.T})), ArrayError, ["full1.W", "(6, 24)"]),
    "state that is not finite": (restore(lambda s: s.update({"full1.W": FULL * np.inf})), ArrayError, ["full1.W"]),
    "state of words": (restore(lambda s: s.update({"full1.W": FULL.astype(str)})), ArrayError, ["full1.W"]),
}


@pytest.mark.parametrize(("call", "error", "contains"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_line(call, error, contains):
    with pytest.raises(errors.NetsimError) as caught:
        call()
    assert isinstance(caught.value, error), f"{type(caught.value).__name__}: {caught.value}"
    message = str(caught.value)
    assert len(message) > 10 and "\n" not in message and len(message) < 300
    for part in contains:
        assert part in message, message


def test_errors_are_builtin_errors_too():
    for error, builtin, status in (
        (NotationError, ValueError, 2), (GeometryError, ValueError, 2), (OptionError, ValueError, 2),
        (ArrayError, ValueError, 2), (UnknownNameError, LookupError, 2), (errors.DataError, OSError, 2),
        (errors.RunError, OSError, 2), (errors.DivergedError, ArithmeticError, 3),
    ):  # fmt: skip
        assert issubclass(error, errors.NetsimError) and issubclass(error, builtin)
        assert error("x").exit_status == status


def test_a_refused_batch_changes_nothing():
    net = netsim.Network(TEXT, SHAPE, CLASSES)
    trainer, before = netsim.Trainer(net), {name: array.copy() for name, array in net.state().items()}
    for images, labels in ((with_pixel(np.nan), LABELS), (IMAGES, [0, 1, 2, 9]), (IMAGES[:, :3], LABELS)):
        with pytest.raises(ArrayError):
            trainer.step(images, labels)
    assert (trainer.epoch, trainer.batch) == (0, 0)
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("bad", ["missing", "shape", "mask"])
def test_a_refused_state_changes_nothing(bad):
    net = netsim.Network(TEXT, SHAPE, CLASSES, connectivity=0.5)
    before = {name: array.copy() for name, array in net.state().items()}
    state = netsim.Network(TEXT, SHAPE, CLASSES, seed=1, connectivity=0.5).state()
    if bad == "missing":
        del state["output.R"]
    elif bad == "shape":
        state["output.R"] = state["output.R"].T
    else:  # a weight where the state's own mask says there is no connection
        state["full1.W"] = np.ones_like(state["full1.W"])
    with pytest.raises(ArrayError):
        net.restore(state)
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize("loss", ["hinge", "softmax"])
@pytest.mark.parametrize("weight", [3e38, np.nan])
def test_a_network_that_diverged_gets_a_loss_that_is_not_finite_and_no_warning(loss, weight):
    net = netsim.Network("full 4; output", (1, 1, 4), 3)
    net["full1"].W = np.ones((4, 4), np.float32)
    net["output"].W[...] = weight  # not through the setter, as an update would
    images = np.ones((2, 1, 1, 4), np.float32)
    assert not np.isfinite(net.scores(images)).any()
    assert not np.isfinite(netsim.Trainer(net, loss=loss).step(images, np.array([0, 1])).loss)


@pytest.mark.parametrize("layer", ["conv 3 3x3", "untied 3 3x3", "maxpool 2", "conv 3 3x3; conv 3 1x1; sum", "drop .5"])
def test_a_weight_that_is_not_a_number_is_seen_in_the_loss(layer):
    """No clip, pool or gate swallows it."""
    net = netsim.Network(f"conv 2 1x1; {layer}; output", (4, 4, 1), 3)
    net["conv1"].W[...] = np.nan
    assert np.isnan(netsim.Trainer(net).step(np.ones((3, 4, 4, 1), np.float32), np.array([0, 1, 2])).loss)
