"""Threshold circuit: the gate of eq. 3 as neurons. The wiring is this project's own.

A unit has a bottom-up compartment that saturates (eq. 1) and a top-down compartment. Two comparators watch
the bottom-up input: one fires at h > upper, one at h < lower. A firing comparator shunts the top-down
compartment. When the feedforward input has ended and the feedback arrives, the comparators still fire, so
the unit's activity is replaced by gate * u.
"""

from __future__ import annotations

from brian2 import Equations

from circuits.comparator import comparator_equations

UNIT = """
# leak; what the bottom-up compartment passes on; what the comparators let through of the top-down compartment
dr/dt = (-r + basal + gate*apical)/tau : 1
basal = clip(h, lower, upper)*ff : 1                        # bottom-up input, saturated: eq. 1
apical = u*fb : 1                                           # top-down input
gate = clip(1 - shunt*(fired_up + fired_low), 0, 1) : 1     # eq. 3: open unless a comparator fires
drive_up = h*ff : 1                                         # the upper comparator is driven by h,
drive_low = -h*ff : 1                                       # the lower one by -h, through an inhibitory cell
h : 1                                                       # bottom-up input, no unit
u : 1                                                       # top-down input, no unit
"""


def threshold_equations() -> Equations:
    """Unit and both comparators (levels `level_up`, `level_low`), for signed activities."""
    return Equations(UNIT) + comparator_equations("up") + comparator_equations("low")
