"""When what reaches a unit: three windows in each presentation, by the unit's own event times.

    feedforward   [arrival, feedback)   the bottom-up input reaches the unit; its comparators watch it
    feedback      [feedback, release)   the top-down input, shunted by the comparators, replaces it
    reset         [release, period)     every input is off and the comparators are let go

Times count in steps of dt from the start of the presentation; `arrival_step` and `feedback_step` may
differ from unit to unit and from presentation to presentation.
"""

from __future__ import annotations

PHASES = """
moment = timestep(t, dt) % period : integer (constant over dt)  # steps since the presentation began
ff = int(moment >= arrival_step)*int(moment < feedback_step) : 1 (constant over dt)     # 1 in the feedforward window
fb = int(moment >= feedback_step)*int(moment < release_step) : 1 (constant over dt)     # 1 in the feedback window
reset = int(moment >= release_step) : 1 (constant over dt)                              # 1 in the reset window
arrival_step : integer                                                                   # event a of this unit
feedback_step : integer                                                                  # event b of this unit
"""
