"""Damaged files of a run: what is found, reported, mended, and what is never thrown away."""

import pytest
import small_runs

import netsim
from netsim.cli import run
from netsim.errors import RunError
from netsim.runs import checkpoints, records
from netsim.training_events import EpochDone, Notice


@pytest.fixture
def data(tmp_path, monkeypatch):
    small_runs.hasten(monkeypatch)
    return small_runs.write_data(tmp_path / "small.npz")


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) * 2 // 3] ^= 1
    elif how == "metadata":
        content[content.index(b'\\"epoch\\"') + 12] ^= 1
    elif how == "truncated":
        del content[len(content) // 2 :]
    elif how == "empty":
        content.clear()
    elif how == "zeros":
        content = bytes(len(content))
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "metadata", "truncated", "empty", "zeros"])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(tmp_path, data, how):
    small_runs.start(tmp_path / "whole", data)
    small_runs.start(tmp_path / "run", data)
    last = tmp_path / "run" / "last.safetensors"
    damage(last, how)
    with pytest.raises(RunError):
        checkpoints.load(last)
    events = []
    assert small_runs.resume(tmp_path / "run", events.append).finished
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert "last.safetensors is damaged" in notice
    assert notice.endswith("kept as last.safetensors.damaged; going on from previous.safetensors")
    assert sum(isinstance(event, EpochDone) for event in events) == 1  # epoch 3, learned again
    assert (tmp_path / "run" / "last.safetensors.damaged").exists()
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")


def test_what_is_set_aside_takes_no_others_place(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    folder, kept = tmp_path / "run", []
    for epochs in (4, 5, 6):
        for name in ("last.safetensors", "timings.jsonl"):
            with open(folder / name, "ab") as file:
                file.write(b"damage %d\n" % epochs)
        kept.append({name: (folder / name).read_bytes() for name in ("last.safetensors", "timings.jsonl")})
        small_runs.resume(folder, epochs=epochs)
    for name in ("last.safetensors", "timings.jsonl"):
        names = [f"{name}.damaged", f"{name}.damaged-2", f"{name}.damaged-3"]
        assert [(folder / aside).read_bytes() for aside in names] == [content[name] for content in kept]
    small_runs.start(tmp_path / "whole", data, epochs=6)
    assert small_runs.bits(folder) == small_runs.bits(tmp_path / "whole")


def test_a_resumed_run_reads_its_checkpoint_once(tmp_path, data, monkeypatch):
    small_runs.start(tmp_path / "run", data)
    load, read = checkpoints.load, []
    monkeypatch.setattr(checkpoints, "load", lambda path: read.append(path.name) or load(path))
    assert run(["train", "--resume", str(tmp_path / "run"), "--epochs", "4", "--quiet"]) == 0
    assert read == ["last.safetensors"]
    damage(tmp_path / "run" / "last.safetensors", "truncated")
    assert run(["train", "--resume", str(tmp_path / "run"), "--epochs", "5", "--quiet"]) == 0
    assert read[1:] == ["last.safetensors", "previous.safetensors"]


def test_every_flipped_byte_is_found(tmp_path, data):
    small_runs.start(tmp_path / "run", data, net="full 2; output", train_images=4, epochs=1)
    last = tmp_path / "run" / "last.safetensors"
    whole = last.read_bytes()
    original = checkpoints.load(last)
    unnoticed = []
    for at in range(0, len(whole), 3):
        last.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        try:
            found = checkpoints.load(last)
        except RunError as error:
            assert "\n" not in str(error)
        else:
            # A blank of the header's padding may change: nothing that is read does.
            same = found.to_bytes() == original.to_bytes()
            unnoticed.append((at, same))
    assert all(same for _, same in unnoticed)
    assert len(unnoticed) < 8
    assert len(whole) > 1000


def test_all_checkpoints_damaged_is_an_error_and_nothing_is_lost(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    for name in ("last", "previous"):
        damage(tmp_path / "run" / f"{name}.safetensors", "truncated")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(RunError, match=r"last\.safetensors is damaged"):
        small_runs.resume(tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_lost_checkpoints_do_not_start_the_run_over(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    for name in ("last", "previous"):
        (tmp_path / "run" / f"{name}.safetensors").unlink()
    with pytest.raises(RunError, match="has no checkpoint any more"):
        small_runs.resume(tmp_path / "run")
    assert len(records.read(tmp_path / "run" / "metrics.jsonl")) == 3


def test_lost_checkpoints_and_metrics_do_not_cost_the_best_weights(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    best = tmp_path / "run" / "best.safetensors"
    assert checkpoints.load(best).position["epoch"] > 1
    kept = best.read_bytes()
    for name in ("last.safetensors", "previous.safetensors", "metrics.jsonl"):
        (tmp_path / "run" / name).unlink()
    with pytest.raises(RunError, match="has no checkpoint any more"):
        small_runs.resume(tmp_path / "run")
    assert best.read_bytes() == kept


def test_another_nets_checkpoint_is_refused(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    netsim.Network("full 4; output", (6, 6, 1), 3).save(tmp_path / "run" / "last.safetensors")
    (tmp_path / "run" / "previous.safetensors").unlink()
    with pytest.raises(RunError, match="not a checkpoint of a run: 'run' is missing"):
        small_runs.resume(tmp_path / "run")


@pytest.mark.parametrize("end", [b'{"epoch": 4, "train_', b"\x00\x00\x00\n", b'{"epoch": 9}\n', b"[1]\n", b"\xff\n"])
def test_a_torn_end_of_the_metrics_is_mended(tmp_path, data, end):
    small_runs.start(tmp_path / "whole", data, epochs=5)
    small_runs.start(tmp_path / "run", data)
    with open(tmp_path / "run" / "metrics.jsonl", "ab") as file:
        file.write(end)
    assert len(small_runs.resume(tmp_path / "run", epochs=5).records) == 5
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")


def test_lost_metrics_come_back_from_the_checkpoint(tmp_path, data):
    small_runs.start(tmp_path / "whole", data, epochs=5)
    small_runs.start(tmp_path / "run", data)
    (tmp_path / "run" / "metrics.jsonl").unlink()
    small_runs.resume(tmp_path / "run", epochs=5)
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")


@pytest.mark.parametrize(
    "line",
    [
        b'{"epoch": 2, "images_per_second": NaN, "seconds": NaN}', b'{"epoch": 2, "seconds": Infinity}',
        b'{"epoch": 2, "seconds": 1e999}', b'{"epoch": 2, "seconds": 1' + b"0" * 400 + b"}",
        b'{"epoch": 2, "images_per_second": {"a": {"b": 1}}}', b'{"epoch": 2, "sec', b"\xff\xfe", b"\0" * 50, b"2", b"",
    ],
)  # fmt: skip
def test_damaged_times_are_kept_aside_and_stop_nothing(tmp_path, data, line):
    small_runs.start(tmp_path / "run", data)
    path = tmp_path / "run" / "timings.jsonl"
    first, _, third = path.read_bytes().splitlines(keepends=True)
    damaged = first + line + b"\n" + third
    path.write_bytes(damaged)
    events = []
    small_runs.resume(tmp_path / "run", events.append, epochs=4)
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert notice.endswith("timings.jsonl is damaged: a line is no record; kept as timings.jsonl.damaged")
    assert (tmp_path / "run" / "timings.jsonl.damaged").read_bytes() == damaged
    assert [timing["epoch"] for timing in records.read(path)] == [1, 3, 4]
    path.write_bytes(damaged)  # where nothing is left to learn, the end is told all the same
    assert run(["train", "--resume", str(tmp_path / "run"), "--epochs", "4"]) == 0


@pytest.mark.parametrize(
    "forged", [b'{"epoch": 9}\n' * 30, b'{"epoch": 1, "train_error": NaN}\n', b"", b"\xff\n\xff\n", None]
)
def test_the_checkpoint_and_not_the_metrics_says_how_far_a_run_is(tmp_path, data, forged):
    small_runs.start(tmp_path / "run", data)
    small_runs.start(tmp_path / "whole", data, epochs=5)
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.unlink()
    if forged is not None:
        metrics.write_bytes(forged)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert run(["train", "--resume", str(tmp_path / "run"), "--epochs", "2"]) == 2  # it has done three
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    assert run(["train", "--resume", str(tmp_path / "run"), "--epochs", "5", "--quiet"]) == 0
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\xfe", b"resolved = 1\n", b"step_size = nan\n", b"[resolved]\nx = nan\n", b"[versions]\nnumpy = [inf]\n",
        b"[resolved]\nx = 0x" + b"f" * 5000 + b"\n", b"[resolved]\nx = [0x" + b"f" * 5000 + b"]\n",
        b"[versions]\nx = 1979-05-27\n", b"[versions.numpy]\na = [{}]\n", b"[resolved]\n\"a\\nb\" = 1\n", b"\0", b"[",
    ],
)  # fmt: skip
def test_a_damaged_configuration_is_one_line(tmp_path, data, capfd, damage):
    small_runs.start(tmp_path / "run", data)
    before = small_runs.bits(tmp_path / "run")
    path = tmp_path / "run" / "run.toml"
    text = path.read_bytes()
    path.write_bytes(text[: text.index(b"[resolved]")] + damage)
    for command in (["train", "--epochs", "4", "--quiet", "--resume"], ["eval"], ["plot"]):
        status = run([*command, str(tmp_path / "run")])
        told = capfd.readouterr().err
        assert (status, told.count("\n")) == (2, 1) or (status == 0 and "Traceback" not in told)
        assert status == 0 or small_runs.bits(tmp_path / "run") == before


def test_timings_hold_one_line_an_epoch(tmp_path, data):
    small_runs.start(tmp_path / "run", data)
    with open(tmp_path / "run" / "timings.jsonl", "ab") as file:
        file.write(b'{"epoch": 4, "seconds": 1.0}\n')  # an epoch whose checkpoint was never written
    small_runs.resume(tmp_path / "run", epochs=5)
    timings = records.read(tmp_path / "run" / "timings.jsonl")
    assert [timing["epoch"] for timing in timings] == [1, 2, 3, 4, 5]
    assert all(timing["images_per_second"] > 0 for timing in timings)


@pytest.mark.parametrize(
    "line", [b'{"epoch": 2, "train_error": "none"}', b'{"epoch": 2, "correlation": {"conv1": []}}', b'{"epoch": "2"}']
)
def test_lines_that_are_no_records_are_not_drawn(tmp_path, data, monkeypatch, line):
    small_runs.start(tmp_path / "run", data, epochs=1)
    monkeypatch.undo()  # real pictures
    with open(tmp_path / "run" / "metrics.jsonl", "ab") as file:
        file.write(line + b"\n")
    assert [record["epoch"] for record in records.read(tmp_path / "run" / "metrics.jsonl")] == [1]
    assert run(["plot", str(tmp_path / "run")]) == 0
