"""Charts as SVG: axes, lines, bands. Self-contained: no fonts, no scripts, no requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

WIDTH, HEIGHT = 560, 400
LEFT, RIGHT, TOP, BOTTOM = 78, 18, 16, 54  # margins, pixels
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
FONT = "font-family:system-ui,sans-serif;font-size:12px"

Point = tuple[float, float]
Corner = Literal["top left", "top right", "bottom left"]


@dataclass(frozen=True)
class Axis:
    """An axis.

    Args:
        title: label.
        low: lower end.
        high: upper end.
        log: whether it is logarithmic; low must be above 0, smaller values are clipped to it.
        ticks: values of the ticks; None for automatic ones.
        percent: whether tick labels are in percent.
    """

    title: str
    low: float
    high: float
    log: bool = False
    ticks: Sequence[float] | None = None
    percent: bool = False

    def place(self, value: float) -> float:
        """Position of a value between low and high, in [0, 1]."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def marks(self) -> list[tuple[float, str]]:
        """Ticks and their labels."""
        if self.ticks is not None:
            values = list(self.ticks)
        elif self.log:
            decades = range(round(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            values = [10.0**decade for decade in decades]
        else:
            values = round_steps(self.low, self.high)
        return [
            (value, f"{100 * value:.4g} %" if self.percent else f"{value:.4g}") for value in values
        ]


def round_steps(low: float, high: float) -> list[float]:
    """Four to ten round tick values from low to high.

    >>> round_steps(0, 0.3)
    [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    """
    rough = (high - low) / 9
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(size * decade for size in (1, 2, 2.5, 5, 10) if size * decade >= rough * 0.999999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass
class Chart:
    """A chart; ``svg`` renders it.

    Args:
        title: accessible name.
        x, y: axes.
        legend: corner of the legend.
    """

    title: str
    x: Axis
    y: Axis
    legend: Corner = "top left"
    _parts: list[str] = field(default_factory=list)
    _legend: list[tuple[str, str]] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """Pixel coordinates of a point."""
        return (
            LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM),
        )

    def line(
        self, points: Sequence[Point], colour: str, name: str = "", *, dashed: bool = False
    ) -> None:
        """Add a line; with a name, also to the legend."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.8"{dash} '
            f'points="{self._path(points)}"/>'
        )
        if name:
            self._legend.append((name, colour))

    def area(self, points: Sequence[Point], colour: str, name: str = "") -> None:
        """Add a filled, translucent polygon."""
        if points:
            self._parts.append(
                f'<polygon fill="{colour}" fill-opacity="0.22" points="{self._path(points)}"/>'
            )
        if name:
            self._legend.append((name, colour))

    def dots(self, points: Sequence[Point], colour: str) -> None:
        """Add point markers."""
        for x, y in (self.at(*point) for point in points):
            self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')

    def upright(self, x: float, text: str) -> None:
        """Add a dashed vertical line with a label at its top."""
        self.line([(x, self.y.low), (x, self.y.high)], "#555", dashed=True)
        place, top = self.at(x, self.y.high)
        end = place > WIDTH * 0.7
        anchor, shift = ("end", -4) if end else ("start", 4)
        self._parts.append(
            f'<text x="{place + shift:.1f}" y="{top + 12:.1f}" fill="#555" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def svg(self) -> str:
        """The chart as an SVG element, valid alone or inside HTML."""
        title = escape(self.title)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{title}" style="{FONT}">'
            f"<title>{title}</title>"
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
            f"{self._frame()}{''.join(self._parts)}{self._legend_box()}</svg>"
        )

    def _path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))

    def _frame(self) -> str:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for value, text in self.x.marks():
            x, _ = self.at(value, self.y.low)
            parts.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#e4e4e4"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>')
        for value, text in self.y.marks():
            _, y = self.at(self.x.low, value)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#e4e4e4"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        middle, height = (LEFT + right) / 2, (TOP + bottom) / 2
        parts.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#333"/>')
        parts.append(
            f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(self.x.title)}'
            "</text>"
            f'<text transform="translate(14 {height}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y.title)}</text>"
        )
        return "".join(parts)

    def _legend_box(self) -> str:
        left = WIDTH - RIGHT - 110 if self.legend == "top right" else LEFT + 12
        top = TOP + 22
        if self.legend == "bottom left":
            top = HEIGHT - BOTTOM - 18 * len(self._legend)
        return "".join(
            f'<rect x="{left}" y="{top + 18 * i}" width="14" height="4" fill="{colour}"/>'
            f'<text x="{left + 20}" y="{top + 6 + 18 * i}">{escape(name)}</text>'
            for i, (name, colour) in enumerate(self._legend)
        )
