"""The console on which tables are printed: as wide as the terminal, and of a fixed width in a file or pipe."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(width: int = 100) -> Console:
    """A console for stdout; a file or pipe, which has no width of its own, gets `width` columns.

    The environment's COLUMNS, where it is set, decides in both cases.
    """
    from rich.console import Console

    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=width if piped else None, highlight=False)
