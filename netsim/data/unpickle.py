"""Read the pickles of the CIFAR python layout as data.

Python's own unpickler is a machine that calls whatever a file names. This reader has no such machine: it
knows the operations that build arrays, strings, numbers, lists, tuples and dicts (protocols 0 to 5 without
the text forms of protocol 0), and four names that NumPy's arrays need. Any other operation or name is
refused. Nothing from the file is imported, called, or handed to NumPy before its type and size are checked.
"""

from __future__ import annotations

import struct

from netsim.data.pickled_arrays import ADMITTED, Array, Malformed, Name, Text, as_text, called, set_state
from netsim.data.refusal import Refuse

_EXPECTED = "arrays, strings, numbers, lists and dicts"
_MOST_OPERATIONS = 1_000_000
"""Twice what the largest file in an official layout needs; bounds memory (some 100 bytes each) and time."""
_SMALL = 1 << 12
"""Strings from this many bytes on stay where they are in the file (a memoryview)."""
_U16, _I32, _U32, _U64, _F64 = (struct.Struct(form) for form in ("<H", "<i", "<I", "<Q", ">d"))


def read_pickle(data: bytes | bytearray, refuse: Refuse) -> object:
    """The object in ``data``: for the official files a dict with str keys.

    Python 2's strings and bytes come as bytes (long ones as memoryview), arrays as views into ``data`` at
    the top level and among the values of a dict at the top level. ``refuse`` makes the error for anything
    else.
    """
    reader = _PickleReader(data)
    try:
        value = reader.read()
    except Malformed as error:
        raise refuse(f"a pickle with {error} at byte {reader.at}", _EXPECTED) from None
    except (ValueError, TypeError, IndexError, KeyError, struct.error, OverflowError):
        # Operations in an order or with operands that no writer of pickles makes.
        raise refuse(f"a pickle that is damaged near byte {reader.at}", _EXPECTED) from None
    if isinstance(value, dict):
        return {as_text(key): _finished(item) for key, item in value.items()}
    return _finished(value)


def _finished(value: object) -> object:
    return value.array if isinstance(value, Array) else value


class _PickleReader:
    def __init__(self, data: bytes | bytearray) -> None:
        self.data, self.view, self.at = data, memoryview(data), 0
        self.stack: list = []
        self.marks: list[list] = []
        self.memo: dict[int, object] = {}
        self.encodable = len(data)  # bytes that texts may still become

    def read(self) -> object:
        data = self.data
        for _ in range(_MOST_OPERATIONS):
            if self.at >= len(data):
                raise Malformed("no end (truncated)")
            code = data[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                if len(self.stack) != 1 or self.marks or self.at != len(data):
                    raise Malformed("something left over")
                return self.stack[0]
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise Malformed(f"the operation {_operation_name(code)}")
            operation(self)
        raise Malformed(f"more than {_MOST_OPERATIONS} operations")

    # What operations are made of

    def take(self, count: int) -> bytes | memoryview:
        start, self.at = self.at, self.at + count
        if count < 0 or self.at > len(self.data):
            raise Malformed("no end (truncated)")
        taken = self.view[start : self.at]
        return bytes(taken) if count < _SMALL else taken

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def number(self, form: struct.Struct) -> int:
        (value,) = form.unpack_from(self.data, self.at)
        self.at += form.size
        return value

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + _SMALL)
        if end < 0:
            raise Malformed("a line without end")
        line, self.at = self.data[self.at : end], end + 1
        return line.decode("utf-8")

    def since_mark(self) -> list:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def push_text(self, utf8: bytes | memoryview) -> None:
        self.stack.append(utf8.decode("utf-8") if isinstance(utf8, bytes) else Text(utf8))

    def push_name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Malformed("a name that is no text")
        full = f"{module}.{name}"
        if full not in ADMITTED:
            raise Malformed(f"the name {full}")
        self.stack.append(Name(ADMITTED[full]))

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        self.stack.append(self.memo[index])

    # The operations that do more than push what follows them

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def collect(self, kind: type) -> None:
        items = self.since_mark()
        self.stack.append(kind(items))

    def collect_dict(self) -> None:
        items = self.since_mark()
        self.stack.append({})
        self.update(items)

    def frozen_tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise Malformed("a tuple of too few items")
        items = tuple(self.stack[-count:])
        self.stack[-count:] = [items]

    def extend(self, items: list) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise Malformed("items for something that is no list")
        target.extend(items)

    def update(self, items: list) -> None:
        target = self.stack[-1]
        keys = items[::2]
        # Simple keys only: hashing a deeply nested tuple overflows the stack of the interpreter.
        if not isinstance(target, dict) or len(items) % 2 or {type(key) for key in keys} - {bytes, str, int}:
            raise Malformed("items for something that is no dict, or keys that are no strings")
        target.update(zip(keys, items[1::2], strict=True))

    def two(self) -> list:
        items = self.stack[-2:]
        if len(items) < 2:
            raise Malformed("a pair of too few items")
        del self.stack[-2:]
        return items

    def long(self, count: int) -> None:
        if count > 16:
            raise Malformed("a very long number")
        self.stack.append(int.from_bytes(self.take(count), "little", signed=True))

    def reduce(self) -> None:
        name, arguments = self.two()
        value = called(name, arguments, self.encodable)
        if name.kind == "encode":
            self.encodable -= len(value)
        self.stack.append(value)

    def build(self) -> None:
        target, state = self.two()
        set_state(target, state)
        self.stack.append(target)


def _operation_name(code: int) -> str:
    import pickletools

    known = pickletools.code2op.get(chr(code))
    return known.name if known else f"{code:#04x}"


def _simple(value: object):
    return lambda reader: reader.stack.append(value)


_OPERATIONS = {
    ord("\x80"): lambda r: r.take(1),  # PROTO
    ord("\x95"): lambda r: r.take(8),  # FRAME
    ord("("): _PickleReader.mark,
    ord("0"): lambda r: r.stack.pop(),
    ord("1"): lambda r: r.since_mark(),  # POP_MARK
    ord("2"): lambda r: r.stack.append(r.stack[-1]),  # DUP
    ord("N"): _simple(None),
    ord("\x88"): _simple(True),
    ord("\x89"): _simple(False),
    ord("I"): lambda r: r.stack.append(int(r.line())),  # INT; also I01, I00 for bools
    ord("K"): lambda r: r.stack.append(r.byte()),
    ord("M"): lambda r: r.stack.append(r.number(_U16)),
    ord("J"): lambda r: r.stack.append(r.number(_I32)),
    ord("L"): lambda r: r.stack.append(int(r.line().rstrip("L"))),
    ord("\x8a"): lambda r: r.long(r.byte()),
    ord("\x8b"): lambda r: r.long(r.number(_I32)),
    ord("G"): lambda r: r.stack.append(r.number(_F64)),
    ord("T"): lambda r: r.stack.append(r.take(r.number(_I32))),  # BINSTRING: a string of Python 2
    ord("U"): lambda r: r.stack.append(r.take(r.byte())),
    ord("B"): lambda r: r.stack.append(r.take(r.number(_U32))),
    ord("C"): lambda r: r.stack.append(r.take(r.byte())),
    ord("\x8e"): lambda r: r.stack.append(r.take(r.number(_U64))),
    ord("\x96"): lambda r: r.stack.append(r.take(r.number(_U64))),  # BYTEARRAY8
    ord("X"): lambda r: r.push_text(r.take(r.number(_U32))),
    ord("\x8c"): lambda r: r.push_text(r.take(r.byte())),
    ord("\x8d"): lambda r: r.push_text(r.take(r.number(_U64))),
    ord("]"): lambda r: r.stack.append([]),
    ord("a"): lambda r: r.extend([r.stack.pop()]),
    ord("e"): lambda r: r.extend(r.since_mark()),
    ord("l"): lambda r: r.collect(list),
    ord(")"): _simple(()),
    ord("t"): lambda r: r.collect(tuple),
    ord("\x85"): lambda r: r.frozen_tuple(1),
    ord("\x86"): lambda r: r.frozen_tuple(2),
    ord("\x87"): lambda r: r.frozen_tuple(3),
    ord("}"): lambda r: r.stack.append({}),
    ord("d"): _PickleReader.collect_dict,
    ord("s"): lambda r: r.update(r.two()),
    ord("u"): lambda r: r.update(r.since_mark()),
    ord("g"): lambda r: r.recall(int(r.line())),
    ord("h"): lambda r: r.recall(r.byte()),
    ord("j"): lambda r: r.recall(r.number(_U32)),
    ord("p"): lambda r: r.remember(int(r.line())),
    ord("q"): lambda r: r.remember(r.byte()),
    ord("r"): lambda r: r.remember(r.number(_U32)),
    ord("\x94"): lambda r: r.remember(len(r.memo)),
    ord("c"): lambda r: r.push_name(r.line(), r.line()),
    ord("\x93"): lambda r: r.push_name(*r.two()),
    ord("R"): _PickleReader.reduce,
    ord("b"): _PickleReader.build,
}
