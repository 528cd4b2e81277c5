"""The linear nets of section 5: the paper's claim, the theory's special cases, and what their equations conserve."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from netsim import linear
from netsim.errors import ArrayError, DivergedError, OptionError

RATES = (0.0, 0.25, 0.5, 1.0)


def start(sizes, seed, deviation=0.1):
    """A target, and weights for BP and the others: random, zero, random feedback."""
    random = np.random.default_rng(seed)
    target = linear.product(linear.draw(sizes, 0.2, random))
    W = linear.draw(sizes, deviation, random)
    R = [matrix.T for matrix in linear.draw(sizes, deviation, random)]
    return target, W, [np.zeros_like(matrix) for matrix in W], R


@pytest.mark.parametrize("seed", range(20))
def test_the_larger_epsilon_the_faster_the_error_falls(seed):
    """Section 5.1, with the paper's sizes."""
    target, _, zero, R = start(linear.SIZES, seed)
    found = [linear.simulate(target, zero, R, feedback_rate=rate, step_size=0.01, iterations=150) for rate in RATES]
    for share in (0.1, 0.01, 0.001):
        times = [run.iterations_to(share) for run in found]
        assert None not in times
        assert times == sorted(times, reverse=True) and times[0] > times[-1] > 0
    ends = [run.error[-1] for run in found]
    assert all(after < before for before, after in itertools.pairwise(ends))
    # The correlation of W_l and R_lᵗ grows with epsilon in every layer; only the top one comes close to 1.
    aligned = np.array([run.correlation[:, -1] for run in found])
    assert (np.diff(aligned, axis=0) > 0).all()
    assert aligned[-1, -1] > 0.95 and (aligned[-1, :-1] < 0.9).all()


@pytest.mark.parametrize("rate", RATES)
def test_one_unit_a_layer_against_the_closed_form(rate):
    """Eq. 7 with n = 1 and W(0) = 0.

    From dW1 = R E, dW2 = E W1, R = R(0) + ε W2 follows W1² = 2 R(0) W2 + ε W2². So dW2/dt is a function of W2 alone,
    and the time at which W2 has some value is an integral.
    """
    goal, r = 0.8, 0.7

    def time_until(w2):
        # with w2 = s²: dt = 2 s ds / ((T - w2 w1) w1),  w1 = s sqrt(2 r + ε s²)
        def rate_of(s):
            w1 = s * np.sqrt(2 * r + rate * s * s)
            return 2 / ((goal - s * s * w1) * np.sqrt(2 * r + rate * s * s))

        return quad(rate_of, 0, np.sqrt(w2), epsabs=1e-12)[0]

    errors = []
    for steps in (400, 800, 1600):
        one = np.ones((1, 1))
        run = linear.simulate(
            goal * one, [0 * one, 0 * one], [one, r * one],
            feedback_rate=rate, step_size=3.0 / steps, iterations=steps,
        )  # fmt: skip
        w1, w2 = (float(matrix[0, 0]) for matrix in run.W)
        assert 0.2 < w2 * w1 < goal
        errors.append(time_until(w2) - 3.0)
    # Euler's method is of first order: half the step, half the error.
    assert abs(errors[-1]) < 0.01
    for before, after in itertools.pairwise(errors):
        assert before / after == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("sizes", [(4, 6, 3), (4, 6, 5, 3)])
@pytest.mark.parametrize("rate", RATES)
def test_the_steps_follow_the_differential_equations(sizes, rate):
    """Eqs. 7 and 9 from W(0) = 0, solved finely by scipy: the difference is of first order in the step."""
    target, _, zero, R0 = start(sizes, seed=3, deviation=0.6)
    target = 3 * target
    shapes = [matrix.shape for matrix in zero]
    ends = np.cumsum([n * m for n, m in shapes])

    def unpack(y):
        return [part.reshape(shape) for part, shape in zip(np.split(y, ends[:-1]), shapes, strict=True)]

    def slope(_, y):
        W = unpack(y)
        E = target - linear.product(W)
        parts = []
        for layer in range(len(W)):
            left = E
            for above in range(len(W) - 1, layer, -1):
                left = (R0[above] + rate * W[above].T) @ left
            right = linear.product(W[:layer]).T if layer else np.eye(sizes[0])
            parts.append(left @ right)
        return np.concatenate([part.ravel() for part in parts])

    span = 2.0
    exact = unpack(solve_ivp(slope, (0, span), np.zeros(ends[-1]), method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1])
    differences = []
    for steps in (500, 1000, 2000):
        run = linear.simulate(target, zero, R0, feedback_rate=rate, step_size=span / steps, iterations=steps)
        differences.append(max(np.abs(a - b).max() for a, b in zip(run.W, exact, strict=True)))
    assert max(np.abs(matrix).max() for matrix in exact) > 0.1
    assert run.error[-1] < 0.9 * run.error[0]
    assert differences[0] / differences[1] == pytest.approx(2, rel=0.1)
    assert differences[1] / differences[2] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("rate", RATES)
def test_two_layers_conserve_what_the_proof_uses(rate):
    """From W(0) = 0: W1 W1ᵗ = R2(0) W2 + (R2(0) W2)ᵗ + ε W2ᵗ W2, up to the step."""
    target, _, zero, R0 = start((5, 7, 4), seed=1, deviation=0.5)
    deviations = []
    for steps in (200, 400):
        run = linear.simulate(target, zero, R0, feedback_rate=rate, step_size=4.0 / steps, iterations=steps)
        W1, W2 = run.W
        left, right = W1 @ W1.T, R0[1] @ W2 + (R0[1] @ W2).T + rate * W2.T @ W2
        assert np.abs(left).max() > 0.1
        deviations.append(np.abs(left - right).max())
    assert deviations[0] / deviations[1] == pytest.approx(2, rel=0.1)


def test_feedback_weights_get_the_increments_of_the_feedforward_weights():
    target, W, _, R = start((4, 6, 5, 3), seed=2, deviation=0.3)
    for rate in RATES:
        run = linear.simulate(target, W, R, feedback_rate=rate, step_size=0.05, iterations=100)
        for w, w0, r, r0 in zip(run.W, W, run.R, R, strict=True):
            assert np.abs(w - w0).max() > 0.01
            np.testing.assert_allclose(r - r0, rate * (w - w0).T, rtol=0, atol=1e-13)


def test_updated_feedback_that_starts_symmetric_is_back_propagation():
    target, W, _, _ = start((4, 6, 5, 3), seed=5, deviation=0.4)
    settings = {"step_size": 0.05, "iterations": 200}
    bp = linear.simulate(target, W, [w.T for w in W], feedback_rate=None, **settings)
    urfb = linear.simulate(target, W, [w.T for w in W], feedback_rate=1.0, **settings)
    assert bp.error[-1] < 0.5 * bp.error[0]
    np.testing.assert_allclose(urfb.error, bp.error, rtol=1e-9)
    assert np.allclose(bp.correlation, 1)


def test_back_propagation_goes_down_the_gradient():
    target, W, _, R = start((4, 6, 5, 3), seed=6, deviation=0.4)
    step = 1e-6
    run = linear.simulate(target, W, R, feedback_rate=None, step_size=step, iterations=1)
    for layer in range(3):
        for index in [(0, 0), (1, 2)]:
            losses = []
            for change in (1e-5, -1e-5):
                moved = [w.copy() for w in W]
                moved[layer][index] += change
                losses.append(0.5 * ((target - linear.product(moved)) ** 2).sum())
            gradient = (losses[0] - losses[1]) / 2e-5
            assert abs(gradient) > 1e-3
            assert (run.W[layer][index] - W[layer][index]) / step == pytest.approx(-gradient, rel=1e-5)


def test_the_correlation_is_not_known_while_weights_are_zero():
    target, _, zero, R = start((4, 6, 5, 3), seed=7)
    run = linear.simulate(target, zero, R, feedback_rate=1.0, step_size=0.05, iterations=5)
    # At first only W1 has an input and a signal; W2 follows a step later, W3 another.
    assert np.isnan(run.correlation).sum(axis=1).tolist() == [1, 2, 3]
    assert run.error.shape == (6,) and run.iterations_to(1e-9) is None and run.iterations_to(1.0) == 0


def test_the_given_weights_stay():
    target, W, _, R = start((3, 4, 2), seed=8)
    before = [matrix.copy() for matrix in (*W, *R)]
    linear.simulate(target, W, R, feedback_rate=1.0, step_size=0.1, iterations=3)
    assert all((a == b).all() for a, b in zip(before, (*W, *R), strict=True))


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"target": np.zeros((3, 2))}, ArrayError, "the target has shape"),
        ({"W": []}, ArrayError, "at least one W"),
        ({"W": [np.zeros((4, 3)), np.zeros((2, 5))]}, ArrayError, "W_2 has shape"),
        ({"R": [np.zeros((3, 4))]}, ArrayError, "1 matrices R for 2"),
        ({"R": [np.zeros((3, 4)), np.zeros((2, 4))]}, ArrayError, "R_2 has shape"),
        ({"feedback_rate": 1.5}, OptionError, "feedback_rate is 1.5"),
        ({"feedback_rate": "1"}, OptionError, "feedback_rate is '1'"),
        ({"step_size": float("nan")}, OptionError, "step_size is nan"),
        ({"iterations": -1}, OptionError, "iterations is -1"),
        ({"iterations": True}, OptionError, "iterations is True"),
        ({"step_size": 1e6, "iterations": 200}, DivergedError, "no longer finite"),
    ],
)
def test_refusals_are_one_line(change, error, words):
    target, W, _, R = start((3, 4, 2), seed=8)
    arguments = {"target": target, "W": W, "R": R, "feedback_rate": 1.0, "step_size": 0.1, "iterations": 3, **change}
    with pytest.raises(error) as refusal:
        linear.simulate(arguments.pop("target"), arguments.pop("W"), arguments.pop("R"), **arguments)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("sizes", [(3,), (3, 0), (3, 2.5), ()])
def test_sizes_are_checked(sizes):
    with pytest.raises(OptionError, match="sizes is"):
        linear.draw(sizes, 0.2, np.random.default_rng(0))
