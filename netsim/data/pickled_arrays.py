"""What an admitted name in a pickle stands for: arrays, their dtypes, and bytes written as text.

Stand-ins, never the functions themselves: NumPy sees a block of bytes only after its type and size are
checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_DTYPES = frozenset({"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"})
_ORDERS = frozenset("|<>=")
_PART = 1 << 20
ADMITTED = {
    "numpy.core.multiarray._reconstruct": "reconstruct",
    "numpy._core.multiarray._reconstruct": "reconstruct",
    "numpy.core.numeric._frombuffer": "frombuffer",
    "numpy._core.numeric._frombuffer": "frombuffer",
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    # Python 3 writes bytes in protocol 2 as an encoded text.
    "_codecs.encode": "encode",
}
"""The names a pickle may hold, and the kind of `Name` that each becomes."""


class Malformed(Exception):
    """What is wrong with a pickle, to be told with the file and the place."""


@dataclass(slots=True)
class Name:
    """One of the admitted names; never an object of that name."""

    kind: str


@dataclass(slots=True)
class Text:
    """A long text, still UTF-8 in the file."""

    utf8: memoryview


@dataclass(slots=True)
class Dtype:
    """Kind and size of an array's numbers ("u1") and their byte order."""

    code: str
    order: str = "="

    def dtype(self) -> np.dtype:
        return np.dtype(self.code if self.code.endswith("1") else self.order + self.code)


@dataclass(slots=True)
class Array:
    """An array before (``array`` is None) and after its state was read."""

    array: np.ndarray | None = None


def called(name: object, arguments: object, encodable: int) -> Array | Dtype | bytes | bytearray:
    """What calling ``name`` with ``arguments`` stands for; texts become at most ``encodable`` bytes.

    Raises `Malformed` for any call that no writer of arrays and bytes makes.
    """
    if not isinstance(name, Name) or not isinstance(arguments, tuple):
        raise Malformed("a call of something that cannot be called")
    match name.kind, arguments:
        case "reconstruct", (Name(kind="ndarray"), tuple(), _):
            return Array()
        case "dtype", (str() | bytes() as code, *_) if as_text(code) in _DTYPES:
            return Dtype(as_text(code))
        case "encode", (str() | Text() as text, "latin1" | "latin-1" | b"latin1" | b"latin-1"):
            return _encoded(text, encodable)
        case "frombuffer", (data, Dtype() as dtype, tuple() as shape, "C" | "F" | b"C" | b"F" as order):
            return Array(_array(dtype, shape, data, as_text(order) == "F"))
    raise Malformed(f"an array or string it cannot hold ({name.kind})")


def set_state(target: object, state: object) -> None:
    """Give an array its contents or a dtype its byte order; `Malformed` for any other state."""
    match target, state:
        case Array(array=None), (int(), tuple() as shape, Dtype() as dtype, fortran, data):
            target.array = _array(dtype, shape, data, bool(fortran))
        case Dtype(), (int(), str() | bytes() as order, None, None, None, *_) if as_text(order) in _ORDERS:
            target.order = as_text(order)
        case _:
            raise Malformed("the state of something that is no plain array")


def as_text(value: object) -> object:
    """A string of Python 2 as text; anything else as it is."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _encoded(text: str | Text, most: int) -> bytes | bytearray:
    # Bounded, since a text that is remembered could become bytes many times over.
    if len(text if isinstance(text, str) else text.utf8) > 2 * most:
        raise Malformed("more strings than its size allows")
    if isinstance(text, str):
        return text.encode("latin-1")
    # In parts, so that no third copy of a large array is ever held; a part ends where a character does.
    result, utf8, at = bytearray(), text.utf8, 0
    while at < len(utf8):
        end = min(at + _PART, len(utf8))
        while end < len(utf8) and utf8[end] & 0xC0 == 0x80:
            end += 1
        result += str(utf8[at:end], "utf-8").encode("latin-1")
        at = end
    return result


def _array(dtype: Dtype, shape: tuple, data: object, fortran: bool) -> np.ndarray:
    kind = dtype.dtype()
    if not isinstance(data, bytes | bytearray | memoryview) or len(shape) > 8:
        raise Malformed("an array that is no plain block of bytes")
    if any(type(size) is not int or size < 0 for size in shape):
        raise Malformed("an array of a shape that is none")
    if math.prod(shape) * kind.itemsize != len(data):
        raise Malformed(f"an array of shape {shape} and {len(data)} bytes")
    return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")
