"""Errors of circuits: one line each, also a builtin error. Imports nothing of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CircuitError(Exception):
    """Something a user can mend; the message is one line: what is wrong and what would be right."""


class ParameterError(CircuitError, ValueError):
    """A parameter out of range, thresholds in the wrong order, arrays that do not fit together."""


class UnitError(CircuitError, TypeError):
    """A quantity without a unit, or with a unit of the wrong dimension."""


class UnknownCircuitError(CircuitError, LookupError):
    """A circuit, a kind of cell or a code target that does not exist; the message gives the nearest one."""


class MissingCompilerError(CircuitError, RuntimeError):
    """The code target needs a compiler that is not there."""


class CircuitWarning(UserWarning):
    """A circuit runs but cannot compute well what is asked of it; the message gives the error to expect."""


class ShortPhaseWarning(CircuitWarning):
    """A phase is shorter than the settling time."""


class RangeWarning(CircuitWarning):
    """An activity is larger than the populations were fitted to carry."""


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """`name` where it is one of `known`; else an UnknownCircuitError that gives the nearest one."""
    known = list(known)
    if name in known:
        return name
    close = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=0.6)
    hint = f" (did you mean {close[0]!r}?)" if close else f"; known: {', '.join(known)}"
    raise UnknownCircuitError(f"unknown {kind} {name!r}{hint}")
