"""Imported once by the fork server of test_kill_resume.py: loads what every `netsim train` loads.

One thread, because a process with others must not be forked.
"""

import tempfile
from pathlib import Path

import small_runs

import netsim.cli.train
import netsim.progress  # noqa: F401

with tempfile.TemporaryDirectory() as temporary:
    small_runs.start(Path(temporary) / "run", small_runs.write_data(Path(temporary) / "small.npz"), epochs=1, threads=1)
