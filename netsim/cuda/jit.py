"""The one place that imports numba.cuda: compiling and launching kernels, arrays on the device, graphs of a step.

Everything runs on the device's default stream, one launch after another. In the CUDA simulator (NUMBA_ENABLE_CUDASIM=1)
the same calls run the kernels as Python, in tiny blocks, so that ragged last blocks occur in small nets.
"""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # numba-cuda asks numpy 2.5 for what it deprecates
    from numba import cuda, float32, int32, int64
    from numba.cuda.core import config

from netsim.cuda.cache import kernel_folder
from netsim.errors import OptionError

__all__ = [
    "ALIGNMENT", "COUNT", "Kernel", "Stopwatch", "capture", "copy", "cuda", "device", "device_name", "empty", "fetch",
    "float32", "int32", "int64", "kernel", "memory_used", "missing", "simulated", "synchronize", "upload",
    "within_memory", "wrapping", "zeros",
]  # fmt: skip

#: Whether kernels run in the CUDA simulator.
simulated = bool(config.ENABLE_CUDASIM)

#: Alignment of shared arrays in bytes, so that four numbers are read at once; the simulator takes none.
ALIGNMENT = None if simulated else 16

#: Type of indices in kernels. Indices that cannot be negative cost no test for Python's counting from the end.
COUNT = np.uint64

config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # small layers are no mistake


@dataclass(frozen=True, slots=True)
class Launch:
    """Launches over values: threads of a block, and blocks at most; each thread takes value after value."""

    threads: int
    blocks: int


LAUNCH = Launch(3, 2) if simulated else Launch(256, 4096)

#: Where launches go: 0 is the default stream, else the builder of a graph.
_stream = 0


_FOLDER = None if simulated else kernel_folder()


@contextlib.contextmanager
def _our_cache():
    """Point numba-cuda at our folder of compiled kernels while one of our kernels is declared."""
    before, config.CACHE_DIR = config.CACHE_DIR, str(_FOLDER)
    try:
        yield
    finally:
        config.CACHE_DIR = before


def device(function):
    """A scalar body as a device function: one of `netsim.kernels`, shared with the CPU, or one of ours."""
    body = getattr(function, "py_func", function)
    if not simulated:
        return cuda.jit(device=True, inline="always")(body)
    return body


def wrapping(function):
    """The same for a body whose whole numbers wrap around, of which numpy warns in the simulator."""
    body = device(function)
    if not simulated:
        return body

    def quiet(*values):
        with np.errstate(over="ignore"):
            return body(*values)

    return quiet


class Kernel:
    """A compiled kernel. Whole numbers go to it as `COUNT`, fractions as float32."""

    def __init__(self, function: Callable):
        self.name, self.function = function.__name__, function
        if _FOLDER is None:
            self._jitted = cuda.jit(function)
        else:
            with _our_cache():
                self._jitted = cuda.jit(cache=True)(function)

    def over(self, values: int, *arguments) -> None:
        """Launch for so many values, which the threads take in turn."""
        if values:
            self.launch((min(-(-values // LAUNCH.threads), LAUNCH.blocks),), LAUNCH.threads, *arguments, values)

    def launch(self, grid: tuple[int, ...], threads: int, *arguments) -> None:
        """Launch ``grid`` blocks of ``threads`` threads."""
        with _often_in_turn():
            self._jitted[grid, (threads,), _stream](*map(_given, arguments))


@contextlib.contextmanager
def _often_in_turn():
    """In the simulator: let Python switch between its threads often, since each of a block's is one of them."""
    before = sys.getswitchinterval()
    if simulated:
        sys.setswitchinterval(3e-4)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def kernel(function: Callable) -> Kernel:
    """Declare a kernel; it is compiled when it is first launched, or read from the cache on disk."""
    return Kernel(function)


class Cells:
    """A device array as kernels see it in the simulator: counting from the end, as Python does, is an error."""

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray):
        self.values = values

    def __getitem__(self, index):
        if index < 0:
            raise IndexError(f"index {index} is below 0")
        return self.values[index]

    def __setitem__(self, index, value):
        if index < 0:
            raise IndexError(f"index {index} is below 0")
        self.values[index] = value


def _given(value):
    if simulated:
        return Cells(value._ary) if hasattr(value, "_ary") else value
    if not isinstance(value, int | float) or isinstance(value, np.floating):
        return value
    return np.float32(value) if isinstance(value, float) else COUNT(value)


@contextlib.contextmanager
def within_memory(what: str):
    """Raise `OptionError` where the GPU's memory does not hold what is asked for inside; ``what`` : in words."""
    try:
        yield
    except Exception as error:
        if "OUT_OF_MEMORY" not in str(error):
            raise
        raise OptionError(f"{what} do not fit into the GPU's memory: take smaller batches, or --device cpu") from None


def upload(values: np.ndarray, target=None):
    """A copy on the device: one-dimensional, into ``target`` where one is given."""
    values = np.ascontiguousarray(values).reshape(-1)
    if target is None:
        return cuda.to_device(values)
    target[: values.size].copy_to_device(values)
    return target


def empty(number: int, dtype=np.float32):
    """Room for ``number`` values on the device."""
    return cuda.device_array(number, dtype)


def zeros(number: int, dtype=np.float32):
    """``number`` zeros on the device."""
    return cuda.to_device(np.zeros(number, dtype))


def fetch(array, number: int | None = None) -> np.ndarray:
    """The first ``number`` values of a device array, or all, on the host; waits for the device."""
    return (array if number is None else array[:number]).copy_to_host()


def copy(target, source) -> None:
    """target = source, both on the device."""
    target.copy_to_device(source)


def synchronize() -> None:
    """Wait until the device has done all that was asked of it."""
    cuda.synchronize()


def missing() -> str | None:
    """Why no GPU can be used, or None."""
    if simulated:
        return None
    try:
        if not cuda.is_available():
            return "no NVIDIA GPU was found, or no driver for it"
        # the compiler: it may lack one of its libraries
        cuda.compile_ptx(lambda: None, (), cc=cuda.get_current_device().compute_capability)
    except Exception as error:  # whatever the driver or the toolkit raises
        text = " ".join(str(error).split())[:200] or type(error).__name__
        return f"the GPU cannot be used: {text} (pip install '.[cuda]' brings the CUDA toolkit)"
    return None


def device_name() -> str:
    """Name of the GPU in use."""
    if simulated:
        return "CUDA simulator"
    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else name


class Stopwatch:
    """Milliseconds between two points of the device's work; in the simulator, of the host's."""

    def __init__(self):
        self._points = [0.0, 0.0] if simulated else [cuda.event(), cuda.event()]

    def start(self) -> None:
        self._mark(0)

    def stop(self) -> None:
        self._mark(1)

    def _mark(self, which: int) -> None:
        if simulated:
            self._points[which] = time.perf_counter()
        else:
            self._points[which].record()

    def milliseconds(self) -> float:
        """Waits for the second point."""
        first, second = self._points
        if simulated:
            return 1e3 * (second - first)
        second.synchronize()
        return float(cuda.event_elapsed_time(first, second))


def memory_used() -> int | None:
    """Bytes of the GPU's memory that are in use, by anybody; None in the simulator."""
    if simulated:
        return None
    free, total = cuda.current_context().get_memory_info()
    return int(total - free)


def capture(work: Callable[[], None]) -> Callable[[], None] | None:
    """The launches of ``work`` as one CUDA graph: a function that launches it. None in the simulator, which has none.

    ``work`` must have run before, so that its kernels are compiled; capturing runs nothing. It may launch kernels
    only. What its kernels are told by value is fixed in the graph.
    """
    global _stream
    if simulated:
        return None
    from cuda.core import Device

    gpu = Device(cuda.get_current_device().id)
    gpu.set_current()
    builder = gpu.create_graph_builder()
    builder.begin_building()
    _stream = builder
    try:
        work()
    finally:
        _stream = 0
        builder.end_building()
    graph = builder.complete()
    return lambda: graph.launch(gpu.default_stream)
