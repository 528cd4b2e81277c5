"""The one way a data file is refused: file, what was found, what was expected, on one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from netsim.errors import DataError

LONGEST = 200
"""Characters of a name or a finding from a file that a message shows."""

Refuse = Callable[[str, str], DataError]
"""Makes the error for one file from (found, expected)."""


def printable(text: object) -> str:
    """``text`` without control characters or line breaks: names of paths come from outside and may hold anything."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def finding(text: object) -> str:
    """What was found, from a file or of one: printable, at most `LONGEST` characters."""
    clean = printable(text)
    return clean if len(clean) <= LONGEST else clean[: LONGEST - 3] + "..."


def refusing(path: Path | str, member: str = "") -> Refuse:
    """A function that makes the `DataError` for ``path`` (and a member inside of it)."""
    place = printable(path) + (f": {finding(member)}" if member else "")

    def refuse(found: str, expected: str) -> DataError:
        return DataError(f"{place}: {finding(found)}; expected {expected}")

    return refuse
