"""Where a command's picture goes: looked at before anything is computed for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from netsim.errors import OptionError, nearest


def check_picture(path: Path, formats: Sequence[str]) -> str:
    """The format, one of ``formats``, that the name of a picture (``--out``) asks for.

    Raises OptionError for another ending or where its folder is missing, RunError where a link, a device or a folder
    stands in its place.
    """
    from netsim.runs import durable

    kind = path.suffix.lower().lstrip(".")
    if kind not in formats:
        *first, last = (f".{each}" for each in formats)
        endings = f"{', '.join(first)} or {last}" if first else last
        raise OptionError(f"--out {path}: the name must end in {endings}{nearest(kind, formats)}")
    if not path.parent.is_dir():
        raise OptionError(f"--out {path}: there is no folder {path.parent}")
    durable.check_place(path)
    return kind
