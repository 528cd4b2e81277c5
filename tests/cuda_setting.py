"""Whether the CUDA kernels can run here: on a GPU, in the simulator, or not at all."""

import ctypes
import os
from importlib import util

import pytest


def gpus() -> int:
    """Number of GPUs that the driver knows; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    number = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(number)) != 0:
        return 0
    return number.value


INSTALLED = util.find_spec("numba_cuda") is not None
HARDWARE = INSTALLED and gpus() > 0 and os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "1"


def prepare() -> None:
    """Turn the simulator on where there is no GPU; to be called before numba is imported."""
    if INSTALLED and not HARDWARE:
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"


def summary() -> str:
    """What the tests of the kernels ran on: a line for the end of a test run."""
    if HARDWARE:
        from netsim.cuda.jit import device_name

        return f"CUDA on hardware: run on {device_name()}"
    how = "they ran in the CUDA simulator" if INSTALLED else "numba-cuda is not installed"
    return f"CUDA on hardware: not run (no GPU here; {how})" if INSTALLED else f"CUDA on hardware: not run ({how})"


needs_cuda = pytest.mark.skipif(not INSTALLED, reason="numba-cuda is not installed: pip install '.[test]'")
