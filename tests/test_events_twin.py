"""The exact event engine against the slow queue of single events: any schedule, heavy jitter, lags, tags, online."""

import math

import naive
import naive_events
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_schedule import distributions

import netsim
from netsim.events import Distribution, Schedule, preset
from netsim.events.exact import EventTrainer
from netsim.events.times import EventTimes

NETS = {
    "all kinds": "conv 3 3x3; maxpool 3; conv 2 2x3; drop .5; maxpool 2; untied 2 3x3; full 4; drop .3; output",
    "sums": "conv 2 3x3; conv 2 3x3; sum; maxpool 2; drop .4; conv 2 3x3; sum; maxpool 3, stride 3; full 3; output",
    "untied": "untied 2 2x2; drop .25; untied 2 3x2; sum; untied 2 3x3; output",
}
STEP = 0.3


def compare(architecture, schedule, *, loss="hinge", protocol="urfb", seed=0, batches=(3, 2), slope=0.8):
    """Play the same presentations in both; assert that increments (or weights) and carried values agree."""
    shape, classes, images = (5, 6, 2), 3, sum(batches)
    rng = np.random.default_rng([seed, 1])
    pixels = rng.uniform(-2, 2, (images, *shape)).astype(np.float32)
    labels = rng.integers(0, classes, images)
    net = netsim.Network(architecture, shape, classes, seed=seed, slope=slope)
    for layer in net.weighted:
        layer.W, layer.R = 2 * layer.W, 2 * layer.R
    trainer = EventTrainer(net, schedule, protocol, loss, STEP, streams=1, dtype=np.float64, threads=1, logged=1)
    W = {layer.name: layer.W.astype(float) for layer in net.weighted}
    R = {layer.name: layer.R.astype(float) for layer in net.weighted}
    times = EventTimes(schedule, trainer._plan.layout, trainer.timing_seed)
    arrays = {
        (n, trainer._plan.layers[place].name, naive_events.KINDS[kind]): array
        for (n, place, kind), array in times.arrays(range(images + times.ahead + 2)).items()
    }
    layers = naive.listing(architecture)
    masks = []
    for batch, size in enumerate(batches):
        kept = naive.keep_masks(layers, shape, classes, size, trainer.seed, 0, batch, "sample")
        fractions = {name: p["fraction"] for name, (kind, p) in zip(naive.names_of(layers), layers, strict=True)
                     if kind == "drop"}  # fmt: skip
        masks += [
            {name: kept[name][b] * float(np.float32(1 / (1 - fraction))) for name, fraction in fractions.items()}
            for b in range(size)
        ]
    online = schedule.weights == "online"
    rates = (STEP / images, STEP / images * trainer.protocol.feedback_rate) if online else None
    twin = naive_events.Stream(layers, shape, classes, W, R, slope=slope, mu=trainer.mu, loss=loss,
                               tag_decay=schedule.tag_decay, rates=rates, lag=times.whole_lag,
                               sign={"plus": 1, "minus": -1}[schedule.sign])  # fmt: skip
    total = twin.play(pixels, labels, masks, [times.start(n) for n in range(images + 1)], arrays)
    if online:
        trainer.step(pixels, labels)
    found, start = {}, 0
    for size in batches if not online else ():
        increments, _ = trainer.increments(pixels[start : start + size], labels[start : start + size])
        found = {name: found.get(name, 0.0) + array.astype(float) for name, array in increments.items()}
        trainer.batch, start = trainer.batch + 1, start + size
    # what the units carry is float64 in both: the twin sums in another order
    state, wiring = trainer._under_way[0].state, trainer._plan.wiring
    for p, layer in enumerate(trainer._plan.layers, start=1):
        first, number = wiring.first[p], wiring.units[p]
        expected = np.array(twin.r[layer.name])
        # carried values are bounded by products of at most 9 layers; float64 roundings of about 1e3 terms each
        np.testing.assert_allclose(state.r[first : first + number], expected, rtol=1e-9, atol=1e-9)
    for name in W:
        if online:
            # W and R come back as float32; the changes were made in float64
            for array, of_twin in ((net[name].W, twin.W[name]), (net[name].R, twin.R[name])):
                expected = np.reshape(of_twin, array.shape)
                assert np.all(np.abs(array - expected) <= 2.0**-24 * np.abs(expected) + 1e-9)
        else:
            # each batch's increment is rounded to float32 once, so the sum is off by 2^-24 of each
            size = 2.0**-24 * len(batches) * np.abs(total[name]).max() * 4 + 1e-9
            np.testing.assert_allclose(found[name], total[name], rtol=0, atol=size)
    compare_phases(trainer, twin)
    moved = [np.abs(delta).max() > 0 for delta in total.values()]
    return trainer, moved


def compare_phases(trainer, twin):
    """What the events of presentation 1 found, once all are over; and the counts of all events in phase."""
    right = {"a": (1, -1), "b": (2, 1), "c": (1, 2)}
    for entry in trainer.event_log()[0]:
        event = naive_events.KINDS[entry["kind"]]
        twins = twin.found.get((1, entry["layer"], event), {})
        assert sorted(twins) == sorted(entry["units"].tolist())
        for unit, seen, own, in_phase in zip(
            entry["units"], entry["seen"], entry["own"], entry["in_phase"], strict=True
        ):
            shares, phase = twins[unit]
            assert phase == own
            np.testing.assert_allclose(seen, shares, rtol=0, atol=2.0**-22)  # float32 shares of at most 4 populations
            others, mine = right[event]
            share = (shares[others] if np.sum(shares) else 1.0) * (phase in (mine, -1))
            assert abs(in_phase - share) < 2.0**-22
    for name, events in trainer.phases().items():
        for kind, (share, reads) in events.items():
            event = {"feedforward": "a", "feedback": "b", "plasticity": "c"}[kind]
            others, mine = right[event]
            each = [
                (shares[others] if np.sum(shares) else 1.0) * (phase in (mine, -1))
                for (_, *where), units in twin.found.items() if where == [name, event]
                for shares, phase in units.values()
            ]  # fmt: skip
            assert len(each) == reads and abs(np.mean(each) - share) < 1e-9


def jittered(scale, **options):
    return Schedule(**options).changed(jitter=Distribution("normal", scale))


CASES = {
    "nominal": Schedule(),
    "little jitter": jittered(0.3),
    "heavy jitter": jittered(2.0),
    "wald": Schedule().changed(jitter=Distribution("wald", 1.0, 1.0)),
    "missing feedback": Schedule(replacement=0.6),
    "missing feedback, the author's sign": Schedule(replacement=0.6, sign="minus"),
    "guerguiev": preset("guerguiev2017").changed(forward_phase=60.0, feedback_phase=60.0),
    "lag": jittered(0.5, plasticity_lag=1.3),
    "tag": jittered(0.5, tag_decay=10.0),
    "tag that stays": jittered(0.5, tag_decay=math.inf),
    "tag and lag": jittered(0.5, tag_decay=30.0, plasticity_lag=2.0),
    "skew": Schedule(skew=(("full1", 1.0), ("output", -0.5))),
    "ties of layers": Schedule(plasticity_delay=1.0),
    "ties with the next image": Schedule(feedback_phase=8.5, overlap=True),
    "feedback first": Schedule(feedback=(("full1", 2.0),), feedback_first=True),
    "fixed delays": Schedule(unit_delay=Distribution("exponential", 0.5), jitter_feedback=Distribution("uniform", 3)),
    "random phases": Schedule(forward_extension=Distribution("exponential", 2.0)).changed(
        jitter=Distribution("normal", 1.0)
    ),
    "much overlap": Schedule(forward_phase=2.0, feedback_phase=1.0, overlap=True, feedback_first=True).changed(
        jitter=Distribution("normal", 1.0)
    ),
}


@pytest.mark.parametrize("loss", ["hinge", "softmax"])
@pytest.mark.parametrize("schedule", CASES.values(), ids=CASES)
def test_schedules(schedule, loss):
    trainer, moved = compare(NETS["all kinds"], schedule, loss=loss)
    assert all(moved) or schedule.plasticity_lag >= 1
    shares = [share for events in trainer.phases().values() for share, _ in events.values()]
    assert schedule.in_phase or min(shares) < 1.0


@pytest.mark.parametrize("tag_decay", [None, math.inf])
def test_late_plasticity_is_in_phase_where_x_and_signal_are_of_one_presentation(tag_decay):
    trainer, _ = compare(NETS["untied"], Schedule(plasticity_lag=2.0, tag_decay=tag_decay), batches=(4, 4))
    (log,) = trainer.event_log()
    plasticity = [entry for entry in log if entry["kind"] == 2]
    assert len(plasticity) == 4
    for entry in plasticity:
        assert np.all(entry["in_phase"] == (1.0 if tag_decay is None else 0.0))
    shares = {events["plasticity"][0] for events in trainer.phases().values() if "plasticity" in events}
    assert shares == {1.0 if tag_decay is None else 0.0}


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_nets(net):
    _, moved = compare(net, Schedule().changed(jitter=Distribution("normal", 1.0)), loss="softmax")
    assert all(moved)


@pytest.mark.parametrize("protocol", ["bp", "frfb", "urfb"])
@pytest.mark.parametrize("options", [dict(), dict(plasticity_delay=1.0)], ids=["plain", "ties"])
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_weights_that_change_online(protocol, options, scale):
    schedule = jittered(scale, weights="online", sign="minus", **options)
    _, moved = compare(NETS["all kinds"], schedule, protocol=protocol, batches=(5,))
    assert all(moved)


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(NETS)),
    st.builds(
        Schedule,
        replacement=st.sampled_from([1.0, 0.7]),
        plasticity_lag=st.sampled_from([0.0, 0.0, 0.4, 1.0, 2.5]),
        tag_decay=st.sampled_from([None, None, math.inf, 5.0]),
        plasticity_follows=st.booleans(),
        feedback_first=st.just(True),
        overlap=st.just(True),
        forward_phase=st.sampled_from([None, 0.0, 3.0]),
        feedback_phase=st.sampled_from([None, 2.0, 30.0]),
        feedforward=st.dictionaries(st.just("full1") | st.just("output"), st.integers(0, 9)),
        jitter_feedforward=st.none() | distributions(),
        jitter_feedback=st.none() | distributions(),
        jitter_plasticity=st.none() | distributions(),
        unit_delay=st.none() | distributions(),
        weights=st.sampled_from(["batch", "batch", "online"]),
        sign=st.sampled_from(["plus", "minus"]),
    ),
    st.sampled_from(["hinge", "softmax"]),
    st.integers(0, 3),
)
def test_any_schedule(net, schedule, loss, seed):
    layers = naive.names_of(naive.listing(NETS[net]))
    if any(name not in layers for name, _ in schedule.feedforward):
        schedule = schedule.changed(feedforward=())
    compare(NETS[net], schedule, loss=loss, seed=seed, batches=(4,) if schedule.weights == "online" else (2, 2))
