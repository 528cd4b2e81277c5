"""What a synaptic tag buys: plasticity may then wait until the signal has surely come.

    python demos/timing_tag.py [--sign plus|minus] [--quick] [--out DIR]

With a tag a synapse keeps the x of a presentation, so plasticity need not come within half a τ of the signal: here it
comes two τ after it, in a feedback phase of eight. A sweep of `netsim timing` over the jitter with the tag, and, for
comparison, the same late plasticity without one: DIR/timing-tag-SIGN and DIR/timing-no-tag-SIGN.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from netsim import cli
from netsim.events.schedule import SIGNS

NET = "conv 16 3x3; maxpool 3; full 50; output"
LATE = "plasticity_delay = 2.0\nfeedback_phase = 8.0\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sign", choices=list(SIGNS), default="plus", help="sign of what units carry")
    arguments.add_argument("--quick", action="store_true", help="200 digits, one epoch, one seed, one jitter")
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder of schedules and sweeps")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, text, jitters in (
        ("tag", LATE + "tag_decay = inf\n", "0,0.2,0.25,0.3,0.4"),
        ("no-tag", LATE, "0"),
    ):
        schedule = options.out / f"{name}.toml"
        schedule.write_text(text)
        size = ["--epochs", "6", "--seeds", "3", "--sweep", f"jitter={jitters}"]
        if options.quick:
            size = ["--epochs", "1", "--train-images", "200", "--measured", "50", "--sweep", "jitter=0.2"]
            size += ["--workers", "1"]
        out, start = options.out / f"timing-{name}-{options.sign}", ["--schedule", str(schedule)]
        status = cli.run(["timing", NET, *start, "--sign", options.sign, *size, "--out", str(out)])
        if status:
            sys.exit(status)


if __name__ == "__main__":
    main()
