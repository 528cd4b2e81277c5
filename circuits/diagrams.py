"""Wiring diagrams of the circuits, drawn from lists of cells and connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from circuits.errors import choose
from circuits.figures import COMPARATOR, EXCITATORY, IDEAL, INHIBITORY, INK, default_style, new_figure, save

COLORS = {"excites": EXCITATORY, "inhibits": INHIBITORY, "shunts": COMPARATOR, "learns": IDEAL}
FACES = {"unit": "#e3eefa", "comparator": "#f0e4f7", "interneuron": "#fbe3e1", "line": "white"}


@dataclass(frozen=True)
class Cell:
    """A circle at (x, y) with a short text; kind is unit, comparator, interneuron, or line (an input)."""

    x: float
    y: float
    text: str
    kind: str


@dataclass(frozen=True)
class Connection:
    """From a cell to another one: excites (arrow), inhibits (bar), shunts (dot: acts on what reaches the target),
    learns (arrow: plastic, of either sign).

    bend: curvature. A target may be (x, y), a point on another connection.
    """

    source: str
    target: str | tuple[float, float]
    effect: str
    text: str = ""
    bend: float = 0.0
    text_at: tuple[float, float] | None = None


@dataclass(frozen=True)
class Diagram:
    """A title, cells by name, connections, and lines of explanation."""

    title: str
    cells: dict[str, Cell]
    connections: Sequence[Connection]
    notes: Sequence[str]


COMPARATOR_DIAGRAM = Diagram(
    "Comparator",
    {
        "drive": Cell(0, 0, "drive", "line"),
        "fired": Cell(3, 0, "fires\nabove\nlevel", "comparator"),
        "reset": Cell(3, -2.2, "reset", "line"),
        "target": Cell(6, 0, "what it\nshunts", "line"),
    },
    [
        Connection("drive", "fired", "excites"),
        Connection("fired", "fired", "excites", "self-excitation: holds its state", text_at=(3, 1.45)),
        Connection("reset", "fired", "shunts", "at the end of a presentation", text_at=(5.0, -1.3)),
        Connection("fired", "target", "shunts"),
    ],
    ["Silent until the drive passes the level; then its own excitation keeps it above, without the drive."],
)

THRESHOLD_DIAGRAM = Diagram(
    "Threshold circuit: gate of eq. 3",
    {
        "h": Cell(0, 0, "h\nfrom below", "line"),
        "unit": Cell(6, -1, "unit\nr", "unit"),
        "u": Cell(6, 4.6, "u\nfrom above", "line"),
        "up": Cell(3, 3.8, "h > 1", "comparator"),
        "low": Cell(3, 1.2, "h < −1", "comparator"),
        "minus": Cell(1.45, 0.58, "−", "interneuron"),
    },
    [
        Connection("h", "unit", "excites", "saturates at ±1 (eq. 1)", text_at=(2.5, -0.9)),
        Connection("h", "up", "excites"),
        Connection("h", "minus", "excites"),
        Connection("minus", "low", "inhibits"),
        Connection("up", "up", "excites"),
        Connection("low", "low", "excites"),
        Connection("u", "unit", "excites"),
        Connection("up", (6, 3.0), "shunts"),
        Connection("low", (6, 0.9), "shunts"),
    ],
    [
        "Feedforward phase: h drives the unit and the comparators, which latch.",
        "Feedback phase: h has ended, u arrives; a comparator that fires shunts it. The unit carries gate · u.",
    ],
)

OUTPUT_ERROR_DIAGRAM = Diagram(
    "Output error circuit: eq. 6",
    {
        "h": Cell(0, 0, "h\nfrom below", "line"),
        "unit": Cell(6, 0, "output\nunit r", "unit"),
        "own": Cell(6, 4, "teacher\nown: 1", "line"),
        "other": Cell(6, -4, "teacher\nother: −μ", "line"),
        "up": Cell(3, 3, "h > 1", "comparator"),
        "low": Cell(3, -3, "h < −1", "comparator"),
        "minus": Cell(1.2, -1.6, "−", "interneuron"),
    },
    [
        Connection("h", "unit", "excites", "not saturated", text_at=(3.3, 0.25)),
        Connection("h", "up", "excites"),
        Connection("h", "minus", "excites"),
        Connection("minus", "low", "inhibits"),
        Connection("up", "up", "excites"),
        Connection("low", "low", "excites"),
        Connection("own", "unit", "excites"),
        Connection("other", "unit", "inhibits"),
        Connection("up", (6, 2.1), "shunts"),
        Connection("low", (6, -2.1), "shunts"),
    ],
    [
        "Feedforward phase: the unit follows h; a comparator fires where h is past the margin.",
        "Feedback phase: one teacher line is on. It is shunted where the unit was already right: then the error is 0.",
    ],
)

#: Cells and connections that hidden and output pairs have in common; currents are excitation less inhibition.
PAIR_CELLS = {
    "h_on": Cell(0, 3, "h ON\nfrom below", "line"),
    "h_off": Cell(0, -3, "h OFF\nfrom below", "line"),
    "up": Cell(3, 1.2, "h > 1", "comparator"),
    "low": Cell(3, -1.2, "h < −1", "comparator"),
    "on": Cell(6.5, 3, "ON", "unit"),
    "off": Cell(6.5, -3, "OFF", "unit"),
}
PAIR_CONNECTIONS = [
    Connection("h_on", "on", "excites"),
    Connection("h_off", "off", "excites"),
    Connection("h_on", "up", "excites"),
    Connection("h_off", "low", "excites"),
    Connection("up", "up", "excites"),
    Connection("low", "low", "excites"),
]
PAIR_NOTE = "h ON is what excitation less inhibition brings the ON cell, h OFF the OFF cell; each rate is 0 or more."

THRESHOLD_PAIRS_DIAGRAM = Diagram(
    "Threshold circuit of a signed pair",
    {
        **PAIR_CELLS,
        "u_on": Cell(11, 3, "u ON\nfrom above", "line"),
        "u_off": Cell(11, -3, "u OFF\nfrom above", "line"),
    },
    [
        *PAIR_CONNECTIONS,
        Connection("u_on", "on", "excites"),
        Connection("u_off", "off", "excites"),
        *(Connection(source, (9, y), "shunts") for source in ("up", "low") for y in (3, -3)),
    ],
    [PAIR_NOTE, "Either comparator shunts the top-down input of both cells. The pair's value is ON − OFF."],
)

OUTPUT_ERROR_PAIRS_DIAGRAM = Diagram(
    "Output error circuit of a signed pair",
    {
        **PAIR_CELLS,
        "own": Cell(11, 3, "teacher\nown: 1", "line"),
        "other": Cell(11, -3, "teacher\nother: μ", "line"),
    },
    [
        *PAIR_CONNECTIONS,
        Connection("own", "on", "excites"),
        Connection("other", "off", "excites"),
        Connection("up", (9, 3), "shunts"),
        Connection("low", (9, -3), "shunts"),
    ],
    [PAIR_NOTE, "Each comparator shunts the teacher line of its own side. The pair's value is ON − OFF."],
)

WEIGHT_PAIRS_DIAGRAM = Diagram(
    "A weight w between two signed pairs",
    {
        "on": Cell(0, 2, "ON\nbelow", "unit"),
        "off": Cell(0, -2, "OFF\nbelow", "unit"),
        "ion": Cell(2.2, 3.4, "", "interneuron"),
        "ioff": Cell(2.2, -3.4, "", "interneuron"),
        "on2": Cell(6, 2, "ON\nabove", "unit"),
        "off2": Cell(6, -2, "OFF\nabove", "unit"),
    },
    [
        Connection("on", "on2", "excites", "w", text_at=(1.6, 2.2)),
        Connection("off", "off2", "excites", "w", text_at=(1.6, -2.2)),
        Connection("on", "ion", "excites"),
        Connection("off", "ioff", "excites"),
        Connection("ion", "off2", "inhibits", "w", text_at=(3.65, 1.0)),
        Connection("ioff", "on2", "inhibits", "w", text_at=(3.65, -1.0)),
    ],
    ["Drawn for w > 0. A weight below 0 excites crosswise and inhibits, through the interneurons, straight on."],
)

LAYERED_DIAGRAM = Diagram(
    "Layered circuit",
    {
        "x": Cell(0, 0, "input\nlayer 0", "unit"),
        "hidden": Cell(4, 0, "threshold\ncircuits\nlayer 1", "unit"),
        "top": Cell(8, 0, "output\nerror\nlayer 2", "unit"),
        "teacher": Cell(8, 2.1, "teacher", "line"),
    },
    [
        Connection("x", "hidden", "learns", "W₁", bend=-0.35, text_at=(2, 0.72)),
        Connection("hidden", "top", "learns", "W₂", bend=-0.35, text_at=(6, 0.72)),
        Connection("top", "hidden", "learns", "R₂", bend=-0.35, text_at=(6, -0.72)),
        Connection("hidden", "x", "learns", "R₁, read by nothing", bend=-0.35, text_at=(2, -0.72)),
        Connection("teacher", "top", "excites"),
    ],
    [
        "Each unit above the input is a circuit of its own, its weights of either sign.",
        "Plasticity event of a unit: its synapses W and R from below change by the product of the two activities.",
    ],
)

DIAGRAMS = {
    "comparator": COMPARATOR_DIAGRAM,
    "threshold": THRESHOLD_DIAGRAM,
    "output-error": OUTPUT_ERROR_DIAGRAM,
    "threshold-pairs": THRESHOLD_PAIRS_DIAGRAM,
    "output-error-pairs": OUTPUT_ERROR_PAIRS_DIAGRAM,
    "weight-pairs": WEIGHT_PAIRS_DIAGRAM,
    "layered": LAYERED_DIAGRAM,
}


def draw_wiring(name: str, path: Path, *, populations: bool = False) -> Path:
    """Draw the wiring diagram of a circuit as PNG; `populations` says on it that each cell is a population of neurons.

    Errors: UnknownCircuitError, OSError.
    """
    diagram = DIAGRAMS[choose("wiring diagram", name, DIAGRAMS)]
    if populations:
        diagram = replace(diagram, notes=[*diagram.notes, "Each circle is a population of integrate-and-fire neurons."])
    loops = {connection.source for connection in diagram.connections if connection.source == connection.target}
    xs = [cell.x for cell in diagram.cells.values()]
    tops = [cell.y + (1.7 if cell_name in loops else 0.9) for cell_name, cell in diagram.cells.items()]
    left, right, top = min(xs) - 1.0, max(xs) + 1.0, max(tops)
    bottom = min(cell.y for cell in diagram.cells.values()) - 0.9
    with default_style():
        figure = new_figure(max(0.85 * (right - left), 7.8), 0.85 * (top - bottom) + 0.9)
        axes = figure.subplots()
        axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        figure.suptitle(diagram.title)
        axes.axis("off")
        for connection in diagram.connections:
            _draw_connection(axes, diagram, connection)
        for cell in diagram.cells.values():
            _draw_cell(axes, cell)
        _draw_legend(figure, diagram)
        return save(figure, path)


def _radius(cell: Cell) -> float:
    return 0.32 if cell.kind == "interneuron" else 0.62


def _draw_cell(axes, cell: Cell) -> None:
    from matplotlib.patches import Circle

    edge = {"comparator": COMPARATOR, "interneuron": INHIBITORY, "unit": EXCITATORY}.get(cell.kind)
    if edge:
        axes.add_patch(Circle((cell.x, cell.y), _radius(cell), facecolor=FACES[cell.kind], edgecolor=edge, lw=1.8))
    axes.text(cell.x, cell.y, cell.text, ha="center", va="center", size=11.5, color=INK, zorder=5)


def _draw_connection(axes, diagram: Diagram, connection: Connection) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch

    color = COLORS[connection.effect]
    source = diagram.cells[connection.source]
    point = isinstance(connection.target, tuple)
    end = connection.target if point else (diagram.cells[connection.target].x, diagram.cells[connection.target].y)
    styles = {"excites": "-|>,head_width=4,head_length=7", "inhibits": "|-|,widthA=0,widthB=5", "shunts": "-"}
    styles["learns"] = styles["excites"]
    if connection.source == connection.target:
        start, end = (source.x - 0.35, source.y + 0.5), (source.x + 0.35, source.y + 0.5)
        arc = "arc3,rad=-1.9"
        patch = FancyArrowPatch(start, end, connectionstyle=arc, arrowstyle=styles["excites"], color=color, lw=1.6)
        axes.add_patch(patch)
    else:
        start, end = (source.x, source.y), end
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = (dx * dx + dy * dy) ** 0.5
        back = 0.0 if point else _radius(diagram.cells[connection.target]) + 0.07
        first = _radius(source) + 0.02
        start = (start[0] + dx / length * first, start[1] + dy / length * first)
        end = (end[0] - dx / length * back, end[1] - dy / length * back)
        patch = FancyArrowPatch(
            start,
            end,
            connectionstyle=f"arc3,rad={connection.bend}",
            arrowstyle=styles[connection.effect],
            color=color,
            lw=1.6,
            shrinkA=0,
            shrinkB=0,
        )
        axes.add_patch(patch)
        if connection.effect == "shunts":
            axes.add_patch(Circle(end, 0.11, color=color, zorder=6))
    if connection.text and connection.text_at:
        axes.text(*connection.text_at, connection.text, ha="center", va="center", size=11.5, color=color)


def _draw_legend(figure, diagram: Diagram) -> None:
    from matplotlib.lines import Line2D

    names = {"excites": ("excites", ">"), "inhibits": ("inhibits", "|"), "shunts": ("shunts", "o")}
    names["learns"] = ("plastic, of either sign", ">")
    used = [effect for effect in names if any(c.effect == effect for c in diagram.connections)]
    handles = [
        Line2D([], [], color=COLORS[effect], marker=names[effect][1], markersize=8, lw=1.6, label=names[effect][0])
        for effect in used
    ]
    kinds = {"comparator": COMPARATOR, "interneuron": INHIBITORY}
    present = {cell.kind for cell in diagram.cells.values()}
    handles += [
        Line2D([], [], color=edge, marker="o", ls="", markersize=12, markerfacecolor=FACES[kind], label=kind)
        for kind, edge in kinds.items()
        if kind in present
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, title="\n".join(diagram.notes)
    )
