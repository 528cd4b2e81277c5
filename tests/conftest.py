"""Settings of the whole suite: the same examples in every run, no deadlines (kernels compile), no windows."""

from __future__ import annotations

import os

import cuda_setting
import hypothesis

os.environ["MPLBACKEND"] = "Agg"
# Tables are as wide in a test as in a pipe, whatever the terminal.
os.environ.pop("COLUMNS", None)

cuda_setting.prepare()

# The same examples in every run, so that a failure on one machine is a failure on all.
hypothesis.settings.register_profile("netsim", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("netsim")


def pytest_terminal_summary(terminalreporter):
    """Say which backends did not run."""
    terminalreporter.write_line(cuda_setting.summary())
