"""A new run from another one's weights: what is taken over, untied, frozen and drawn anew; repeated and resumed."""

import hashlib
import os
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import small_runs

import netsim
from netsim import configuration, inheritance, preparation, runs, training
from netsim.cli import run
from netsim.errors import OptionError, RunError, UnknownNameError

NET = "conv 4 3x3; conv 4 3x3; sum; maxpool 2; drop .3; conv 3 2x2; full 10; output"


@pytest.fixture
def tied(tmp_path, monkeypatch):
    """A trained run in folder ``tied``, the working folder; its data."""
    monkeypatch.chdir(tmp_path)
    data = small_runs.write_data(tmp_path / "small.npz")
    small_runs.start(Path("tied"), data, net=NET)
    return data


def network_of(folder: str, which: str = "best") -> netsim.Network:
    return netsim.load(f"{folder}/{which}.safetensors")


def derived(**options) -> preparation.Prepared:
    return preparation.prepare(configuration.build(inheritance.settings("tied", **options)))


def started(**options) -> netsim.Network:
    """The net that a new run begins with."""
    prepared = derived(**options)
    inheritance.inherit(prepared.network, prepared.configuration.source)
    return prepared.network


def images(number: int = 5) -> np.ndarray:
    return np.float32(np.random.default_rng(0).uniform(0, 1, (number, 6, 6, 1)))


@pytest.mark.parametrize("untie", ["all", ["conv1"], ["conv2", "conv3"], "conv3"], ids=str)
def test_an_untied_net_answers_at_first_what_the_tied_one_does(tied, untie):
    """The products are the same, in the same order: so are the scores and what every unit carries."""
    net, source = started(untie=untie), network_of("tied")
    assert "untied" in net.architecture
    np.testing.assert_array_equal(net.scores(images()), source.scores(images()))
    labels = np.array([0, 1, 2, 0, 1])
    signals, expected = (netsim.Trainer(n, seed=1).signals(images(), labels) for n in (net, source))
    for (name, one), (_, other) in zip(signals.items(), expected.items(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=name)
        assert np.any(other)


def test_the_increments_of_untied_copies_add_up_to_that_of_the_tied_filters(tied):
    net, source = started(untie="all"), network_of("tied")
    labels = np.array([0, 1, 2, 0, 1])
    untied, expected = (netsim.Trainer(n, seed=1).increments(images(), labels)[0] for n in (net, source))
    for ours, theirs in (("untied1", "conv1"), ("untied2", "conv2"), ("untied3", "conv3")):
        total = untied[ours].sum(axis=(0, 1), dtype=np.float64)
        np.testing.assert_allclose(total, expected[theirs], rtol=1e-4, atol=1e-5)
        assert np.ptp(untied[ours][..., 0, 0, 0, 0]) > 0


def test_names_weights_and_what_is_drawn_anew(tied):
    net, source = started(untie=["conv2"], freeze="conv1", reinit="rest"), network_of("tied")
    assert [layer.name for layer in net.weighted] == ["conv1", "untied1", "conv2", "full1", "output"]
    np.testing.assert_array_equal(net["conv1"].W, source["conv1"].W)
    for side in ("W", "R"):
        copies = getattr(net["untied1"], side)
        assert copies.shape == (6, 6, 3, 3, 4, 4)
        assert np.array_equal(copies, np.broadcast_to(getattr(source["conv2"], side), copies.shape))
    fresh = netsim.Network(net.architecture, net.input_shape, net.classes, seed=5)
    for name in ("conv2", "full1", "output"):
        np.testing.assert_array_equal(net[name].W, fresh[name].W)
    assert not np.array_equal(net["full1"].W, source["full1"].W)


def test_drawn_anew_after_they_were_untied_as_in_the_paper(tied):
    """Section 4.1: the first layer frozen, the rest retrained from scratch."""
    prepared = derived(untie="all", freeze="conv1", reinit="all")
    assert prepared.configuration.net.startswith("conv 4 3x3; untied 4 3x3; sum")
    assert prepared.configuration.frozen == ("conv1",)
    inheritance.inherit(prepared.network, prepared.configuration.source)
    fresh = netsim.Network(prepared.network.architecture, (6, 6, 1), 3, seed=5).state()
    state = prepared.network.state()
    same = {name for name, array in state.items() if np.array_equal(array, fresh[name])}
    assert same == set(state) - {"conv1.W", "conv1.R"}
    assert len({*prepared.network["untied1"].W.ravel()}) > 1000  # no copies any more


def test_the_connections_of_thinned_layers_come_along(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = small_runs.write_data(tmp_path / "small.npz")
    small_runs.start(Path("tied"), data, net=NET, connectivity=0.6, epochs=1)
    net, source = started(untie=["conv2"], reinit=["full1"]), network_of("tied")
    for side in ("W_mask", "R_mask"):
        copies, own = getattr(net["untied1"], side), getattr(source["conv2"], side)
        assert np.array_equal(copies, np.broadcast_to(own, copies.shape)) and not own.all()
        assert np.array_equal(getattr(net["conv2"], side), getattr(source["conv3"], side))
    fresh = netsim.Network(net.architecture, (6, 6, 1), 3, seed=5, connectivity=0.6)
    np.testing.assert_array_equal(net["full1"].W, fresh["full1"].W)
    assert not np.array_equal(net["full1"].W, source["full1"].W)


@pytest.mark.parametrize("protocol", ["urfb", "bp"])
def test_from_the_command_line_repeated_and_resumed_without_the_source(tied, capsys, protocol):
    Path("tied2").mkdir()
    small_runs.start(Path("tied2/run"), tied, net=NET, protocol=protocol)
    arguments = ["train", "--from", "tied2/run", "--untie", "conv2,conv3", "--freeze", "conv1", "--reinit", "rest"]
    assert run([*arguments, "--out", "whole", "--quiet", "--step-size", "0.05"]) == 0
    note = capsys.readouterr().err
    assert note.count("\n") == 1
    assert "conv2 untied as untied1; conv3 untied as untied2; taken over: conv1; drawn anew: full1, output" in note
    with open("whole/run.toml", "rb") as file:
        written = tomllib.load(file)
    best = Path("tied2/run/best.safetensors")
    assert written["source"] == {
        "run": os.path.abspath("tied2/run"), "checkpoint": "best", "untie": ["conv2", "conv3"],
        "reinit": ["full1", "output"], "sha256": hashlib.sha256(best.read_bytes()).hexdigest(),
        "epoch": runs.checkpoints.load(best).position["epoch"],
    }  # fmt: skip
    assert (written["frozen"], written["step_size"], written["batch"]) == (["conv1"], 0.05, 8)
    whole = small_runs.bits_of("whole")
    np.testing.assert_array_equal(network_of("whole", "last")["conv1"].W, network_of("tied2/run")["conv1"].W)
    assert run(["train", "--config", "whole/run.toml", "--out", "again", "--quiet"]) == 0
    assert run(["train", "--config", "whole/run.toml", "--out", "cut", "--epochs", "1", "--quiet"]) == 0
    steps = iter(range(100))
    prepared = preparation.prepare(configuration.build(configuration.read("whole/run.toml")))
    with runs.create("early", prepared.configuration.to_toml()) as folder:
        training.train(prepared, folder, stop=lambda: next(steps) == 0)
    shutil.rmtree("tied2")
    for name in ("cut", "early"):
        assert run(["train", "--resume", name, "--epochs", "3", "--quiet"]) == 0
        assert run(["eval", name]) == 0
    assert small_runs.bits_of("again") == small_runs.bits_of("cut") == small_runs.bits_of("early") == whole


def test_a_run_killed_before_its_first_batch_resumes_without_the_source(tied):
    prepared = derived(untie="all")
    with runs.create("whole", prepared.configuration.to_toml()) as folder:
        training.train(prepared, folder)
    prepared = derived(untie="all")

    def killed(event):
        raise KeyboardInterrupt

    with runs.create("cut", prepared.configuration.to_toml()) as folder, pytest.raises(KeyboardInterrupt):
        training.train(prepared, folder, lambda event: killed(event) if type(event).__name__ == "Started" else None)
    shutil.rmtree("tied")
    small_runs.resume(Path("cut"))
    assert small_runs.bits_of("cut") == small_runs.bits_of("whole")


def test_fine_tuning_takes_all_over_and_last_weights_are_others(tied):
    net = started()
    for name, array in network_of("tied").state().items():
        np.testing.assert_array_equal(net.state()[name], array)
    small_runs.resume(Path("tied"), epochs=6)
    best, last = (network_of("tied", which)["full1"].W for which in ("best", "last"))
    np.testing.assert_array_equal(started(checkpoint="last")["full1"].W, last)
    np.testing.assert_array_equal(started(checkpoint="best")["full1"].W, best)
    assert not np.array_equal(best, last) or runs.checkpoints.load(Path("tied/best.safetensors")).position["epoch"] == 6


def test_a_run_of_a_derived_run_keeps_no_trace_of_the_first(tied):
    prepared = derived(untie=["conv1"], freeze=["conv2"])
    with runs.create("second", prepared.configuration.to_toml()) as folder:
        training.train(prepared, folder)
    values = inheritance.settings("second", untie="all")
    assert values["source"]["run"] == str(Path("second").absolute())
    assert values["frozen"] == []
    assert values["net"].count("untied") == 3
    third = preparation.prepare(configuration.build(values))
    inheritance.inherit(third.network, third.configuration.source)
    np.testing.assert_array_equal(third.network["untied1"].W, network_of("second")["untied1"].W)


BAD = {
    "unknown layer": (dict(untie=["conv7"]), UnknownNameError, "--untie: no layer 'conv7' (did you mean 'conv3'?)"),
    "unknown frozen": (dict(freeze="ful1"), UnknownNameError, "--freeze: no layer 'ful1' (did you mean 'full1'?)"),
    "unknown anew": (dict(reinit=["ret"]), UnknownNameError, "did you mean 'rest'?"),
    "a pool": (dict(untie="maxpool1"), OptionError, "maxpool1 is no convolution; there are conv1, conv2, conv3"),
    "a full layer": (dict(untie="full1"), OptionError, "full1 is no convolution"),
    "freeze a drop": (dict(freeze="drop1"), OptionError, "drop1 has no weights"),
    "anew and frozen": (dict(freeze="conv1", reinit=["conv1"]), OptionError, "--freeze keeps that layer"),
    "no names": (dict(untie=3), OptionError, "layers are given as 3"),
    "checkpoint": (dict(checkpoint="bets"), OptionError, "did you mean 'best'"),
    "nothing to untie": (dict(untie="all", freeze=["conv1", "conv2", "conv3"]), OptionError, "no convolution is left"),
}


@pytest.mark.parametrize(("options", "error", "words"), BAD.values(), ids=BAD)
def test_what_is_wrong_gets_one_line(tied, options, error, words):
    with pytest.raises(error) as caught:
        inheritance.settings("tied", **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_refusals_of_the_command_line_leave_nothing(tied, capsys):
    other = small_runs.write_data(Path("other.npz"), side=8)
    shutil.copytree("tied", "damaged")
    Path("damaged/best.safetensors").write_bytes(b"x" * 100)
    shutil.copytree("tied", "young")
    Path("young/best.safetensors").unlink()
    there = sorted(os.listdir())
    for arguments, words in {
        ("--from", "tide"): "no such run folder (did you mean 'tied'?)",
        ("--from", "tied", "--untie", "conv9"): "no layer 'conv9'",
        ("--from", "tied", "--untie", ","): "--untie names no layer",
        ("--from", "tied", "--data", other): "has learned images of 6x6x1 in 3 classes: these are of 8x8x1 in 3",
        ("--from", "tied", "simpnet"): "NET cannot go with --from",
        ("--from", "tied", "--config", "tied/run.toml"): "--config cannot go with --from",
        ("--from", "tied", "--resume", "tied"): "--from cannot go with --resume",
        ("--untie", "all"): "--untie goes with --from RUN",
        ("--checkpoint", "last"): "--checkpoint goes with --from RUN",
        ("--from", "damaged"): "damaged/best.safetensors is damaged",
        ("--from", "young"): "young has no best weights yet",
    }.items():
        assert run(["train", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1 and words in captured.err, captured.err
        assert sorted(os.listdir()) == there


def test_a_source_that_changed_since_is_refused(tied):
    values = inheritance.settings("tied", "last")
    small_runs.resume(Path("tied"), epochs=4)
    prepared = preparation.prepare(configuration.build(values))
    with pytest.raises(RunError, match="no longer the checkpoint that this run starts from"):
        inheritance.inherit(prepared.network, prepared.configuration.source)
    shutil.rmtree("tied")
    with pytest.raises(RunError, match="cannot be read"):
        inheritance.inherit(prepared.network, prepared.configuration.source)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("run = 'tied'", "--from sha256 is .*: it must be given"),
        ("run = 'tied'\nsha256 = 'abc'", "sha256 is 'abc'"),
        ("run = 'tied'\nsha256 = '{0}'\ncheckpoint = 'bets'", "checkpoint is 'bets': it must be 'best' or 'last'"),
        ("run = 'tied'\nsha256 = '{0}'\nuntied = []", "untied is .*: it is no key there"),
        ("run = 'tied'\nsha256 = '{0}'\nuntie = 'conv1'", "untie is 'conv1': it must be a list of names"),
        ("run = 'tied'\nsha256 = '{0}'\nuntie = ['all']", "names of its layers"),
        ("run = 'tied'\nsha256 = '{0}'\nuntie = ['conv1']", "weights of another net: untied"),
    ],
)
def test_a_source_table_that_is_wrong(tied, table, words):
    digest = hashlib.sha256(Path("tied/best.safetensors").read_bytes()).hexdigest()
    text = Path("tied/run.toml").read_text().replace("[resolved]", f"[source]\n{table.format(digest)}\n\n[resolved]")
    with pytest.raises((OptionError, RunError), match=words):
        prepared = preparation.prepare(configuration.build(configuration.parse(text), names={"source": "--from"}))
        inheritance.inherit(prepared.network, prepared.configuration.source)


# ------------------------------------------------------------------- options that say how weights begin
def begun(folder: str = "tied", options: dict | None = None, **layers) -> tuple[netsim.Network, str]:
    """(net that a new run begins with, the line that says so); `options` of the new run."""
    values = {**inheritance.settings(folder, **layers), **(options or {})}
    prepared = preparation.prepare(configuration.build(values))
    c = prepared.configuration
    told = inheritance.inherit(prepared.network, c.source, c.protocol)
    state = prepared.network.state()
    inheritance.inherit(prepared.network, c.source, c.protocol)  # once more changes nothing
    assert all(np.array_equal(array, state[name]) for name, array in prepared.network.state().items())
    return prepared.network, told


def test_connections_of_layers_taken_over_are_thinned(tied):
    source = network_of("tied")
    for protocol in ("urfb", "frfb", "bp"):
        net, told = begun(options={"connectivity": 0.5, "protocol": protocol}, untie=["conv2"], freeze="conv1")
        assert "; thinned: conv1, conv2, conv3, full1" in told
        fresh = netsim.Network(net.architecture, (6, 6, 1), 3, seed=5, connectivity=0.5)
        for name, old in {"conv1": "conv1", "untied1": "conv2", "conv2": "conv3", "full1": "full1"}.items():
            for side in ("W",) if protocol == "bp" else ("W", "R"):
                mask, weights = getattr(net[name], f"{side}_mask"), getattr(source[old], side)
                assert np.array_equal(mask, getattr(fresh[name], f"{side}_mask")) and 0.2 < mask.mean() < 0.8
                np.testing.assert_array_equal(getattr(net[name], side), weights * mask)
        assert np.ptp(net["untied1"].W_mask.mean(axis=(0, 1))) > 0  # every location by itself
        np.testing.assert_array_equal(net["output"].W, source["output"].W)
        thinned, _ = begun(options={"connectivity": 0.5, "thin_output": True, "protocol": protocol})
        assert 0.2 < thinned["output"].W_mask.mean() < 0.8
        netsim.Trainer(net, protocol).step(images(), np.array([0, 1, 2, 0, 1]))
        assert not net["full1"].W[~net["full1"].W_mask].any() and net["full1"].W.any()


def test_connections_that_were_missing_come_back_as_0_and_others_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = small_runs.write_data(tmp_path / "small.npz")
    small_runs.start(Path("tied"), data, net=NET, connectivity=0.6, thin_output=True, epochs=1)
    source = network_of("tied")
    assert (source["conv2"].W == 0).any()
    net, told = begun(options={"connectivity": 1.0}, untie=["conv2"])
    assert told.endswith("; all connections: conv1, conv2, conv3, full1, output")
    assert all(layer.W_mask is None and layer.R_mask is None for layer in net.weighted)
    np.testing.assert_array_equal(net.scores(images()), source.scores(images()))
    with pytest.raises(OptionError, match=r"connectivity is 0\.3, but conv1 of .* has 0\.6 of its connections: give"):
        begun(options={"connectivity": 0.3})
    net, _ = begun(options={"connectivity": 0.3}, reinit="all")
    assert 0.1 < net["full1"].W_mask.mean() < 0.5
    net, _ = begun(options={"thin_output": False})
    assert net["output"].W_mask is None and net["full1"].W_mask is not None


def test_a_symmetric_start_of_what_is_taken_over(tied):
    for protocol in ("urfb", "frfb", "kolen-pollack"):
        net, told = begun(options={"symmetric": True, "protocol": protocol}, untie=["conv2"], reinit=["full1"])
        assert told.endswith("; R = W")
        assert all(np.array_equal(layer.W, layer.R) for layer in net.weighted)
        np.testing.assert_array_equal(net["conv1"].W, network_of("tied")["conv1"].W)
    net, _ = begun(options={"symmetric": True, "connectivity": 0.5})
    layer, W = net["full1"], network_of("tied")["full1"].W
    assert not np.array_equal(layer.R_mask, layer.W_mask)
    np.testing.assert_array_equal(layer.R, W * layer.R_mask)


def test_a_symmetric_start_is_not_inherited(tied):
    small_runs.start(Path("symmetric"), tied, net=NET, symmetric=True, protocol="frfb")
    source = network_of("symmetric")
    assert not np.array_equal(source["full1"].W, source["full1"].R)
    net, told = begun("symmetric")
    assert "R = W" not in told and not net.options["symmetric"]
    np.testing.assert_array_equal(net["full1"].R, source["full1"].R)
    assert np.array_equal(begun("symmetric", {"symmetric": True})[0]["full1"].R, source["full1"].W)


@pytest.mark.parametrize("before", ["bp", "sign-symmetry"])
def test_r_that_was_a_function_of_w_is_drawn_anew(tied, before):
    small_runs.start(Path("source"), tied, net=NET, protocol=before, epochs=1, connectivity=0.6)
    source = network_of("source")
    for protocol in ("urfb", "frfb", "kolen-pollack"):
        net, told = begun("source", {"protocol": protocol}, untie=["conv2"])
        assert told.endswith(f"; R drawn anew, since under {before} it was a function of W")
        fresh = netsim.Network(net.architecture, (6, 6, 1), 3, seed=5, connectivity=0.6)
        for layer in net.weighted:
            np.testing.assert_array_equal(layer.R, fresh[layer.name].R)
            assert abs(np.corrcoef(layer.W.ravel(), layer.R.ravel())[0, 1]) < 0.5
        np.testing.assert_array_equal(net["full1"].W, source["full1"].W)
    for protocol in ("bp", "sign-symmetry"):
        net, told = begun("source", {"protocol": protocol})
        assert "R drawn anew" not in told
    net, told = begun("source", {"protocol": "urfb", "symmetric": True})
    assert told.endswith("; R = W") and np.array_equal(net["output"].W, net["output"].R)


def test_the_run_says_what_it_began_with_and_learns_with_it(tied, capsys):
    """run.toml, the checkpoint before the first batch, and what is learned."""
    small_runs.start(Path("source"), tied, net=NET, protocol="bp", epochs=2)
    arguments = ["train", "--from", "source", "--protocol", "urfb", "--connectivity", ".5", "--quiet", "--out"]
    assert run([*arguments, "new"]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "full1; R drawn anew, since under bp it was a function of W" in said
    written = configuration.read("new/run.toml")
    assert (written["connectivity"], written["protocol"], written["source"]["epoch"]) == (0.5, "urfb", 2)
    learned = network_of("new", "last")
    assert 0.3 < (learned["full1"].W != 0).mean() < 0.7
    assert all(record["correlation"]["full1"] < 0.9 for record in runs.find("new").metrics())
    assert run(["train", "--config", "new/run.toml", "--quiet", "--out", "again"]) == 0
    assert small_runs.bits_of("again") == small_runs.bits_of("new")


def test_an_epoch_that_is_not_that_of_the_weights_is_refused(tied):
    values = inheritance.settings("tied", "last")
    assert values["source"]["epoch"] == 3
    prepared = preparation.prepare(configuration.build({**values, "source": {**values["source"], "epoch": 2}}))
    with pytest.raises(RunError, match=r"last\.safetensors holds the weights of epoch 3, not 2"):
        inheritance.inherit(prepared.network, prepared.configuration.source)
    older = {key: value for key, value in values["source"].items() if key != "epoch"}
    prepared = preparation.prepare(configuration.build({**values, "source": older}))
    inheritance.inherit(prepared.network, prepared.configuration.source)


def test_words_and_names_of_layers_go_together(tied):
    text = "conv 4 3x3; conv 4 3x3; sum; full 4; output"
    plan = inheritance.descend(text, ["conv2"], "conv1", ["conv2", "rest"])
    assert plan.anew == ("conv2", "full1", "output")
    assert inheritance.descend(text, ["conv2", "all"]).untied == ("conv1", "conv2")
    assert inheritance.descend(text, reinit=["all", "full1"]).anew == ("conv1", "conv2", "full1", "output")
    with pytest.raises(UnknownNameError, match="did you mean 'rest'"):
        inheritance.descend(text, reinit=["conv2", "ret"])


def test_an_untied_layer_drawn_anew_begins_as_the_run_says(tied):
    net, _ = begun(options={"untied_start": "spread", "connectivity": 0.5}, untie="all", freeze="conv1", reinit="all")
    plain, _ = begun(options={"connectivity": 0.5}, untie="all", freeze="conv1", reinit="all")
    layer, source = net["untied1"], network_of("tied")["conv2"]
    mask = layer.W_mask
    sums = np.where(mask, layer.W, 0).sum(axis=(0, 1)) / mask.sum(axis=(0, 1))
    np.testing.assert_allclose(layer.W, np.where(mask, sums, 0), rtol=1e-5)  # one filter, thinned apart
    assert not np.allclose(sums, source.W) and not np.array_equal(plain["untied1"].W, layer.W)
