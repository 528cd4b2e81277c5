"""`netsim train --schedule --stream`: kept in run.toml, resumed to the same bits, refused in one line."""

import numpy as np
import pytest
import small_runs

import netsim
from netsim import cli, configuration, preparation, runs, training
from netsim.events.streams import similar_in_a_row

NET = "conv 3 3x3; maxpool 2; drop .5; full 6; output"
LATE = 'plasticity_lag = 1.5\ntag_decay = inf\n[jitter]\ndistribution = "normal"\nscale = 0.5\n'


@pytest.fixture
def data(tmp_path):
    return small_runs.write_data(tmp_path / "data.npz")


def train(data, folder, *arguments):
    return cli.run([
        "train", NET, "--data", data, "--epochs", "2", "--batch", "9", "--validation", "10", "--out", str(folder),
        "--quiet", *arguments,
    ])  # fmt: skip


def weights(folder):
    return netsim.load(folder / "last.safetensors").state()


def same(one, other):
    return all(np.array_equal(array, other[name]) for name, array in one.items())


CHOICES = {
    "jitter": ["--schedule", "FILE", "--stream", "blocked:4", "--streams", "3"],
    "batched": ["--schedule", "desynchronised:0.7", "--engine", "batched"],
    "stream alone": ["--stream", "one-at-a-time:0.2"],
    "similar classes": ["--stream", "similar:4"],
}


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_a_run_stopped_within_an_epoch_resumes_to_the_same_bits(data, tmp_path, choice):
    schedule = tmp_path / "late.toml"
    schedule.write_text(LATE)
    arguments = [str(schedule) if argument == "FILE" else argument for argument in choice]
    assert train(data, tmp_path / "whole", *arguments) == 0
    schedule.unlink()  # the run has the schedule in its run.toml
    values = configuration.read(tmp_path / "whole" / "run.toml")
    for information in ("resolved", "versions"):
        values.pop(information)
    prepared = preparation.prepare(configuration.build(values))
    asked = iter([False, False, True])  # stop after the third batch
    with runs.create(tmp_path / "cut", prepared.configuration.to_toml()) as run:
        assert not training.train(prepared, run, stop=lambda: next(asked)).finished
    assert not same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert cli.run(["train", "--resume", str(tmp_path / "cut"), "--quiet"]) == 0
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    metrics = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut")]
    assert metrics[0] == metrics[1]


def test_similar_classes_come_in_a_row(data, tmp_path):
    """The order of training is that of the classes of these images, not of class numbers."""
    data = small_runs.write_data(tmp_path / "four.npz", classes=4, seed=1)
    prepared = preparation.prepare(configuration.build({
        "net": NET, "data": data, "validation": 10, "stream": "similar:4", "epochs": 1, "batch": 9
    }))  # fmt: skip
    orders = training.orders_of_presentations(prepared.configuration, prepared.train)
    shown = prepared.train.labels[orders(0)]
    classes = similar_in_a_row(prepared.train.images, prepared.train.labels)
    assert classes.tolist() != sorted(classes.tolist())
    for place, which in enumerate(classes):
        assert np.all(shown[4 * place : 4 * place + 4] == which)


def test_run_toml_holds_the_schedule_and_a_nominal_one_changes_nothing_but_sums(data, tmp_path):
    schedule = tmp_path / "late.toml"
    schedule.write_text(LATE)
    assert train(data, tmp_path / "late", "--schedule", str(schedule), "--stream", "blocked:4") == 0
    values = configuration.read(tmp_path / "late" / "run.toml")
    assert "plasticity_lag = 1.5" in values["schedule"] and values["stream"] == "blocked:4"
    assert train(data, tmp_path / "plain") == 0
    assert train(data, tmp_path / "nominal", "--schedule", "nominal") == 0
    assert train(data, tmp_path / "batched", "--schedule", "nominal", "--engine", "batched") == 0
    plain = weights(tmp_path / "plain")
    assert same(plain, weights(tmp_path / "batched"))
    for name, array in weights(tmp_path / "nominal").items():
        # sums in another order; twelve steps of size 0.1 amplify roundings of 2^-24 by far less than 2^9
        np.testing.assert_allclose(array, plain[name], rtol=0, atol=2.0**-15 * max(1.0, np.abs(array).max()))
    assert not same(plain, weights(tmp_path / "late"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--schedule", "nominl"], "did you mean 'nominal'"),
        (["--schedule", "none.toml"], "cannot read the schedule"),
        (["--schedule", "nominal", "--engine", "exakt"], "did you mean 'exact'"),
        (["--engine", "batched"], "engine goes with a schedule"),
        (["--stream", "blokked:3"], "did you mean 'blocked'"),
        (["--stream", "blocked"], "cannot read the stream"),
        (["--schedule", "desynchronised:2"], "between 0 and 1"),
        (["--schedule", "guerguiev2017:40"], "the net has 4: say guerguiev2017:43.5"),
        (["--schedule", "FILE"], "a stream has 12: no change would come"),
        (["--schedule", "FILE", "--engine", "batched"], "take the exact one"),
        (["--schedule", "nominal", "--protocol", "dfa"], "dfa goes with the phase-locked engine"),
        (["--schedule", "nominal", "--pool-ties", "all"], "phase-locked engine"),
        (["--schedule", "nominal", "--preset", "author"], "error: --feedback-through goes with the phase-locked"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_leaves_no_folder(data, tmp_path, capsys, arguments, says):
    schedule = tmp_path / "late.toml"
    schedule.write_text("plasticity_lag = 50.0\n")
    given = [str(schedule) if argument == "FILE" else argument for argument in arguments]
    assert train(data, tmp_path / "run", *given) == 2
    error = capsys.readouterr().err
    assert error.startswith("netsim: error: ") and says in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
