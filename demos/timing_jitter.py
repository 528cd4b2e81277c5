"""How much jitter of the event times URFB, FRFB and BP tolerate, on handwritten digits.

    python demos/timing_jitter.py [--sign plus|minus] [--quick] [--out DIR]

A sweep of `netsim timing`: timing.csv and timing.png in DIR/timing-jitter-SIGN. Units carry minus the derivative of the
loss and add ("plus", the paper), or the derivative and subtract ("minus", the author's code). Three seeds take about
ten minutes on two cores; a sweep that was stopped goes on.
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
    arguments.add_argument("--sign", choices=list(SIGNS), default="plus", help="sign of what units carry")
    arguments.add_argument("--quick", action="store_true", help="200 digits, one epoch, one seed, two jitters")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of the sweep")
    options = arguments.parse_args()
    size = ["--epochs", "6", "--seeds", "3", "--sweep", "jitter=0,0.1,0.125,0.15,0.175,0.2,0.25"]
    if options.quick:
        size = ["--epochs", "1", "--train-images", "200", "--measured", "50", "--sweep", "jitter=0,0.2"]
        size += ["--workers", "1"]
    out = options.out / f"timing-jitter-{options.sign}"
    sign = ["--sign", options.sign]
    sys.exit(cli.run(["timing", NET, "--protocols", "urfb,frfb,bp", *sign, *size, "--out", str(out)]))


if __name__ == "__main__":
    main()
