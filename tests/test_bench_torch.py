"""The net in PyTorch that speed is compared with: it does the same as ours, and a rule that differs is found."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[peers]'")

from netsim import cli  # noqa: E402
from netsim.bench import job, torch_equality, torch_peer  # noqa: E402
from netsim.bench.torch_equality import DisagreementError, differences  # noqa: E402
from netsim.bench.torch_net import Net, Variant  # noqa: E402

#: Every kind of layer; even, oblong and odd filters; pools whose stride is not their window; tied and untied summed.
MIXED = (
    "untied 8 3x2; maxpool 4, stride 3; conv 7 2x3; untied 7 2x2; sum; maxpool 1; conv 5 3x5; maxpool 2; drop .5; "
    "full 20; full 11; output"
)

VARIANTS = [
    Variant(channels_last, zeros=True, windows=windows) for channels_last in (False, True) for windows in (False, True)
]


@pytest.mark.parametrize("protocol", ["bp", "frfb", "urfb"])
@pytest.mark.parametrize(
    ("net", "untied"), [("simpnet", False), ("deepnet_s", False), ("deepnet_s", True), (MIXED, False)]
)
def test_one_step_is_the_same(net, untied, protocol):
    one = job.make(net, untied=untied, protocol=protocol, batch=2)
    for variant in VARIANTS[1:] if "untied" in one.architecture else VARIANTS[::2]:
        name, difference = differences(one, 0, variant)
        assert name and difference < torch_equality.TOLERANCE


def test_the_tolerance_tells_one_rule_from_another(monkeypatch):
    one = job.make("simpnet", protocol="urfb")
    assert torch_equality.check(one.to_json())["difference"] < torch_equality.TOLERANCE
    # Pools that see minus infinity outside the grid, in place of the paper's zeros.
    _, difference = differences(replace(one, batch=2), 0, Variant())
    assert difference > 100 * torch_equality.TOLERANCE
    monkeypatch.setattr(
        torch_equality,
        "replace",
        lambda thing, **values: (
            replace(thing, **values | {"zeros": False}) if isinstance(thing, Variant) else replace(thing, **values)
        ),
    )
    with pytest.raises(DisagreementError, match="nothing was timed"):
        torch_equality.check(one.to_json())


def test_feedback_weights_that_must_not_change_do_not(monkeypatch):
    one = job.make("full 9; output", protocol="frfb", input_shape=(3, 3, 1), classes=3, batch=4)
    assert differences(one, 0, Variant())[1] < torch_equality.TOLERANCE
    monkeypatch.setattr(Net, "updates_feedback", property(lambda net: True, lambda net, value: None), raising=False)
    name, difference = differences(one, 0, Variant())
    assert name.endswith(".R") and math.isinf(difference)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_are_turned_there_and_back(variant):
    net = Net(job.make(MIXED), variant)
    shapes = {"conv1": (2, 3, 8, 7), "untied2": (11, 11, 2, 2, 7, 7), "full1": (3 * 3 * 5, 20), "full2": (20, 11)}
    stream = np.random.default_rng(0)
    for name, shape in shapes.items():
        layer = net.weighted()[name]
        weights = stream.random(shape, dtype=np.float32)
        turned = layer.turned(weights)
        assert turned.shape == tuple(layer.W.shape)
        np.testing.assert_array_equal(layer.turned_back(np.ascontiguousarray(turned)), weights)


@pytest.mark.parametrize("mode", ["sample", "batch", "off"])
def test_dropout_masks(mode):
    torch.manual_seed(0)
    net = Net(job.make("drop .8; output", drop=mode, input_shape=(32, 32, 3)), Variant())
    kept = net.layers["drop1"](torch.ones(8, 3, 32, 32))
    if mode == "off":
        assert bool((kept == 1).all())
        return
    assert {0.0, 5.0} == {round(float(value), 4) for value in kept.unique()}
    assert bool((kept == kept[:1]).all()) == (mode == "batch")
    # A share of 8 (or 1) times 3072 units: 0.2 within five standard deviations.
    units = 3072 * (8 if mode == "sample" else 1)
    assert abs(float((kept > 0).float().mean()) - 0.2) < 5 * math.sqrt(0.2 * 0.8 / units)
    net.eval()
    assert bool((net.layers["drop1"](torch.ones(2, 3, 32, 32)) == 1).all())


def test_the_variants_that_are_tried():
    tied, untied = job.make("simpnet"), job.make("simpnet", untied=True)
    assert torch_peer.variants(tied, windows=True) == [Variant(channels_last=True), Variant()]
    assert torch_peer.variants(untied, windows=True) == [Variant(), Variant(channels_last=True, windows=True)]
    assert torch_peer.variants(untied, windows=False) == [Variant()]
    found = torch_peer.try_variants(replace(tied, input_shape=(8, 8, 1), batch=2).to_json())
    assert [row["zeros"] for row in found["tried"]] == [False, False, True]
    fastest = min(found["tried"], key=lambda row: row["ms"])
    assert found["fastest"] == {key: fastest[key] for key in ("channels_last", "zeros", "windows")}


def test_pytorchs_own_padding_keeps_the_papers_windows():
    """Inside the grid both paddings see the same; only where zeros win do they differ."""
    images = 1 + torch.rand(2, 3, 11, 13)
    for notation in (
        "maxpool 3",
        "maxpool 2",
        "maxpool 4, stride 3",
        "maxpool 3, stride 3",
        "maxpool 1",
        "maxpool 5, stride 1",
    ):
        one = job.make(f"{notation}; output", input_shape=(11, 13, 3))
        own, zeros = (Net(one, Variant(zeros=zeros)).layers["maxpool1"](images) for zeros in (False, True))
        assert own.shape == zeros.shape and bool((own == zeros).all())


def test_the_command_compares_with_torch(capsys):
    arguments = ["conv 3 3x3; maxpool 3; output", "--input", "6x6x2", "--batch", "4", "--steps", "1", "--threads", "1"]
    assert cli.run(["bench", *arguments, "--vs", "torch", "--pairs", "1", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert one["equality"]["difference"] <= one["equality"]["tolerance"]
    assert all(figure["least"] > 0 for figure in one["ratios"].values())
