"""The bench command: jobs, clocks, measuring processes, reports. Beside a peer: test_bench_comparison, _torch."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from netsim import cli, summary
from netsim.bench import engine, job, layer_times, measures, processes, sweep
from netsim.bench.job import Job
from netsim.bench.layer_times import LayerTimes
from netsim.errors import GeometryError, NetsimError, NotationError, OptionError, UnknownNameError

SMALL = "conv 3 3x3; maxpool 2; drop .5; full 7; output"


def small_job(**options) -> Job:
    return job.make(SMALL, **{"input_shape": (6, 6, 2), "classes": 3, "batch": 5, "threads": 2, "steps": 2} | options)


# Jobs


@pytest.mark.parametrize(
    "options", [{"batch": 0}, {"batch": True}, {"batch": 2.0}, {"threads": 0}, {"steps": 0}, {"drop": "samples"}]
)
def test_a_job_refuses_numbers_and_words_out_of_range(options):
    with pytest.raises(OptionError):
        small_job(**options)


def test_a_job_refuses_nets_that_cannot_be_built():
    with pytest.raises(UnknownNameError, match="simpnet"):
        job.make("simpnett")
    with pytest.raises(NotationError):
        job.make("conv 3; output")
    with pytest.raises(GeometryError):
        job.make("full 3; conv 3 3x3; output")


def test_a_job_survives_json():
    one = small_job(drop="batch", protocol="bp")
    assert Job.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_untied_unties_every_convolution_and_nothing_else():
    tied, untied = job.make("deepnet_s"), job.make("deepnet_s", untied=True)
    assert [spec.kind for spec in tied.specs].count("conv") == 6
    assert untied.architecture == tied.architecture.replace("conv", "untied")
    assert untied.name == "deepnet_s, untied"
    with pytest.raises(OptionError, match="untied"):
        job.make("full 3; output", untied=True)


def test_filters_are_set_in_every_convolution():
    assert small_job().with_filters(9).architecture.startswith("conv 9 3x3; maxpool 2")
    assert job.make("deepernet", untied=True).with_filters(5).architecture.count("untied 5 3x3") == 8
    with pytest.raises(OptionError, match="filters"):
        job.make("full 3; output").with_filters(2)


# Clocks


def test_the_number_of_timed_calls():
    calls = []
    assert len(measures.times(lambda: calls.append(1), 4, 100.0)) == len(calls) == 4
    assert len(measures.times(lambda: None, None, 0.0)) == 2


class Clock:
    """Stands for the time module; time passes only where `now` is changed."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Thing:
    """A layer whose phases take known times; the fused one does the work of another on the way."""

    def __init__(self, clock: Clock, other: Thing | None = None):
        self.clock, self.other = clock, other

    @property
    def units(self) -> int:
        return 1

    def feedforward(self) -> str:
        self.clock.now += 0.25
        if self.other:
            self.other.feedforward()
        self.clock.now += 0.5
        return "done"

    def hebbian_with_update(self) -> None:
        self.clock.now += 2.0

    def prepare(self) -> None:
        raise ValueError

    def _inner(self) -> None:
        self.clock.now += 100.0


def test_time_is_counted_once_where_it_is_spent(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(layer_times, "time", clock)
    above = Thing(clock)
    below, watched = Thing(clock, above), LayerTimes()
    watched.watch(above, "maxpool1")
    watched.watch(below, "conv1")
    below.hebbian_with_update()  # warms up
    watched.end_step()
    watched.forget()
    for factor in (1, 3, 2):
        for _ in range(factor):
            assert below.feedforward() == "done"
        below.hebbian_with_update()
        below._inner()
        with pytest.raises(ValueError):
            below.prepare()
        watched.end_step()
    assert watched.milliseconds() == {
        ("conv1", "feedforward"): 1500.0,  # the median step: two calls of 0.75 s, without the layer above
        ("conv1", "hebbian"): 2000.0,
        ("conv1", "other"): 0.0,
        ("maxpool1", "feedforward"): 1500.0,
    }


def test_time_of_several_threads_is_divided_among_them(monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    clock = Clock()
    monkeypatch.setattr(layer_times, "time", clock)
    thing, watched = Thing(clock), LayerTimes(threads=2)
    watched.watch(thing, "conv1")
    thing.feedforward()
    thing.hebbian_with_update()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(thing.feedforward).result()
    watched.end_step()
    assert watched.milliseconds() == {("conv1", "feedforward"): 750.0, ("conv1", "hebbian"): 2000.0}


def test_every_layer_and_phase_is_measured():
    one = small_job(steps=3)
    report = engine.measure_layers(one.to_json())
    rows = {row["layer"]: row for row in report["layers"]}
    assert list(rows) == ["conv1", "maxpool1", "drop1", "full1", "output"]
    assert all(row["feedforward"]["ms"] > 0 for row in rows.values())
    assert all(rows[name]["hebbian"]["ms"] > 0 for name in ("conv1", "full1", "output"))
    assert all(rows[name]["feedback"]["ms"] > 0 for name in ("maxpool1", "drop1", "full1", "output"))
    assert rows["conv1"]["feedback"] == {"ms": 0, "gflops": None}  # nothing below to give a signal to
    assert rows["maxpool1"]["feedforward"]["gflops"] is None
    assert report["update"]["ms"] > 0 and report["steps"] == 3
    conv = rows["conv1"]["hebbian"]
    assert conv["gflops"] * conv["ms"] * 1e6 == pytest.approx(2 * 5 * 6 * 6 * 9 * 2 * 3)


def test_the_products_of_all_phases_are_those_of_a_step():
    counted = summary.summarize("deepnet_s")
    flops = engine.products(counted, 7)
    assert sum(flops.values()) == 2 * 7 * counted.step
    assert ("conv1", "feedback") not in flops and ("conv2", "feedback") in flops


# Processes


@pytest.fixture(scope="module")
def cold_and_warm(tmp_path_factory) -> list[dict]:
    """Two measurements that share a cache of kernels, empty at first."""
    cache = tmp_path_factory.mktemp("cache")
    values = job.make("output", input_shape=(3, 3, 1), classes=2, batch=3, threads=1, steps=1).to_json()
    return [processes.run("netsim", cache=cache, job=values) for _ in range(2)]


def test_a_process_says_whether_its_kernels_were_cached(cold_and_warm):
    cold, warm = (run["kernels"] for run in cold_and_warm)
    assert cold["compiled"] > 0 and cold["loaded"] == 0
    assert warm == {"compiled": 0, "loaded": cold["compiled"]}
    for run in cold_and_warm:
        assert 0 < run["first_step_s"] < run["first_batch_s"] < 600


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the peak memory of each program apart")
def test_the_peak_memory_is_that_of_the_process_alone(cold_and_warm):
    held = np.ones(1 << 30, np.uint8)  # this process: more than 1 GiB
    values = job.make("output", input_shape=(3, 3, 1), classes=2, batch=3, threads=1, steps=1).to_json()
    run = processes.run("netsim", job=values)
    assert measures.peak_memory() > held.nbytes > run["peak_memory"] > 10 << 20


def test_an_error_of_ours_crosses_the_processes():
    values = small_job().to_json() | {"protocol": "nothing"}
    with pytest.raises(OptionError, match="unknown protocol 'nothing'"):
        processes.run("netsim", job=values)


def test_a_process_that_dies_is_one_line():
    with pytest.raises(NetsimError, match=r"^measuring \(nothing\) failed: KeyError: 'nothing'$"):
        processes.run("nothing")


def test_batches_and_filters_make_a_grid(monkeypatch):
    def here(task, **arguments):
        assert task == "batches"
        return engine.measure_batches(**arguments)

    monkeypatch.setattr(processes, "run", here)
    report = sweep.measure(small_job(steps=1), [1, 4], [2, 5], lambda text: None)
    assert [row["filters"] for row in report["rows"]] == [2, 5]
    assert [cell["batch"] for cell in report["rows"][1]["batches"]] == [1, 4]
    assert report["rows"][1]["architecture"].startswith("conv 5 3x3")
    cell = report["rows"][0]["batches"][1]["training"]
    assert cell["images_per_s"] * cell["ms"] == pytest.approx(4e3)


# Command line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["simpnett"], "simpnet"),
        (["--batch", "0"], "the batch is 0"),
        (["--threads", "0"], "threads is 0"),
        (["--steps", "0"], "steps is 0"),
        (["--pairs", "0"], "--pairs is 0"),
        (["--drop", "sampel"], "did you mean 'sample'"),
        (["--protocol", "urbf"], "did you mean 'urfb'"),
        (["--input", "32x32"], "--input is '32x32'"),
        (["--vs", "tosch"], "did you mean 'torch'"),
        (["--batches", "1,,2"], "--batches is '1,,2'"),
        (["--filters", "0"], "--filters is '0'"),
        (["--batches", "1", "--vs", "torch"], "--batches cannot go with --vs"),
        (["--cold", "--table"], "--cold cannot go with --table"),
        (["--table", "simpnet"], "--table has its own nets"),
        (["full 3; output", "--untied"], "no convolution"),
        (["--out", "no/such/folder/report.json"], "--out"),
    ],
)
def test_bad_input_is_one_line(arguments, told, capsys):
    assert cli.run(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("netsim: error: ") and told in captured.err


def small_command(*more: str) -> int:
    return cli.run(["bench", SMALL, "--input", "6x6x2", "--batch", "5", "--steps", "2", *more])


def test_the_report_for_people_and_for_programs(capsys, tmp_path):
    path = tmp_path / "report.json"
    assert small_command("--threads", "1", "--out", str(path)) == 0
    printed, report = capsys.readouterr().out, json.loads(path.read_text())
    (net,) = report["nets"]
    assert net["sgemm"]["gflops"] > 0 and net["sgemm"]["threads"] == 1
    assert net["run"]["training"]["steps"] == net["layers"]["steps"] == 2
    for word in ("conv1", "output", "feedforward", "feedback", "Hebbian", "update", "cache", "MiB", "images/s"):
        assert word in printed
    assert f"{net['run']['training']['images_per_s']:,.0f} images/s" in printed


def test_the_table_of_batches_for_people(capsys):
    assert small_command("--batches", "1,3", "--filters", "2") == 0
    printed = capsys.readouterr().out
    assert printed.count("batch 3") == 2 and "training images/s" in printed and "inference images/s" in printed


def test_the_help_names_every_protocol_and_peer(capsys, monkeypatch):
    from netsim.bench.comparison import PEERS
    from netsim.protocols import PROTOCOLS

    monkeypatch.setenv("COLUMNS", "200")
    assert cli.run(["bench", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}" in said for name in (*PROTOCOLS, *PEERS))
