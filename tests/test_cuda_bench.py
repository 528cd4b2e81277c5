"""Measurements of the engine on a GPU; in the simulator only that they run, and check before they time."""

import json
import re

import numpy as np
import pytest
from cuda_setting import HARDWARE, needs_cuda
from typer.testing import CliRunner

from netsim.bench.job import make
from netsim.errors import OptionError

pytestmark = needs_cuda

TINY = {"input_shape": (3, 3, 2), "classes": 3, "batch": 3, "steps": 1}


def run(*arguments):
    from netsim.cli import app

    return CliRunner().invoke(app, ["bench", "--device", "cuda", *arguments])


def test_the_command_measures_steps_layers_and_an_epoch(tmp_path):
    out = tmp_path / "cuda.json"
    nets = ["conv 2 1x2; drop .5; output", "untied 2 1x1; output"]
    asked = ["--input", "2x2x2", "--classes", "3", "--batch", "2", "--steps", "1", "--out", str(out)]
    done = run(*nets, *asked)
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    assert [net["job"]["name"] for net in report["nets"]] == nets
    for net in report["nets"]:
        ours = net["ours"]
        assert 0 <= ours["equality"]["difference"] <= 1e-4
        assert ours["training"]["images_per_s"] > 0
        assert ours["epoch"]["seconds"] > 0
        rows = {row["layer"]: row for row in ours["layers"]["rows"]}
        assert "feedback" in rows["output"] and "hebbian" in rows["output"]
        below = next(iter(rows.values()))
        assert "feedback" not in below and below["hebbian"]["flops"] > 0
    lines = done.output.splitlines()
    assert lines[0].startswith("| net | netsim images/s |")
    assert len([line for line in lines if re.match(r"\| (conv 2|untied 2)", line)]) == 4
    assert HARDWARE or "CUDA graphs of steps: off: the simulator has none" in done.output
    assert HARDWARE or "its times say nothing about a GPU" in done.output


def test_nothing_is_timed_where_the_gpu_disagrees(monkeypatch):
    from netsim.bench import cuda_engine
    from netsim.cuda.layers import DeviceWeighted

    job = make("full 4; output", **TINY)
    assert cuda_engine.check(job)["difference"] <= cuda_engine.TOLERANCE
    update = DeviceWeighted.update
    monkeypatch.setattr(
        DeviceWeighted, "update", lambda self, rate, keep, epsilon: update(self, rate * 1.01, keep, epsilon)
    )
    with pytest.raises(cuda_engine.DisagreementError, match="nothing was timed"):
        cuda_engine.measure(job.to_json(), 5)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--cold"], "--cold goes with --device cpu"),
        (["--threads", "2"], "--threads goes with --device cpu"),
        (["--batches", "1,2"], "--batches goes with --device cpu"),
        (["--vs", "one-thread"], "--vs is 'one-thread'"),
    ],
)
def test_what_is_measured_on_the_cpu_only_is_refused(arguments, said):
    done = run(*arguments)
    assert isinstance(done.exception, OptionError) and said in str(done.exception)


def test_ratios_take_the_fastest_way_and_say_what_failed():
    from netsim.bench import cuda_report

    job = make("untied 2 2x2; output", **TINY)
    choices = [
        {"tf32": tf32, "compiled": compiled, "windows": windows}
        for tf32 in (False, True)
        for compiled in (False, True)
        for windows in (False, True)
    ]
    speeds = [50.0, 100.0, 200.0, None, 400.0, 300.0, None, None]
    theirs = [
        choice | ({"failed": "why"} if speed is None else {"images_per_s": speed})
        for choice, speed in zip(choices, speeds, strict=True)
    ]
    phase = {"ms": 0.5, "flops": 10**9, "bytes": 10**8}
    ours = {
        "training": {"images_per_s": 200.0, "ms": 15.0},
        "epoch": {"images": 50, "seconds": 2.0},
        "equality": {"difference": 1e-6},
        "device": "a GPU",
        "simulated": False,
        "graphs": "on",
        "layers": {"rows": [{"layer": "untied1", "feedforward": phase, "update": dict(phase, flops=0)}]},
    }
    report = {
        "peer": "torch", "bandwidth": 1000.0, "torch": "2", "rates": {"fp32": 10.0, "tf32": 50.0},
        "nets": [{"job": job.to_json(), "ours": ours, "theirs": theirs}],
    }  # fmt: skip
    table = cuda_report.markdown(report).splitlines()
    assert table[2].endswith("| 2.0 s | 2.00 | 1.00 | 0.50 | failed |")
    assert "0.500 ms (20% of copies, 20% of fp32)" in table[-1]
    assert table[-1].endswith("| 0.500 ms (20% of copies) |")


def test_a_net_of_the_table_is_each_of_the_issue_of_speed():
    from netsim.bench import cuda_report

    jobs = cuda_report.jobs(batch=500)
    assert [job.name for job in jobs] == ["simpnet", "deepnet", "deepernet", "simpnet, untied", "deepnet_s, untied"]
    assert {job.batch for job in jobs} == {500}
    assert np.unique([job.architecture for job in jobs]).size == 5
