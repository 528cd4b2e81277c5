"""Imported once by the fork server of test_kill_resume.py: loads what every kind of `netsim train` loads.

One thread, because a process with others must not be forked.
"""

import contextlib
import os
import tempfile
from pathlib import Path

import test_kill_resume

import netsim.cli
import netsim.cli.train
import netsim.progress

with tempfile.TemporaryDirectory() as temporary, open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
    data = test_kill_resume.prepare(Path(temporary))
    for kind in test_kill_resume.KINDS:
        line = test_kill_resume.command(Path(temporary) / f"whole {kind}", data, kind, epochs=1)
        assert netsim.cli.run([*line, "--threads", "1"]) == 0
