"""Two ways of doing a job in turn: ratios, the README's table, refusals. What needs PyTorch: test_bench_torch."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from netsim import cli
from netsim.bench import comparison, job, peak, processes
from netsim.bench.comparison import compare, ratios
from netsim.errors import OptionError


def measurement(training: float, inference: float, memory: int) -> dict:
    return {
        "training": {"images_per_s": training},
        "inference": {"images_per_s": inference},
        "peak_memory": memory,
    }


def test_ratios_are_taken_within_pairs():
    theirs = [measurement(10, 100, 100 << 20), measurement(20, 100, 100 << 20), measurement(5, 50, 200 << 20)]
    ours = [measurement(30, 100, 30 << 20), measurement(40, 300, 40 << 20), measurement(20, 100, 50 << 20)]
    found = ratios([{"ours": a, "theirs": b} for a, b in zip(ours, theirs, strict=True)])
    assert found["training"] == {"median": 3, "least": 2, "largest": 4, "ours": 30, "theirs": 10}
    assert found["inference"] == {"median": 2, "least": 1, "largest": 3, "ours": 100, "theirs": 100}
    assert found["memory"]["median"] == pytest.approx(0.3)
    assert found["memory"]["ours"] == 40 << 20


class Recorder:
    """Stands for the measuring processes; our side is twice as fast, and each call slower than the one before."""

    def __init__(self):
        self.tasks: list[tuple[str, int]] = []

    def __call__(self, task: str, **arguments):
        self.tasks.append((task, arguments.get("job", arguments).get("threads")))
        variant = {"channels_last": True, "zeros": False, "windows": False}
        speed = 1000.0 / len(self.tasks)
        return {
            "netsim": measurement(2 * speed, 3 * speed, 50 << 20),
            "torch": measurement(speed, speed, 200 << 20),
            "torch equality": {"difference": 1e-6, "weights": "conv1.W", "tolerance": 1e-4, "images": 4},
            "torch variants": {"tried": [{**variant, "ms": 1.0}], "fastest": variant},
            "sgemm": {"threads": arguments.get("threads"), "gflops": 100.0 - len(self.tasks)},
        }[task]


@pytest.fixture
def recorder(monkeypatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(processes, "run", recorder)
    monkeypatch.setattr(comparison, "util", SimpleNamespace(find_spec=lambda name: object()))
    return recorder


def test_equality_comes_first_and_the_sides_take_turns(recorder):
    report = compare(job.make("simpnet", threads=2), "torch", 3)
    tasks = [task for task, _ in recorder.tasks]
    assert tasks == ["torch equality", "torch variants", "netsim", *["sgemm", "netsim", "torch"] * 3]
    assert len(report["pairs"]) == 3 and report["ratios"]["memory"]["median"] == 0.25
    assert json.loads(json.dumps(report)) == report


def test_one_thread_is_a_peer_of_many(recorder):
    compare(job.make("simpnet", threads=4), "one-thread", 2)
    assert recorder.tasks[1:] == [("sgemm", 4), ("netsim", 4), ("netsim", 1)] * 2


def test_without_torch_one_line_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(comparison, "util", SimpleNamespace(find_spec=lambda name: None))
    for arguments in (["--vs", "torch"], ["--table"]):
        assert cli.run(["bench", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "pip install '.[peers]' in netsim's checkout" in error


def test_protocols_that_the_peer_does_not_know(recorder):
    with pytest.raises(OptionError, match="bp, frfb, urfb"):
        comparison.check_peer("torch", "dfa")
    comparison.check_peer("one-thread", "dfa")


def test_a_comparison_for_people(recorder, capsys):
    assert cli.run(["bench", "simpnet", "--vs", "torch", "--pairs", "1", "--threads", "2"]) == 0
    printed = capsys.readouterr().out
    assert "0.25 (0.25 to 0.25)" in printed and "PyTorch" in printed and "channels last" in printed


def test_the_table_has_a_row_for_each_net_and_way_of_dropping(recorder, capsys, tmp_path):
    path = tmp_path / "table.json"
    assert cli.run(["bench", "--table", "--pairs", "1", "--threads", "2", "--out", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:11]] == [
        "simpnet",
        "simpnet",
        "deepnet",
        "deepernet",
        "deepnet_s",
        "simpnet, untied (PyTorch, unfold)",
        "simpnet, untied",
        "deepnet_s, untied (PyTorch, unfold)",
        "deepnet_s, untied",
    ]
    assert {line.count("|") for line in lines[:11]} == {11}
    assert "per batch" in lines[3] and "per image" in lines[4]
    assert "1 alternating pairs" in lines[12]
    report = json.loads(path.read_text())
    assert "99 GFLOP/s with 1 thread, 98 GFLOP/s with 2 threads" in lines[12]
    assert [one["gflops"] for one in report["sgemm"]] == [99.0, 98.0]
    during = [one["pairs"][0]["sgemm"] for one in report["comparisons"]]
    assert f"{min(during):.0f} to {max(during):.0f} GFLOP/s" in lines[12]


def test_the_share_of_sgemm_is_taken_within_pairs():
    one = job.make("output", input_shape=(1, 1, 500), classes=1000)  # feedforward and Hebbian: 2 MFLOP an image
    pairs = [{"ours": measurement(speed * 1e3, 1, 1), "sgemm": limit} for speed, limit in ((10, 40), (40, 100), (1, 2))]
    found = comparison.sgemm_share(one, pairs)
    assert found["share"] == {"median": 0.8, "least": 0.5, "largest": 1.0}
    assert found["training_gflops"]["median"] == 20 and found["gflops"]["median"] == 40


def test_step_rate_counts_the_products_of_the_whole_algorithm():
    # full 5 on 2x2x1 pixels: feedforward and Hebbian; output: feedback, too; two operations a multiply-add.
    one = job.make("full 5; output", input_shape=(2, 2, 1), classes=3)
    assert comparison.step_gflops(one, 1e9) == pytest.approx(2 * (2 * 4 * 5 + 3 * 5 * 3))


def test_sgemm_and_machine(monkeypatch):
    monkeypatch.setattr(peak, "_SIDE", 64)
    rate = peak.sgemm(1, seconds=0.0)
    assert rate["threads"] == 1 and rate["gflops"] > 0
    assert peak.machine()["numpy"] and peak.machine()["processors"] >= 1
