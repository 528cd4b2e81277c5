"""Finite differences of the loss: with R = W the step is gradient descent, in the twin and in the engine."""

import agreement
import naive
import numpy as np
import pytest
from agreement import Case

DEEP = "conv 3 3x3; maxpool 2; conv 3 2x2; conv 3 3x3; sum; drop .5; untied 2 2x2; full 5; output"


def slopes(case, images, labels, W, masks, name, step):
    """Backward and forward difference of the mean loss for every weight of a layer."""

    def loss_at(W):
        x, _ = naive.feedforward(case.layers, images, W, masks=masks)
        return naive.loss_of(x["output"], labels, case.loss).mean()

    here, result = loss_at(W), np.empty((2, *W[name].shape))
    for index in np.ndindex(W[name].shape):
        for side, sign in enumerate((-1, 1)):
            moved = W[name].copy()
            moved[index] += sign * step
            result[(side, *index)] = (loss_at({**W, name: moved}) - here) / (sign * step)
    return result


@pytest.mark.parametrize("loss", ["hinge", "softmax"])
def test_finite_differences_of_the_loss_give_the_update_of_bp(loss):
    """BP-H: -dL/dW times B is the increment, of the twin in float64 and of the engine within its float32 bound.

    The hinge loss is piecewise linear in each weight, so its differences are exact but for rounding, as long as
    both sides agree (no kink between); softmax adds the second derivative times the step.
    """
    case = Case(DEEP, (4, 4, 2), batch=2, protocol="bp", loss=loss)
    drawn = agreement.draw(case)
    engine, _ = case.train(drawn.net).increments(drawn.images, drawn.labels)
    W = {name: w.astype(float) for name, w in drawn.W.items()}
    masks = naive.keep_masks(case.layers, case.input_shape, case.classes, case.batch, case.seed + 1, case.epoch,
                             case.batch_number, "sample")  # fmt: skip
    step = 1e-6
    rounding = 64 * 2.0**-53 * max(1.0, drawn.run.loss) / step
    for name in W:
        backward, forward = slopes(case, drawn.images, drawn.labels, W, masks, name, step)
        if loss == "hinge":
            assert np.abs(forward - backward).max() < rounding, f"a kink near a weight of {name}"
        expected = -case.batch * (forward + backward) / 2
        assert np.abs(expected).max() > 1e3 * rounding, "nothing to compare"
        np.testing.assert_allclose(drawn.run.increments[name], expected, rtol=0, atol=2 * case.batch * rounding)
        bound = drawn.bound.increments[name] + 2 * case.batch * rounding
        agreement.within(engine[name], expected, bound, f"increment of {name}", says=0.3)


def test_a_small_step_of_bp_lowers_the_loss_by_the_squared_gradient():
    case = Case(DEEP, (4, 4, 2), batch=3, protocol="bp", step_size=2.0**-10, drop="off")
    drawn = agreement.draw(case)
    trainer = case.train(drawn.net)
    before = trainer.step(drawn.images, drawn.labels).loss
    _, after = trainer.increments(drawn.images, drawn.labels)
    squared = sum(float(np.sum((increment / 3) ** 2)) for increment in drawn.run.increments.values())
    assert after.loss < before
    assert (before - after.loss) / (case.step_size * squared) == pytest.approx(1.0, abs=0.1)
