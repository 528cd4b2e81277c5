"""The one place that imports numba: compiler flags, the cache of compiled kernels, the width of vectors."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import itertools
import multiprocessing
import os
import pickle
import warnings
from pathlib import Path
from types import SimpleNamespace

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile
from numba.extending import intrinsic

from netsim.errors import NetsimWarning
from netsim.kernels.cache import kernel_folders, sealed, unsealed

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


class _Locator:
    """Where numba keeps the compiled forms of a kernel in one folder: what its caches ask a locator."""

    def __init__(self, function, folder: Path):
        self._py_file = inspect.getfile(function)  # numba names it in its warnings
        self._line = function.__code__.co_firstlineno
        self._folder = folder / Path(self._py_file).parent.name

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return _digest(self._py_file)

    def get_disambiguator(self) -> str:
        return str(self._line)

    def ensure_cache_path(self) -> None:
        """Asked before something is written."""
        self._folder.mkdir(parents=True, exist_ok=True)


@functools.cache
def _digest(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


class _Form(CompileResultCacheImpl):
    """What numba writes of a kernel, in one folder: numba's own search for one that can be written is left out."""

    def __init__(self, function, folder: Path):
        self._locator_classes = [SimpleNamespace(from_function=lambda function, file: _Locator(function, folder))]
        super().__init__(function)


class _SealedFiles(IndexDataCacheFile):
    """Numba's files of one kernel, an index (compiled form -> file) and the compiled forms, each behind a checksum.

    It is of the content, and of what the file is: its name, the kernel's source, the compiler, the form. A file that is
    damaged or exchanged for another counts as missing: nothing in it is unpickled.
    """

    def load(self, key):
        name = self._load_index().get(key)
        return None if name is None else self._read(name, repr(key))

    def save(self, key, data):
        names = self._load_index()
        if key not in names:
            free = (name for name in map(self._data_name, itertools.count(1)) if name not in names.values())
            names[key] = next(free)
            self._save_index(names)
        self._write(names[key], repr(key), data)

    def _load_index(self):
        return self._read(self._index_name, "index") or {}

    def _save_index(self, overloads):
        self._write(self._index_name, "index", overloads)

    def _read(self, name: str, form: str) -> object:
        path = self._data_path(name)
        if not os.path.isfile(path):  # a pipe would be waited for
            return None
        content = unsealed(Path(path).read_bytes(), self._what(name, form))
        return None if content is None else pickle.loads(content)

    def _write(self, name: str, form: str, content: object) -> None:
        with self._open_for_write(self._data_path(name)) as file:
            file.write(sealed(self._dump(content), self._what(name, form)))

    def _what(self, name: str, form: str) -> str:
        return repr((name, form, self._source_stamp, self._version))


class _Kept(FunctionCache):
    """The compiled forms of a kernel in folders: read from the first that has them, written to the first that can be.

    What cannot be read, or not be written, is compiled anew: no reason to stop.
    """

    def __init__(self, function, folder: Path, *others: Path):
        self._impl_class = lambda function: _Form(function, folder)
        super().__init__(function)
        locator = self._impl.locator
        self._cache_file = _SealedFiles(locator.get_cache_path(), self._impl.filename_base, locator.get_source_stamp())
        self._next = _Kept(function, *others) if others else None

    def load_overload(self, sig, target_context):
        try:
            found = super().load_overload(sig, target_context)
        except OSError:
            found = None
        except Exception:  # of a compiler that reads otherwise than it wrote
            found = None
            with contextlib.suppress(OSError):
                self.flush()
        if found is None and self._next is not None:
            found = self._next.load_overload(sig, target_context)
        return found

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except Exception:  # it cannot be written, or a damaged index cannot be replaced
            if self._next is not None:
                self._next.save_overload(sig, data)


_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = kernel_folders(
    "kernels",
    f"{numba.__version__} {llvm.llvm_version_info} {CPU} {LANES}",
    [*_PACKAGE.glob("kernels/*.py"), *_PACKAGE.glob("events/*.py")],
)
if _FOLDERS.notice and multiprocessing.parent_process() is None:  # once, not in every worker
    warnings.warn(_FOLDERS.notice, NetsimWarning, stacklevel=2)


def is_kept(package: str, module: str) -> bool:
    """Whether compiled kernels of a module, such as "queue" of "events", are kept: it was used before."""
    folders = [folder / package for folder in (_FOLDERS.shared, _FOLDERS.own) if folder is not None]
    return any(next(folder.glob(f"{module}.*"), None) is not None for folder in folders)


def _compiled(function, **options):
    kernel = numba.njit(nogil=True, error_model="numpy", fastmath=False, **options)(function)
    folders = [folder for folder in (_FOLDERS.shared, _FOLDERS.own) if folder is not None]
    if folders:
        kernel._cache = _Kept(function, *folders)
    return kernel


def compiled(function):
    """Compile a kernel: no interpreter lock, float rules that keep NaN and the order of sums, cached on disk."""
    return _compiled(function)


def inlined(function):
    """Compile a scalar body that is pasted into the kernels that call it."""
    return numba.njit(inline="always", error_model="numpy")(function)


def borrowing(function):
    """Compile a kernel that only borrows arrays: as `compiled`, without counting references.

    Tuples of many arrays then cost nothing to pass. Such a kernel must not make arrays of its own.
    """
    return _compiled(function, _nrt=False)


def pasted(function):
    """Compile a function that is pasted into each `borrowing` kernel that calls it: no call is made."""
    return numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=False, _nrt=False)(function)


def float32(value: float) -> np.float32:
    """A constant for a float32 kernel: a Python float would make numba add in float64."""
    return np.float32(value)
