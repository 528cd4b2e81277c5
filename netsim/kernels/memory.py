"""Arrays that begin at a cache line, so that a vector of them never lies across two."""

from __future__ import annotations

import numpy as np

#: Bytes of a cache line, and of the widest vectors.
LINE = 64

#: Numbers a line holds.
_NUMBERS = LINE // 4


def zeros(size: int) -> np.ndarray:
    """``size`` float32 zeros."""
    return _aligned(np.zeros(size + _NUMBERS, np.float32), size)


def empty(size: int) -> np.ndarray:
    """Room for ``size`` float32 numbers."""
    return _aligned(np.empty(size + _NUMBERS, np.float32), size)


def _aligned(room: np.ndarray, size: int) -> np.ndarray:
    first = -room.ctypes.data % LINE // 4
    return room[first : first + size]
