"""`netsim nets` and the numbers behind it."""

from __future__ import annotations

import math

import pytest

import netsim
from netsim import architectures
from netsim.cli.nets import input_shape, nets
from netsim.errors import GeometryError, NetsimError, NotationError, OptionError, UnknownNameError
from netsim.summary import summarize

EVERY_KIND = "conv 3 1x1; untied 3 2x3; sum; maxpool 2, stride 3; drop .5; full 5; output"
NAMES = (*architectures.ARCHITECTURES, EVERY_KIND)


def test_simpnet_s_numbers_by_hand():
    summary = summarize("simpnet", (32, 32, 3), 10)
    rows = [
        (layer.name, layer.shape, layer.units, layer.weights, layer.feedforward, layer.step) for layer in summary.layers
    ]
    conv, full, output = 32 * 32 * 5 * 5 * 3 * 32, 16 * 16 * 32 * 500, 500 * 10
    assert rows == [
        ("conv1", (32, 32, 32), 32768, 5 * 5 * 3 * 32, conv, 2 * conv),  # no feedback into the image
        ("maxpool1", (16, 16, 32), 8192, 0, 0, 0),
        ("drop1", (16, 16, 32), 8192, 0, 0, 0),
        ("full1", (500,), 500, full, full, 3 * full),
        ("drop2", (500,), 500, 0, 0, 0),
        ("output", (10,), 10, output, output, 3 * output),
    ]
    assert summary.units == 50_162
    assert summary.weight_bytes == 3 * 4 * (2_400 + full + output)
    assert summary.activity_bytes == 4 * (32 * 32 * 3 + 50_162)


def test_an_untied_layer_has_a_filter_a_pixel_and_the_work_of_a_tied_one():
    tied = summarize("conv 4 3x3; output", (6, 5, 2), 3).layers[0]
    untied = summarize("untied 4 3x3; output", (6, 5, 2), 3).layers[0]
    assert untied.weights == 6 * 5 * tied.weights == untied.feedforward == tied.feedforward > 0
    assert untied.step == tied.step


@pytest.mark.parametrize("name", [*NAMES, "output"])
def test_the_numbers_are_those_of_the_built_network(name):
    summary = summarize(name, (27, 26, 2), 4)
    net = netsim.Network(name, (27, 26, 2), 4)
    assert summary.architecture == net.architecture
    assert [layer.name for layer in summary.layers] == [layer.name for layer in net.layers]
    for counted, built in zip(summary.layers, net.layers, strict=True):
        assert counted.shape == tuple(built.shape)
        assert counted.units == math.prod(built.shape)
        assert counted.parents == tuple(built.parents)
        assert counted.weights == (built.W.size if built in net.weighted else 0)


def test_a_network_too_large_to_build_can_be_looked_at():
    summary = summarize("maxpool 3; full 65536; output", (5000, 5000, 4), 10)
    assert summary.weights == 2500 * 2500 * 4 * 65536 + 65536 * 10


def test_all_four_are_listed(capsys):
    nets()
    lines = capsys.readouterr().out.splitlines()
    for name, weights in (
        ("simpnet", "4,103,400"),
        ("deepnet", "300,264"),
        ("deepernet", "1,322,040"),
        ("deepnet_s", "374,584"),
    ):
        [line] = [line for line in lines if line.split()[:1] == [name]]
        assert weights in line


def test_one_network_s_layers_are_shown(capsys):
    nets("DEEPNET_S", input="32x32x3", classes=100)
    out = capsys.readouterr().out
    assert "deepnet_s: images 32x32x3, 100 classes" in out
    [line] = [line for line in out.splitlines() if "maxpool1" in line]
    assert "maxpool 3, stride 3" in line and "11x11x16" in line and "1,936" in line
    assert "sum of conv1, conv2" in out
    assert f"notation: {architectures.ARCHITECTURES['deepnet_s']}\n" in out
    assert "MiB" in out and "KiB an image" in out


@pytest.mark.parametrize("columns", ["20", "60", "80"])
def test_nothing_is_cut_on_a_narrow_terminal(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    for name in (None, *architectures.ARCHITECTURES):
        nets(name)
        narrow = capsys.readouterr().out
        assert "\N{HORIZONTAL ELLIPSIS}" not in narrow
        monkeypatch.setenv("COLUMNS", "200")
        nets(name)
        words = capsys.readouterr().out.split()
        monkeypatch.setenv("COLUMNS", columns)
        assert sorted(word for word in narrow.split() if "─" not in word) == sorted(w for w in words if "─" not in w)


def test_memory_of_a_small_net_is_not_rounded_to_nothing(capsys):
    nets("full 3; output", input="8x8x1")
    assert (
        "one increment 2.6 KiB; activity 0.3 KiB an image" in capsys.readouterr().out
    )  # 12 bytes a weight, 222 of them
    nets("simpnet")
    assert "one increment 47.0 MiB; activity 207.9 KiB an image" in capsys.readouterr().out


def test_the_list_says_what_cannot_be_built(capsys):
    nets(input="2x2x1")
    assert "cannot be built: maxpool1" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "shape"), [("32x32x3", (32, 32, 3)), (" 8 X 07×1 ", (8, 7, 1))])
def test_input_shapes(text, shape):
    assert input_shape(text) == shape


@pytest.mark.parametrize(
    ("arguments", "error", "part"),
    [
        ({"net": "simpnt"}, UnknownNameError, "did you mean 'simpnet'"),
        ({"net": "conv 3; output"}, NotationError, "layer 1, 'conv 3'"),
        ({"net": "maxpool 9; output", "input": "8x8x1"}, GeometryError, "maxpool1"),
        ({"net": "full 3; conv 3 3x3; output"}, GeometryError, "conv1"),
        ({"classes": 1}, GeometryError, "classes"),
        ({"input": "8x8"}, OptionError, "as in 32x32x3"),
        ({"input": "8x0x1"}, OptionError, "as in 32x32x3"),
        ({"input": "1" * 1000}, OptionError, "as in 32x32x3"),
        ({"input": "999999x999999x999999"}, NetsimError, "input_shape"),
    ],
)
def test_what_is_wrong_gets_one_line(arguments, error, part, capsys):
    with pytest.raises(error) as caught:
        nets(**arguments)
    assert part in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert capsys.readouterr().out == ""
