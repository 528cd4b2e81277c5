"""Where compiled kernels are kept: named folders, caches that can only be read, homes that cannot be written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import small_runs
from ordinary_user import ordinary

from netsim.kernels.cache import kernel_folders, sealed, unsealed

#: Declares kernels with netsim's compiler, calls them, and tells how many came from the cache.
PROGRAM = """
import json, sys
from netsim.kernels import jit

@jit.compiled
def double(x):
    return 2 * x

@jit.compiled
def triple(x):
    return 3 * x

kernels = {"double": double, "triple": triple}
called = [kernels[name] for name in sys.argv[1:]]
assert all(kernel(2) in (4, 6) for kernel in called)
found = sum(sum(kernel.stats.cache_hits.values()) for kernel in called)
print(json.dumps({"read": found, "compiled": len(called) - found}))
"""


@pytest.fixture
def program(tmp_path):
    """Run the program on kernels by name in a process of its own, as a user without special rights."""
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "some.py").write_text(PROGRAM)
    (tmp_path / "temporary").mkdir()

    def run(*kernels: str, **environment: str) -> dict:
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(tmp_path / "temporary")}
        variables = {**os.environ, **paths, **environment}
        if "NETSIM_CACHE" not in environment:
            variables.pop("NETSIM_CACHE", None)
        variables.pop("XDG_CACHE_HOME", None)
        command = ordinary([sys.executable, str(tmp_path / "program" / "some.py"), *kernels])
        done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300)
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout), "stderr": done.stderr}

    return run


def told(read: int, compiled: int) -> dict:
    return {"read": read, "compiled": compiled, "stderr": ""}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def close(folder: Path) -> None:
    """Let nobody write in a folder."""
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)


def reopen(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_kernels_are_kept_in_the_named_folder(program, tmp_path):
    named = str(tmp_path / "named")
    assert program("double", NETSIM_CACHE=named) == told(0, 1)
    assert program("double", "triple", NETSIM_CACHE=named) == told(1, 1)
    assert len(files(tmp_path / "named")) == 4 and files(tmp_path / "temporary") == []


def test_a_home_that_cannot_be_written_gives_way_to_a_folder_of_this_user_alone(program, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    assert program("double", HOME=str(home)) == told(0, 1)
    assert program("double", HOME=str(home)) == told(1, 0)
    assert list(home.iterdir()) == []
    (private,) = (tmp_path / "temporary").iterdir()
    assert private.name == f"netsim-{os.geteuid()}" and stat.S_IMODE(private.stat().st_mode) == 0o700
    assert len(files(private)) == 2


def test_a_cache_that_can_only_be_read_is_read_and_what_it_lacks_is_kept_elsewhere(program, tmp_path):
    shared = tmp_path / "shared"
    assert program("double", NETSIM_CACHE=str(shared)) == told(0, 1)
    before = {name: (shared / name).read_bytes() for name in files(shared)}
    close(shared)
    try:
        assert program("double", "triple", NETSIM_CACHE=str(shared)) == told(1, 1)
        assert program("double", "triple", NETSIM_CACHE=str(shared)) == told(2, 0)
        # Files that another user may not read are as good as none.
        for path in shared.rglob("*double*"):
            path.chmod(0)
        assert program("double", "triple", NETSIM_CACHE=str(shared)) == told(1, 1)
    finally:
        reopen(shared)
    assert {name: (shared / name).read_bytes() for name in files(shared)} == before


def test_a_cache_that_can_only_be_read_is_read_where_nothing_can_be_kept(program, tmp_path):
    shared = tmp_path / "shared"
    assert program("double", NETSIM_CACHE=str(shared)) == told(0, 1)
    close(shared)
    (tmp_path / "temporary" / f"netsim-{os.geteuid()}").write_text("no folder")
    try:
        assert program("double", "triple", NETSIM_CACHE=str(shared)) == told(1, 1)
    finally:
        reopen(shared)


def test_damaged_files_are_compiled_anew(program, tmp_path):
    named = tmp_path / "named"
    assert program("double", "triple", NETSIM_CACHE=str(named)) == told(0, 2)
    (index,), (content,) = named.rglob("*double*.nbi"), named.rglob("*triple*.nbc")
    index.write_bytes(b"")
    content.write_bytes(content.read_bytes()[:1000])
    assert program("double", "triple", NETSIM_CACHE=str(named)) == told(0, 2)
    assert program("double", "triple", NETSIM_CACHE=str(named)) == told(2, 0)


class Evil:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_damaged_files_are_found_by_their_checksum_and_nothing_in_them_is_run(program, tmp_path):
    named, proof = tmp_path / "named", tmp_path / "proof"
    assert program("double", "triple", NETSIM_CACHE=str(named)) == told(0, 2)
    (index,), (content,) = named.rglob("*double*.nbi"), named.rglob("*triple*.nbc")
    index.write_bytes(pickle.dumps(Evil(proof)))
    # A bit in the midst of it: numba itself would read and run that.
    flipped = bytearray(content.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    content.write_bytes(flipped)
    assert program("double", "triple", NETSIM_CACHE=str(named)) == told(0, 2)
    (content,) = named.rglob("*double*.nbc")
    content.write_bytes(pickle.dumps(Evil(proof)))
    (index,) = named.rglob("*triple*.nbi")
    index.unlink()
    os.mkfifo(index)
    assert program("double", "triple", NETSIM_CACHE=str(named)) == told(0, 2)
    assert program("double", "triple", NETSIM_CACHE=str(named)) == told(2, 0)
    assert not proof.exists()


def test_any_flipped_bit_breaks_the_seal():
    content = sealed(b"compiled")
    assert unsealed(content) == b"compiled"
    for at in range(len(content)):
        for bit in range(8):
            assert unsealed(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]) is None
    for damaged in (b"", content[:-1], content + b"x", content[:40], content[:5], bytes(len(content))):
        assert unsealed(damaged) is None


def emptied(content: bytes, other: bytes, told: Path) -> bytes:
    return b""


def cut(content: bytes, other: bytes, told: Path) -> bytes:
    return content[:-1]


def lengthened(content: bytes, other: bytes, told: Path) -> bytes:
    return content + b"\0"


def flipped(content: bytes, other: bytes, told: Path) -> bytes:
    """A bit in the middle: in the machine code of a kernel, where unpickling would not notice."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def exchanged(content: bytes, other: bytes, told: Path) -> bytes:
    return other


def replaced(content: bytes, other: bytes, told: Path) -> bytes:
    return pickle.dumps(Evil(told))


def replaced_behind_the_checksum(content: bytes, other: bytes, told: Path) -> bytes:
    return content[:32] + pickle.dumps(Evil(told))


HARM = [emptied, cut, lengthened, flipped, exchanged, replaced, replaced_behind_the_checksum]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_harmed_files_are_never_unpickled_and_count_as_missing(kept, suffix, tmp_path):
    double = kept.only("double", suffix)
    whole, other = double.read_bytes(), kept.only("triple", suffix).read_bytes()
    told = tmp_path / "told"
    for harm in HARM:
        double.write_bytes(harm(whole, other, told))
        assert kept.call() == ["triple"], harm.__name__  # `double` is compiled anew,
        assert kept.call() == ["double", "triple"], harm.__name__  # and kept
        assert not told.exists(), harm.__name__


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_what_is_no_file_is_not_waited_for(kept, suffix):
    for make in (os.mkfifo, os.mkdir):
        double = kept.only("double", suffix)
        double.unlink()
        make(double)
        assert kept.call() == ["triple"]
        if make is os.mkdir:
            double.rmdir()
        kept.call()
        assert kept.call() == ["double", "triple"]


def test_a_form_in_place_of_another_of_the_same_kernel_counts_as_missing(kept):
    kept.call(2.5)
    first, second = sorted(kept.folder.rglob("*double*.nbc"))
    first.write_bytes(second.read_bytes())
    assert kept.call() == ["triple"] and kept.call(2.5) == ["double", "triple"]


class Kept:
    """Two kernels whose compiled forms are kept in a folder; declared anew for each call, as by a new process."""

    def __init__(self, folder: Path):
        self.folder = folder

    def only(self, name: str, suffix: str) -> Path:
        (path,) = self.folder.rglob(f"*{name}*.{suffix}")
        return path

    def call(self, number: float = 2) -> list[str]:
        """Call the kernels; which of them were read from the folder."""
        from netsim.kernels import jit

        def double(x):
            return 2 * x

        def triple(x):
            return 3 * x

        read = []
        for function in (double, triple):
            kernel = jit.numba.njit(function)
            kernel._cache = jit._Kept(function, self.folder)
            assert kernel(number) == function(number)
            read += [function.__name__] * sum(kernel.stats.cache_hits.values())
        return read


@pytest.fixture
def kept(tmp_path):
    kept = Kept(tmp_path / "kept")
    assert kept.call() == [] and kept.call() == ["double", "triple"]
    return kept


def test_without_any_folder_one_line_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / f"netsim-{os.geteuid()}").write_text("no folder")
    command = [*small_runs.COMMAND, "train", "--freeze", "conv9"]
    variables = {**os.environ, "NETSIM_CACHE": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=variables, timeout=300)
    note, error = done.stderr.splitlines()
    assert note.startswith("netsim: note: compiled kernels cannot be kept") and str(tmp_path / "file") in note
    assert error.startswith("netsim: error: no layer 'conv9'") and done.returncode == 2


# The choice of the folder


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A source file; the cache is tmp_path/cache, temporary files lie in tmp_path/temporary."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("NETSIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    path = tmp_path / "kernel.py"
    path.write_text("one")
    return path


def test_another_source_compiler_or_kind_has_another_folder(source, tmp_path):
    first = kernel_folders("kernels", "numba 1", [source])
    assert (first.shared, first.notice) == (None, "") and first.own == first.named
    assert first.own.parent == tmp_path / "cache" / "kernels" and first.own.is_dir()
    assert kernel_folders("kernels", "numba 1", [source]) == first
    assert kernel_folders("kernels", "numba 2", [source]).own != first.own
    assert kernel_folders("cuda", "numba 1", [source]).own.parent == tmp_path / "cache" / "cuda"
    source.write_text("two")
    assert kernel_folders("kernels", "numba 1", [source]).own != first.own


def made_open(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


def made_a_link(folder: Path) -> None:
    target = folder.with_name("target")
    target.mkdir(mode=0o700)
    folder.symlink_to(target)


def made_by_another(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)


@pytest.mark.parametrize("made", [made_open, made_a_link, made_by_another])
def test_a_private_folder_that_is_not_private_is_not_taken(source, tmp_path, made):
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    (tmp_path / "cache").write_text("no folder")
    private = tmp_path / "temporary" / f"netsim-{os.geteuid()}"
    taken = kernel_folders("kernels", "numba", [source])
    assert taken.own.is_relative_to(private) and taken.shared is None and not taken.notice
    shutil.rmtree(private)
    made(private)
    refused = kernel_folders("kernels", "numba", [source])
    assert (refused.own, refused.shared) == (None, None) and files(tmp_path / "temporary") == []
    assert "NETSIM_CACHE" in refused.notice and "\n" not in refused.notice
