"""How the pictures of circuits are drawn: matplotlib's own settings, no window, no date, the same bytes each time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#222222"
EXCITATORY = "#1f6fb4"  # activity of units, excitatory synapses
INHIBITORY = "#c8352b"  # inhibitory interneurons and synapses
COMPARATOR = "#7a3ba3"  # comparators, shunting synapses
IDEAL = "#2e9e4f"  # what the paper's equations give
PHASES = {"feedforward": "#dce9f7", "feedback": "#fbe5d0", "reset": "#ececec", "image": "#f4f4dc"}


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """matplotlib's own settings, whatever the user's are."""
    import matplotlib
    from matplotlib import style

    with style.context("default"), matplotlib.rc_context({"font.size": 10}):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, laid out without overlaps."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG of 150 dots per inch; returns the path. Errors: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path


def shade_phases(axes, spans: list[tuple[float, float, str]], *, label: bool = False) -> None:
    """Shade (start, end, phase) in ms; with `label` write the names of the phases above the axes."""
    for start, end, phase in spans:
        axes.axvspan(start, end, color=PHASES[phase], linewidth=0, zorder=0)
        if label:
            axes.text(
                (start + end) / 2, 1.02, phase, transform=axes.get_xaxis_transform(), ha="center", va="bottom", size=9
            )
