"""Schedules: what they accept and refuse, TOML in and out, presets, and the times that are drawn from them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.errors import DataError, OptionError, UnknownNameError
from netsim.events import PRESETS, Distribution, Schedule, preset
from netsim.events.draws import add_draws
from netsim.events.engines import check_length
from netsim.events.order import in_time_order
from netsim.events.presets import check_fit, resolve
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY, EventTimes, Layout
from netsim.kernels.chance import key
from netsim.kernels.normal import normal

NAMES = ("conv1", "maxpool1", "full1", "output")
LAYOUT = Layout(NAMES, ("conv", "maxpool", "full", "output"), (4000, 100, 50, 10), (True, False, True, True))


def distributions():
    shapes = st.floats(0.01, 10)
    common = dict(absolute=st.booleans(), maximum=st.none() | st.floats(0, 5))
    plain = st.builds(Distribution, st.sampled_from(["normal", "uniform", "exponential"]), st.floats(0, 3), **common)
    return plain | st.builds(Distribution, st.just("wald"), st.floats(0.01, 3), shape=shapes, **common)


def late_distributions():
    return st.builds(Distribution, st.sampled_from(["exponential"]), st.floats(0, 3))


SCHEDULES = st.builds(
    Schedule,
    unit=st.sampled_from(["tau", "ms"]),
    layer_delay=st.floats(0.1, 5),
    settling=st.floats(0, 3),
    plasticity_delay=st.none() | st.floats(0, 3),
    forward_phase=st.none() | st.floats(0, 50),
    feedback_phase=st.none() | st.floats(0, 50),
    weights=st.sampled_from(["batch", "online"]),
    replacement=st.floats(0, 1),
    plasticity_lag=st.floats(0, 5),
    tag_decay=st.none() | st.just(math.inf) | st.floats(5, 50),
    plasticity_follows=st.booleans(),
    feedback_first=st.booleans(),
    overlap=st.booleans(),
    feedforward=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 20)),
    skew=st.dictionaries(st.sampled_from(NAMES), st.floats(-2, 2)),
    jitter_feedforward=st.none() | distributions(),
    jitter_feedback=st.none() | distributions(),
    jitter_plasticity=st.none() | distributions(),
    unit_delay=st.none() | distributions(),
    forward_extension=st.none() | late_distributions(),
)


@given(SCHEDULES)
def test_toml_brings_back_an_equal_schedule(schedule):
    text = schedule.to_toml()
    assert Schedule.from_toml(text) == schedule
    assert Schedule.from_toml(text).to_toml() == text


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole(name):
    schedule = preset(name)
    assert resolve(schedule) is schedule
    assert Schedule.from_toml(schedule.to_toml()) == schedule
    times = schedule.nominal(NAMES)
    assert all(a < b <= c for a, b, c in zip(times.feedforward, times.feedback, times.plasticity, strict=True))


def test_nominal_times_are_those_of_the_model():
    times = Schedule().nominal(NAMES)
    assert times.feedforward == (1, 2, 3, 4)
    assert times.feedback == (8, 7, 6, 5)
    assert times.plasticity == (8.5, 7.5, 6.5, 5.5)
    assert (times.forward_phase, times.feedback_phase, times.period) == (4, 5, 9)
    assert Schedule().in_phase and not Schedule(replacement=0.9).in_phase
    assert not Schedule().changed(jitter=Distribution("normal", 0.1)).in_phase
    assert Schedule().changed(jitter=Distribution("normal", 0.0)).in_phase


def test_the_preset_of_guerguiev_has_the_paper_s_times():
    schedule = preset("guerguiev2017")
    assert (schedule.unit, schedule.forward_phase, schedule.feedback_phase, schedule.settling) == ("ms", 50, 50, 30)
    assert schedule.forward_extension == Distribution("wald", 2, shape=1) == schedule.feedback_extension
    assert schedule.jitter_feedforward == Distribution("normal", 3, absolute=True, maximum=5)
    assert schedule.layer_delay == 3


def test_desynchronised_takes_its_p():
    assert preset("desynchronised").replacement == 0.8
    assert preset("desynchronized:0.6").replacement == 0.6


def test_a_file_is_a_schedule(tmp_path):
    path = tmp_path / "late.toml"
    path.write_text('plasticity_lag = 2\n[jitter]\ndistribution = "uniform"\nscale = 0.25\n')
    schedule = resolve(path)
    assert schedule.plasticity_lag == 2 and schedule.jitters == (Distribution("uniform", 0.25),) * 3
    with pytest.raises(DataError, match="cannot read"):
        resolve(tmp_path / "none.toml")


WRONG = {
    "layr_delay = 1": "no entry 'layr_delay' (did you mean 'layer_delay'?)",
    "layer_delay = 0": "must be above 0",
    "layer_delay = -1": "layer_delay is -1",
    "settling = nan": "settling is nan",
    "unit = 'seconds'": "unknown unit 'seconds'",
    "weights = 'onlin'": "did you mean 'online'",
    "replacement = 1.5": "between 0 and 1",
    "replacement = true": "must be a number",
    "plasticity_lag = -1": "plasticity_lag (in presentations) is -1",
    "tag_decay = 0.5": "at least one layer_delay",
    "overlap = 1": "must be true or false",
    "skew = 3": "[skew] must be a table",
    "[skew]\nconv1 = 'a'": "skew of conv1 is 'a'",
    "[feedforward]\nconv1 = -1.0": "feedforward of conv1 is -1",
    "jitter = 0.5": "[jitter] must be a table",
    "[jitter]\ndistribution = 'norml'\nscale = 1": "did you mean 'normal'",
    "[jitter]\nscale = 1": "lacks distribution",
    "jitter = {}": "lacks distribution",
    "jitter = 3": "must be a table",
    "layer_delay = " + "9" * 400: "too large",
    "layer_delay = [0x" + "f" * 5000 + "]": "must be a number",
    "layer_delay = " + "9" * 5000: "not TOML",
    "x = " + "[" * 5000: "not TOML",
    '[skew]\n"a\\nb" = "x"': "must be a number",
    "x" * 1_000_001: "more than 1,000,000 characters",
    "[jitter.feedforwrd]\ndistribution = 'normal'\nscale = 1": "no entry 'feedforwrd' (did you mean 'feedforward'?)",
    "[jitter]\ndistribution = 'wald'\nscale = 1": "needs a shape",
    "[jitter]\ndistribution = 'normal'\nscale = 1\nshape = 2": "shape belongs to the wald",
    "[jitter]\ndistribution = 'normal'\nscale = -1": "scale of the normal distribution is -1",
    "[jitter]\ndistribution = ['normal']\nscale = 1": "unknown distribution",
    "[forward_extension]\ndistribution = 'normal'\nscale = 1": "may only lengthen",
    "x": "not TOML",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:60])
def test_what_cannot_be_is_refused_in_one_line(text):
    with pytest.raises(OptionError) as caught:
        Schedule.from_toml(text, "my.toml")
    message = str(caught.value)
    assert message.startswith("my.toml") and WRONG[text] in message and "\n" not in message


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        (Schedule(skew=(("conv9", 1.0),)), "no layer 'conv9' in the net (did you mean 'conv1'?)"),
        (Schedule(skew=(("conv1", -2.0),)), "before the presentation starts: skew of conv1 must be at least -1"),
        (Schedule(feedback=(("full1", 2.0),)), "say feedback_first = true"),
        (Schedule(feedback_phase=2.0), "lengthen feedback_phase by"),
        (Schedule(feedforward=(("conv1", 30.0),), feedback_first=True), "say overlap = true"),
    ],
)
def test_a_schedule_that_does_not_fit_the_net_is_refused(schedule, says):
    with pytest.raises(OptionError) as caught:
        schedule.nominal(NAMES)
    assert says in str(caught.value)


def test_what_is_named_on_purpose_is_accepted():
    Schedule(feedback=(("full1", 2.0),), feedback_first=True).nominal(NAMES)
    Schedule(feedback_phase=2.0, overlap=True).nominal(NAMES)


@pytest.mark.parametrize("name", ["nomnal", "nominal:3", "guerguiev:50"])
def test_unknown_presets_name_the_nearest(name):
    with pytest.raises(UnknownNameError, match=r"did you mean|known"):
        preset(name)


def test_a_lag_beyond_the_stream_is_refused():
    check_length(Schedule(plasticity_lag=9.0), 40, 4)
    with pytest.raises(OptionError, match=r"a stream has 10.*must be below 10"):
        check_length(Schedule(plasticity_lag=10.0), 40, 4)
    with pytest.raises(OptionError, match="no field"):
        Schedule().changed(jiter=None)


# ------------------------------------------------------------------------------------------------ draws
def test_normal_draws_come_from_the_inverse_of_the_distribution_function():
    stats = pytest.importorskip("scipy.stats")
    p = np.array([2.0**-54, 1e-12, 1e-5, 0.01, 0.07, 0.075, 0.3, 0.5, 0.7, 0.93, 0.99, 1 - 1e-9])
    found = np.array([normal(x) for x in p])
    # both are good to a few roundings; near 1 the argument's own rounding counts
    np.testing.assert_allclose(found, stats.norm.ppf(p), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("distribution", "name", "arguments"),
    [
        (Distribution("normal", 1.5), "norm", (0, 1.5)),
        (Distribution("uniform", 2.0), "uniform", (-2, 4)),
        (Distribution("exponential", 2.0), "expon", (0, 2)),
        (Distribution("wald", 2.0, 1.0), "invgauss", (2, 0, 1)),
        (Distribution("normal", 3.0, absolute=True), "halfnorm", (0, 3)),
    ],
)
def test_draws_have_their_distribution(distribution, name, arguments):
    stats = pytest.importorskip("scipy.stats")
    times = np.zeros(20000)
    add_draws(times, *distribution.parameters, key(1, 2, 3))
    assert stats.kstest(times, getattr(stats, name)(*arguments).cdf).pvalue > 0.001
    assert times.min() >= distribution.earliest and times.max() <= distribution.latest
    assert np.unique(times).size == times.size


def test_a_maximum_clips():
    times = np.zeros(2000)
    add_draws(times, *Distribution("normal", 3.0, absolute=True, maximum=5.0).parameters, key(4))
    # P(abs N(0, 3) > 5) = 0.0956; four standard errors of a share of 2000
    assert abs(np.mean(times == 5.0) - 0.0956) < 4 * math.sqrt(0.0956 * 0.9044 / 2000)


def test_times_are_a_function_of_where_and_when():
    schedule = Schedule(unit_delay=Distribution("exponential", 0.2)).changed(jitter=Distribution("normal", 1.0))
    one, two = (EventTimes(schedule, LAYOUT, 7, epoch=2, stream=1) for _ in range(2))
    two.start(9)
    last = two.arrays([5])
    for place, array in one.arrays([5]).items():
        np.testing.assert_array_equal(array, last[place])
    for other in (dict(seed=8), dict(epoch=3), dict(stream=0)):
        words = {**dict(seed=7, epoch=2, stream=1), **other}
        assert np.any(EventTimes(schedule, LAYOUT, **words).arrays([5])[5, 0, FEEDFORWARD] != last[5, 0, FEEDFORWARD])
    kinds = [last[5, 0, kind] - np.mean(last[5, 0, kind]) for kind in (FEEDFORWARD, FEEDBACK)]
    # the fixed delays (sd 0.2) are shared, the jitter (sd 1) is not: correlation 0.04 / 1.04
    assert abs(np.corrcoef(*kinds)[0, 1]) < 0.15


def test_fixed_delays_stay_and_skew_shifts():
    schedule = Schedule(unit_delay=Distribution("exponential", 0.5), skew=(("full1", 0.25),))
    times = EventTimes(schedule, LAYOUT, 3)
    delays = [times.arrays([n])[n, 2, FEEDBACK] - times.start(n) - 6.25 for n in (0, 1)]
    np.testing.assert_allclose(delays[0], delays[1], atol=1e-12)
    assert delays[0].std() > 0.1 and delays[0].min() > 0


def test_random_phases_lengthen_presentations_and_move_the_feedback():
    schedule = Schedule(forward_extension=Distribution("exponential", 1.0))
    times = EventTimes(schedule, LAYOUT, 3)
    lengths = np.diff([times.start(n) for n in range(2000)])
    assert abs(lengths.mean() - 10) < 4 / math.sqrt(2000) and lengths.min() >= 9
    start, longer = times.start(7), times.forward_extension(7)
    assert times.unshifted(7, FEEDFORWARD, 3) == start + 4
    assert times.unshifted(7, FEEDBACK, 3) == start + (longer + 5)
    assert longer > 0


def test_a_lag_puts_plasticity_into_later_presentations():
    schedule = Schedule(plasticity_lag=2.25, forward_extension=Distribution("exponential", 1.0))
    times = EventTimes(schedule, LAYOUT, 3)
    later = times.start(9) + (times.forward_extension(9) + 8.5 + 0.25 * 9)
    assert times.unshifted(7, PLASTICITY, 0) == pytest.approx(later, abs=1e-9)


def test_replacement_leaves_out_the_feedback_of_hidden_layers_with_weights():
    times = EventTimes(Schedule(replacement=0.75), LAYOUT, 3).arrays([0])
    shares = [np.mean(np.isinf(times[0, place, FEEDBACK])) for place in range(4)]
    assert shares[1] == shares[3] == 0 and abs(shares[0] - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)


def test_plasticity_can_follow_the_unit_s_own_feedback():
    jitter = Distribution("normal", 1.0)
    times = EventTimes(Schedule(jitter_feedback=jitter, plasticity_follows=True), LAYOUT, 3).arrays([2])
    np.testing.assert_allclose(times[2, 0, PLASTICITY] - times[2, 0, FEEDBACK], 0.5, atol=1e-12)


def test_guerguiev_for_deeper_nets_takes_the_phases_that_it_is_told_to():
    names = [f"conv{number}" for number in range(1, 10)]
    assert preset("guerguiev2017:50") == preset("guerguiev2017")
    for name in ("guerguiev2017", "guerguiev2017:58"):
        with pytest.raises(OptionError, match=r"the net has 9: say guerguiev2017:58\.5 for phases of 58\.5 ms$"):
            check_fit(name, names)
        with pytest.raises(OptionError, match="lengthen feedback_phase"):
            preset(name).nominal(names)
    check_fit("guerguiev2017:58.5", names)
    assert preset("guerguiev2017:58.5").nominal(names).period == 117.0
    for name in ("nominal", "desynchronised:0.8", "guerguiev2017"):
        check_fit(name, names[:6])
        preset(name).nominal(names[:6])
    with pytest.raises(OptionError, match=r"phase of guerguiev2017 \(in ms\) is 'long': it must be a number"):
        preset("guerguiev2017:long")


@pytest.mark.parametrize("distribution", [
    Distribution("normal", 0.7), Distribution("uniform", 0.7), Distribution("exponential", 0.7),
    Distribution("wald", 0.7, 0.2), Distribution("wald", 0.3, 2.0), Distribution("normal", 0.7, maximum=1.0),
])  # fmt: skip
def test_no_draw_is_later_than_the_latest(distribution):
    times = np.zeros(200_000)
    add_draws(times, *distribution.parameters, key(1))
    # of so many draws the latest lies within the bound, and near it only where the bound is no matter of luck
    assert 0.1 * distribution.latest < times.max() <= distribution.latest
    assert Distribution(distribution.distribution, 0.0, distribution.shape).latest == 0.0


def test_slack_is_half_the_least_gap():
    weighted = ("conv1", "full1", "output")
    assert Schedule().slack(NAMES, weighted) == 0.25
    assert Schedule(plasticity_delay=0.2).slack(NAMES, weighted) == pytest.approx(0.1)


# ------------------------------------------------------------------------------------------------ order
@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from([0.0, 1.0, math.inf]) | st.floats(-1e3, 1e3) | st.floats(5, 5.000001), min_size=1, max_size=300
    )
)
def test_events_are_put_in_time_order_with_ties_in_unit_order(raw):
    raw = np.array(raw)
    times, units = np.full(raw.size, -1.0), np.zeros(raw.size, np.int32)
    number = in_time_order(raw, times, units, np.empty(raw.size + 1, np.int64))
    expected = [u for u in np.argsort(raw, kind="stable") if raw[u] < math.inf]
    assert units[:number].tolist() == expected
    assert times[:number].tolist() == raw[expected].tolist()


def test_order_of_many_events_in_few_buckets():
    rng = np.random.default_rng(0)
    raw = np.concatenate([rng.normal(0, 1e-7, 5000), [100.0], np.zeros(500)])
    times, units = np.empty(raw.size), np.empty(raw.size, np.int32)
    assert in_time_order(raw, times, units, np.empty(raw.size + 1, np.int64)) == raw.size
    np.testing.assert_array_equal(units, np.argsort(raw, kind="stable"))
    assert all(a <= b for a, b in itertools.pairwise(times))


def test_a_long_text_that_names_no_schedule_is_cut_in_the_message():
    with pytest.raises(UnknownNameError) as refused:
        preset("9" * 5000)
    assert len(str(refused.value)) < 300
