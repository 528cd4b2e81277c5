"""Ten steps (five epochs of two batches) on real digits: losses made by the float64 twin, met by the engine.

    python tests/test_pinned_run.py     # prints PINNED anew, from the twin alone
"""

import naive
import numpy as np
import pytest
from sklearn.datasets import load_digits

ARCHITECTURE = "conv 8 3x3; maxpool 3; drop .2; conv 8 3x3; conv 8 3x3; sum; full 30; drop .1; output"
INPUT_SHAPE, CLASSES, SEED, STEP_SIZE = (8, 8, 1), 10, 77, 0.2
EPOCHS, BATCHES, BATCH = 5, 2, 20
PROTOCOLS = {"urfb": "hinge", "frfb": "hinge", "bp": "softmax"}

PINNED = {
    "urfb": {
        "losses": [
            1.881517374223, 1.961135651125, 1.864401193514, 1.910269188038, 1.953545371361,
            1.899316779661, 2.00225423889, 1.725937794203, 1.906184378537, 1.667221690994,
        ],
        "errors": [
            0.95, 0.9, 0.8, 0.85, 0.85,
            0.95, 1, 0.65, 0.95, 0.8,
        ],
        "alignment": [
            -0.2326897575362, 0.0863865816766, 0.032373913498, 0.04344592165396, 0.03281582172239,
        ],
    },
    "frfb": {
        "losses": [
            1.881517374223, 1.961135651125, 1.864829479033, 1.910289867239, 1.947603167718,
            1.840802275966, 1.999835011732, 1.728967736291, 1.858535414463, 1.703389862799,
        ],
        "errors": [
            0.95, 0.9, 0.85, 0.85, 0.75,
            0.95, 1, 0.75, 0.85, 0.85,
        ],
        "alignment": [
            -0.2872006046489, -0.05953942222248, -0.02003623281789, 0.0005073214416353, -0.01093001598584,
        ],
    },
    "bp": {
        "losses": [
            2.29382152722, 2.280101756135, 2.147562060876, 2.05946728155, 2.146866404268,
            1.986527660903, 1.901369353222, 1.690097711652, 1.840432467228, 1.532162023053,
        ],
        "errors": [
            0.95, 0.9, 0.85, 0.7, 0.75,
            0.8, 0.55, 0.4, 0.5, 0.4,
        ],
        "alignment": [
            1, 1, 1, 1, 1,
        ],
    },
}


def uniform(stream, shape):
    """Numbers in [-1, 1) from the counter hash: the same with every version of NumPy."""
    words = [naive.counter_hash(SEED, 0, 0, stream, u) for u in range(int(np.prod(shape)))]
    return (np.array(words) / 2**31 - 1).reshape(shape)


def start():
    """Glorot-like W and R in float32, and the first 40 digits."""
    shapes = naive.weight_shapes(naive.listing(ARCHITECTURE), INPUT_SHAPE, CLASSES)
    W, R = {}, {}
    for number, (name, shape) in enumerate(shapes.items()):
        limit = np.sqrt(3 / np.prod(shape[-4:-1]))
        W[name], R[name] = (np.float32(limit * uniform(2 * number + side, shape)) for side in (0, 1))
    digits = load_digits()
    images = np.float32(digits.images[: BATCH * BATCHES, :, :, None] / 16)
    pixels, labels = (a.reshape(BATCHES, BATCH, *a.shape[1:]) for a in (images, digits.target[: len(images)]))
    return W, R, list(zip(pixels, labels, strict=True))


def run_twin(protocol):
    """(losses, error rates, Pearson correlation of W and R at the end, bottom up), in float64."""
    W, R, batches = start()
    layers, losses, errors = naive.listing(ARCHITECTURE), [], []
    for epoch, n in np.ndindex(EPOCHS, BATCHES):
        pixels, targets = batches[n]
        masks = naive.keep_masks(layers, INPUT_SHAPE, CLASSES, BATCH, SEED, epoch, n, "sample")
        run = naive.step(layers, pixels, targets, W, R, protocol=protocol, loss=PROTOCOLS[protocol],
                         eta=STEP_SIZE, masks=masks)  # fmt: skip
        W, R = run.W, run.R
        losses.append(run.loss)
        errors.append(run.error_rate)
    bottom_up = naive.weight_shapes(layers, INPUT_SHAPE, CLASSES)
    return losses, errors, [float(np.corrcoef(W[n].ravel(), R[n].ravel())[0, 1]) for n in bottom_up]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_twin_still_makes_the_pinned_numbers(protocol):
    losses, errors, alignment = run_twin(protocol)
    np.testing.assert_allclose(losses, PINNED[protocol]["losses"], rtol=1e-9)
    assert errors == PINNED[protocol]["errors"]
    np.testing.assert_allclose(alignment, PINNED[protocol]["alignment"], rtol=1e-9)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_engine_meets_the_pinned_numbers(protocol, threads):
    import netsim

    W, R, batches = start()
    net = netsim.Network(ARCHITECTURE, INPUT_SHAPE, CLASSES)
    for layer in net.weighted:
        layer.W, layer.R = W[layer.name], R[layer.name]
    trainer = netsim.Trainer(net, protocol=protocol, loss=PROTOCOLS[protocol], step_size=STEP_SIZE, seed=SEED,
                             threads=threads)  # fmt: skip
    results = []
    for epoch in range(EPOCHS):
        trainer.begin_epoch(epoch)
        results += [trainer.step(pixels, targets) for pixels, targets in batches]
    losses = [result.loss for result in results]
    np.testing.assert_allclose(losses, PINNED[protocol]["losses"], rtol=1e-4)
    assert [result.error_rate for result in results] == PINNED[protocol]["errors"]
    alignment = [np.corrcoef(layer.W.ravel(), layer.R.ravel())[0, 1] for layer in net.weighted]
    np.testing.assert_allclose(alignment, PINNED[protocol]["alignment"], rtol=1e-3, atol=1e-4)


def test_the_pinned_run_is_no_idle_one():
    """Losses fall, the three protocols differ, and more in ten steps than the tolerance."""
    losses = [PINNED[protocol]["losses"] for protocol in PROTOCOLS]
    assert all(of_run[-1] < 0.9 * of_run[BATCHES - 1] for of_run in losses)
    assert losses[0][0] == losses[1][0]
    assert abs(losses[0][-1] / losses[1][-1] - 1) > 1e-2


if __name__ == "__main__":
    print("PINNED = {")
    for name in PROTOCOLS:
        numbers = dict(zip(("losses", "errors", "alignment"), run_twin(name), strict=True))
        print(f'    "{name}": {{')
        for key, values in numbers.items():
            print(f'        "{key}": [')
            for at in range(0, len(values), 5):
                print(f"            {', '.join(f'{value:.13g}' for value in values[at : at + 5])},")
            print("        ],")
        print("    },")
    print("}")
