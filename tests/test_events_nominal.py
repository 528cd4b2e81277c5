"""At nominal times the exact event engine is the phase-locked algorithm: the twin's bounds hold for every net."""

import dataclasses

import numpy as np
import pytest
from agreement import Case, draw, within
from test_step_against_naive import ARCHITECTURES

import netsim
from netsim.events import Distribution, Schedule
from netsim.events.exact import EventTrainer

OPTIONS = {
    "epsilon a quarter": dict(feedback_rate=0.25),
    "decay": dict(decay=0.3),
    "slope 0.5": dict(slope=0.5),
    "frozen in the middle": dict(frozen=("conv2", "untied1"), decay=0.1),
    "half of the connections": dict(connectivity=0.5, thin_output=True),
    "half, bp": dict(connectivity=0.5, protocol="bp"),
    "drop by batch": dict(drop="batch"),
    "drop off, mu": dict(drop="off", mu=0.7),
}
WITH_ALL = "conv 4 3x3; conv 4 3x3; sum; maxpool 3; drop .5; untied 5 2x3; full 9; drop .25; output"


@dataclasses.dataclass(frozen=True)
class EventCase(Case):
    def train(self, net, **options):
        trainer = EventTrainer(
            net, Schedule(), self.protocol, self.loss, self.step_size, self.mu, streams=2,
            feedback_rate=self.feedback_rate, decay=self.decay, drop=self.drop, frozen=self.frozen,
            seed=self.seed + 1, **options,
        )  # fmt: skip
        trainer.epoch, trainer.batch = self.epoch, self.batch_number
        return trainer


def check(case):
    drawn = draw(case)
    trainer, run, bound = case.train(drawn.net), drawn.run, drawn.bound
    says = 1.0 if case.loss == "softmax" else 1e-2  # softmax hands the bounds of all scores down to every weight
    increments, _ = trainer.increments(drawn.images, drawn.labels)
    for name, increment in run.increments.items():
        if name not in case.frozen:
            within(increments[name], increment, bound.increments[name], f"increment of {name}", says)
    result = trainer.step(drawn.images, drawn.labels)
    assert abs(result.loss - run.loss) <= bound.loss and result.error_rate == run.error_rate
    for layer in drawn.net.weighted:
        within(layer.W, run.W[layer.name], bound.W[layer.name], f"W of {layer.name}", says)
        within(layer.R, run.R[layer.name], bound.R[layer.name], f"R of {layer.name}", says)
    assert all(share == 1.0 for events in trainer.phases().values() for share, _ in events.values())
    return drawn


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_every_architecture(architecture):
    drawn = check(EventCase(architecture))
    assert any(np.any(drawn.run.W[name] != drawn.W[name]) for name in drawn.W)


@pytest.mark.parametrize("loss", ["hinge", "softmax"])
@pytest.mark.parametrize("protocol", ["bp", "frfb", "urfb"])
def test_every_protocol_and_loss(protocol, loss):
    check(EventCase(WITH_ALL, protocol=protocol, loss=loss))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options(options):
    check(EventCase(WITH_ALL, **options))


def test_softmax_has_no_slack_between_output_units():
    """An output unit that answers late finds the signals of those that have answered, not their scores."""
    rng = np.random.default_rng(0)
    images, labels = rng.uniform(-1, 1, (4, 3, 3, 2)).astype(np.float32), rng.integers(0, 3, 4)
    found = {}
    for loss in ("hinge", "softmax"):
        for scale in (0.0, 1e-6):
            net = netsim.Network("full 4; output", (3, 3, 2), 3, seed=4)
            schedule = Schedule(jitter_feedback=Distribution("uniform", scale))
            increments, _ = EventTrainer(net, schedule, loss=loss, streams=1).increments(images, labels)
            found[loss, scale] = increments["output"].copy()
    assert np.array_equal(found["hinge", 0.0], found["hinge", 1e-6])
    assert np.any(found["softmax", 0.0] != found["softmax", 1e-6])


@pytest.mark.parametrize("loss", ["hinge", "softmax"])
def test_jitter_below_the_slack_changes_no_bit(loss):
    rng = np.random.default_rng(0)
    images, labels = rng.uniform(-1, 1, (8, 9, 8, 2)).astype(np.float32), rng.integers(0, 3, 8)
    found = []
    for scale in (0.0, 0.249):
        net = netsim.Network(WITH_ALL, (9, 8, 2), 3, seed=4)
        # softmax circuits read one another: between them there is no slack, so their feedback keeps its time
        jitter = dict.fromkeys(("jitter", "jitter_feedback"), Distribution("uniform", scale))
        schedule = Schedule().changed(**{**jitter, **({"jitter_feedback": None} if loss == "softmax" else {})})
        names = [layer.name for layer in net.layers if layer.kind != "drop"]
        assert scale < schedule.slack(names, [layer.name for layer in net.weighted])
        trainer = EventTrainer(net, schedule, loss=loss, streams=2)
        for part in (slice(0, 4), slice(4, 8)):
            trainer.step(images[part], labels[part])
        found.append(net.state())
    assert all(np.array_equal(array, found[1][name]) for name, array in found[0].items())
    start = netsim.Network(WITH_ALL, (9, 8, 2), 3, seed=4).state()
    assert all(np.any(start[name] != array) for name, array in found[0].items())
