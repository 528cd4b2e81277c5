"""Output error circuit: eq. 6 as neurons. The wiring is this project's own.

An output unit follows its feedforward input h without saturation. A teacher drives it in the feedback
phase: +1 for the class of the stimulus, -mu for every other class. Two comparators watch h: one fires at
h > 1 and shunts the positive teacher line, one fires at h < -1 and shunts the negative teacher line. So the
feedback activity is 1, -mu, or 0 where the unit was already right by the margin.
"""

from __future__ import annotations

from brian2 import Equations

from circuits.comparator import comparator_equations

UNIT = """
# leak; feedforward input, not saturated; teacher lines, each shunted by its own comparator
dr/dt = (-r + h*ff + (own*gate_up - mu*other*gate_low)*fb)/tau : 1
own = int(teacher > 0) : 1 (constant over dt)  # 1 where the stimulus is of the unit's class
other = int(teacher < 0) : 1 (constant over dt)  # 1 where it is of another class
gate_up = clip(1 - shunt*fired_up, 0, 1) : 1            # eq. 6: shut where own class and x > 1
gate_low = clip(1 - shunt*fired_low, 0, 1) : 1          # eq. 6: shut where other class and x < -1
drive_up = h*ff : 1                                     # the upper comparator is driven by h,
drive_low = -h*ff : 1                                   # the lower one by -h, through an inhibitory cell
h : 1                                                   # feedforward input, no unit
teacher : 1                                             # +1 own class, -1 other class, 0 no teacher
"""


def output_error_equations() -> Equations:
    """Output unit and both comparators (levels `level_up`, `level_low`), for signed activities."""
    return Equations(UNIT) + comparator_equations("up") + comparator_equations("low")
