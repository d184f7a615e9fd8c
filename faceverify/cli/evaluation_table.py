"""An evaluation as a table: rich on a terminal, plain columns anywhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.results import Figure, Section


def show_sections(title: str, sections: Sequence[Section], notes: Sequence[str]) -> None:
    """Print sections of figures to stdout."""
    if sys.stdout.isatty():
        show_rich(title, sections, notes)
    else:
        sys.stdout.write(plain(title, sections, notes))
    sys.stdout.flush()


def row(figure: Figure) -> tuple[str, str, str, str]:
    """The cells of a figure; Wilson's intervals are marked, the others are over identities."""
    mark = " w" if figure.method == "wilson" and figure.interval_text else ""
    return figure.name, figure.text, figure.interval_text + mark, figure.detail


def plain(title: str, sections: Sequence[Section], notes: Sequence[str]) -> str:
    """Aligned columns, no colour, no lines: for files, pipes and mails."""
    lines = [title]
    for section in sections:
        rows = [row(figure) for figure in section.figures]
        width = [max(len(cells[column]) for cells in rows) for column in range(3)]
        lines += ["", section.title]
        lines += [
            f"  {name:<{width[0]}}  {value:>{width[1]}}  {bounds:<{width[2]}}  {detail}".rstrip()
            for name, value, bounds, detail in rows
        ]
    lines += ["", *(f"note: {note}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def show_rich(title: str, sections: Sequence[Section], notes: Sequence[str]) -> None:
    """A table with a line between sections."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    terminal = Console(highlight=False)
    table = Table(title=escape(title), box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    table.add_column("", style="dim")
    for section in sections:
        table.add_row(f"[bold]{escape(section.title)}[/bold]")
        for figure in section.figures:
            name, *cells = map(escape, row(figure))
            table.add_row(f"  {name}", *cells)
        table.add_section()
    terminal.print(table)
    for note in notes:
        terminal.print(f"note: {escape(note)}", style="yellow")
    terminal.print("intervals over people; w: Wilson's, per comparison", style="dim")
