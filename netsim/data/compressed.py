"""gzip streams and tar archives read in memory, within bounds; nothing is ever extracted to disk."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from netsim.data.refusal import Refuse

_CHUNK = 1 << 20
_BLOCK = 512
_MOST_MEMBERS = 1000
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_LARGEST_EXTENSION = 1 << 16
"""Bytes of a pax or GNU header; a longer one is no honest archive of a data set."""


class GzipStream(io.RawIOBase):
    """The inflated bytes of a gzip ``file``, at most ``limit`` of them.

    The checksum inside is checked at the end of the data. Damage, a missing end, bytes after the end and
    more than ``limit`` bytes raise the error that ``refuse`` makes.
    """

    def __init__(self, file: BinaryIO, refuse: Refuse, limit: int) -> None:
        super().__init__()
        self._file, self._refuse, self._limit = file, refuse, limit
        self._inflater = zlib.decompressobj(wbits=31)
        self._waiting, self._total = b"", 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        while len(buffer):
            if self._inflater.eof and not self._next_member():
                return 0
            source = self._waiting or self._file.read(_CHUNK)
            if not source and not self._inflater.eof:
                raise self._refuse("the gzip data ends early (truncated)", "a whole gzip file")
            try:
                data = self._inflater.decompress(source, len(buffer))
            except zlib.error as error:
                raise self._refuse(f"the gzip data is damaged ({error})", "an intact gzip file") from None
            self._waiting = self._inflater.unconsumed_tail
            self._total += len(data)
            if self._total > self._limit:
                raise self._refuse(f"inflates to more than {self._limit} bytes", "a smaller file")
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0

    def _next_member(self) -> bool:
        """At the end of one gzip member: whether another follows (zeros that pad the file are skipped)."""
        rest = self._inflater.unused_data
        while not (rest := rest.lstrip(b"\0")):
            if not (rest := self._file.read(_CHUNK)):
                return False
        rest += self._file.read(2) if len(rest) == 1 else b""
        if not rest.startswith(b"\x1f\x8b"):
            raise self._refuse("bytes that are no gzip data follow the end", "nothing after the end")
        self._inflater, self._waiting = zlib.decompressobj(wbits=31), rest
        return True


def opened(file: BinaryIO, refuse: Refuse, limit: int) -> BinaryIO:
    """``file`` itself, or its inflated bytes (at most ``limit``) when it starts like gzip."""
    start = file.read(2)
    file.seek(0)
    return GzipStream(file, refuse, limit) if start == b"\x1f\x8b" else file


def read_exactly(stream: BinaryIO, buffer: memoryview) -> int:
    """Fill ``buffer`` from ``stream``; the number of bytes read, smaller only where the stream ends."""
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled : filled + _CHUNK])
        if not count:
            break
        filled += count
    return filled


class TarMember(io.RawIOBase):
    """The ``size`` bytes of one member, read from the archive's stream where it stands."""

    def __init__(self, stream: BinaryIO, name: str, size: int, refuse: Refuse) -> None:
        super().__init__()
        self.name, self.size = name, size
        self._stream, self._left, self._refuse = stream, size, refuse

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), self._left)
        if not count:
            return 0
        count = self._stream.readinto(memoryview(buffer)[:count])
        if not count:
            raise self._refuse(f"the archive ends inside {self.name!r} (truncated)", "a whole archive")
        self._left -= count
        return count

    def skip(self) -> None:
        """Read and drop what is left, and the padding up to the next block."""
        self._left += -self.size % _BLOCK
        scratch = memoryview(bytearray(min(_CHUNK, max(self._left, 1))))
        while self.readinto(scratch):
            pass


def tar_members(stream: BinaryIO, refuse: Refuse) -> Iterator[TarMember]:
    """The regular files of a tar archive in order, each to be read before the next one is asked for.

    Refused: members that climb out of the archive's folder, links, devices and other special members,
    headers that rename a member, damaged headers, an archive that ends early.
    """
    header = bytearray(_BLOCK)
    for _ in range(_MOST_MEMBERS):
        got = read_exactly(stream, memoryview(header))
        if got != _BLOCK:
            raise refuse("no tar archive, or one that ends early (truncated)", "a whole tar archive")
        if not any(header):
            break
        try:
            info = tarfile.TarInfo.frombuf(bytes(header), "utf-8", "surrogateescape")
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise refuse(f"a damaged archive header ({error})", "a tar archive") from None
        if info.size < 0:
            raise refuse(f"member {info.name!r} of {info.size} bytes", "0 or more")
        member = TarMember(stream, info.name, info.size, refuse)
        if info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
            _check_extension(member, refuse)
        elif info.isdir() or info.type in _FILES:
            _check_name(info.name, refuse)
            if not info.isdir():
                yield member
        else:
            raise refuse(f"member {info.name!r} is a link, a device or another special member", "files and folders")
        member.skip()
    else:
        raise refuse(f"more than {_MOST_MEMBERS} members", "the few files of a data set")
    # To the end, so that gzip's checksum is compared and nothing hides behind the end mark.
    scratch = memoryview(bytearray(_CHUNK))
    while count := stream.readinto(scratch):
        if bytes(scratch[:count]).strip(b"\0"):
            raise refuse("bytes follow the archive's end mark", "nothing after it")


def _check_name(name: str, refuse: Refuse) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise refuse(f"member {name!r} climbs out of its folder", "members below one folder")


def _check_extension(member: TarMember, refuse: Refuse) -> None:
    if member.size > _LARGEST_EXTENSION:
        raise refuse(f"an extended header of {member.size} bytes", f"at most {_LARGEST_EXTENSION}")
    text = bytearray(member.size)
    read_exactly(member, memoryview(text))
    if b"path=" in text or b"size=" in text:
        raise refuse("an extended header renames or resizes a member", "plain names and sizes")
