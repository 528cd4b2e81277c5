"""Distributions of event times: frozen descriptions that check themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from netsim.errors import OptionError, nearest, shown

#: Codes of the kinds in the kernels. 0 is "no draw".
CODES = {"normal": 1, "uniform": 2, "exponential": 3, "wald": 4}

#: Largest absolute value of a normal draw made from 53 bits (inverse cdf at 2**-54).
NORMAL_REACH = 8.4


def number(value: object, what: str, low: float = -math.inf, high: float = math.inf) -> float:
    """The value as a finite float in [low, high]; OptionError with one line otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise OptionError(f"{what} is {shown(value)}: it must be a number")
    try:
        value = float(value)
    except OverflowError:  # a whole number above 1e308
        raise OptionError(f"{what} is {shown(value)}: it is too large") from None
    if not math.isfinite(value) or not low <= value <= high:
        span = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise OptionError(f"{what} is {value:g}: it must be " + (span if low > -math.inf else "finite"))
    return value


@dataclass(frozen=True, slots=True)
class Distribution:
    """A random shift of an event time, in the schedule's unit.

    distribution : "normal" (mean 0, standard deviation ``scale``), "uniform" (from -scale to scale),
        "exponential" (mean ``scale``, late only), "wald" (inverse Gaussian: mean ``scale``, shape parameter
        ``shape``, late only).
    scale : at least 0; 0 is no shift.
    shape : of the Wald distribution, above 0.
    absolute : take the absolute value of the draw (late only).
    maximum : draws beyond +-maximum are set to it; None for no bound.

    Raises OptionError for an unknown distribution or a number out of range.
    """

    distribution: str
    scale: float
    shape: float | None = None
    absolute: bool = False
    maximum: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.distribution, str) or self.distribution not in CODES:
            given = shown(self.distribution)
            raise OptionError(f"unknown distribution {given}{nearest(given, CODES)}")
        keep = object.__setattr__
        keep(self, "scale", number(self.scale, f"scale of the {self.distribution} distribution", 0.0, 1e6))
        if self.distribution == "wald":
            if self.shape is None:
                raise OptionError("the wald distribution needs a shape: scale is its mean, as in wald(scale, shape)")
            keep(self, "shape", number(self.shape, "shape of the wald distribution", 1e-6, 1e9))
        elif self.shape is not None:
            raise OptionError(f"shape belongs to the wald distribution, not to {self.distribution}")
        if not isinstance(self.absolute, bool):
            raise OptionError(f"absolute is {shown(self.absolute)}: it must be true or false")
        if self.maximum is not None:
            keep(self, "maximum", number(self.maximum, "maximum of a distribution", 0.0))

    @property
    def parameters(self) -> tuple[int, float, float, bool, float]:
        """(code, scale, shape, absolute, maximum) as the kernels take them."""
        code = CODES[self.distribution] if self.scale > 0.0 and self.maximum != 0.0 else 0
        maximum = math.inf if self.maximum is None else self.maximum
        return code, self.scale, self.shape or 1.0, self.absolute, maximum

    @property
    def earliest(self) -> float:
        """The least shift that can be drawn (0 or below)."""
        if self.absolute or self.distribution in ("exponential", "wald"):
            return 0.0
        reach = self.scale * (NORMAL_REACH if self.distribution == "normal" else 1.0)
        return -min(reach, math.inf if self.maximum is None else self.maximum)

    @property
    def latest(self) -> float:
        """A bound of the shifts that can be drawn: draws are made from 53 bits."""
        if self.scale == 0.0:
            return 0.0
        if self.distribution == "wald":  # the larger root of Michael, Schucany and Haas, see `netsim.events.draws`
            half = self.scale * NORMAL_REACH**2 / (2.0 * self.shape)
            reach = 1.0 + half + math.sqrt(half * half + 2.0 * half)
        else:
            reach = {"normal": NORMAL_REACH, "uniform": 1.0, "exponential": 38.0}[self.distribution]
        return min(self.scale * reach, math.inf if self.maximum is None else self.maximum)

    def scaled(self, factor: float) -> Distribution:
        """The same form, ``factor`` times as wide (the shape of a Wald distribution goes with its mean)."""
        factor = number(factor, "factor", 0.0)
        return Distribution(
            self.distribution,
            self.scale * factor,
            None if self.shape is None else max(self.shape * factor, 1e-6),
            self.absolute,
            None if self.maximum is None else self.maximum * factor,
        )

    def as_table(self) -> dict[str, object]:
        """What `from_table` reads: only what differs from the defaults."""
        defaults = {field.name: field.default for field in fields(self)}
        return {name: getattr(self, name) for name in defaults if getattr(self, name) != defaults[name]}

    @classmethod
    def from_table(cls, table: object, where: str) -> Distribution:
        """From a TOML table such as ``{distribution = "normal", scale = 0.5}``; OptionError otherwise."""
        if not isinstance(table, dict):
            raise OptionError(f'{where} must be a table such as {{distribution = "normal", scale = 0.5}}')
        names = [field.name for field in fields(cls)]
        for name in table:
            if name not in names:
                raise OptionError(f"{where} has no entry {shown(name)}{nearest(name, names)}")
        for name in ("distribution", "scale"):
            if name not in table:
                raise OptionError(f'{where} lacks {name}: as in {{distribution = "normal", scale = 0.5}}')
        try:
            return cls(**table)
        except OptionError as error:
            raise OptionError(f"{where}: {error}") from None
