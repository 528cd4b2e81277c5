"""Try many inputs of a kind, outside the suite:

    python tests/fuzz/campaign.py notation run-toml --inputs 100000 --seed 1

Prints how many inputs gave a result, how many each refusal, how long the slowest took, and the first broken promise,
if there is one. Without names, every kind.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import hypothesis
import small_runs
from fuzz import command_lines, targets

#: Kind of input -> the target, given a folder of its own.
TARGETS: dict[str, Callable[[Path], targets.Target]] = {
    "notation": lambda folder: targets.NOTATION,
    "run-toml": targets.run_toml,
    "values": lambda folder: targets.VALUES,
    "parameter-file": targets.parameter_file,
    "schedule": targets.schedule,
    "calibration": targets.calibration,
    "command-line": lambda folder: command_lines.train(_data(folder), folder),
    "other-commands": lambda folder: command_lines.others(_data(folder), folder),
}


#: Inputs drawn from one seed: what hypothesis keeps of them grows with their number.
PART = 10_000


def _data(folder: Path) -> str:
    return small_runs.write_data(folder / "small.npz", images=20)


def campaign(target: targets.Target, inputs: int, seed: int) -> collections.Counter:
    """Feed `inputs` inputs; return how each ended. Raises `targets.Broken` with the first that breaks the promise."""
    with contextlib.suppress(targets.NetsimError):  # the first call imports and compiles
        target.feed(hypothesis.find(target.inputs, lambda value: True))
    seen: collections.Counter = collections.Counter()
    settings = hypothesis.settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],  # no shrinking: it would take longer than the campaign
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
    parser.add_argument("targets", nargs="*", default=[*TARGETS], metavar="KIND", help=", ".join(TARGETS))
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for name in arguments.targets:
        with tempfile.TemporaryDirectory() as folder:
            target = TARGETS[name](Path(folder))
            began, targets.check.longest = time.process_time(), 0.0
            seen: collections.Counter = collections.Counter()
            for part in range(-(-arguments.inputs // PART)):
                many = min(PART, arguments.inputs - part * PART)
                try:
                    seen += campaign(target, many, arguments.seed + part)
                except targets.Broken as error:  # told here: brian2, once imported, keeps what nobody catches to itself
                    sys.exit(f"{name}: broken: {error}")
                took = f"{time.process_time() - began:.0f} s of CPU, the slowest {targets.check.longest:.3f} s"
                print(f"{name}: {seen.total()} inputs, {took}: {dict(seen)}", flush=True)


if __name__ == "__main__":
    main()
