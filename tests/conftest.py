"""Settings of the whole suite: the same examples in every run, no deadlines (kernels compile), no windows."""

from __future__ import annotations

import os

import hypothesis

os.environ["MPLBACKEND"] = "Agg"
# Tables are as wide in a test as in a pipe, whatever the terminal.
os.environ.pop("COLUMNS", None)

# The same examples in every run, so that a failure on one machine is a failure on all.
hypothesis.settings.register_profile("netsim", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("netsim")
