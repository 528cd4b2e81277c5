"""Protocols: which feedback weights a net starts and learns with, and the way its signals take; one file each.

==============  ======================================  ==========================================
name            feedback weights R                      source
==============  ======================================  ==========================================
bp              W itself                                Rumelhart et al. (1986)
frfb            random and fixed                        Lillicrap et al. (2016)
urfb            random, updated as W                    Amit (2019), section 3.1
kolen-pollack   as urfb, and W and R decay              Kolen and Pollack (1994)
sign-symmetry   the signs of W                          Liao et al. (2016)
dfa             none: signals straight from the output  Nøkland (2016)
==============  ======================================  ==========================================
"""

from __future__ import annotations

import math
import numbers
from dataclasses import replace

from netsim.errors import OptionError, nearest, shown
from netsim.protocols.bp import BP
from netsim.protocols.dfa import DFA
from netsim.protocols.frfb import FRFB
from netsim.protocols.kolen_pollack import KOLEN_POLLACK
from netsim.protocols.protocol import Protocol
from netsim.protocols.sign_symmetry import SIGN_SYMMETRY
from netsim.protocols.urfb import URFB

__all__ = ["PROTOCOLS", "Protocol", "find"]

PROTOCOLS = {protocol.name: protocol for protocol in (BP, FRFB, URFB, KOLEN_POLLACK, SIGN_SYMMETRY, DFA)}


def find(name: str, feedback_rate: float | None = None) -> Protocol:
    """The protocol of that name; URFB with another feedback rate if one is given.

    Raises `OptionError` for an unknown name, a rate outside [0, 1], or a rate that contradicts the protocol.
    """
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise OptionError(f"unknown protocol {shown(name)}{nearest(str(name)[:40], PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    if feedback_rate is None:
        return protocol
    if not _is_number(feedback_rate) or not 0 <= feedback_rate <= 1:
        raise OptionError(f"is {shown(feedback_rate)}: it must lie between 0 (frfb) and 1 (urfb)", "feedback_rate")
    if protocol is URFB:
        return replace(URFB, feedback_rate=float(feedback_rate))
    if protocol.symmetric:
        raise OptionError(f"is {feedback_rate!r}, but bp has no feedback weights of its own", "feedback_rate")
    if protocol in (FRFB, KOLEN_POLLACK) and feedback_rate == protocol.feedback_rate:
        return protocol
    rate = {FRFB: ", whose rate is 0", KOLEN_POLLACK: ", whose rate is 1"}.get(protocol, "")
    raise OptionError(
        f"is {feedback_rate!r}, but the protocol is {name}{rate}: rates between 0 and 1 go with urfb", "feedback_rate"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
