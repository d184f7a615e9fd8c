"""Heat map as SVG: one cell for each pair of layers, dark where they are alike."""

from __future__ import annotations

from html import escape

from faceverify.evaluation.report.svg import FONT
from faceverify.evaluation.results import LayerTable

CELL, LABEL, TOP = 36, 190, 40  # pixels
LOW, HIGH = (255, 255, 255), (0, 73, 120)  # colours of 0 and 1
DARK = 0.55  # from here on the digits are white
LONGEST = 26  # characters of a label


class HeatMap:
    """Similarity of the layers of two models; ``svg`` renders it.

    Args:
        table: the similarities.
    """

    def __init__(self, table: LayerTable) -> None:
        self.title = f"Linear CKA of {table.names[0]} (rows) and {table.names[1]} (columns)"
        self._table = table

    def svg(self) -> str:
        """The map as an SVG element, valid alone or inside HTML."""
        rows, columns = self._table.layers
        width = LABEL + CELL * len(columns) + 20
        height = TOP + CELL * len(rows) + LABEL
        title, parts = escape(self.title), []
        for y, (name, values) in enumerate(zip(rows, self._table.values, strict=True)):
            middle = TOP + CELL * y + CELL / 2 + 4
            parts.append(
                f'<text x="{LABEL - 8}" y="{middle:g}" text-anchor="end">{_label(name)}</text>'
            )
            parts += [self._cell(x, y, value) for x, value in enumerate(values)]
        bottom = TOP + CELL * len(rows) + 8
        for x, name in enumerate(columns):
            middle = LABEL + CELL * x + CELL / 2 + 4
            parts.append(
                f'<text transform="translate({middle:g} {bottom}) rotate(-90)" '
                f'text-anchor="end">{_label(name)}</text>'
            )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-label="{title}" style="{FONT}">'
            f'<title>{title}</title><rect width="{width}" height="{height}" fill="white"/>'
            f'<text x="8" y="20">{title}</text>{"".join(parts)}</svg>'
        )

    def _cell(self, x: int, y: int, value: float | None) -> str:
        left, top = LABEL + CELL * x, TOP + CELL * y
        share = min(max(value or 0.0, 0.0), 1.0)
        colour = ",".join(
            f"{low + (high - low) * share:.0f}" for low, high in zip(LOW, HIGH, strict=True)
        )
        text = "n/a" if value is None else f"{value:.2f}"
        ink = "white" if share > DARK else "#1a1a1a"
        return (
            f'<rect x="{left}" y="{top}" width="{CELL}" height="{CELL}" fill="rgb({colour})" '
            f'stroke="#ddd"/><text x="{left + CELL / 2:g}" y="{top + CELL / 2 + 4:g}" '
            f'text-anchor="middle" fill="{ink}">{text}</text>'
        )


def _label(name: str) -> str:
    return escape(name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…")
