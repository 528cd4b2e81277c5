"""Checks of numbers that come from outside: within their bounds, or one line that tells them."""

from __future__ import annotations

import contextlib
import math
import operator

import numpy as np

from netsim.errors import OptionError, shown


def check_seed(seed: int, name: str = "seed") -> int:
    """A seed as int, or `OptionError`."""
    return check_whole(name, seed, least=0, most=2**63 - 1)


def whole(value: object) -> int | None:
    """A whole number, also one of numpy's, as int; None for anything else, truth values too."""
    try:
        return None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        return None


def check_whole(name: str, value: int, *, least: int = 0, most: int | None = None) -> int:
    """A whole number within its bounds as int, or `OptionError`."""
    number = whole(value)
    if number is None or number < least or number > (2**63 - 1 if most is None else most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise OptionError(f"is {shown(value)}: it must be a whole number {bounds}", name)
    return number


def check_number(
    name: str, value: float, *, least: float | None = None, above: float | None = None, most: float | None = None
) -> float:
    """A finite number within its bounds as float, or `OptionError` that tells them."""
    bounds = []
    if least is not None:
        bounds.append(f"at least {least:g}")
    if above is not None:
        bounds.append(f"above {above:g}")
    if most is not None:
        bounds.append(f"at most {most:g}")
    number = math.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # a whole number above 1e308
            number = float(value)
    inside = (
        math.isfinite(number)
        and (least is None or number >= least)
        and (above is None or number > above)
        and (most is None or number <= most)
    )
    if not inside:
        raise OptionError(f"is {shown(value)}: it must be a number {' and '.join(bounds) or 'that is finite'}", name)
    return number
