"""Gate and output error as vectorised components, with the parameters that the circuits of neurons measure.

A unit's gate shuts where its input h passes a threshold. Ideally the thresholds are exactly -1 and 1 (eq. 3), the
margins of the output error too (eq. 6), and a shut gate lets nothing through. `netsim circuit calibrate` measures
how far circuits of neurons are from that; a trainer takes the result as ``circuits=PATH``, or values of one's own.
What each does to a unit: `netsim.kernels.components`.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from netsim.errors import DataError, OptionError, nearest, shown

#: First line of what `netsim circuit calibrate` writes.
FORMAT = "netsim circuit calibration"
#: Of that document; 1 had no `noise_onset`.
VERSION = 2

_AGAIN = "calibrate again: netsim circuit calibrate"

#: Names of before, and what the same is called now.
_FORMER = {"threshold_spread": "gate_spread"}

#: Where each parameter stands in that document.
_MEASURED = {
    "gate_width": ("gate", "width"),
    "gate_bias": ("gate", "bias"),
    "gate_spread": ("gate", "spread"),
    "gate_leak": ("gate", "leak"),
    "gate_noise": ("gate", "noise"),
    "error_width": ("error", "width"),
    "error_bias": ("error", "bias"),
    "error_spread": ("error", "spread"),
    "error_noise": ("error", "noise"),
    "noise_onset": ("noise_onset",),
}

_LARGEST_FILE = 1 << 24  # bytes


@dataclass(frozen=True, slots=True)
class Components:
    """How the gate (eq. 3) and the output error (eq. 6) differ from the ideal, in units of the thresholds at +-1.

    Attributes
    ----------
    gate_width : standard deviation of a unit's threshold from presentation to presentation, >= 0
    gate_bias : shift of all thresholds, outward positive, > -1
    gate_spread : standard deviation of the thresholds from unit to unit, fixed for a run, >= 0
    gate_leak : share of the feedback that passes a shut gate, 0 to 1
    gate_noise : standard deviation of what an open gate lets through, for signals that are not small, >= 0
    error_width, error_bias, error_spread : the same for the margins of the output error
    error_noise : standard deviation of the output error where a teacher line is open, >= 0
    noise_onset : size of a signal from which it is as noisy as the two say, >= 0. Below, noise falls as the square
        root of the signal's size; a signal of 0 has none. One for both: circuits measure it on gates

    Raises
    ------
    OptionError : a value out of range
    """

    gate_width: float = 0.0
    gate_bias: float = 0.0
    gate_spread: float = 0.0
    gate_leak: float = 0.0
    gate_noise: float = 0.0
    error_width: float = 0.0
    error_bias: float = 0.0
    error_spread: float = 0.0
    error_noise: float = 0.0
    noise_onset: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
                raise OptionError(f"{name} is {shown(value)}: it must be a number")
            try:
                value = float(value)
            except OverflowError:  # a whole number above 1e308
                value = math.inf
            if name.endswith("_bias"):
                if not -1 < value < math.inf:
                    raise OptionError(f"{name} is {value:g}: it must be above -1, or the threshold would be below 0")
            elif name == "gate_leak":
                if not 0 <= value <= 1:
                    raise OptionError(f"{name} is {value:g}: it must be from 0 to 1")
            elif not 0 <= value < math.inf:
                raise OptionError(f"{name} is {value:g}: it must be 0 or more, and finite")
            object.__setattr__(self, name, value)

    @property
    def ideal(self) -> bool:
        """Whether gate and output error are those of the paper: then nothing below need be called."""
        return all(getattr(self, field.name) == 0 for field in fields(self) if field.name != "noise_onset")

    @classmethod
    def from_json(cls, source: Components | Mapping | str | os.PathLike) -> Components:
        """Components from a file or mapping: a calibration of circuits, or some of the attributes by name.

        Raises
        ------
        DataError : the file cannot be read, or is not JSON
        OptionError : an unknown name, a missing section, a value out of range
        """
        if isinstance(source, Components):
            return source
        where = "circuits"
        if not isinstance(source, Mapping | str | os.PathLike):
            raise OptionError(f"circuits is {shown(source)}: expected components, a mapping of them, or a path")
        if not isinstance(source, Mapping):
            where, source = str(source), _read(Path(source))
        if "format" in source:
            return cls._of(where, _calibrated(source, where))
        known = [field.name for field in fields(cls)]
        for name in source:
            if name in _FORMER:
                older = f"of an older version (now {_FORMER[name]!r}), which had no noise_onset"
                raise OptionError(f"{where}: {name!r} is {older}: {_AGAIN}")
            if name not in known:
                raise OptionError(f"{where}: {_unknown(name, known)}")
        return cls._of(where, source)

    @classmethod
    def _of(cls, where: str, values: Mapping[str, object]) -> Components:
        """Components with these values; where one is out of range, the message begins with where it stands."""
        try:
            return cls(**values)
        except OptionError as error:
            raise OptionError(f"{where}: {error}") from None

    def thresholds(self, units: int, random: np.random.Generator, *, output: bool = False) -> np.ndarray:
        """Each unit's own thresholds (2, units) float32, upper then lower, both as distances from 0, at least 0."""
        bias, spread = (self.error_bias, self.error_spread) if output else (self.gate_bias, self.gate_spread)
        values = 1 + bias + spread * random.standard_normal((2, units))
        return np.maximum(values, 0).astype(np.float32)


def _unknown(name: object, known: list[str]) -> str:
    """What is wrong with a name that no component has, and what would be right."""
    sections = {path[0] for path in _MEASURED.values() if len(path) > 1}
    if name in sections:  # of a calibration that lacks its format
        names = ", ".join(component for component, path in _MEASURED.items() if path[0] == name)
        return f"{name!r} is a section of a calibration, which begins with a format; components are named {names}"
    return f"no component is named {str(name)[:40]!r}{nearest(str(name)[:40], known)}"


def _read(path: Path) -> Mapping:
    if str(path).lstrip().startswith("{"):
        raise DataError(f"circuits is {shown(str(path))}: expected the name of a file that holds this")
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise DataError(f"{path} is no file; expected what netsim circuit calibrate writes")
        if path.stat().st_size > _LARGEST_FILE:
            raise DataError(f"{path} is too large for a calibration of circuits")
        document = json.loads(path.read_text(encoding="utf-8"))
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, a number of 5,000 digits, deep nesting
        raise DataError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, Mapping):
        raise DataError(f"{path} must hold a JSON object")
    return document


def _calibrated(document: Mapping, where: str) -> dict[str, float]:
    """Values of a calibration. A leak that a measurement puts below 0 or above 1 by its noise counts as 0 or 1."""
    if document["format"] != FORMAT:
        raise OptionError(f"{where}: expected format {FORMAT!r}, version {VERSION}")
    if document.get("version") != VERSION:
        older = document.get("version") == 1
        raise OptionError(
            f"{where}: a calibration of version {shown(document.get('version'))}"
            f"{', which has no noise_onset' if older else ''}; this is netsim's version {VERSION}: {_AGAIN}"
        )
    values = {}
    for name, path in _MEASURED.items():
        try:
            values[name] = functools.reduce(operator.getitem, path, document)
        except (KeyError, TypeError, IndexError):
            raise OptionError(f"{where}: the calibration has no {'.'.join(path)}") from None
    leak = values["gate_leak"]
    if isinstance(leak, int | float) and not isinstance(leak, bool) and abs(leak - min(max(leak, 0), 1)) < 0.05:
        values["gate_leak"] = min(max(leak, 0), 1)
    return values
