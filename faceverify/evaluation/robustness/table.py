"""Table of a robustness measurement: aligned columns, also valid as Markdown."""

from __future__ import annotations

from faceverify.evaluation.results import NOT_AVAILABLE, Estimate
from faceverify.evaluation.robustness.measure import CellRates, Robustness

HEADINGS = (
    "kind",
    "strength",
    "decided",
    "FMR",
    "FNMR",
    "FMR, one clean",
    "FNMR, one clean",
)


def robustness_table(found: Robustness) -> list[str]:
    """Lines of the table; an FMR whose interval lies above the promised one is marked ``!``."""
    rows = [HEADINGS, *(_row(cell, found.point.fmr) for cell in found.cells)]
    width = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(wide) for cell, wide in zip(row, width, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (wide + 2) for wide in width) + "|"
    return [lines[0], rule, *lines[1:]]


def _row(cell: CellRates, promised: float | None) -> tuple[str, ...]:
    return (
        cell.kind,
        f"{cell.strength:g}",
        _percent(cell.decided),
        _percent(cell.fmr, promised),
        _percent(cell.fnmr),
        _percent(cell.clean_fmr, promised),
        _percent(cell.clean_fnmr),
    )


def _percent(rate: Estimate, promised: float | None = None) -> str:
    """A rate and its interval in percent, to three digits; marked where it breaks the promise."""
    if rate.value is None:
        return NOT_AVAILABLE
    text = f"{100 * rate.value:.3g} %"
    if promised is None or rate.interval is None:
        return text
    low, high = 100 * rate.interval.low, 100 * rate.interval.high
    return f"{text} [{low:.3g}, {high:.3g}]" + (" !" if rate.interval.low > promised else "")
