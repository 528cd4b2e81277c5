"""Wiring diagrams of the circuits, drawn from lists of cells and connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from circuits.errors import choose
from circuits.figures import COMPARATOR, EXCITATORY, INHIBITORY, INK, default_style, new_figure, save

COLORS = {"excites": EXCITATORY, "inhibits": INHIBITORY, "shunts": COMPARATOR}
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
    """From a cell to another one: excites (arrow), inhibits (bar), shunts (dot: acts on what reaches the target).

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
        Connection("fired", "fired", "excites", "self-excitation: holds its state", text_at=(3, 1.4)),
        Connection("reset", "fired", "shunts", "at the end of a presentation", text_at=(4.75, -1.3)),
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
        Connection("h", "unit", "excites", "saturates at ±1 (eq. 1)", text_at=(2.6, -0.85)),
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
        Connection("h", "unit", "excites", "not saturated", text_at=(3.3, 0.22)),
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

PAIR_DIAGRAM = Diagram(
    "Signed pair: a weight w between two units, rates of 0 and more only",
    {
        "on": Cell(0, 2, "ON\nbelow", "unit"),
        "off": Cell(0, -2, "OFF\nbelow", "unit"),
        "ion": Cell(2.2, 3.4, "", "interneuron"),
        "ioff": Cell(2.2, -3.4, "", "interneuron"),
        "on2": Cell(6, 2, "ON\nabove", "unit"),
        "off2": Cell(6, -2, "OFF\nabove", "unit"),
        "cup": Cell(9, 2, "h > 1", "comparator"),
        "clow": Cell(9, -2, "h < −1", "comparator"),
    },
    [
        Connection("on", "on2", "excites", "w", text_at=(3.2, 2.15)),
        Connection("off", "off2", "excites", "w", text_at=(3.2, -2.3)),
        Connection("on", "ion", "excites"),
        Connection("off", "ioff", "excites"),
        Connection("ion", "off2", "inhibits", "w", text_at=(3.35, 1.25)),
        Connection("ioff", "on2", "inhibits", "w", text_at=(3.35, -1.3)),
        Connection("on2", "cup", "excites", "drive", text_at=(7.4, 2.2)),
        Connection("off2", "clow", "excites", "drive", text_at=(7.4, -2.4)),
        Connection("cup", "cup", "excites"),
        Connection("clow", "clow", "excites"),
    ],
    [
        "Drawn for w > 0. A weight below 0 excites crosswise and inhibits, through the interneurons, straight on.",
        "Value of a unit: rate of ON − rate of OFF. Either comparator shunts the top-down input of both cells above.",
    ],
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
        Connection("x", "hidden", "excites", "W₁ plastic", bend=-0.35, text_at=(2, 0.72)),
        Connection("hidden", "top", "excites", "W₂ plastic", bend=-0.35, text_at=(6, 0.72)),
        Connection("top", "hidden", "excites", "R₂ plastic", bend=-0.35, text_at=(6, -0.72)),
        Connection("hidden", "x", "excites", "R₁ plastic, read by nothing", bend=-0.35, text_at=(2, -0.72)),
        Connection("teacher", "top", "excites"),
    ],
    [
        "Each unit above the input is a circuit of its own. Weights are of either sign.",
        "Plasticity event of a unit: its synapses W and R from below change by the product of the two activities.",
    ],
)

DIAGRAMS = {
    "comparator": COMPARATOR_DIAGRAM,
    "threshold": THRESHOLD_DIAGRAM,
    "output-error": OUTPUT_ERROR_DIAGRAM,
    "pairs": PAIR_DIAGRAM,
    "layered": LAYERED_DIAGRAM,
}


def draw_wiring(name: str, path: Path) -> Path:
    """Draw the wiring diagram of a circuit as PNG. Errors: UnknownCircuitError, OSError."""
    diagram = DIAGRAMS[choose("wiring diagram", name, DIAGRAMS)]
    xs, ys = [c.x for c in diagram.cells.values()], [c.y for c in diagram.cells.values()]
    left, right, bottom, top = min(xs) - 1.0, max(xs) + 1.0, min(ys) - 0.9, max(ys) + 1.5
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
    axes.text(cell.x, cell.y, cell.text, ha="center", va="center", size=9.5, color=INK, zorder=5)


def _draw_connection(axes, diagram: Diagram, connection: Connection) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch

    color = COLORS[connection.effect]
    source = diagram.cells[connection.source]
    point = isinstance(connection.target, tuple)
    end = connection.target if point else (diagram.cells[connection.target].x, diagram.cells[connection.target].y)
    styles = {"excites": "-|>,head_width=4,head_length=7", "inhibits": "|-|,widthA=0,widthB=5", "shunts": "-"}
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
        axes.text(*connection.text_at, connection.text, ha="center", va="center", size=9, color=color)


def _draw_legend(figure, diagram: Diagram) -> None:
    from matplotlib.lines import Line2D

    names = {"excites": ("excites", ">"), "inhibits": ("inhibits", "|"), "shunts": ("shunts", "o")}
    used = [effect for effect in names if any(c.effect == effect for c in diagram.connections)]
    handles = [
        Line2D([], [], color=COLORS[effect], marker=names[effect][1], markersize=8, lw=1.6, label=names[effect][0])
        for effect in used
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, title="\n".join(diagram.notes)
    )
