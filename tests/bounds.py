"""How far float32 may be from the float64 twin: error bounds propagated layer by layer, not guessed.

One rounding has relative error at most U = 2**-24. A sum of n products in any order, fused or not, is off by
at most gamma(n) * sum |w| |x|, gamma(n) = n U / (1 - n U) (Higham, Accuracy and Stability of Numerical
Algorithms, section 3.1); errors of its terms add sum |w| e_x. Decisions (gate, winner of a pool, hinge,
class) are right unless a value lies within its bound of the threshold: `close` counts those, and a test draws
other inputs until it is 0.

No bound assumes an order of summation, so it holds for every cut into chunks and any number of threads.
"""

from types import SimpleNamespace

import naive
import numpy as np

U = 2.0**-24
TINY = 1e-36  # what a sum may lose where float32 flushes denormal numbers to zero
EXTRA = 4  # roundings besides the sum's own: a scale factor made, rounded and applied, the sum started from 0


def gamma(n):
    return n * U / (1.0 - n * U)


def rounded(value, error):
    """Error after `value`, known to `error`, is rounded once: none where float32 holds it exactly."""
    exact = (error == 0) & (value == np.float32(value))
    return np.where(exact, 0.0, error * (1 + U) + U * np.abs(value))


def pool(x, e, window, stride, anchor="center", ties="first"):
    """(error of the pool's units, number of windows whose winner is in doubt)."""
    result, close = naive.maxpool(np.zeros_like(x), window, stride), 0
    for ((i, j), seen), (_, errors) in zip(
        naive.windows(x, window, stride, anchor), naive.windows(e, window, stride, anchor), strict=True
    ):
        values, errors = (a.reshape(len(x), window * window, -1) for a in (seen, errors))
        winner = values.argmax(axis=1, keepdims=True)
        top, top_error = (np.take_along_axis(a, winner, axis=1) for a in (values, errors))
        reach = top_error + errors
        may_win = top - values <= reach
        result[:, i, j] = np.where(may_win, errors, 0.0).max(axis=1)
        doubt = may_win & (reach > 0)  # two units known exactly tie exactly, and the rule for ties decides
        np.put_along_axis(doubt, winner, False, axis=1)
        close += int(doubt.any(axis=1).sum())
    return result, close


def feedforward(layers, W, x, *, slope=1.0, masks=None):
    """(error of what every layer carries after the feedforward phase, decisions in doubt)."""
    e, close, parents = {"input": np.zeros_like(x["input"])}, 0, naive.parents_of(layers)
    for name, (kind, p) in zip(naive.names_of(layers), layers, strict=True):
        below, e_below = x[parents[name][0]], e[parents[name][0]]
        if kind in naive.WEIGHTED:
            weights = np.abs(W[name]).astype(float)
            n = int(np.prod(weights.shape[-4:-1]))  # connections into one unit
            carried = naive.feedforward_sum(weights, e_below)
            total = naive.feedforward_sum(weights, np.abs(below) + e_below)
            e_h = carried + gamma(n + EXTRA) * total + np.where(total > 0, TINY, 0.0)
            if kind == "output":
                e[name] = e_h
                continue
            h = slope * naive.feedforward_sum(np.asarray(W[name], float), below)
            e_h = rounded(h, slope * e_h)
            distance = np.abs(np.abs(h) - 1.0)
            close += int(((distance <= e_h) & (e_h > 0)).sum())
            e[name] = np.where((np.abs(h) >= 1.0) & (distance >= e_h), 0.0, e_h)
        elif kind == "maxpool":
            e[name], doubts = pool(below, e_below, **p)
            close += doubts
        elif kind == "drop" and masks and name in masks:
            scale = 1.0 / (1.0 - p["fraction"])
            e_scale = 0.0 if scale == float(np.float32(scale)) else 2 * U * scale
            e[name] = rounded(x[name], masks[name] * (e_below * (scale + e_scale) + np.abs(below) * e_scale))
        elif kind == "drop":
            e[name] = e_below
        elif kind == "sum":
            e[name] = rounded(x[name], e_below + e[parents[name][1]])
    return e, close


def output(scores, e, labels, loss="hinge", mu=None):
    """(error of delta at the output, error of the mean loss, decisions in doubt)."""
    B, C = scores.shape
    own, delta = naive.onehot(labels, C), naive.output_error(scores, labels, loss, mu)
    mu = 1.0 / (C - 1) if mu is None else mu
    top = scores.argmax(axis=1, keepdims=True)
    margin = np.take_along_axis(scores, top, 1) - scores
    reach = np.take_along_axis(e, top, 1) + e
    doubt = (margin <= reach) & (reach > 0)
    np.put_along_axis(doubt, top, False, axis=1)
    close, losses = int(doubt.sum()), naive.loss_of(scores, labels, loss, mu)
    if loss == "hinge":
        close += int((np.abs(np.where(own, scores - 1.0, scores + 1.0)) <= e).sum())
        e_loss = (np.where(own, 1.0, mu) * (e + 2 * U * (1.0 + np.abs(scores)))).sum(axis=1)
        return U * np.abs(delta), float(e_loss.mean() + gamma(B * C + EXTRA) * losses.mean()), close
    shifted = scores - np.take_along_axis(scores, top, 1)
    # Relative error of exp(x - max): what its argument is off by, and 4 roundings for the function itself.
    relative = np.expm1(e + np.take_along_axis(e, top, 1) + U * np.abs(shifted) + 4 * U)
    worst = relative.max(axis=1, keepdims=True)
    share = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    e_delta = share * (relative + worst + gamma(C + EXTRA)) * (1 + 2 * worst) + U * np.abs(delta)
    e_loss = worst[:, 0] + gamma(C + EXTRA) * (1.0 + losses) + np.where(own, relative, 0.0).sum(axis=1)
    return e_delta, float(e_loss.mean() + gamma(B + EXTRA) * losses.mean()), close


def feedback(layers, x, e, R, delta, e_output, *, slope=1.0, masks=None, clip=None, through=None):
    """Errors of (delta of every layer, increments); `e`: of x, `e_output`: of delta at the output.

    through: function of (name, error of its increment) that gives the weights to come down through, and their errors.
    """
    e_delta, e_increment, parents = {}, {}, naive.parents_of(layers)
    zeros = {name: np.zeros_like(x[name]) for name in x}
    # Per unit: errors carried, sum of magnitudes, number of terms; all readers of a layer count as one sum.
    carried, total, terms = dict(zeros), dict(zeros), dict.fromkeys(x, EXTRA)
    for name, (kind, p) in reversed(list(zip(naive.names_of(layers), layers, strict=True))):
        arriving = carried[name] + gamma(terms[name]) * total[name] + np.where(total[name] > 0, TINY, 0.0)
        e_delta[name] = arriving
        if kind == "output":
            e_delta[name] = e_output
        elif kind in naive.SATURATED:
            gate = slope * (np.abs(x[name]) < 1.0)
            e_delta[name] = gate * arriving * (1 + U) + U * np.abs(delta[name])
        size = np.abs(delta[name]) + e_delta[name]
        for parent in parents[name]:
            below = x[parent]
            if kind in naive.WEIGHTED:
                n = R[name].shape[-1]
                products = len(x[name]) * (int(np.prod(below.shape[1:3])) if kind == "conv" else 1)
                shape, e_below = R[name].shape, e[parent]
                e_increment[name] = (
                    naive.hebbian_sum(shape, e_below, size)
                    + naive.hebbian_sum(shape, np.abs(below), e_delta[name])
                    + gamma(products + EXTRA) * naive.hebbian_sum(shape, np.abs(below) + e_below, size)
                )
                if kind in ("conv", "untied"):
                    n *= shape[-4] * shape[-3]
                weights, e_R = (R[name], 0.0 * R[name]) if through is None else through(name, e_increment[name])
                weights = np.abs(weights).astype(float)
                down = [naive.feedback_sum(weights, e_delta[name], below.shape[1:])
                        + naive.feedback_sum(e_R, size, below.shape[1:]),
                        naive.feedback_sum(weights + e_R, size, below.shape[1:])]  # fmt: skip
                if clip is not None and kind in naive.SATURATED:  # clipped, it moves by no more than what is clipped
                    moved = down[0] + gamma(n + EXTRA) * down[1] + np.where(down[1] > 0, TINY, 0.0)
                    most = np.minimum(1.0, clip * down[1])
                    down, n = [clip * moved * (1 + U) + U * most, most], EXTRA
            elif kind == "maxpool":
                n = p["window"] ** 2
                down = [naive.maxpool_feedback(below, a, **p) for a in (e_delta[name], size)]
            else:
                n = EXTRA
                scale = 1.0
                if kind == "drop" and masks and name in masks:
                    scale = masks[name] / (1.0 - p["fraction"])
                down = [scale * e_delta[name], scale * size]
            carried[parent] = carried[parent] + down[0]
            total[parent] = total[parent] + down[1]
            terms[parent] += n
    return e_delta, e_increment


def feedback_directly(layers, x, e, W, D, delta, e_output, *, slope=1.0):
    """The same for direct feedback: D known exactly, pools, drops and sums go on carrying x."""
    e_delta, e_increment, parents = dict(e), {}, naive.parents_of(layers)
    del e_delta["input"]
    size_output = np.abs(delta["output"]) + e_output
    for name, (kind, _) in zip(naive.names_of(layers), layers, strict=True):
        if kind in naive.SATURATED:
            size = np.abs(D[name]).astype(float).T
            carried, total = ((a @ size).reshape(x[name].shape) for a in (e_output, size_output))
            arriving = carried + gamma(size.shape[0] + EXTRA) * total + np.where(total > 0, TINY, 0.0)
            e_delta[name] = slope * (np.abs(x[name]) < 1.0) * arriving * (1 + U) + U * np.abs(delta[name])
    e_delta["output"] = e_output
    for name, (kind, _) in zip(naive.names_of(layers), layers, strict=True):
        if kind in naive.WEIGHTED:
            below, e_below, shape = x[parents[name][0]], e[parents[name][0]], W[name].shape
            size = np.abs(delta[name]) + e_delta[name]
            products = len(x[name]) * (int(np.prod(below.shape[1:3])) if kind == "conv" else 1)
            e_increment[name] = (
                naive.hebbian_sum(shape, e_below, size)
                + naive.hebbian_sum(shape, np.abs(below), e_delta[name])
                + gamma(products + EXTRA) * naive.hebbian_sum(shape, np.abs(below) + e_below, size)
            )
    return e_delta, e_increment


def update(weights, increment, e_increment, factor):
    """Error of w (1 - eta lambda) + factor * increment: at most six roundings of each part."""
    return factor * e_increment + 6 * U * (factor * np.abs(increment) + np.abs(weights))


def step(layers, run, W, R, labels, *, protocol="urfb", epsilon=None, loss="hinge", mu=None, eta=0.1,
         slope=1.0, masks=None, frozen=(), D=None, R_epoch=None, feedback_through="old", feedback_clip=None,
         delta_output=None, **_):  # fmt: skip
    """Bounds for what naive.step returned as `run`, and the number of decisions in doubt (`close`)."""
    R = {"bp": W, "sign-symmetry": naive.signs(W)}.get(protocol, R)
    epsilon = naive.EPSILON[protocol] if epsilon is None else epsilon
    e, close = feedforward(layers, W, run.x, slope=slope, masks=masks)
    e_output, e_loss, doubts = output(run.scores, e["output"], labels, loss, mu)
    if delta_output is not None:  # given, so nothing is off
        e_output = np.zeros_like(delta_output)
    factor, of_R = eta / len(run.scores), run.increments_R

    def through(name, e_increment):
        if R_epoch and name in R_epoch:
            return R_epoch[name], np.zeros(R[name].shape)
        if feedback_through == "old" or name in frozen:
            return R[name], np.zeros(R[name].shape)
        if protocol == "sign-symmetry":
            return run.R[name], np.zeros(R[name].shape)  # signs in doubt are counted below
        return run.R[name], update(R[name], of_R.get(name, run.increments[name]), e_increment, factor * (epsilon > 0))

    if protocol == "dfa":
        e_delta, e_increments = feedback_directly(layers, run.x, e, W, D, run.delta, e_output, slope=slope)
    else:
        e_delta, e_increments = feedback(layers, run.x, e, R, run.delta, e_output, slope=slope, masks=masks,
                                         clip=feedback_clip, through=through)  # fmt: skip
    e_W, e_R = {}, {}
    for name, increment in run.increments.items():
        moved = 0.0 if name in frozen else factor
        e_W[name] = update(W[name], increment, e_increments[name], moved)
        e_R[name] = update(R[name], of_R.get(name, increment), e_increments[name], moved * epsilon)
        if protocol == "sign-symmetry" and feedback_through == "updated":
            close += int(((np.abs(run.W[name]) <= e_W[name]) & (run.W[name] != 0)).sum())
    return SimpleNamespace(x=e, delta=e_delta, increments=e_increments, loss=e_loss, W=e_W, R=e_R, close=close + doubts)
