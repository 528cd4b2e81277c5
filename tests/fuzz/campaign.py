"""Try many inputs of a kind, outside the suite:

    python tests/fuzz/campaign.py notation run-toml values parameter-file schedule command-line --inputs 100000 --seed 1

Prints how many inputs gave a result, how many each refusal, and the first broken promise, if there is one.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import hypothesis
import small_runs
from fuzz import targets

TARGETS = ("notation", "run-toml", "values", "parameter-file", "schedule", "command-line")


def target_named(name: str, folder: Path) -> targets.Target:
    """The target, with small data in `folder` for the command line."""
    if name == "command-line":
        return targets.command_line_target(small_runs.write_data(folder / "small.npz", images=20), folder)
    return getattr(targets, name.upper().replace("-", "_"))


def campaign(target: targets.Target, inputs: int, seed: int) -> collections.Counter:
    """Feed `inputs` inputs; return how each ended. Raises `targets.Broken` with the smallest input found."""
    with contextlib.suppress(targets.NetsimError):  # the first call imports and compiles
        target.feed(hypothesis.find(target.inputs, lambda value: True))
    seen: collections.Counter = collections.Counter()
    settings = hypothesis.settings(
        max_examples=inputs, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )

    @hypothesis.seed(seed)
    @settings
    @hypothesis.given(target.inputs)
    def feed(value):
        seen[targets.check(target, value)] += 1

    feed()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", default=TARGETS)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for name in arguments.targets:
        with tempfile.TemporaryDirectory() as folder:
            target = target_named(name, Path(folder))
            began = time.monotonic()
            seen = campaign(target, arguments.inputs, arguments.seed)
        print(f"{name}: {seen.total()} inputs in {time.monotonic() - began:.0f} s: {dict(seen)}", flush=True)


if __name__ == "__main__":
    main()
