"""The targets under atheris (libFuzzer): inputs guided by which lines of netsim they reach. Not part of the suite.

    pip install atheris
    python tests/fuzz/with_atheris.py schedule --inputs 100000 -seed=1

One kind of input a call; options with one dash go to libFuzzer. Texts and files start from valid ones and are changed
byte by byte; values and command lines of `netsim train` are made of the bytes by `tests/fuzz/deep.py`; for the other
commands the bytes choose among what hypothesis can draw (bytes that choose nothing are not counted). A broken promise
ends the call with a traceback, and libFuzzer writes the input to a file.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris
import hypothesis

sys.path.insert(0, str(Path(__file__).parents[1]))

#: What reads text from outside. Kernels cannot be instrumented: numba compiles their bytecode.
READERS = [
    *("architectures", "cli", "components", "configuration", "errors", "geometry", "inheritance", "notation"),
    *("parameter_files", "parameter_values", "preparation", "specifications", "summary"),
    *("events.distributions", "events.grid", "events.presets", "events.schedule", "events.streams"),
]


with atheris.instrument_imports(include=["tomllib", *(f"netsim.{name}" for name in READERS)]):
    for reader in READERS:
        importlib.import_module(f"netsim.{reader}")
    from fuzz import campaign, deep, targets


def decoded(target: targets.Target) -> Callable[[bytes], str | None]:
    """The function of bytes that feeds `target` and tells how it ended; None for bytes that are no input."""
    if target.made is not None:
        return lambda content: targets.check(target, target.made(deep.Tape(content)))
    example = next(iter(target.examples), None)
    if isinstance(example, bytes):
        return lambda content: targets.check(target, content)
    if isinstance(example, str):
        return lambda content: targets.check(target, content.decode("utf-8", "replace"))
    seen = []

    @hypothesis.settings(deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(target.inputs)
    def feed(value):
        seen.append(targets.check(target, value))

    def one(content: bytes) -> str | None:
        seen.clear()
        feed.hypothesis.fuzz_one_input(content)
        return seen[0] if seen else None

    return one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=campaign.TARGETS)
    parser.add_argument("--inputs", type=int, default=100_000)
    arguments, options = parser.parse_known_args()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp())
    target = campaign.TARGETS[arguments.kind](folder)
    campaign.campaign(target, 10, 0)  # what is imported or compiled once
    feed, seen = decoded(target), collections.Counter()
    corpus = folder / "corpus"
    corpus.mkdir()
    for ordinal, example in enumerate(target.examples):
        (corpus / str(ordinal)).write_bytes(example if isinstance(example, bytes) else example.encode())

    def counted(content: bytes) -> None:
        outcome = feed(content)
        if outcome is None:
            return
        seen[outcome] += 1
        if seen.total() == arguments.inputs:
            slowest = f"the slowest {targets.check.longest:.3f} s"
            print(f"{arguments.kind}: {seen.total()} inputs, {slowest}: {dict(seen)}", flush=True)
            shutil.rmtree(folder)
            os._exit(0)  # libFuzzer would go on

    atheris.Setup([sys.argv[0], "-max_len=2000", "-len_control=0", *options, str(corpus)], counted)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
