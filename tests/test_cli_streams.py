"""Output that nobody reads or that cannot be written: closed streams, a pipe whose reader is gone, a full device."""

import os
import subprocess

import pytest
import small_runs

RUN = ["train", "full 3; output", "--epochs", "2", "--out", "run", "--data"]


@pytest.fixture
def netsim(tmp_path):
    """Run netsim in a shell with redirections; the exit status, and what stderr got."""
    data = small_runs.write_data(tmp_path / "small.npz", images=20)

    def run(arguments: list[str], redirected: str) -> tuple[int, str]:
        arguments = [*arguments, data] if arguments[-1] == "--data" else arguments
        command = ["sh", "-c", f'"$@" {redirected}', "sh", *small_runs.COMMAND, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize("arguments", [["nets"], ["--version"], ["--help"], ["nets", "simpnet"]], ids=str)
def test_closed_output(netsim, arguments):
    assert netsim(arguments, ">&-") == (0, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_run_whose_streams_are_closed_writes_what_another_writes(netsim, tmp_path, closed):
    assert netsim(RUN, closed) == (0, "")
    assert netsim([*RUN[:5], "whole", "--data"], "") == (0, "")
    names = sorted(os.listdir(tmp_path / "whole"))
    assert sorted(os.listdir(tmp_path / "run")) == names and len(names) > 5
    assert small_runs.bits(tmp_path / "run") == small_runs.bits(tmp_path / "whole")
    for name in names:  # nothing that is printed went into a file that took the closed stream's number
        assert b"headline" not in (tmp_path / "run" / name).read_bytes()
        assert b"batches of" not in (tmp_path / "run" / name).read_bytes()


def test_closed_errors(netsim):
    """The refusal must not move to another stream."""
    assert netsim(["train", "--epochs", "0"], "2>&- | cat >&2; exit 2") == (2, "")


def test_a_reader_that_goes_away(netsim):
    status, told = netsim(["nets"], "| true; exit 0")
    assert (status, told) == (0, "")
    status, told = netsim(RUN, "| { read line; exec <&-; sleep 1; }")
    assert (status, told) == (0, "")


@pytest.mark.parametrize("arguments", [["nets"], ["--help"], RUN], ids=["nets", "help", "train"])
def test_a_pipe_without_a_reader(tmp_path, arguments):
    data = small_runs.write_data(tmp_path / "small.npz", images=20)
    arguments = [*arguments, data] if arguments[-1] == "--data" else arguments
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*small_runs.COMMAND, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["nets"], ["--help"], RUN, ["nets", "conv 1 1x1; drop"]], ids=str)
def test_a_full_device(netsim, arguments):
    status, told = netsim(arguments, ">/dev/full")
    assert status == 2 and told.count("\n") == 1 and told.startswith("netsim: error: ")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_refusal_that_cannot_be_told(netsim):
    assert netsim(["train", "--epochs", "0"], "2>/dev/full") == (2, "")
