"""Every kernel compiles for real GPUs, with the types it is launched with: what the simulator cannot tell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_setting import needs_cuda

pytestmark = needs_cuda


@pytest.fixture(scope="module")
def compiled():
    program = Path(__file__).with_name("cuda_ptx.py")
    path = os.pathsep.join([str(program.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, env=environment)
    if done.returncode == 77:
        pytest.skip("no CUDA compiler: pip install '.[cuda]'")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_no_kernel_adds_with_atomics(compiled):
    assert len(compiled) > 40
    assert [one["kernel"] for one in compiled if one["atomics"]] == []


def test_the_sums_of_a_tile_stay_in_registers_and_its_slices_are_read_four_at_once(compiled):
    tiles = [one for one in compiled if one["file"] == "netsim.cuda.tiles"]
    assert {one["kernel"] for one in tiles} == {"feedforward", "feedback", "hebbian"}
    for one in tiles:
        assert not one["local"], one
        assert one["multiply_adds"] in (32, 64), one
        assert one["shared_at_once"] >= 3 and one["shared_singly"] <= 4, one
