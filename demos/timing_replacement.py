"""Desynchronised replacement: each hidden unit carries its signal with probability p, else still x. Two signs.

    python demos/timing_replacement.py [--quick] [--out DIR]

In the paper a unit carries minus the derivative of the loss, and every update is a plus: then x times x is added where
a signal is missing. In the author's code, which has p = 0.8, it carries the derivative, and every update is a minus:
then x times x is taken away. Two sweeps of `netsim timing`: DIR/timing-replacement-plus and -minus.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from netsim import cli
from netsim.events.schedule import SIGNS

NET = "conv 16 3x3; maxpool 3; full 50; output"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="200 digits, one epoch, one seed, one p")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the sweeps")
    options = arguments.parse_args()
    size = ["--epochs", "6", "--seeds", "3", "--sweep", "p=1,0.99,0.95,0.8"]
    if options.quick:
        size = ["--epochs", "1", "--train-images", "200", "--measured", "50", "--sweep", "p=0.8", "--workers", "1"]
    for sign in SIGNS:
        out = options.out / f"timing-replacement-{sign}"
        status = cli.run(["timing", NET, "--sign", sign, *size, "--out", str(out)])
        if status:
            sys.exit(status)


if __name__ == "__main__":
    main()
