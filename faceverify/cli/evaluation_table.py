"""Tables of estimates: formatted on a terminal, plain columns otherwise."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.results import Estimate, Section


def show_sections(title: str, sections: Sequence[Section], notes: Sequence[str]) -> None:
    """Print sections of estimates to stdout."""
    if sys.stdout.isatty():
        show_rich(title, sections, notes)
    else:
        sys.stdout.write(plain(title, sections, notes))
    sys.stdout.flush()


def row(estimate: Estimate) -> tuple[str, str, str, str]:
    """Cells of an estimate; Wilson's intervals are marked, others are bootstrap intervals."""
    mark = " w" if estimate.method == "wilson" and estimate.interval_text else ""
    return estimate.name, estimate.text, estimate.interval_text + mark, estimate.detail


def plain(title: str, sections: Sequence[Section], notes: Sequence[str]) -> str:
    """Aligned columns without colour or rules, for files and pipes."""
    lines = [title]
    for section in sections:
        rows = [row(estimate) for estimate in section.estimates]
        width = [max(len(cells[column]) for cells in rows) for column in range(3)]
        lines += ["", section.title]
        lines += [
            f"  {name:<{width[0]}}  {value:>{width[1]}}  {bounds:<{width[2]}}  {detail}".rstrip()
            for name, value, bounds, detail in rows
        ]
    lines += ["", *(f"note: {note}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def show_rich(title: str, sections: Sequence[Section], notes: Sequence[str]) -> None:
    """Print a table with a rule between sections."""
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
        for estimate in section.estimates:
            name, *cells = map(escape, row(estimate))
            table.add_row(f"  {name}", *cells)
        table.add_section()
    terminal.print(table)
    for note in notes:
        terminal.print(f"note: {escape(note)}", style="yellow")
    terminal.print("intervals over people; w: Wilson's, per comparison", style="dim")
