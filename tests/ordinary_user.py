"""Commands without the superuser's right to write and read everywhere, for tests of permissions."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def ordinary(command: list[str]) -> list[str]:
    """`command` as permissions bind everybody; skips the test, visibly, where root cannot give up its rights."""
    if os.geteuid() != 0:
        return command
    without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    if not shutil.which("setpriv") or subprocess.run([*without, "true"], capture_output=True).returncode:
        pytest.skip("root cannot give up its right to write everywhere here (setpriv)")
    return [*without, *command]
