"""The one place that imports numba: compiler flags, the cache of compiled kernels, the width of vectors."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["CPU", "LANES", "REGISTERS", "cgutils", "compiled", "intrinsic", "ir", "numba_version", "types"]

numba_version = numba.__version__


def _vector_unit() -> tuple[int, int]:
    """(float32 lanes of a vector register, number of such registers) of this machine."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 32
    if features.get("avx"):
        return 8, 16
    return 4, 32 if features.get("neon") else 16


#: Name of the processor the kernels are compiled for.
CPU = llvm.get_host_cpu_name()
LANES, REGISTERS = _vector_unit()


def _cache_folder() -> Path | None:
    """A folder of this user for compiled kernels, one for each state of the kernels' sources.

    numba notices a changed function but not a changed function that it calls; so the folder's name holds a
    digest of every kernel source. None (numba then compiles anew) where no folder can be written.
    """
    import platformdirs

    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(f"{numba.__version__} {llvm.llvm_version_info} {CPU} {LANES}".encode())
    for source in sorted([*package.glob("kernels/*.py"), *package.glob("events/*.py")]):
        digest.update(source.read_bytes())
    base = os.environ.get("NETSIM_CACHE") or platformdirs.user_cache_dir("netsim")
    folder = Path(base) / "kernels" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


_FOLDER = _cache_folder()


@contextlib.contextmanager
def _our_cache():
    """Point numba at our folder while one of our functions is declared, and back again for everybody else's."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_FOLDER)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def compiled(function):
    """Compile a kernel: no interpreter lock, float rules that keep NaN and the order of sums, cached on disk."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": False}
    if _FOLDER is None:
        return numba.njit(**options)(function)
    with _our_cache():
        return numba.njit(cache=True, **options)(function)


def inlined(function):
    """Compile a scalar body that is pasted into the kernels that call it."""
    return numba.njit(inline="always", error_model="numpy")(function)


def borrowing(function):
    """Compile a kernel that only borrows arrays: as `compiled`, without counting references.

    Tuples of many arrays then cost nothing to pass. Such a kernel must not make arrays of its own.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": False, "_nrt": False}
    if _FOLDER is None:
        return numba.njit(**options)(function)
    with _our_cache():
        return numba.njit(cache=True, **options)(function)


def pasted(function):
    """Compile a function that is pasted into each `borrowing` kernel that calls it: no call is made."""
    return numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=False, _nrt=False)(function)


def float32(value: float) -> np.float32:
    """A constant for a float32 kernel: a Python float would make numba add in float64."""
    return np.float32(value)
