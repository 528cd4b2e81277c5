"""Signed pairs: both circuits with non-negative rates only. The wiring is this project's own.

A signed unit becomes an ON and an OFF cell; its value is r_on - r_off. Each cell has an inhibitory
interneuron that follows its rate. A positive weight w excites ON from ON and OFF from OFF, and inhibits each
through the other's interneuron; a negative weight does the same crosswise. So the net current onto the ON
cell is h, onto the OFF cell -h, and rectification makes one of the two silent. The ON cell's comparator
stands for h > upper, the OFF cell's for h < lower; either shunts the top-down input of both cells.
"""

from __future__ import annotations

from brian2 import Equations

from circuits.comparator import comparator_equations

HIDDEN_PAIR = """
# ON cell: leak; bottom-up current, rectified and saturated; rectified top-down current, shunted by the comparators
dr_on/dt = (-r_on + clip(h_on, 0, upper)*ff + gate*clip(u_on, 0, inf)*fb)/tau : 1
# OFF cell: the same for the other sign
dr_off/dt = (-r_off + clip(h_off, 0, -lower)*ff + gate*clip(u_off, 0, inf)*fb)/tau : 1
gate = clip(1 - shunt*(fired_up + fired_low), 0, 1) : 1         # eq. 3: open unless a comparator fires
u_on : 1                                                        # net top-down current onto the ON cell
u_off : 1                                                       # and onto the OFF cell
"""

OUTPUT_PAIR = """
# ON cell: leak; rectified bottom-up current, not saturated; positive teacher line, shunted by the upper comparator
dr_on/dt = (-r_on + clip(h_on, 0, inf)*ff + own*gate_up*fb)/tau : 1
# OFF cell: leak; rectified bottom-up current; negative teacher line, shunted by the lower comparator
dr_off/dt = (-r_off + clip(h_off, 0, inf)*ff + mu*other*gate_low*fb)/tau : 1
own = int(teacher > 0) : 1 (constant over dt)  # 1 where the stimulus is of the unit's class
other = int(teacher < 0) : 1 (constant over dt)  # 1 where it is of another class
gate_up = clip(1 - shunt*fired_up, 0, 1) : 1                    # eq. 6: shut where own class and x > 1
gate_low = clip(1 - shunt*fired_low, 0, 1) : 1                  # eq. 6: shut where other class and x < -1
teacher : 1                                                     # +1 own class, -1 other class, 0 no teacher
"""

BOTH_PAIRS = """
# inhibitory interneurons: each follows the rate of its cell
dinhibitory_on/dt = (-inhibitory_on + r_on)/tau_interneuron : 1
dinhibitory_off/dt = (-inhibitory_off + r_off)/tau_interneuron : 1
r = r_on - r_off : 1                                            # the signed value that the pair stands for
drive_up = clip(h_on, 0, inf)*ff : 1                            # the ON cell's comparator, driven without sign
drive_low = clip(h_off, 0, inf)*ff : 1                         # the OFF cell's comparator
h_on : 1                                                        # net bottom-up current onto the ON cell
h_off : 1                                                       # and onto the OFF cell
"""

INPUT_LINES = """
# two excitatory cells carry the signal, without sign, for the whole presentation
line_on = common + clip(signal, 0, inf) : 1
line_off = common - clip(signal, -inf, 0) : 1
# the inhibitory interneuron of each follows it and inhibits the target of the other
dline_inhibitory_on/dt = (-line_inhibitory_on + line_on)/tau_interneuron : 1
dline_inhibitory_off/dt = (-line_inhibitory_off + line_off)/tau_interneuron : 1
# currents onto the ON and the OFF cell: excitation minus inhibition
current_on = line_on - line_inhibitory_off : 1 (constant over dt)
current_off = line_off - line_inhibitory_on : 1 (constant over dt)
signal : 1                                                      # the signed signal that the two lines stand for
"""

COMMON_RATE = 0.3  # rate that both lines carry on top of the signal, so that excitation and inhibition must cancel


def pair_equations(motif: str) -> Equations:
    """Cells, interneurons and comparators of a hidden ("threshold") or an output ("output-error") pair."""
    cells = Equations(HIDDEN_PAIR if motif == "threshold" else OUTPUT_PAIR) + Equations(BOTH_PAIRS)
    return cells + comparator_equations("up") + comparator_equations("low")


def with_input_lines(equations: Equations, signals: tuple[str, ...]) -> Equations:
    """`equations` with each signal ("h", "u") brought by an ON and an OFF line instead of a bare current.

    The signal stays one parameter of the group; the currents h_on, h_off become what the two lines deliver.
    """
    currents = {f"{signal}_{sign}" for signal in signals for sign in ("on", "off")}
    lines = Equations([equation for name, equation in equations.items() if name not in currents])
    for signal in signals:
        lines += Equations(
            INPUT_LINES,
            signal=signal,
            current_on=f"{signal}_on",
            current_off=f"{signal}_off",
            **{f"line_{sign}": f"{signal}_line_{sign}" for sign in ("on", "off")},
            **{f"line_inhibitory_{sign}": f"{signal}_inhibitory_{sign}" for sign in ("on", "off")},
        )
    return lines
