"""Command lines of every command, with the work behind them left out; what is checked and refused is real.

Options come from the commands themselves, so a new one is tried as soon as it exists.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import typer
from fuzz import deep
from fuzz.targets import Broken, Target, drawn, half, split
from hypothesis import strategies as st

from netsim import cli
from netsim.errors import DataError, NetsimError

_NUMBERS = st.one_of(
    st.integers(-3, 70).map(str), st.integers().map(str), st.floats().map(str),
    st.sampled_from(["nan", "inf", "-inf", "1e400", "0x10", "1_0", "९", "9" * 5000, "", " ", "-0", "1/3"]),
    st.text(max_size=8),
)  # fmt: skip
_WORDS = st.one_of(
    st.sampled_from(split("urfb frfb bp hinge softmax sample batch off digits conv1 full1 simpnet sum output npz:")),
    st.sampled_from(split("best last all rest nominal guerguiev2017 desynchronised:0.5 random blocked:3")),
    st.sampled_from(split("one-at-a-time:.1:2 jitter=0:1:.5 lag=0,1 tag=nan normal wald batched torch 8x8x1 10ms")),
    st.sampled_from(split("threshold output-error layered comparator calibrate numpy 1,8,50 conv1,full1 a,b")),
    st.text(max_size=12),
    st.sampled_from(["\0", "../..", "/", "~", "-", "--", "a" * 3000, "npz:/etc/passwd", "conv1,conv1", "\udc80"]),
    st.sampled_from(["run", "data", "bad.toml", "bad.json", "bad.txt", "missing.toml", "full 3; output", "sum;;"]),
)
#: Where output may go: never outside the folder in which the targets run.
_PLACES = st.sampled_from(["", ".", "a", "a.svg", "a/b/c.png", "a.png/b.png", "\0.png", "run", "\udc80.png", "x" * 300])


def _commands() -> dict[tuple[str, ...], list[str]]:
    """Every command and command of a group, with its options as typed."""
    found = {}
    for name in cli.COMMANDS:
        command = cli._load(name)
        for path, leaf in [((name, sub), leaf) for sub, leaf in getattr(command, "commands", {}).items()] or [
            ((name,), command)
        ]:
            options = [word for parameter in leaf.params for word in parameter.opts if word.startswith("--")]
            found[path] = sorted(options)
    return found


def _option(name: str) -> st.SearchStrategy[tuple[str, str, bool]]:
    values = _PLACES if name == "--out" else st.one_of(_NUMBERS, _WORDS)
    return st.tuples(st.just(name), values, st.booleans())


def _spelled(options: list[tuple[str, str, bool]], free: list[str]) -> list[str]:
    arguments = []
    for name, value, joined in options:
        arguments += [f"{name}={value}"] if joined else [name, value]
    return arguments + free


def _lines(options: list[str], most_free: int = 1) -> st.SearchStrategy[list[str]]:
    option = st.sampled_from(options).flatmap(_option)
    free = st.lists(st.one_of(_WORDS, _NUMBERS), max_size=most_free)
    return st.builds(_spelled, st.lists(option, max_size=4), free)


#: The commands are built once, not for every line.
_load, _get_command = functools.cache(cli._load), functools.cache(typer.main.get_command)


def called(arguments: list[str]) -> str:
    """What `netsim` prints; raises NetsimError where it refuses in one line, `Broken` where it does anything else."""
    stdout, stderr = io.StringIO(), io.StringIO()
    built = mock.patch.multiple(cli, _load=_load), mock.patch.object(typer.main, "get_command", _get_command)
    with contextlib.ExitStack() as stack:
        for context in (contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), *built):
            stack.enter_context(context)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("always", RuntimeWarning)  # one of numpy's is a line too many
        status = cli.run(arguments)
    *lines, end = stderr.getvalue().split("\n")
    refused = status in (2, 3) and bool(lines) and lines[-1].startswith("netsim: error: ")
    notes = all(line.startswith(("netsim: note: ", "netsim: warning: ")) for line in (lines[:-1] if refused else lines))
    if end or not notes or (status != 0 and not refused):
        raise Broken(f"status {status}, {stderr.getvalue()!r}: {arguments!r}")
    if refused:
        raise NetsimError(lines[-1])
    return stdout.getvalue()


def train(data: str, folder: Path) -> Target:
    """Target that runs `netsim train` in-process on small data, with the training itself left out.

    Everything up to the first batch is real: options, files, data, net, trainer, run folder, first weights. The working
    folder is `folder`.
    """
    import small_runs

    from netsim import data as data_sets
    from netsim import training

    ordinal = iter(range(10**9))
    small_runs.start(folder / "run", data, net="conv 2 3x3; maxpool 2; full 4; output", epochs=1)
    whole = {path: path.read_bytes() for path in (folder / "run").iterdir() if path.suffix in (".toml", ".safetensors")}
    loaded = data_sets.load(data)

    def nothing_learned(*_: object) -> training.Outcome:
        return training.Outcome(True, [], [])

    def load(name: str, *place: object) -> object:
        return loaded if name == data else data_sets_load(name, *place)

    data_sets_load = data_sets.load

    def feed(line: deep.Line) -> str:
        for name, content in line.files.items():
            (folder / name).write_text(content, encoding="utf-8", errors="surrogateescape")
        out = folder / f"run{next(ordinal)}"
        # What is ours comes last, so that it wins; an option left without a value at the end takes --quiet.
        resumed = line.arguments[:2] == ["--resume", "run"]
        given = ["train", *line.arguments, "--quiet", *([] if resumed else [f"--data={data}", f"--out={out}"])]
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(_within(folder))
                stack.enter_context(mock.patch.object(training, "train", nothing_learned))
                stack.enter_context(mock.patch.object(data_sets, "load", load))  # not from disk for every line
                stack.enter_context(mock.patch.object(os, "fsync", lambda descriptor: None))
                result = called(given)
        except NetsimError:
            if os.path.lexists(out):
                raise Broken(f"refused, and yet a folder was made: {line!r}") from None
            raise
        finally:
            for path, content in whole.items():
                if path.read_bytes() != content:
                    if not resumed or path.name != "run.toml":
                        raise Broken(f"{path.name} of another run was changed: {line!r}")
                    path.write_bytes(content)
        if not resumed:
            if not (out / "run.toml").exists():
                raise Broken(f"status 0 and no run: {line!r}")
            shutil.rmtree(out)
        return result

    def with_net(arguments: list[str]) -> deep.Line:
        return deep.Line(["--net=full 3; output", *arguments], {})

    lines = _lines(_commands()["train",]).map(with_net)
    return Target(half(lines, drawn(deep.command_line)), feed, made=deep.command_line)


@contextlib.contextmanager
def _within(folder: Path) -> Iterator[None]:
    """Make `folder` the working folder for a while."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _no_work() -> Iterator[None]:
    """Leave out what takes long or goes to the network; everything that reads and checks options stays."""
    import netsim.cli.bench
    import netsim.cli.circuit_layered
    import netsim.cli.circuit_motifs
    import netsim.cli.events
    import netsim.cli.timing
    import netsim.data
    import netsim.data.picture
    import netsim.events.raster
    import netsim.plots

    def refuse(*_: object, **__: object) -> None:
        raise DataError("no network here")

    def nothing(*_: object, **__: object) -> None:
        pass

    picture = mock.Mock(savefig=nothing)
    left_out = [
        (netsim.cli.timing, {"_run": lambda *_: [], "_write": nothing, "_describe": nothing}),
        (netsim.cli.events, {"_play": lambda *_: ([], [0.0, 1.0])}),
        (netsim.events.raster, {"raster": lambda *_: b""}),
        (netsim.cli.bench, dict.fromkeys(("_layers", "_compare", "_sweep", "_table"), lambda *_: ({}, nothing))),
        (netsim.cli.circuit_layered, {"layered": nothing}),
        (netsim.cli.circuit_motifs, dict.fromkeys(("threshold", "output_error", "comparator", "calibrate"), nothing)),
        (netsim.data, {"fetch": refuse}),
        (netsim.data.picture, {"class_sheet": lambda *_: picture}),
        (netsim.plots, {"curves": lambda *_: b"", "overlay": lambda *_: b""}),
    ]
    with contextlib.ExitStack() as stack:
        for module, names in left_out:
            stack.enter_context(mock.patch.multiple(module, **names))
        yield


def others(data: str, folder: Path) -> Target:
    """Target for every command but `train`, beside a run, data and damaged files; the working folder is `folder`."""
    import small_runs

    small_runs.start(folder / "run", data, epochs=1)
    for name in ("bad.toml", "bad.json", "bad.txt"):
        (folder / name).write_text("[" * 300)
    commands = {path: options for path, options in _commands().items() if path != ("train",)}

    def with_name(path: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
        return _lines(commands[path], most_free=2).map(lambda arguments: [*path, *arguments])

    def feed(arguments: list[str]) -> str:
        with _within(folder), _no_work():
            return called(arguments)

    return Target(st.sampled_from(sorted(commands)).flatmap(with_name), feed)
