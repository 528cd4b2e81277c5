"""Protocols: which feedback weights a net starts and learns with (section 3.1)."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

from netsim.errors import OptionError, nearest
from netsim.layers import Weighted


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the feedback weights R go along with the feedforward weights W.

    Attributes
    ----------
    name : "bp", "frfb" or "urfb"
    symmetric : R is the transposed W at every moment (BP)
    feedback_rate : epsilon; R changes by epsilon times the increment of W (eq. 7): 0 FRFB, 1 URFB
    """

    name: str
    symmetric: bool
    feedback_rate: float

    def begin(self, layers: list[Weighted]) -> None:
        """Set the layers' feedback weights up: one array with W (BP) or one of its own."""
        for layer in layers:
            if self.symmetric:
                layer.make_symmetric()
            else:
                layer.separate()


PROTOCOLS = {
    "bp": Protocol("bp", True, 1.0),
    "frfb": Protocol("frfb", False, 0.0),
    "urfb": Protocol("urfb", False, 1.0),
}


def find(name: str, feedback_rate: float | None = None) -> Protocol:
    """The protocol of that name, with another feedback rate if one is given.

    Raises `OptionError` for an unknown name, a rate outside [0, 1], or a rate for BP, which has no weights R.
    """
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise OptionError(f"unknown protocol {name!r}{nearest(name, PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    if feedback_rate is None:
        return protocol
    if protocol.symmetric:
        raise OptionError(f"feedback_rate is {feedback_rate!r}, but bp has no feedback weights of its own")
    if not _is_number(feedback_rate) or not 0 <= feedback_rate <= 1:
        raise OptionError(f"feedback_rate is {feedback_rate!r}: it must lie between 0 (frfb) and 1 (urfb)")
    return Protocol(name, False, float(feedback_rate))


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
