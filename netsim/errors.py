"""Errors of netsim: one line each, also a builtin error, with the exit status of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class NetsimError(Exception):
    """Something a user can mend; the message is one line: what is wrong, where, what would be right."""

    exit_status = 2
    #: whether the command line shows the whole message, however long: it names places that must be read to the end
    whole = False


class NotationError(NetsimError, ValueError):
    """A network description that cannot be read; the message names the place."""


class GeometryError(NetsimError, ValueError):
    """Layers that cannot be joined: a pool larger than its map, a sum of unequal shapes."""


class OptionError(NetsimError, ValueError):
    """An option whose value is out of range or not among the known ones.

    ``option`` : its name, where the message begins with it.
    """

    def __init__(self, message: str, option: str = ""):
        super().__init__(f"{option} {message}" if option else message)
        self.message, self.option = message, option

    def renamed(self, names: Mapping[str, str]) -> OptionError:
        """The same with the option's name among `names`: what a user typed."""
        return OptionError(self.message, names.get(self.option, self.option))


class ArrayError(NetsimError, ValueError):
    """An array of the wrong shape or dtype, with non-finite entries, or labels out of range."""


class UnknownNameError(NetsimError, LookupError):
    """A name (net, layer, data set, ...) that does not exist; the message gives the nearest one."""


class DataError(NetsimError, OSError):
    """A data file that is missing, truncated, corrupt or not to be trusted."""

    whole = True


class RunError(NetsimError, OSError):
    """A run folder that is in use, damaged, read-only or gone."""

    whole = True


class NetsimWarning(UserWarning):
    """Something a user may want to mend, though nothing stops for it; the message is one line."""


class DivergedError(NetsimError, ArithmeticError):
    """The loss is no longer finite."""

    exit_status = 3


def shown(value: object) -> str:
    """`value` in an error message: one line, at most about 40 characters, whatever it is; text in quotes."""
    if isinstance(value, int) and abs(value) >= 10**40:  # printing it may be refused
        return "a number of more than 40 digits"
    try:
        text = repr(value[:80] if isinstance(value, str | bytes) else value)
    except ValueError:  # it holds such a number
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    if len(text) <= 43:
        return text
    return text[:40] + "..." + (text[0] if isinstance(value, str) else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """End of an error message: the nearest known name, or all of them when none is near."""
    known = list(known)
    close = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else f"; known: {', '.join(known)}"
