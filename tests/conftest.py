"""Settings of the whole suite: no example database, no deadlines (kernels compile on first use), no windows."""

from __future__ import annotations

import os

import hypothesis

os.environ["MPLBACKEND"] = "Agg"

# The same examples in every run, so that a failure on one machine is a failure on all.
hypothesis.settings.register_profile("netsim", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("netsim")
