"""The network notation: the paper's listings, the canonical form, and one line for whatever is wrong."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim import architectures
from netsim.errors import NetsimError, NotationError, UnknownNameError
from netsim.notation import (
    Conv,
    Drop,
    Full,
    Maxpool,
    Output,
    Sum,
    Untied,
    check,
    names,
    parse,
    render,
)

# As printed in the paper, section 4, line breaks and all.
PRINTED = {
    "simpnet": """simpnet: Conv 32 5x5; Maxpool 3; Drop .8;

         Full 500; Drop .3; Output""",
    "deepnet": """deepnet: Conv 32 5x5; Maxpool 3; Conv 32

         3x3; Conv 32 3x3; Maxpool 3;

         Drop .8;

         Conv 32 3x3; Conv 32 3x3; Maxpool

         3; Drop .3; Full 500; Output""",
    "deepernet": """deepernet: conv 16 3x3; conv 16 3x3;

           SUM; conv 32 3x3; conv 32 3x3;

           SUM; maxpool 3; drop .5; conv

           64 3x3; conv 64 3x3; SUM;

           maxpool 3; conv 128 3x3; conv 128

           3x3; SUM; maxpool 3; drop .8;

           full conn. 500; output""",
    "deepnet_s": """deepnet_s: conv 16 3x3; conv 16 3x3;

SUM;maxpool 3, stride 3; drop .5;

        conv 64 3x3; conv 64 3x3; SUM;

        maxpool 2, stride 2;

        conv 64 2x2; conv 64 2x2; SUM;

        maxpool 2, stride 2; drop .5;

        full conn. 500; output""",
}
C16, C32, C64, C128 = (Conv(filters, 3, 3) for filters in (16, 32, 64, 128))
SPECS = {
    "simpnet": (Conv(32, 5, 5), Maxpool(3), Drop(0.8), Full(500), Drop(0.3), Output()),
    "deepnet": (
        Conv(32, 5, 5),
        Maxpool(3),
        C32,
        C32,
        Maxpool(3),
        Drop(0.8),
        C32,
        C32,
        Maxpool(3),
        Drop(0.3),
        Full(500),
        Output(),
    ),
    "deepernet": (
        C16,
        C16,
        Sum(),
        C32,
        C32,
        Sum(),
        Maxpool(3),
        Drop(0.5),
        C64,
        C64,
        Sum(),
        Maxpool(3),
        C128,
        C128,
        Sum(),
        Maxpool(3),
        Drop(0.8),
        Full(500),
        Output(),
    ),
    "deepnet_s": (
        C16,
        C16,
        Sum(),
        Maxpool(3, 3),
        Drop(0.5),
        C64,
        C64,
        Sum(),
        Maxpool(2),
        Conv(64, 2, 2),
        Conv(64, 2, 2),
        Sum(),
        Maxpool(2),
        Drop(0.5),
        Full(500),
        Output(),
    ),
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_paper_s_listings_read_as_printed(name):
    assert parse(PRINTED[name]) == SPECS[name]
    assert parse(PRINTED[name].replace(" ", "\N{NO-BREAK SPACE}")) == SPECS[name]  # as the journal's page has them
    assert architectures.resolve(name) == SPECS[name]
    assert architectures.resolve(f" {name.upper()}\n") == SPECS[name]


def test_there_are_the_paper_s_four():
    assert set(architectures.ARCHITECTURES) == set(SPECS)


def test_every_way_of_writing():
    expected = (Conv(8, 3, 5), Untied(4, 2, 2), Maxpool(3, 3), Drop(0.25), Full(7), Output())
    canonical = "conv 8 3x5; untied 4 2x2; maxpool 3, stride 3; drop .25; full 7; output"
    for text in (
        canonical,
        canonical.upper() + " ;\n",
        "Conv 8 3 x 5;untied\n4\n\n2×2;maxpool 3 stride 3;drop 2.5e-1;full conn 7;output;",
        "my_net : conv 008 3X5; untied 4 2x2; maxpool 3,stride 3; drop 0.250; FULL CONN. 7; OutPut",
    ):
        assert parse(text) == expected
    assert render(expected) == canonical


def test_layer_names_count_within_a_kind():
    assert names(SPECS["deepnet_s"]) == (
        "conv1",
        "conv2",
        "sum1",
        "maxpool1",
        "drop1",
        "conv3",
        "conv4",
        "sum2",
        "maxpool2",
        "conv5",
        "conv6",
        "sum3",
        "maxpool3",
        "drop2",
        "full1",
        "output",
    )


def test_specifications_are_frozen_and_take_numpy_numbers():
    spec = Conv(np.int64(8), np.int32(3), 3)
    assert spec == Conv(8, 3, 3) and type(spec.filters) is int
    assert Drop(np.float32(0.5)) == Drop(0.5)
    assert Maxpool(3).stride == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.filters = 9


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Conv(0, 3, 3), "number of filters must be 1 to 65536, got 0"),
        (lambda: Conv(65_537, 3, 3), "1 to 65536"),
        (lambda: Conv(8, 1_024, 3), "rows must be 1 to 1023"),
        (lambda: Untied(8, 3, -1), "columns must be 1 to 1023"),
        (lambda: Maxpool(2.5), "window must be a whole number"),
        (lambda: Maxpool(2, 0), "stride must be 1 to 1023"),
        (lambda: Full(True), "whole number"),
        (lambda: Full("500"), "whole number"),
        (lambda: Full(10**5000), "1 to 65536"),
        (lambda: Drop(1.0), "at least 0 and below 1"),
        (lambda: Drop(-0.1), "at least 0 and below 1"),
        (lambda: Drop(float("nan")), "at least 0 and below 1"),
        (lambda: Drop(10**400), "at least 0 and below 1"),
        (lambda: Drop("x"), "at least 0 and below 1"),
    ],
)
def test_specifications_check_their_numbers(make, part):
    with pytest.raises(NotationError, match=part):
        make()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("conv 32 5x5; maxpol 3; output", ("layer 2, 'maxpol 3', column 14", "'maxpol'", "'maxpool'")),
        (
            "conv 32 5x5;\n  maxpool 3, strid 2; output",
            ("layer 2,", "line 2, column 14", "'stride'", "'strid' (did you mean 'stride'?)"),
        ),
        ("conv 32; output", ("layer 1, 'conv 32', column 8", "KxK", "nothing")),
        ("conv 32 5; output", ("layer 1,", "column 9", "KxK", "'5'")),
        ("conv 5x5 32; output", ("column 6", "number of filters", "'5x5'")),
        ("conv 0 5x5; output", ("column 6", "1 to 65536, got 0")),
        (f"conv {'9' * 5000} 5x5; output", ("column 6", "1 to 65536")),
        (
            "conv 3\n\n 2000x3;output",
            ("layer 1, 'conv 3 2000x3', line 3, column 2", "rows", "1 to 1023, got 2000"),
        ),
        ("maxpool 3x3; output", ("column 9", "window", "'3x3'")),
        ("maxpool 0; output", ("column 9", "1 to 1023")),
        ("maxpool 3,; output", ("column 11", "'stride'", "nothing")),
        ("drop 1; output", ("column 6", "below 1, got 1.0")),
        ("drop -.1; output", ("column 6", "at least 0", "got -0.1")),
        ("drop x; output", ("column 6", "fraction", "'x'")),
        ("full 3.5; output", ("column 6", "number of units", "'3.5'")),
        ("full 5 6; output", ("column 8", "';'", "'6'")),
        ("sum 2; output", ("column 5", "sum alone")),
        ("conv 3 3x3;; output", ("layer 2", "column 12", "found nothing")),
        ("dense 500; output", ("layer 1", "'dense'", "known: conv, untied, maxpool")),
        ("conv32 5x5; output", ("'conv32'", "'conv'")),
        ("sum; output", ("layer 1, 'sum', column 1", "two layers before it")),
        ("conv 3 3x3; sum; output", ("layer 2, 'sum', column 13", "only one")),
        ("output; output", ("layer 1, 'output', column 1", "last")),
        ("full 5; output; full 5", ("layer 2", "last")),
        ("conv 3 3x3; full 5", ("layer 2, 'full 5', column 13", "must be 'output'")),
        ("", ("empty",)),
        (" ;\n", ("empty",)),
        ("net:", ("empty",)),
        ("full 1;" * 1_000 + "output", ("at most 1000 layers",)),
        (" " * 100_001, ("at most 100000 characters",)),
    ],
)
def test_what_is_wrong_gets_one_line_with_its_place(text, parts):
    with pytest.raises(NotationError) as caught:
        parse(text)
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and len(message) < 300
    for part in parts:
        assert part in message


def test_the_largest_network_is_read():
    assert len(parse("full 1;" * 999 + "output")) == 1_000


def test_an_unknown_name_gets_the_nearest():
    for name, near in (("simpnt", "simpnet"), ("deepnet-s", "deepnet_s"), ("DEEPERNETT", "deepernet")):
        with pytest.raises(UnknownNameError, match=f"did you mean '{near}'"):
            architectures.resolve(name)
    with pytest.raises(UnknownNameError, match="known: simpnet, deepnet, deepernet, deepnet_s"):
        architectures.resolve("vgg")
    assert architectures.resolve("output") == (Output(),)  # one word, but notation
    with pytest.raises(NotationError, match="number of filters"):
        architectures.resolve("conv")


@pytest.mark.parametrize(
    ("given_", "part"),
    [
        (None, "a network is a name"),
        ((), "a network is a name"),
        (7, "a network is a name"),
        ((1, 2), "layer 1: expected a specification such as Conv"),
        ((Full(3),), "layer 1, 'full 3': the last layer must be 'output'"),
        ((Sum(), Output()), "layer 1, 'sum'"),
        ((Output(), Full(3), Output()), "layer 1, 'output'"),
    ],
)
def test_specifications_given_directly_are_checked(given_, part):
    with pytest.raises(NotationError, match=part):
        architectures.resolve(given_)
    assert architectures.resolve([Full(3), Output()]) == (Full(3), Output())


filters, side = st.integers(1, 65_536), st.integers(1, 1_023)
layer = st.one_of(
    st.builds(Conv, filters, side, side),
    st.builds(Untied, filters, side, side),
    st.builds(Maxpool, side, side),
    st.builds(Drop, st.floats(0.0, 1.0, exclude_max=True)),
    st.builds(Full, filters),
    st.just(Sum()),
)
network = st.lists(layer, max_size=12).filter(lambda specs: all(not isinstance(spec, Sum) for spec in specs[:2]))


@given(network)
def test_what_is_rendered_is_read_back(specs):
    specs = (*specs, Output())
    assert check(specs) == specs
    assert parse(render(specs)) == specs
    assert render(parse(render(specs))) == render(specs)


tokens = st.sampled_from(
    [
        "conv",
        "UNTIED",
        "maxpool",
        "drop",
        "full",
        "conn.",
        "sum",
        "output",
        "stride",
        "32",
        "5x5",
        ".8",
        "1e9",
        "-3",
        ";",
        ",",
        ":",
        ".",
        "x",
        "\n",
        " ",
        "9" * 60,
        "ſum",
        "\x00",
    ]
)
text = st.one_of(st.lists(tokens, max_size=30).map(" ".join), st.lists(tokens, max_size=30).map("".join), st.text())


@settings(max_examples=500)
@given(text)
def test_any_text_gives_a_network_or_one_line(text):
    try:
        specs = architectures.resolve(text)
    except NetsimError as error:
        assert str(error) and len(str(error).splitlines()) == 1
    else:
        assert parse(render(specs)) == specs


@pytest.mark.parametrize(
    "text",
    [
        "1" * 100_000,
        "conv " + "1" * 99_000,
        ";" * 100_000,
        "a" * 100_000,
        "drop " + "1" * 90_000,
        "\n" * 99_000 + "conv",
        "conv 1 " + "1 " * 40_000,
        "conv 1 1" + " " * 90_000 + "1",
        "x" * 90_000 + ":",
        "sum;" * 25_000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_hostile_text_is_refused_at_once(text):
    start = time.perf_counter()
    with pytest.raises(NetsimError) as caught:
        architectures.resolve(text)
    assert len(str(caught.value)) < 300
    assert time.perf_counter() - start < 1.0  # linear reading takes about a millisecond
