"""Training over epochs: which images, which metrics, which checkpoints, and that something is learned."""

import hashlib
import json
import time

import numpy as np
import pytest
import small_runs

import netsim
from netsim import configuration, devices, evaluation, preparation, runs, training
from netsim.errors import DivergedError, OptionError, RunError
from netsim.training_events import EpochDone, Notice, Started, Stepped


@pytest.fixture
def data(tmp_path, monkeypatch):
    small_runs.hasten(monkeypatch)
    return small_runs.write_data(tmp_path / "small.npz")


def test_order_is_a_permutation_of_seed_and_epoch():
    orders = [training.order_of_images(seed, epoch, 1000) for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    for order in orders:
        assert np.array_equal(np.sort(order), np.arange(1000))
        assert not np.array_equal(order, np.arange(1000))
    assert not any(np.array_equal(a, b) for a, b in [orders[:2], orders[1:], orders[::2]])
    assert np.array_equal(orders[0], training.order_of_images(0, 0, 1000))


def test_order_is_pinned():
    # numpy promises the stream of Philox; what would break old runs must break this line first.
    order = training.order_of_images(7, 3, 12)
    assert order.tolist() == [2, 5, 9, 7, 3, 0, 6, 8, 4, 1, 11, 10]


def test_every_image_is_learned_once_an_epoch_and_the_last_batch_is_ragged(tmp_path, data, monkeypatch):
    seen = []
    step = netsim.Trainer.step

    def watched(self, images, labels):
        seen.append((self.epoch, self.batch, images.copy(), labels.copy()))
        return step(self, images, labels)

    monkeypatch.setattr(netsim.Trainer, "step", watched)
    small_runs.start(tmp_path / "run", data, epochs=2)
    train = preparation.prepare(small_runs.settings(data)).train
    assert [(epoch, batch) for epoch, batch, _, _ in seen] == [(e, b) for e in range(2) for b in range(7)]
    assert [len(labels) for _, _, _, labels in seen] == [8, 8, 8, 8, 8, 8, 6] * 2
    pixels, labels = train.batch(np.arange(len(train)))
    known = sorted(image.tobytes() for image in pixels)
    for epoch in range(2):
        parts = [(images, labels) for e, _, images, labels in seen if e == epoch]
        assert sorted(image.tobytes() for images, _ in parts for image in images) == known
        order = training.order_of_images(5, epoch, len(train))
        assert np.array_equal(np.concatenate([labels for _, labels in parts]), labels[order])
    assert len(set(known)) == 54  # the images differ, or the comparison would say nothing


def test_metrics_are_what_they_say(tmp_path, data):
    outcome = small_runs.start(tmp_path / "run", data, epochs=2)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == outcome.records
    record = outcome.records[-1]
    assert record["epoch"] == 2

    # The checkpoint is a net: recompute the record from it, by the formulas.
    net = netsim.load(tmp_path / "run" / "last.safetensors")
    prepared = preparation.prepare(small_runs.settings(data))
    images, labels = prepared.validation.batch(np.arange(len(prepared.validation)))
    x = net.scores(images).astype(np.float64)
    own = np.arange(net.classes) == labels[:, None]
    hinge = np.where(own, np.maximum(1 - x, 0), 0.5 * np.maximum(1 + x, 0)).sum(axis=1)  # eq. 4, mu = 1/2
    assert record["validation_loss"] == pytest.approx(hinge.mean(), rel=1e-6)  # 1 - x is rounded to float32
    assert record["validation_error"] == np.mean(x.argmax(axis=1) != labels)
    for layer in net.weighted:
        expected = np.corrcoef(layer.W.ravel().astype(float), layer.R.ravel().astype(float))[0, 1]
        assert record["correlation"][layer.name] == pytest.approx(expected, abs=1e-12)
    activity = net.activity(images)
    assert record["saturated"] == {name: np.mean(np.abs(activity[name]) >= 1) for name in ("conv1", "full1")}
    assert set(record["angle_degrees"]) == {"conv1", "full1", "output"}


def test_training_loss_and_error_are_means_over_the_images_of_the_epoch(tmp_path, data, monkeypatch):
    results = []
    step = netsim.Trainer.step

    def watched(self, images, labels):
        result = step(self, images, labels)
        results.append((len(labels), result.loss, result.error_rate))
        return result

    monkeypatch.setattr(netsim.Trainer, "step", watched)
    outcome = small_runs.start(tmp_path / "run", data, epochs=1)
    total = sum(number for number, _, _ in results)
    assert total == 54
    record = outcome.records[0]
    assert record["train_loss"] == pytest.approx(sum(n * loss for n, loss, _ in results) / total, rel=1e-14)
    assert record["train_error"] == pytest.approx(sum(n * e for n, _, e in results) / total, rel=1e-14)


def test_it_learns_and_keeps_the_best_weights(tmp_path, data):
    outcome = small_runs.start(tmp_path / "run", data, epochs=12, drop="off")
    errors = [record["validation_error"] for record in outcome.records]
    assert outcome.records[0]["train_error"] > 0.3
    assert outcome.records[-1]["train_error"] < 0.1
    best = min(outcome.records, key=lambda r: (r["validation_error"], r["validation_loss"], r["epoch"]))
    saved = runs.checkpoints.load(tmp_path / "run" / "best.safetensors")
    assert saved.position["epoch"] == best["epoch"]
    net = netsim.load(tmp_path / "run" / "best.safetensors")
    validation = preparation.prepare(small_runs.settings(data)).validation
    assert evaluation.evaluate(net, validation, "hinge", 0.5).error == min(errors)


def test_events_tell_the_whole_run(tmp_path, data):
    events = []
    small_runs.start(tmp_path / "run", data, events.append, epochs=2)
    assert [type(event) for event in events] == [Started, *[Stepped] * 7, EpochDone, *[Stepped] * 7, EpochDone]
    steps = [event for event in events if isinstance(event, Stepped)]
    assert [event.images for event in steps[:7]] == [8, 16, 24, 32, 40, 48, 54]
    record = events[8].record
    assert (steps[6].loss, steps[6].error) == (record["train_loss"], record["train_error"])


def test_events_tell_the_seconds_of_learning_alone(tmp_path, data, monkeypatch):
    evaluate = evaluation.evaluate

    def slowly(*arguments):
        time.sleep(0.5)
        return evaluate(*arguments)

    monkeypatch.setattr(evaluation, "evaluate", slowly)
    events = []
    outcome = small_runs.start(tmp_path / "run", data, events.append, epochs=2)
    steps = [event.seconds for event in events if isinstance(event, Stepped)]
    first, second = (timing["seconds"] for timing in outcome.timings)
    assert 0 < steps[0] < steps[6] <= first < steps[7] < steps[13] <= first + second
    assert all(timing["evaluation_seconds"] > 0.5 for timing in outcome.timings)


@pytest.mark.parametrize("after", [0, 1, 6, 7, 9])
def test_stopped_and_resumed_is_the_same_bits(tmp_path, data, after):
    small_runs.start(tmp_path / "whole", data)
    steps = []

    def count(event):
        if isinstance(event, Stepped):
            steps.append(event)

    outcome = small_runs.start(tmp_path / "cut", data, count, lambda: len(steps) > after)
    assert not outcome.finished
    assert len(steps) == after + 1
    events = []
    assert small_runs.resume(tmp_path / "cut", events.append).finished
    # After the last batch of an epoch, the epoch's metrics are still to come.
    epochs, batches = divmod(after, 7)
    assert (events[0].done, events[0].images) == (epochs, min(8 * (batches + 1), 54))
    assert sum(isinstance(event, Stepped) for event in events) == 21 - (after + 1)
    assert small_runs.bits(tmp_path / "cut") == small_runs.bits(tmp_path / "whole")


def test_a_longer_run_is_the_same_bits_as_one_made_longer(tmp_path, data):
    small_runs.start(tmp_path / "whole", data, epochs=5)
    small_runs.start(tmp_path / "longer", data, epochs=2)
    outcome = small_runs.resume(tmp_path / "longer", epochs=5)
    assert len(outcome.records) == 5
    assert small_runs.bits(tmp_path / "longer") == small_runs.bits(tmp_path / "whole")


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": "bp", "loss": "softmax"},
        {"protocol": "frfb", "connectivity": 0.5, "thin_output": True},
        {"feedback_rate": 0.3, "decay": 0.01, "drop": "batch", "slope": 0.5},
        {"frozen": ["conv1"], "symmetric": True},
        {"protocol": "bp", "connectivity": 0.5, "decay": 0.01},
    ],
)
def test_every_kind_of_run_resumes_to_the_same_bits(tmp_path, data, options):
    small_runs.start(tmp_path / "whole", data, **options)
    steps = iter(range(100))
    small_runs.start(tmp_path / "cut", data, stop=lambda: next(steps) == 9, **options)
    small_runs.resume(tmp_path / "cut")
    assert small_runs.bits(tmp_path / "cut") == small_runs.bits(tmp_path / "whole")
    plain = small_runs.start(tmp_path / "plain", data)
    assert (
        plain.records[-1]["train_loss"]
        != json.loads((tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()[-1])["train_loss"]
    )  # the options did something


def test_checkpoints_within_an_epoch_change_nothing(tmp_path, data, monkeypatch):
    small_runs.start(tmp_path / "whole", data)
    saves = []
    save = runs.Run.save
    monkeypatch.setattr(runs.Run, "save", lambda self, c: (saves.append(c.position["batch"]), save(self, c)))
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CURVES_SECONDS", 0.0)
    small_runs.start(tmp_path / "often", data)
    assert len(saves) == 3 * 8
    assert set(saves) == set(range(8))
    assert small_runs.bits(tmp_path / "often") == small_runs.bits(tmp_path / "whole")


class Delayed(devices.HostLearner):
    """A learner that tells nothing before it is asked to settle, as one on a GPU."""

    def begin_epoch(self, order, before=0):
        super().begin_epoch(order, before)
        self.kept, self.before = [], before

    def learn(self, first, last):
        assert first == self.before + sum(images for images, _ in self.kept)  # nothing is left out, or learned twice
        self.kept += super().learn(first, last)
        return []

    def settle(self):
        told, self.kept = self.kept, []
        self.before += sum(images for images, _ in told)
        return told


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_results_that_a_device_keeps_back_change_nothing(tmp_path, data, monkeypatch, seconds):
    small_runs.start(tmp_path / "whole", data)
    monkeypatch.setattr(devices, "make_learner", lambda trainer, split, batch: Delayed(trainer, split))
    monkeypatch.setattr(training, "SETTLE_SECONDS", seconds)
    events = []
    small_runs.start(tmp_path / "late", data, events.append)
    steps = [(event.epoch, event.images) for event in events if isinstance(event, Stepped)]
    assert steps == [(epoch, images) for epoch in (1, 2, 3) for images in (8, 16, 24, 32, 40, 48, 54)]
    batches = iter(range(100))
    small_runs.start(tmp_path / "cut", data, stop=lambda: next(batches) == 9)
    assert runs.checkpoints.load(tmp_path / "cut" / "last.safetensors").position["batch"] == 2
    small_runs.resume(tmp_path / "cut")
    whole = small_runs.bits(tmp_path / "whole")
    assert small_runs.bits(tmp_path / "late") == whole == small_runs.bits(tmp_path / "cut")


def test_a_diverging_run_of_such_a_device_saves_nothing_that_is_not_finite(tmp_path, data, monkeypatch):
    monkeypatch.setattr(devices, "make_learner", lambda trainer, split, batch: Delayed(trainer, split))
    with pytest.raises(DivergedError, match="no longer finite"):
        small_runs.start(tmp_path / "run", data, step_size=1e38)
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_without_validation_images_the_training_error_tells_the_best(tmp_path, data):
    outcome = small_runs.start(tmp_path / "run", data, validation=0)
    assert [record["validation_error"] for record in outcome.records] == [None] * 3
    best = min(outcome.records, key=lambda r: (r["train_error"], r["train_loss"]))
    assert runs.checkpoints.load(tmp_path / "run" / "best.safetensors").position["epoch"] == best["epoch"]


def test_fewer_training_images(data):
    prepared = preparation.prepare(small_runs.settings(data, train_images=10))
    assert len(prepared.train) == 10
    assert prepared.configuration.resolved["train"] == 10
    assert len(preparation.prepare(small_runs.settings(data, train_images=1000)).train) == 54


def test_validation_larger_than_the_data_is_refused(data):
    with pytest.raises(OptionError, match=r"validation is 60 images, but .* has 60"):
        preparation.prepare(small_runs.settings(data, validation=60))


def test_a_diverging_run_keeps_the_last_good_weights(tmp_path, data, monkeypatch):
    step = netsim.Trainer.step

    def poisoned(self, images, labels):
        result = step(self, images, labels)
        return type(result)(float("nan"), result.error_rate) if self.epoch == 2 else result

    small_runs.start(tmp_path / "good", data, epochs=2)
    monkeypatch.setattr(netsim.Trainer, "step", poisoned)
    with pytest.raises(DivergedError, match=r"no longer finite \(epoch 3, batch 1\).*last\.safetensors keeps"):
        small_runs.start(tmp_path / "run", data)
    kept = ("last.safetensors", "best.safetensors", "metrics.jsonl")
    saved = runs.checkpoints.load(tmp_path / "run" / "last.safetensors")
    assert saved.position["epoch"] == 2
    assert small_runs.bits(tmp_path / "run", kept) == small_runs.bits(tmp_path / "good", kept)


def test_weights_that_are_not_finite_are_never_saved(tmp_path, data, monkeypatch):
    state = netsim.Network.state

    def poisoned(self):
        arrays = state(self)
        arrays["full1.R"][0, 0] = np.inf
        return arrays

    monkeypatch.setattr(netsim.Network, "state", poisoned)
    with pytest.raises(DivergedError, match=r"full1\.R is no longer finite .*nothing was saved yet"):
        small_runs.start(tmp_path / "run", data)
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_a_changed_configuration_is_not_resumed(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    before = small_runs.bits(tmp_path / "run")
    with pytest.raises(RunError, match=r"step_size was 0\.1, now 0\.2"):
        small_runs.resume(tmp_path / "run", step_size=0.2, epochs=5)
    assert small_runs.bits(tmp_path / "run") == before


def test_other_data_are_not_resumed(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    small_runs.write_data(tmp_path / "small.npz", seed=1)
    with pytest.raises(RunError, match="not those that the run began with"):
        small_runs.resume(tmp_path / "run", epochs=5)


def test_moved_data_are_resumed(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    (tmp_path / "small.npz").rename(tmp_path / "moved.npz")
    assert small_runs.resume(tmp_path / "run", data=f"npz:{tmp_path / 'moved.npz'}", epochs=4).finished


def test_other_versions_are_named(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    text = (tmp_path / "run" / "run.toml").read_text()
    (tmp_path / "run" / "run.toml").write_text(text.replace(f'numpy = "{np.__version__}"', 'numpy = "1.0"'))
    events = []
    small_runs.resume(tmp_path / "run", events.append, epochs=4)
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert notices == [f"numpy was '1.0', now {np.__version__!r}: the run may not repeat bit for bit"]


def test_the_run_toml_repeats_the_run(tmp_path, data):
    small_runs.start(tmp_path / "run", data, mu=0.3, slope=0.8, frozen=["conv1"])
    values = configuration.read(tmp_path / "run" / "run.toml")
    information = {name: values.pop(name) for name in ("resolved", "versions")}
    assert information["resolved"]["mu"] == 0.3
    assert information["resolved"]["train"] == 54
    prepared = preparation.prepare(configuration.build(values))
    with runs.create(tmp_path / "again", prepared.configuration.to_toml()) as run:
        training.train(prepared, run)
    names = (*small_runs.COMPARED, "run.toml")
    assert small_runs.bits(tmp_path / "again", names) == small_runs.bits(tmp_path / "run", names)


def test_the_fingerprint_sees_pixels_labels_and_split(data):
    prepared = preparation.prepare(small_runs.settings(data))
    train, validation = prepared.train, prepared.validation
    found = {
        preparation.fingerprint(train, validation),
        preparation.fingerprint(validation, train),
        preparation.fingerprint(train.take(np.arange(53)), validation),
        preparation.fingerprint(train, None),
    }
    assert len(found) == 4
    digest = hashlib.sha256()
    for array in (train.images, train.labels):
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    assert preparation.fingerprint(train, None) == digest.hexdigest()
