"""Pictures of sweeps and of single presentations: every number of the rows and logs that went in, nothing made up."""

import math

import numpy as np
import pytest

from netsim.events import plots, raster
from netsim.events.state import NEXT, SIGNAL, STALE, X
from netsim.events.times import FEEDBACK, FEEDFORWARD, PLASTICITY


def row(jitter, error, lag=0.0, protocol="urfb", seed=0, share=0.0, cosine=0.5, diverged=False):
    values = {"jitter": jitter, "lag": lag, "protocol": protocol, "seed": seed, "diverged": diverged,
              "validation_error": error, "out_of_phase": share, "cosine_start.full1": cosine,
              "out_of_phase.full1": 2 * share}  # fmt: skip
    return values if diverged else {**values, "cosine.full1": cosine - 0.1, "alignment.full1": 0.9}


def figure(rows, quantities=("jitter",)):
    with plots.defaults():
        drawn = plots._figure(rows, quantities, list(quantities), "a title")
        drawn.draw_without_rendering()
    return drawn


def lines(axes):
    """The lines of a panel: (x, y) pairs."""
    return [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in plots._data_lines(axes)]


def panels(drawn):
    """Panels by what they show, in columns."""
    named = {}
    for axes in drawn.axes:
        named.setdefault(axes.get_ylabel().split("\n")[0].split(" (")[0], []).append(axes)
    return named


def test_a_line_is_the_mean_of_the_seeds_and_a_band_their_span():
    drawn = panels(figure([row(0.0, 0.1), row(0.0, 0.3, seed=1), row(0.5, 0.5), row(0.5, 0.5, seed=1)]))
    (errors,) = drawn["validation error"]
    ((at_0, at_half),) = lines(errors)
    assert at_0 == (0.0, pytest.approx(20)) and at_half == (0.5, pytest.approx(50))
    (band,) = errors.collections
    assert band.get_paths()[0].get_extents().get_points().tolist() == [
        [0.0, pytest.approx(10)],
        [0.5, pytest.approx(50)],
    ]
    (alone,) = panels(figure([row(0.0, 0.1), row(0.5, 0.5)]))["validation error"]
    assert not alone.collections


def test_a_second_quantity_has_panels_of_its_own_and_nothing_is_averaged_over_it():
    rows = [row(jitter, 0.1 * lag + jitter, lag) for lag in range(7) for jitter in (0.0, 0.5)]
    drawn = panels(figure(rows, ("jitter", "lag")))
    assert {name: len(columns) for name, columns in drawn.items()} == dict.fromkeys(drawn, 7) and len(drawn) == 4
    for lag, axes in enumerate(drawn["validation error"]):
        (line,) = lines(axes)
        assert [y for _, y in line] == pytest.approx([10 * lag, 10 * lag + 50])
    assert [axes.get_title() for axes in drawn["cosine of the update with the in-phase one"]] == [
        f"lag: {lag}" for lag in range(7)
    ]
    third = [{**one, "tag": tag} for one in rows for tag in (1.0, 2.0)]
    assert len(panels(figure(third, ("jitter", "lag", "tag")))["validation error"]) == 14


def test_shares_are_logarithmic_with_a_place_for_0():
    rows = [row(jitter, 0.1, share=share) for jitter, share in ((0.0, 0.0), (0.1, 6e-5), (0.5, 0.1))]
    (shares,) = panels(figure(rows))["share of out-of-phase reads"]
    assert shares.get_yscale() == "symlog"
    heights = shares.transData.transform([(0, share) for share in (0.0, 6e-5, 6e-4, 6e-3)])[:, 1]
    steps = np.diff(heights)
    assert steps[0] > 10 and steps[1] == pytest.approx(steps[2])
    assert [text.get_text() for text in shares.get_yticklabels()][:2] == ["0", "$10^{-5}$"]


def test_runs_that_diverged_are_crosses_and_in_no_mean():
    rows = [row(0.0, 0.1), row(0.0, 0.1, seed=1), row(0.5, 0.5), row(0.5, None, seed=1, diverged=True),
            row(0.9, None, diverged=True), row(0.9, None, seed=1, diverged=True)]  # fmt: skip
    drawn = figure(rows)
    (errors,) = panels(drawn)["validation error"]
    (line,) = lines(errors)
    assert line == [(0.0, pytest.approx(10)), (0.5, pytest.approx(50))]
    crosses = [cross.get_xdata()[0] for cross in errors.lines if cross.get_marker() == "x"]
    assert crosses == [0.5, 0.9] and [text.get_text() for text in errors.texts] == [" 1/2"]
    assert "diverged" in [text.get_text() for text in drawn.legends[0].get_texts()]
    calm = figure(rows[:2])
    assert "diverged" not in [text.get_text() for text in calm.legends[0].get_texts()]


def test_all_panels_have_one_range_across_and_room_for_every_marker():
    rows = [row(0.0, 0.0, cosine=1.0), row(0.5, 1.0, share=0.5, cosine=-0.9), row(2.0, None, diverged=True)]
    drawn = figure(rows)
    assert len({axes.get_xlim() for axes in drawn.axes}) == 1
    for axes in drawn.axes:
        frame = axes.get_window_extent()
        for line in plots._data_lines(axes):
            for x, y in axes.transData.transform(np.transpose(line.get_data())):
                reach = line.get_markersize() / 2 * drawn.dpi / 72
                assert frame.x0 + reach < x < frame.x1 - reach and frame.y0 + reach < y < frame.y1 - reach


def test_an_empty_panel_says_why():
    drawn = panels(figure([{**row(0.0, None, diverged=True), "cosine_start.full1": math.nan}]))
    for name in ("cosine of the update with the in-phase one", "correlation of W and R after training"):
        (axes,) = drawn[name]
        assert "no loss is finite" in axes.texts[0].get_text()


def test_one_point_is_a_picture_too():
    assert plots.sweep([row(0.0, 0.1), row(0.0, 0.2, seed=1)], (), ()).startswith(b"\x89PNG")


# ------------------------------------------------------------------------------------------------ one presentation
def entry(kind, seen, own, layer="full1"):
    seen, own = np.array(seen, np.float32), np.array(own, np.int8)
    return {"layer": layer, "kind": kind, "times": np.arange(len(own), dtype=float), "seen": seen, "own": own,
            "units": np.arange(len(own), dtype=np.int32)}  # fmt: skip


def test_an_event_has_the_color_of_what_most_of_its_wrong_reads_found_and_their_share():
    from matplotlib.colors import to_rgba

    gray, of = to_rgba(raster._IN_PHASE), [to_rgba(color) for _, color in raster.PHASES]
    seen = [[0, 1, 0, 0], [0.01, 0.99, 0, 0], [0.1, 0.6, 0.3, 0], [0, 0, 0, 1]]
    colors, share = raster._colors(entry(FEEDFORWARD, seen, [-1] * 4))
    assert list(map(tuple, colors)) == [gray, of[STALE], of[SIGNAL], of[NEXT]]
    assert share == pytest.approx([0, 0.01, 0.4, 1])
    colors, share = raster._colors(entry(FEEDBACK, seen, [-1] * 4))
    assert list(map(tuple, colors)) == [of[X], of[X], of[X], of[NEXT]] and share == pytest.approx([1, 1, 0.7, 1])
    # a plasticity event's own unit counts as all of its reads
    colors, share = raster._colors(entry(PLASTICITY, seen, [SIGNAL, SIGNAL, X, STALE]))
    assert list(map(tuple, colors)) == [gray, of[STALE], of[X], of[STALE]] and share == pytest.approx([0, 0.01, 1, 1])


def test_reads_are_told_apart_by_what_is_read():
    log = [
        entry(FEEDFORWARD, [[0.5, 0.5, 0, 0], [0, 1, 0, 0]], [-1, -1]),
        entry(PLASTICITY, [[0, 1, 0, 0], [0, 0, 1, 0]], [SIGNAL, X]),
        entry(FEEDBACK, [[0, 0, 0, 0], [0, 0, 0, 0]], [X, NEXT], "output"),
    ]
    found = [(each.layer, each.name, each.meant, each.shares) for each in raster.reads(log)]
    assert found == [
        ("full1", "feedforward", X, (0.25, 0.75, 0, 0)),
        ("full1", "plasticity, inputs", X, (0, 0.5, 0.5, 0)),
        ("full1", "plasticity, own unit", SIGNAL, (0, 0.5, 0.5, 0)),
        ("output", "feedback, own unit", X, (0, 0.5, 0, 0.5)),
    ]


def test_a_raster_says_how_many_units_it_shows():
    log = [entry(FEEDFORWARD, [[0, 1, 0, 0]] * 1000, [-1] * 1000), entry(FEEDFORWARD, [[0, 1, 0, 0]], [-1], "output")]
    with plots.defaults():
        drawn = raster._figure(log, "tau", [0.0, 9.0, 18.0], "a title")
    labels = [axes.get_ylabel() for axes in drawn.axes]
    assert "full1\n60 of 1,000 units" in labels and "output\n1 unit" in labels


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50.0 %"), (0.123, "12.3 %"), (2e-4, "0.02 %"), (0.99998, "99.998 %"),
     (1 - 1e-8, "100 %"), (3e-6, "0.0003 %")],
)  # fmt: skip
def test_a_share_is_told_from_0_and_from_1(share, text):
    assert raster.percent(share) == text
