"""The author's text parameter files: what they say here, what is refused; no text breaks the reader."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim import architectures, notation
from netsim.errors import DataError, NetsimError, NotationError, OptionError
from netsim.parameter_files import load, read

SIMPNET = """\
seed:45239
num_epochs:1000
data_set:cifar10
batch_size:500
step_size:.1
off_class_fac:1.
hinge:True
force_global_prob:(1.,1.)     # fraction of connections kept; 1 URFB, 0 FRFB, -1 BP
nonlin_scale:.5

name:input1
name:conv1R;num_filters:32;filter_size:(5,5);non_linearity:tanh;parent:input1
name:pool1;pool_size:(3, 3);stride:(2, 2);parent:conv1R
name:drop1;drop:0.8;parent:pool1
name:densp;num_units:500;non_linearity:tanh;parent:drop1
name:drop2;drop:0.3;parent:densp
name:densf;num_units:10;parent:drop2;final:final
"""

DEEPNET_S = """\
seed:1
data_set:cifar10
batch_size:500
sparse_batch_size:50
num_epochs:100
step_size:.1
sparse_step_size:.05
debug:False
shift:25
num_train:50000
off_class_fac:2.
hinge:1.
sparse:conv0aR,conv2R,
non_trainable:conv0R
re_randomize:conv0aR,conv2R,newdensp,newdensf
num_epochs_sparse:1000
force_global_prob:(.5,1.)
sparse_global_prob:(1.,0.)
name:input1
name:conv0R;parent:input1;filter_size:(3,3);num_filters:16;non_linearity:tanh
name:conv0aR;parent:conv0R;filter_size:(3,3);num_filters:16;non_linearity:tanh
name:concatsum0;parent:[conv0R,conv0aR]
name:pool1;parent:concatsum0;pool_size:(3,3);stride:(3,3)
name:drop1;drop:.5;parent:pool1
name:conv2R;parent:drop1;filter_size:(3,3);num_filters:64;non_linearity:tanh
name:conv2aR;parent:conv2R;filter_size:(3,3);num_filters:64;non_linearity:tanh
name:concatsum2;parent:[conv2aR,conv2R]
name:pool2;parent:concatsum2;pool_size:(2,2);stride:(2,2)
name:conv3R;parent:pool2;filter_size:(2,2);num_filters:64;non_linearity:tanh
name:conv3aR;parent:conv3R;filter_size:(2,2);num_filters:64;non_linearity:tanh
name:concatsum3;parent:[conv3R,conv3aR]
name:pool3;parent:concatsum3;pool_size:(2,2);stride:(2,2)
name:drop3;drop:.5;parent:pool3
name:newdensp;parent:drop3;non_linearity:tanh;num_units:500
name:newdensf;parent:newdensp;non_linearity:softmax;num_units:10;final:final
"""


def test_a_simple_file_gives_the_paper_s_network_and_the_options():
    file = read(SIMPNET)
    assert file.specs == architectures.resolve("simpnet")
    assert file.options == {
        "seed": 45239, "epochs": 1000, "data": "cifar10", "batch": 500, "step_size": 0.1, "loss": "hinge",
        "mu": None, "protocol": "urfb", "connectivity": 1.0, "slope": 0.5,
    }  # fmt: skip
    assert file.names["conv1R"] == "conv1" and file.names["densf"] == "output"
    assert file.warnings == ()


def test_sums_the_untied_phase_and_unused_keys():
    file = read(DEEPNET_S)
    assert file.specs == architectures.resolve("deepnet_s")
    assert file.options["mu"] == 2.0 / 9.0
    assert file.options["connectivity"] == 0.5
    assert file.options["train_images"] == 50000
    assert file.options["untied_phase"] == {
        "untie": ("conv2", "conv3"), "freeze": ("conv1",), "reinit": ("conv2", "conv3", "full1", "output"),
        "epochs": 1000, "batch": 50, "step_size": 0.05, "protocol": "frfb", "connectivity": 1.0,
        "untied_start": "spread",
    }  # fmt: skip
    copies = read(DEEPNET_S.replace("re_randomize:conv0aR,conv2R,", "re_randomize:")).options["untied_phase"]
    assert copies["reinit"] == ("full1", "output") and "untied_start" not in copies
    assert file.options["slope"] == 0.5  # the code's own value where the file has none
    text = "\n".join(file.warnings)
    assert "shift is not used: random shifts" in text
    assert "without effect as set: debug" in text
    assert "nonlin_scale is not given" in text


def test_without_epochs_of_the_first_phase_the_untied_one_is_the_run():
    text = DEEPNET_S.replace("num_epochs:100\n", "num_epochs:0\n").replace("(.5,1.)", "(.5,.25)")
    file = read(text)
    untied = "conv 16 3x3; untied 16 3x3; sum; maxpool 3, stride 3; drop .5; untied 64 3x3; conv 64 3x3"
    assert notation.render(file.specs).replace("0.5", ".5").startswith(untied)
    assert "untied_phase" not in file.options and "feedback_rate" not in file.options
    expected = {
        "epochs": 1000, "batch": 50, "step_size": 0.05, "protocol": "frfb", "connectivity": 1.0, "frozen": ["conv1"],
        "untied_start": "spread", "seed": 1,
    }  # fmt: skip
    assert {key: file.options[key] for key in expected} == expected
    assert (file.names["conv0aR"], file.names["conv2aR"], file.names["newdensf"]) == ("untied1", "conv2", "output")
    assert any(line.startswith("num_epochs is 0: the run is the untied phase") for line in file.warnings)
    assert not any("a run of its own" in line for line in file.warnings)
    for gone, missing in (("num_epochs_sparse:1000\n", "num_epochs_sparse"), ("sparse:conv0aR,conv2R,\n", "an untied")):
        with pytest.raises(OptionError, match=f"line 5: num_epochs is 0, and without {missing}"):
            read(text.replace(gone, ""))


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("(1.,1.)", {"protocol": "urfb"}),
        ("(1.,0.)", {"protocol": "frfb"}),
        ("(1,-1)", {"protocol": "bp"}),
        ("(1.,.25)", {"protocol": "urfb", "feedback_rate": 0.25}),
    ],
)
def test_the_second_number_chooses_the_protocol(pair, expected):
    options = read(SIMPNET.replace("(1.,1.)", pair)).options
    assert {key: options[key] for key in ("protocol", "feedback_rate") if key in options} == expected


def test_switches_that_the_paper_does_not_describe():
    file = read(SIMPNET.replace("seed:45239", "sym:False\nb_nonlin_scale:.5\nby_class:1"))
    assert (file.options["feedback_input"], file.options["feedback_clip"]) == ("positive", 0.5)
    assert file.warnings[0].startswith("line 2: b_nonlin_scale is read as --feedback-clip 0.5: what comes down from")
    assert file.warnings[1] == "line 3: by_class is not used: one class at a time, here --stream one-at-a-time"
    fixed = read(SIMPNET.replace("seed:45239", "sym:False").replace("(1.,1.)", "(1.,0.)"))
    assert "feedback_input" not in fixed.options
    assert fixed.warnings == ("line 1: sym is without effect where R does not learn",)
    off = read(SIMPNET.replace("seed:45239", "sym:True\nb_nonlin_scale:0\nby_class:False"))
    assert "feedback_input" not in off.options and "feedback_clip" not in off.options
    assert off.warnings == ("not used, and without effect as set: by_class",)
    for text in ("b_nonlin_scale:-1", "b_nonlin_scale:big"):
        with pytest.raises(OptionError, match="line 1: b_nonlin_scale must be"):
            read(SIMPNET.replace("seed:45239", text))


@pytest.mark.parametrize(("text", "loss"), [("True", "hinge"), ("1.", "hinge"), ("False", "softmax"), ("0", "softmax")])
def test_the_loss(text, loss):
    options = read(SIMPNET.replace("hinge:True", f"hinge:{text}")).options
    assert options["loss"] == loss
    assert ("mu" in options) == (loss == "hinge")


def test_back_propagation_is_not_thinned():
    file = read(SIMPNET.replace("(1.,1.)", "(.5,-1.)"))
    assert file.options["connectivity"] == 1.0
    assert any("thins no connections" in warning for warning in file.warnings)


def test_a_parent_may_be_part_of_a_name():
    text = SIMPNET.replace("parent:conv1R", "parent:conv1")
    file = read(text)
    assert file.specs == architectures.resolve("simpnet")
    assert file.warnings == ("line 13: parent 'conv1' is read as 'conv1R'",)


@pytest.mark.parametrize(
    ("old", "new", "error", "parts"),
    [
        ("batch_size:500", "bach_size:500", OptionError, ("line 4", "'bach_size'", "'batch_size'")),
        ("batch_size:500", "batch_size:5.5", OptionError, ("line 4", "whole number", "'5.5'")),
        ("batch_size:500", "batch_size:0", OptionError, ("line 4", "from 1")),
        ("batch_size:500", "batch_size", NotationError, ("line 4", "key:value")),
        ("batch_size:500", "a:1;b:2", NotationError, ("line 4", "one key:value")),
        ("data_set:cifar10", "data_set:cifar", OptionError, ("line 3", "'cifar10'")),
        ("step_size:.1", "step_size:nan", OptionError, ("line 5", "number")),
        ("step_size:.1", "step_size:-1", OptionError, ("line 5", "above 0")),
        ("(1.,1.)", "(1.,2.)", OptionError, ("line 8", "feedback rate")),
        ("(1.,1.)", "(0.,1.)", OptionError, ("line 8", "connectivity")),
        ("(1.,1.)", "1.", OptionError, ("line 8", "pair")),
        ("name:input1\n", "", NotationError, ("line 11", "input")),
        ("filter_size", "filter_sise", NotationError, ("line 12", "'conv1R'", "'filter_size'")),
        ("filter_size:(5,5)", "filter_size:5", NotationError, ("line 12", "pair")),
        ("num_filters:32;", "", NotationError, ("line 12", "num_filters")),
        ("num_filters:32", "num_filters:0", NotationError, ("line 12", "1 to 65536")),
        (
            "non_linearity:tanh;parent:input1",
            "parent:input1",
            NotationError,
            ("line 12", "non_linearity:tanh"),
        ),
        (
            "non_linearity:tanh;parent:input1",
            "non_linearity:relu;parent:input1",
            NotationError,
            ("line 12", "'relu'"),
        ),
        ("stride:(2, 2)", "stride:(2, 3)", NotationError, ("line 13", "equal sides")),
        ("parent:conv1R", "parent:conw1R", NotationError, ("line 13", "'conw1R'", "'conv1R'")),
        ("parent:conv1R", "parent:input1", NotationError, ("line 13", "conv1R")),
        ("parent:conv1R", "parent:[conv1R,input1]", NotationError, ("line 13", "two parents")),
        ("drop:0.8", "drop:1.", NotationError, ("line 14", "below 1")),
        ("drop:0.8", "drop:x", OptionError, ("line 14", "number")),
        ("name:drop1", "name:lstm1", NotationError, ("line 14", "'lstm1'", "kind")),
        ("name:drop2", "name:drop1", NotationError, ("line 16", "taken")),
        (";final:final", "", NotationError, ("line 17", "final:final")),
        ("name:densp;", "name:densp;final:final;", NotationError, ("line 15", "only the last")),
    ],
)
def test_what_is_wrong_gets_one_line_with_its_place(old, new, error, parts):
    assert old in SIMPNET
    with pytest.raises(error) as caught:
        read(SIMPNET.replace(old, new, 1))
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_sum_of_layers_apart_is_refused():
    with pytest.raises(NotationError, match=r"concatsum2.*conv0R.*conv2R and conv2aR"):
        read(DEEPNET_S.replace("[conv2aR,conv2R]", "[conv0R,conv2R]"))
    with pytest.raises(NotationError, match="concatsum0"):
        read(
            "name:input1\nname:concatsum0;parent:[input1,input1]\nname:densf;num_units:3;parent:concatsum0;final:final"
        )


def test_an_untied_phase_of_unknown_layers_is_refused():
    with pytest.raises(OptionError, match=r"'conv0bR' is not one of the layers.*did you mean"):
        read(DEEPNET_S.replace("sparse:conv0aR", "sparse:conv0bR"))
    with pytest.raises(OptionError, match="'pool1' is not a conv layer"):
        read(DEEPNET_S.replace("sparse:conv0aR", "sparse:pool1"))


def test_files(tmp_path):
    path = tmp_path / "simpnet.txt"
    path.write_text(SIMPNET)
    assert load(path) == read(SIMPNET)
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "none.txt")
    path.write_bytes(b"seed:\xff\xfe")
    with pytest.raises(DataError, match="not a text file"):
        load(path)
    path.write_text(SIMPNET.replace("step_size:.1", "step_size:-1"))
    with pytest.raises(OptionError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: line 5: ")
    path.write_text("")
    with pytest.raises(NotationError, match=r"simpnet\.txt: there is no layer: expected the input as the first layer"):
        load(path)
    path.write_text("#" * 100_001)
    with pytest.raises(NotationError, match="100000"):
        load(path)


LINES = st.sampled_from((SIMPNET + DEEPNET_S).splitlines())
PIECES = st.sampled_from(
    [
        "seed",
        "num_epochs",
        "name",
        "conv1",
        "densf",
        "pool1",
        "input1",
        "concatsum1",
        "parent",
        "final",
        ":",
        ";",
        ",",
        "(",
        ")",
        "[",
        "]",
        "#",
        "1",
        "0",
        "-1",
        ".5",
        "1e999",
        "\n",
        "True",
    ]
)
MANGLED = st.lists(
    st.one_of(LINES, LINES, st.lists(PIECES, max_size=12).map("".join), st.text(max_size=30)), max_size=24
)


@settings(max_examples=300)
@given(MANGLED.map("\n".join))
def test_any_text_gives_a_result_or_one_line(text):
    try:
        file = read(text)
    except NetsimError as error:
        assert str(error) and len(str(error).splitlines()) == 1
    else:
        assert notation.check(file.specs) == file.specs


@settings(max_examples=300)
@given(st.data())
def test_one_changed_place_gives_a_result_or_one_line(data):
    source = data.draw(st.sampled_from([SIMPNET, DEEPNET_S]))
    start = data.draw(st.integers(0, len(source)))
    end = min(len(source), start + data.draw(st.integers(0, 8)))
    text = source[:start] + data.draw(st.one_of(PIECES, st.text(max_size=6))) + source[end:]
    try:
        read(text)
    except NetsimError as error:
        assert str(error) and len(str(error).splitlines()) == 1
