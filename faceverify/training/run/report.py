"""Report of a training run: results, curves of loss and accuracy, configuration.

One HTML page that loads nothing from elsewhere, and each chart as an SVG file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from faceverify.evaluation.report.page import POLICY, STYLE
from faceverify.evaluation.report.svg import COLOURS, Axis, Chart, Point
from faceverify.runtime.files import atomic_write

SIGNS = {
    "spread": "Spread of the embeddings",
    "effective_rank": "Effective rank",
    "alignment": "Alignment",
    "uniformity": "Uniformity",
    "caption_accuracy": "Photos held out that find their caption",
    "nearest": "Nearest photo of the same person",
}
SHARES = ("nearest", "caption_accuracy")
Lines = Sequence[Mapping[str, Any]]


def write_run_report(
    path: Path, title: str, facts: Mapping[str, str], metrics: Lines, configuration: str
) -> None:
    """Write the page, and each chart beside it as ``NAME.svg``.

    Args:
        path: of the page.
        title: heading of the page.
        facts: values to list, by name.
        metrics: the lines of ``metrics.jsonl``.
        configuration: the run's, as TOML.

    Raises:
        OutputError: it cannot be written.
    """
    charts = run_charts(metrics)
    for name, chart in charts.items():
        atomic_write(path.with_name(f"{name}.svg"), chart.svg().encode())
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items()
    )
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n<table>{rows}</table>\n"
        f'<h2>Curves</h2>\n<div class="plots">{"".join(one.svg() for one in charts.values())}</div>'
        f"\n<h2>Configuration</h2>\n<pre>{escape(configuration)}</pre></body></html>\n"
    )
    atomic_write(path, page.encode())


def run_charts(metrics: Lines) -> dict[str, Chart]:
    """Charts of loss and accuracy by the names of their files, as far as there are values."""
    charts = {}
    losses = points(metrics, "loss")
    if losses:
        charts["loss"] = curve("Loss", losses, COLOURS[0], dots=False)
    accuracies = points(metrics, "accuracy")
    if accuracies:
        charts["accuracy"] = curve(
            "Validation accuracy", accuracies, COLOURS[1], dots=True, share=True
        )
    for name, title in SIGNS.items():
        if values := points([line for line in metrics if "loss" not in line], name):
            share = name in SHARES
            charts[name] = curve(title, values, COLOURS[2], dots=True, share=share)
    return charts


def points(metrics: Lines, name: str) -> list[Point]:
    """(Step, value) of each line that has a name."""
    return [(line["step"], line[name]) for line in metrics if line.get(name) is not None]


def curve(
    title: str, values: Sequence[Point], colour: str, *, dots: bool, share: bool = False
) -> Chart:
    """Chart of one line over the steps.

    Args:
        title: of the chart.
        values: (step, value), at least one.
        colour: of the line.
        dots: whether each value is marked: validations, few and far apart.
        share: whether the values are shares, at most 1, in percent.
    """
    heights = [height for _, height in values]
    low, high = min(heights), max(heights)
    room = max((high - low) * 0.05, 1e-6)
    axis = Axis(
        title,
        low - room if low < 0 else max(low - room, 0.0),
        min(high + room, 1.0) if share and high < 1 else high + room,
        percent=share,
    )
    chart = Chart(title, Axis("step", 0, max(step for step, _ in values)), axis, legend="top right")
    chart.line(list(values), colour, "")
    if dots:
        chart.dots(values, colour)
    return chart
