"""Whether class-blocked streams forgive late updates: plasticity that comes whole presentations late.

    python demos/timing_streams.py [--quick] [--out DIR]

A tag that lasts (1000 τ) keeps the x of a presentation at each synapse; plasticity comes ``lag`` presentations later,
so the signal of one image meets the x of an earlier one. In random order that is an image of another class, in blocks
mostly one of the same. Sweeps of `netsim timing`, in DIR/timing-streams-random, -blocked-10 and -blocked-40; one stream
each. The sign that units carry changes nothing here: every signal has come when it is read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from netsim import cli

NET = "conv 16 3x3; maxpool 3; full 50; output"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="200 digits, one epoch, one seed, two lags")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the sweeps")
    options = arguments.parse_args()
    size = ["--epochs", "6", "--seeds", "3", "--sweep", "lag=0,1,4"]
    if options.quick:
        size = ["--epochs", "1", "--train-images", "200", "--measured", "50", "--sweep", "lag=0,1", "--workers", "1"]
    for stream in ("random", "blocked:10", "blocked:40"):
        out = options.out / f"timing-streams-{stream.replace(':', '-')}"
        status = cli.run(
            ["timing", NET, "--tag", "1000", "--stream", stream, "--streams", "1", *size, "--out", str(out)]
        )
        if status:
            sys.exit(status)


if __name__ == "__main__":
    main()
