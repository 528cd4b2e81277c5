"""The console on which tables are printed: as wide as the terminal, and of a fixed width in a file or pipe."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def console(width: int = 100) -> Console:
    """A console for stdout; a file or pipe, which has no width of its own, gets `width` columns.

    The environment's COLUMNS, where it is set, decides in both cases.
    """
    from rich.console import Console

    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=width if piped else None, highlight=False)


def print_table(table: Table) -> None:
    """Print a table whose columns are at least as wide as their longest words: on a terminal that is too narrow for
    that the lines run over, and nothing is cut.

    Columns that must not be broken at blanks, such as names and numbers, say so by ``no_wrap``.
    """
    from rich.measure import Measurement

    shown = console()
    wide = shown.options.update(max_width=1_000)
    ranges = []  # columns that may be broken, with their least and greatest widths
    for column in table.columns:
        if not column.no_wrap:
            cells = [Measurement.get(shown, wide, cell) for cell in (column.header, *column.cells, column.footer)]
            ranges.append((column, max(cell.minimum for cell in cells), max(cell.maximum for cell in cells)))
    narrowest = Measurement.get(shown, wide, table).maximum - sum(most - least for _, least, most in ranges)
    shown.width = max(shown.width, narrowest)
    spare = shown.width - narrowest
    for column, least, most in reversed(ranges):
        column.width = min(least + spare, most)
        spare -= column.width - least
    shown.print(table)
