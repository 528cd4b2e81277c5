"""The bar of a run: what it shows after each event."""

import pytest
import small_runs

from netsim import preparation, progress
from netsim.training_events import EpochDone, Started, Stepped


@pytest.fixture
def bar(tmp_path):
    prepared = preparation.prepare(small_runs.settings(small_runs.write_data(tmp_path / "small.npz")))
    with progress.Bar(prepared) as bar:
        yield bar


def shown(bar: progress.Bar, name: str) -> str:
    return bar.bar.tasks[0].fields[name]


def record(epoch: int, train: float, validation: float | None) -> dict:
    return {"epoch": epoch, "train_error": train, "validation_error": validation}


def test_an_epoch_s_errors_are_those_of_its_record(bar):
    bar(Started(bar.configuration, 0, 0))
    bar(Stepped(1, 8, 1.0, 0.9, 1.0))  # drawn at once
    bar(Stepped(1, 54, 1.0, 0.5, 1.0001))  # too soon after that
    assert shown(bar, "train") == "90.0 %"
    bar(EpochDone(record(1, 0.5, 0.25), {}))
    assert (shown(bar, "epoch"), shown(bar, "train"), shown(bar, "validation")) == ("1/3", "50.0 %", "25.0 %")
    bar(EpochDone(record(2, 0.4, None), {}))
    assert (shown(bar, "epoch"), shown(bar, "train"), shown(bar, "validation")) == ("2/3", "40.0 %", "-")


def test_the_speed_is_that_of_learning_after_the_first_batch(bar):
    bar(Started(bar.configuration, 0, 0))
    for images, seconds in [(8, 30.0), (16, 30.1), (54, 30.2)]:  # kernels are compiled in the first
        bar(Stepped(1, images, 1.0, 0.5, seconds))
    bar(EpochDone(record(1, 0.5, 0.25), {}))
    assert shown(bar, "speed") == f"{(54 - 8) / 0.2:.0f}"
    for images, seconds in [(8, 30.3), (54, 40.25)]:  # all of the first epoch lies more than ten seconds back
        bar(Stepped(2, images, 1.0, 0.5, seconds))
    bar(EpochDone(record(2, 0.5, 0.25), {}))
    assert shown(bar, "speed") == f"{(54 - 8) / 9.95:.0f}" != f"{(108 - 8) / 10.25:.0f}"


def test_steps_that_a_device_tells_of_together_are_one(bar):
    bar(Started(bar.configuration, 0, 0))
    for images, seconds in [(8, 2.0), (16, 2.0), (24, 2.0), (32, 3.0), (54, 3.0)]:
        bar(Stepped(1, images, 1.0, 0.5, seconds))
    bar(EpochDone(record(1, 0.5, 0.25), {}))
    assert shown(bar, "speed") == f"{54 - 24}"


def test_an_epoch_whose_images_were_learned_before(bar):
    bar(Started(bar.configuration, 0, 54))
    bar(EpochDone(record(1, 0.5, 0.25), {}))
    assert (shown(bar, "epoch"), shown(bar, "speed")) == ("1/3", "-")
