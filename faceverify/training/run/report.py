"""The report of a training run: its figures, the curves of loss and accuracy, its configuration.

One HTML page that asks nobody for anything, and the charts as files of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from faceverify.evaluation.report.page import POLICY, STYLE
from faceverify.evaluation.report.svg import COLOURS, Axis, Chart, Point
from faceverify.runtime.files import atomic_write

Lines = Sequence[Mapping[str, Any]]


def write_run_report(
    path: Path, title: str, facts: Mapping[str, str], metrics: Lines, configuration: str
) -> None:
    """Write the page, and each chart beside it as ``NAME.svg``.

    Args:
        path: of the page.
        title: what the run is called.
        facts: what to know of it, by name.
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
    """The charts of a run, by the names of their files; none of what was never measured."""
    charts = {}
    losses = points(metrics, "loss")
    if losses:
        charts["loss"] = curve("Loss", losses, COLOURS[0], dots=False)
    accuracies = points(metrics, "accuracy")
    if accuracies:
        charts["accuracy"] = curve("Validation accuracy", accuracies, COLOURS[1], dots=True)
    return charts


def points(metrics: Lines, name: str) -> list[Point]:
    """The values of a name over the steps."""
    return [(line["step"], line[name]) for line in metrics if line.get(name) is not None]


def curve(title: str, values: Sequence[Point], colour: str, *, dots: bool) -> Chart:
    """One line over the steps."""
    heights = [height for _, height in values]
    low, high = min(heights), max(heights)
    room = max((high - low) * 0.05, 1e-6)
    share = dots  # of pairs: no more than all
    axis = Axis(
        title,
        max(low - room, 0.0),
        min(high + room, 1.0) if share and high < 1 else high + room,
        percent=share,
    )
    chart = Chart(title, Axis("step", 0, max(step for step, _ in values)), axis, legend="top right")
    chart.line(list(values), colour, "")
    if dots:
        chart.dots(values, colour)
    return chart
