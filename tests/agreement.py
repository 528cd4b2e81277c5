"""A network of ours and its float64 twin, side by side: same weights, same images, compared within bounds."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import bounds
import naive
import numpy as np

import netsim


@dataclass(frozen=True)
class Case:
    """One comparison; `options` go to naive.step and netsim.Trainer under their own names."""

    architecture: str
    input_shape: tuple = (6, 5, 2)
    classes: int = 3
    batch: int = 3
    slope: float = 1.0
    connectivity: float = 1.0
    thin_output: bool = False
    protocol: str = "urfb"
    feedback_rate: float | None = None
    loss: str = "hinge"
    mu: float | None = None
    step_size: float = 0.1
    decay: float | None = None
    drop: str = "sample"
    frozen: tuple = ()
    pool_anchor: str = "center"
    pool_ties: str = "first"
    feedback_through: str = "old"
    untied_feedback: str = "current"
    feedback_input: str = "x"
    feedback_clip: float | None = None
    epoch: int = 2
    batch_number: int = 3
    seed: int = 11
    trainer: dict = field(default_factory=dict)  # threads, chunk

    @property
    def layers(self):
        rules = {"anchor": self.pool_anchor, "ties": self.pool_ties}
        return [(kind, {**p, **rules} if kind == "maxpool" else p) for kind, p in naive.listing(self.architecture)]

    @property
    def twin(self):
        """Options of naive.step."""
        return dict(
            protocol=self.protocol, epsilon=self.feedback_rate, loss=self.loss, mu=self.mu,
            eta=self.step_size, decay=self.decay, slope=self.slope, frozen=self.frozen,
            feedback_through=self.feedback_through, feedback_input=self.feedback_input,
            feedback_clip=self.feedback_clip,
        )  # fmt: skip

    def network(self):
        return netsim.Network(
            self.architecture, self.input_shape, self.classes, self.seed, slope=self.slope,
            connectivity=self.connectivity, thin_output=self.thin_output,
            pool_anchor=self.pool_anchor, pool_ties=self.pool_ties,
        )  # fmt: skip

    @property
    def engine(self):
        """What trains: a class with the options of `netsim.Trainer`."""
        return netsim.Trainer

    def train(self, net, **options):
        own = dict(
            protocol=self.protocol, loss=self.loss, step_size=self.step_size, mu=self.mu,
            feedback_rate=self.feedback_rate, decay=self.decay, drop=self.drop, frozen=self.frozen,
            feedback_through=self.feedback_through, untied_feedback=self.untied_feedback,
            feedback_input=self.feedback_input, feedback_clip=self.feedback_clip, seed=self.seed + 1,
        )  # fmt: skip
        trainer = self.engine(net, **{**own, **self.trainer, **options})
        trainer.epoch, trainer.batch = self.epoch, self.batch_number
        return trainer


class Vague(AssertionError):
    """A bound too wide to tell right from wrong."""


def draw_weights(case, rng):
    """Random W and R that leave some units saturated and some not."""
    shapes, sides = naive.weight_shapes(case.layers, case.input_shape, case.classes), []
    maps = naive.shapes_of(case.layers, case.input_shape, case.classes)
    parents = naive.parents_of(case.layers)
    for _ in "WR":
        drawn = {}
        for name, shape in shapes.items():
            seen = shape[-4:-1]
            if len(shape) > 2:  # only what lies inside the map counts
                below = maps[parents[name][0]]
                seen = min(seen[0], below[0]), min(seen[1], below[1]), seen[2]
            drawn[name] = np.float32(rng.normal(0, 1.6 / case.slope / np.sqrt(np.prod(seen)), shape))
        sides.append(drawn)
    return sides


def draw_batch(case, rng):
    images = np.float32(rng.uniform(-1, 1, (case.batch, *case.input_shape)))
    return images, rng.integers(0, case.classes, case.batch)


def masks_of(net, side):
    return {layer.name: getattr(layer, f"{side}_mask") for layer in net.weighted}


def twin_of(case, net, images, labels, delta_output=None):
    """The twin's step from the network's present weights, and its bounds."""
    W, R = ({layer.name: getattr(layer, side).astype(float) for layer in net.weighted} for side in "WR")
    kept = naive.keep_masks(
        case.layers, case.input_shape, case.classes, len(images),
        case.seed + 1, case.epoch, case.batch_number, case.drop,
    )  # fmt: skip
    D = {layer.name: layer.D for layer in net.weighted if layer.D is not None}
    copies = {layer.name: layer.R_epoch for layer in net.weighted if layer.R_epoch is not None}
    options = dict(case.twin, masks=kept, D=D, R_epoch=copies, delta_output=delta_output)
    run = naive.step(case.layers, images, labels, W, R, W_mask=masks_of(net, "W"), R_mask=masks_of(net, "R"),
                     **options)  # fmt: skip
    return run, bounds.step(case.layers, run, W, R, labels, **options)


def saturated_share(case, run):
    """Share of the units with sigma that are saturated, and whether every such layer has open units."""
    kinds = dict(zip(naive.names_of(case.layers), (kind for kind, _ in case.layers), strict=True))
    shut = [np.abs(run.x[name]) >= 1 for name, kind in kinds.items() if kind in naive.SATURATED]
    units = sum(s.size for s in shut)
    return (sum(s.sum() for s in shut) / units if units else 0.5), all((~s).any() for s in shut)


def draw(case, tries=40, vivid=True):
    """A network with its twin's step, redrawn until no decision is in doubt and, if `vivid`, much happens.

    Returns case, net, images, labels, run (what the twin did), bound, and the W and R of before the step.
    """
    net = case.network()
    for number in range(tries):
        rng = np.random.default_rng([case.seed, number])
        W, R = draw_weights(case, rng)
        for layer in net.weighted:
            layer.W = W[layer.name] if layer.W_mask is None else W[layer.name] * layer.W_mask
            layer.R = R[layer.name] if layer.R_mask is None else R[layer.name] * layer.R_mask
        if case.protocol == "dfa":
            net.connect_directly()
            for layer in net.weighted[:-1]:
                layer.direct.R = rng.normal(0, 1 / np.sqrt(case.classes), layer.D.shape)
        if case.untied_feedback == "epoch":  # what the epoch began with: other weights than now
            for layer in net.weighted:
                if layer.kind == "untied":
                    layer.R_epoch = np.float32(layer.R + rng.normal(0, np.std(layer.R), layer.R.shape))
        images, labels = draw_batch(case, rng)
        run, bound = twin_of(case, net, images, labels)
        share, open_units = saturated_share(case, run)
        moved = all(np.any(increment != 0) for increment in run.increments.values())
        if bound.close == 0 and (not vivid or (0.02 < share < 0.9 and open_units and moved)):
            return SimpleNamespace(case=case, net=net, images=images, labels=labels, run=run, bound=bound,
                                   W=W, R=R)  # fmt: skip
    raise Vague(f"no inputs without a decision in doubt in {tries} draws of {case}")


def within(actual, expected, bound, what, says=1e-2):
    """Assert that a float32 array lies within its bound of the twin's, and that the bound could fail.

    says : the largest bound, as a share of the largest value, that still tells right from wrong.
    """
    assert actual.dtype == np.float32, f"{what}: {actual.dtype}"
    assert actual.shape == expected.shape, f"{what}: {actual.shape}, not {expected.shape}"
    assert np.isfinite(actual).all(), f"{what}: not finite"
    size, widest = np.abs(expected).max(initial=0.0), np.max(bound, initial=0.0)
    if widest > says * size + 1e-12:
        raise Vague(f"{what}: a bound of {widest:.3g} on {size:.3g} says little")
    excess = np.abs(actual - expected) - bound
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    assert excess[worst] <= 0, (
        f"{what}{list(map(int, worst))}: {actual[worst]!r}, the twin has {expected[worst]!r} +- "
        f"{np.broadcast_to(bound, excess.shape)[worst]:.3g}; {int((excess > 0).sum())} of {excess.size} off"
    )


def check_forward(drawn):
    """Scores and what every unit carries after the feedforward phase, without dropout."""
    case, net = drawn.case, drawn.net
    W = {layer.name: layer.W for layer in net.weighted}
    W64 = {name: w.astype(float) for name, w in W.items()}
    x, _ = naive.feedforward(case.layers, drawn.images, W64, slope=case.slope)
    e, _ = bounds.feedforward(case.layers, W, x, slope=case.slope)
    within(net.scores(drawn.images), x["output"], e["output"], "scores")
    activity = net.activity(drawn.images)
    assert set(activity) - {"input"} == set(x) - {"input"}
    for name in naive.names_of(case.layers):
        within(activity[name], x[name], e[name], f"activity of {name}")


def check_step(drawn, **options):
    """delta of every layer, increments, loss, error rate, and W and R after the step. Returns the trainer."""
    case, net, run, bound = drawn.case, drawn.net, drawn.run, drawn.bound
    trainer = case.train(net, **options)
    signals = trainer.signals(drawn.images, drawn.labels)
    assert set(signals) - {"input"} == set(run.delta)
    if case.loss == "softmax":
        # It hands the bounds of all scores down to every weight: compare it, then go on from ours.
        within(signals["output"], run.delta["output"], bound.delta["output"], "delta of output", 0.1)
        run, bound = twin_of(case, net, drawn.images, drawn.labels, signals["output"].astype(float))
    for name, delta in run.delta.items():
        within(signals[name], delta, bound.delta[name], f"delta of {name}")
    increments, _ = trainer.increments(drawn.images, drawn.labels)
    result = trainer.step(drawn.images, drawn.labels)
    for name, increment in run.increments.items():
        if name not in case.frozen:
            within(increments[name], increment, bound.increments[name], f"increment of {name}")
    for name, increment in run.increments_R.items():
        if name not in case.frozen:
            within(increments[f"{name}.R"], increment, bound.increments[name], f"increment of R of {name}", 2e-2)
    assert abs(result.loss - run.loss) <= bound.loss
    assert result.error_rate == run.error_rate
    for layer in net.weighted:
        within(layer.W, run.W[layer.name], bound.W[layer.name], f"W of {layer.name} after the step")
        R = run.R
        if case.protocol == "sign-symmetry":  # of the weights just compared: a sign near 0 is in doubt
            R = naive.signs({layer.name: layer.W.astype(float)})
        within(layer.R, R[layer.name], bound.R[layer.name], f"R of {layer.name} after the step")
    return trainer


def check(case, **options):
    drawn = draw(case)
    check_forward(drawn)
    check_step(drawn, **options)
    return drawn
