"""The public interface: Network, Trainer, save and load, to the letter; every bad array and option gets one line."""

import naive
import numpy as np
import pytest

import netsim
from netsim import notation

TEXT = "conv 4 3x3; maxpool 2; untied 3 2x2; drop .5; full 6; output"
SHAPE, CLASSES, BATCH = (5, 4, 2), 3, 4


def network(**options):
    return netsim.Network(TEXT, SHAPE, CLASSES, **options)


def batch(seed=0, size=BATCH):
    rng = np.random.default_rng(seed)
    return np.float32(rng.uniform(-1, 1, (size, *SHAPE))), rng.integers(0, CLASSES, size)


def copies(arrays):
    return {name: array.copy() for name, array in arrays.items()}


def assert_same_state(net, other):
    first, second = net.state(), other.state()
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array, err_msg=name)


# ------------------------------------------------------------------------------------------------------- Network
def test_the_example_of_the_design():
    net = netsim.Network("simpnet", input_shape=(32, 32, 3), classes=10, seed=0)
    assert net["conv1"].W.shape == net["conv1"].R.shape == (5, 5, 3, 32)
    assert net["full1"].W.shape == (16 * 16 * 32, 500) and net["output"].R.shape == (500, 10)
    trainer = netsim.Trainer(net, protocol="urfb", loss="hinge", step_size=0.1, mu=None)
    images, labels = np.random.default_rng(0).random((6, 32, 32, 3), np.float32), np.arange(6)
    result = trainer.step(images, labels)
    assert isinstance(result.loss, float) and 0 < result.loss < 100
    assert result.error_rate in [n / 6 for n in range(7)]
    scores = net.scores(images)
    assert scores.shape == (6, 10) and scores.dtype == np.float32


def test_a_network_by_name_by_notation_and_by_specifications_is_one():
    nets = [netsim.Network(a, (8, 8, 1), 10, 3) for a in
            ("simpnet", "Conv 32 5x5;\nMaxpool 3; Drop 0.8; Full conn. 500; DROP .30; Output;",
             notation.parse("conv 32 5x5; maxpool 3; drop .8; full 500; drop .3; output"))]  # fmt: skip
    for net in nets[1:]:
        assert net.architecture == nets[0].architecture
        assert net.specs == nets[0].specs
        assert_same_state(nets[0], net)


def test_what_a_network_tells():
    net = network(seed=5, connectivity=0.5, thin_output=True, symmetric=False, slope=0.5)
    assert net.architecture == "conv 4 3x3; maxpool 2; untied 3 2x2; drop .5; full 6; output"
    assert (net.input_shape, net.classes, net.seed) == (SHAPE, CLASSES, 5)
    options = dict(connectivity=0.5, thin_output=True, symmetric=False, slope=0.5)
    assert net.options == dict(**options, untied_start="apart", pool_anchor="center", pool_ties="first")
    names = ["conv1", "maxpool1", "untied1", "drop1", "full1", "output"]
    assert [layer.name for layer in net.layers] == names
    assert [layer.kind for layer in net.layers] == ["conv", "maxpool", "untied", "drop", "full", "output"]
    assert [layer.spec for layer in net.layers] == list(net.specs)
    assert [tuple(layer.shape) for layer in net.layers] == [(5, 4, 4), (3, 2, 4), (3, 2, 3), (3, 2, 3), (6,), (3,)]
    assert [tuple(layer.parents) for layer in net.layers] == [(p,) for p in ("input", *names[:-1])]
    assert [layer.name for layer in net.weighted] == ["conv1", "untied1", "full1", "output"]
    assert all(net[name] is layer for name, layer in zip(names, net.layers, strict=True))
    summed = netsim.Network("conv 4 3x3; conv 4 3x3; sum; sum; output", SHAPE, CLASSES)
    assert set(summed["sum1"].parents) == {"conv1", "conv2"}
    assert set(summed["sum2"].parents) == {"conv2", "sum1"}


def test_shapes_and_dtypes_of_weights():
    net = network()
    expected = naive.weight_shapes(naive.listing(TEXT), SHAPE, CLASSES)
    assert expected["untied1"] == (3, 2, 2, 2, 4, 3)
    for layer in net.weighted:
        for array in (layer.W, layer.R):
            assert array.shape == expected[layer.name]
            assert array.dtype == np.float32
        assert layer.W_mask is None and layer.R_mask is None


def test_glorot_uniform_weights():
    """sqrt(6 / (fan_in + fan_out)); W and R, layers and seeds independent of each other."""
    net = netsim.Network("conv 32 5x5; conv 32 5x5; untied 16 2x3; full 50; output", (6, 6, 3), 10, seed=1)
    fans = dict(conv1=25 * 35, conv2=25 * 64, untied1=6 * 48, full1=36 * 16 + 50, output=60)
    for layer in net.weighted:
        limit = np.sqrt(6 / fans[layer.name])
        for array in (layer.W, layer.R):
            assert 0.98 * limit < np.abs(array).max() <= np.float32(limit) or array.size < 1000
            spread = limit / np.sqrt(3 * array.size)
            assert abs(array.mean()) < 5 * spread
            assert abs(array.std() / (limit / np.sqrt(3)) - 1) < 5 / np.sqrt(array.size)
        assert abs(np.corrcoef(layer.W.ravel(), layer.R.ravel())[0, 1]) < 5 / np.sqrt(layer.W.size)
    same, other = (netsim.Network(net.architecture, (6, 6, 3), 10, seed=s) for s in (1, 2))
    assert_same_state(net, same)
    assert all(np.any(layer.W != other[layer.name].W) for layer in net.weighted)
    first, second = net["conv1"].W.ravel(), net["conv2"].W.ravel()[: net["conv1"].W.size]
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(first.size)


def test_symmetric_start_copies_w_and_leaves_two_arrays():
    net = network(symmetric=True)
    for layer in net.weighted:
        np.testing.assert_array_equal(layer.R, layer.W)
    netsim.Trainer(net, protocol="frfb").step(*batch())
    assert all(np.any(layer.R != layer.W) for layer in net.weighted)


def test_weights_are_set_by_value():
    net = network()
    for which in ("W", "R"):
        given = np.random.default_rng(0).random((3, 3, 2, 4))
        setattr(net["conv1"], which, given)
        kept = np.float32(given)
        given[:] = 9
        np.testing.assert_array_equal(getattr(net["conv1"], which), kept)
    assert np.any(net["conv1"].W != 9) and np.array_equal(net["conv1"].W, net["conv1"].R)
    net["conv1"].W = np.zeros((3, 3, 2, 4), int)
    assert net["conv1"].W.dtype == np.float32 and not net["conv1"].W.any()
    assert net["conv1"].R.any()
    assert (net.activity(batch()[0])["conv1"] == 0).all()


def test_connectivity_masks():
    net = network(connectivity=0.5)
    for name in ("conv1", "untied1", "full1"):
        layer = net[name]
        for weights, mask in ((layer.W, layer.W_mask), (layer.R, layer.R_mask)):
            assert mask.dtype == bool and mask.shape == weights.shape
            np.testing.assert_array_equal(weights != 0, mask)
        assert np.any(layer.W_mask != layer.R_mask)
    assert net["output"].W_mask is None
    assert network(connectivity=0.5, thin_output=True)["output"].W_mask.dtype == bool


def test_scores_have_no_dropout_and_change_nothing():
    net, (images, _) = network(), batch()
    before, pixels = copies(net.state()), images.copy()
    scores = net.scores(images)
    np.testing.assert_array_equal(net.scores(images), scores)
    np.testing.assert_array_equal(net.scores(images, threads=1), scores)
    np.testing.assert_array_equal(net.scores(images[1:3]), scores[1:3])
    np.testing.assert_array_equal(net.activity(images)["output"], scores)
    np.testing.assert_array_equal(images, pixels)
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, before[name])
    netsim.Trainer(net).signals(images, np.zeros(BATCH, int))
    np.testing.assert_array_equal(net.scores(images), scores)


def test_images_in_any_layout_and_numeric_dtype():
    net, (images, _) = network(), batch()
    images = np.float32(np.round(images * 8))
    scores = net.scores(images)
    wide = np.zeros((BATCH * 2, 5, 8, 2), np.float32)
    wide[::2, :, ::2] = images
    for same in (wide[::2, :, ::2], np.asfortranarray(images), images.astype(np.float64), images.astype(np.int8),
                 images.astype(">f4"), images.tolist(), images[::-1].copy()[::-1]):  # fmt: skip
        np.testing.assert_array_equal(net.scores(same), scores)
    read_only = images.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(net.scores(read_only), scores)


# ------------------------------------------------------------------------------------------------------- Trainer
def test_step_is_increments_and_then_their_application():
    net, (images, labels) = network(), batch()
    trainer = netsim.Trainer(net, step_size=0.5)
    before = copies(net.state())
    increments, seen = trainer.increments(images, labels)
    increments = copies(increments)
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, before[name], err_msg="increments() changes no weight")
    assert trainer.batch == 0
    result = trainer.step(images, labels)
    assert (result.loss, result.error_rate) == (seen.loss, seen.error_rate)
    for layer in net.weighted:
        for which in ("W", "R"):
            then = before[f"{layer.name}.{which}"].astype(float)
            expected = then + 0.5 / BATCH * increments[layer.name]
            np.testing.assert_allclose(getattr(layer, which), expected, rtol=1e-6, atol=1e-6)
    assert any(np.any(increment) for increment in increments.values())
    assert (trainer.epoch, trainer.batch) == (0, 1)


def test_the_loss_is_that_of_before_the_update():
    net, (images, labels) = network(), batch()
    expected = naive.loss_of(net.scores(images).astype(float), labels).mean()
    result = netsim.Trainer(net, drop="off").step(images, labels)
    assert result.loss == pytest.approx(expected, rel=1e-6)
    assert naive.loss_of(net.scores(images).astype(float), labels).mean() != pytest.approx(expected, rel=1e-4)


def test_counters_key_the_masks_and_a_resumed_run_goes_on_bit_for_bit(tmp_path):
    batches = [batch(seed) for seed in range(6)]
    straight = network()
    trainer = netsim.Trainer(straight, seed=8)
    for epoch in range(2):
        trainer.begin_epoch(epoch)
        assert (trainer.epoch, trainer.batch) == (epoch, 0)
        results = [trainer.step(*b) for b in batches[3 * epoch : 3 * epoch + 3]]
    assert (trainer.epoch, trainer.batch) == (1, 3)

    first = network()
    trainer = netsim.Trainer(first, seed=8)
    for b in batches[:3]:
        trainer.step(*b)
    trainer.begin_epoch(1)
    trainer.step(*batches[3])
    first.save(tmp_path / "half.safetensors")
    resumed = netsim.load(tmp_path / "half.safetensors")
    later = netsim.Trainer(resumed, seed=8)
    later.epoch, later.batch = 1, 1
    assert [later.step(*b) for b in batches[4:]] == results[1:]
    assert_same_state(straight, resumed)

    wrong = netsim.load(tmp_path / "half.safetensors")
    netsim.Trainer(wrong, seed=8).step(*batches[4])  # counters not set: other masks
    assert np.any(wrong["output"].W != straight["output"].W)


def test_the_seed_of_the_masks_is_that_of_the_net_by_default():
    losses = []
    for net_seed, seed in ((3, None), (3, 3), (3, 4)):
        net = network(seed=net_seed)
        losses.append([netsim.Trainer(net, seed=seed).step(*batch(s)).loss for s in range(3)])
    assert losses[0] == losses[1] != losses[2]


def test_two_trainers_take_turns_on_one_net():
    """A trainer has no hidden state but its counters."""
    alone, shared = network(), network()
    trainer, turns = netsim.Trainer(alone), [netsim.Trainer(shared) for _ in range(2)]
    for number in range(4):
        trainer.step(*batch(number))
        turns[number % 2].batch = number
        turns[number % 2].step(*batch(number))
    assert_same_state(alone, shared)


@pytest.mark.parametrize("labels", [
    np.array([0, 1, 2, 1], np.uint8), np.array([0, 1, 2, 1], ">i2"), [0, 1, 2, 1], np.arange(8)[::2] % 3 // 1,
], ids=["uint8", "big-endian", "list", "strided"])  # fmt: skip
def test_labels_of_any_whole_dtype(labels):
    net, (images, _) = network(), batch()
    _, result = netsim.Trainer(net).increments(images, labels)
    _, expected = netsim.Trainer(net).increments(images, np.array([int(label) for label in labels], np.int64))
    assert result == expected


def test_protocols_bp_makes_r_w_and_urfb_gives_r_its_own_array_again():
    net = network()
    netsim.Trainer(net, protocol="bp").step(*batch())
    for layer in net.weighted:
        np.testing.assert_array_equal(layer.R, layer.W)
    netsim.Trainer(net, protocol="frfb").step(*batch())
    assert all(np.any(layer.R != layer.W) for layer in net.weighted)


def test_each_trainer_keeps_its_protocol_on_a_shared_net():
    net = network()
    symmetric, fixed = netsim.Trainer(net, protocol="bp"), netsim.Trainer(net, protocol="frfb")
    fixed.step(*batch(1))
    assert any(np.any(layer.R != layer.W) for layer in net.weighted)
    symmetric.step(*batch(2))
    for layer in net.weighted:
        np.testing.assert_array_equal(layer.R, layer.W)
    R = {layer.name: layer.R.copy() for layer in net.weighted}
    fixed.step(*batch(3))
    for layer in net.weighted:
        np.testing.assert_array_equal(layer.R, R[layer.name])
        assert np.any(layer.R != layer.W)


def test_numbers_of_numpy_are_numbers():
    net = netsim.Network(TEXT, np.array(SHAPE), np.int64(CLASSES), seed=np.uint32(3), connectivity=np.float32(0.5))
    assert (net.input_shape, net.classes, net.seed) == (SHAPE, CLASSES, 3)
    trainer = netsim.Trainer(net, step_size=np.float32(0.5), mu=np.float64(0.25), feedback_rate=np.float32(0.5))
    trainer.batch = np.int64(2)
    assert trainer.step(*batch()).loss > 0
