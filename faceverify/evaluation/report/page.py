"""The report as one self-contained HTML page.

Its content security policy forbids every request; pictures are ``data:`` URIs, plots inline SVG.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from faceverify.evaluation.results import Evaluation, Section

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 1180px;
  margin: 2em auto; padding: 0 1em; background: white }
h1 { font-size: 1.5em; margin-bottom: 0 } h2 { font-size: 1.2em; margin-top: 2em }
.about, .detail { color: #555 } .plots { display: flex; flex-wrap: wrap; gap: 12px }
svg { max-width: 100%; height: auto; border: 1px solid #ddd; border-radius: 4px }
table { border-collapse: collapse } td, th { padding: 2px 14px 2px 0; text-align: left }
th { padding-top: .9em; border-bottom: 1px solid #ccc }
td.value, td.interval { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.note { background: #fff6dd; padding: .2em .6em; margin: .2em 0 }
.pairs { display: flex; flex-wrap: wrap; gap: 14px }
figure { margin: 0; padding: 8px; border: 1px solid #ddd; border-radius: 4px; width: 290px }
figure.error { border-color: #d55e00 } figcaption { font-size: 12px; overflow-wrap: anywhere }
figure img, .blank { width: 132px; height: 132px; object-fit: contain; background: #f2f2f2;
  display: inline-block; vertical-align: top; margin-right: 4px; font-size: 11px; color: #777 }
"""


class Plot(Protocol):
    """A picture of the report."""

    def svg(self) -> str:
        """It as an SVG element."""


@dataclass(frozen=True)
class ShownPair:
    """A pair of photos in the report.

    Args:
        names: of the photos in the list.
        pictures: ``data:`` URIs; None for a photo that cannot be shown.
        distance: ``inf`` where a photo has no embedding.
        error: whether it is an error at the threshold; None without a threshold.
    """

    names: tuple[str, str]
    pictures: tuple[str | None, str | None]
    distance: float
    error: bool | None


@dataclass(frozen=True, eq=False)
class ShownModel:
    """One model in the report.

    Args:
        evaluation: of the model.
        plots: of this model alone.
        false_matches: the worst false matches.
        false_non_matches: the worst false non-matches.
    """

    evaluation: Evaluation
    plots: Sequence[Plot]
    false_matches: Sequence[ShownPair]
    false_non_matches: Sequence[ShownPair]


def page(
    models: Sequence[ShownModel], plots: Sequence[Plot], differences: Sequence[Section]
) -> str:
    """The HTML text of the report.

    Args:
        models: at least one; the first is the base of the comparisons.
        plots: of all models together.
        differences: of the other models from the first.
    """
    first = models[0].evaluation
    names = ", ".join(one.evaluation.model for one in models)
    title = f"{names} on {first.source}"
    body = [f"<h1>{escape(names)}</h1>", f'<p class="about">on {escape(first.source)}, ']
    body += [f"protocol {escape(first.protocol)}</p>", _plots(plots)]
    for section in differences:
        body += ["<h2>Is one better? Paired over people</h2>", _table([section])]
    for one in models:
        found = one.evaluation
        body.append(f"<h2>{escape(found.model)} <small>({escape(found.model_id)})</small></h2>")
        body += [f'<p class="note">{escape(note)}</p>' for note in found.notes]
        body += [_table(found.sections), _plots(one.plots)]
        body.append(_pairs("Worst false matches: different people, nearest", one.false_matches))
        body.append(_pairs("Worst false non-matches: one person, farthest", one.false_non_matches))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>{''.join(body)}</body></html>\n"
    )


def _plots(plots: Sequence[Plot]) -> str:
    return f'<div class="plots">{"".join(plot.svg() for plot in plots)}</div>' if plots else ""


def _table(sections: Sequence[Section]) -> str:
    rows = []
    for section in sections:
        rows.append(f'<tr><th colspan="4">{escape(section.title)}</th></tr>')
        for estimate in section.estimates:
            mark = " w" if estimate.method == "wilson" and estimate.interval_text else ""
            rows.append(
                f"<tr><td>{escape(estimate.name)}</td>"
                f'<td class="value">{escape(estimate.text)}</td>'
                f'<td class="interval">{escape(estimate.interval_text)}{mark}</td>'
                f'<td class="detail">{escape(estimate.detail)}</td></tr>'
            )
    legend = "95 % intervals by bootstrap over people; w: Wilson's, per comparison."
    return f'<table>{"".join(rows)}</table><p class="about">{legend}</p>'


def _pairs(title: str, pairs: Sequence[ShownPair]) -> str:
    if not pairs:
        return ""
    shown = []
    for pair in pairs:
        pictures = "".join(
            f'<img src="{uri}" alt="{escape(name)}">'
            if uri
            else '<span class="blank">no picture</span>'
            for uri, name in zip(pair.pictures, pair.names, strict=True)
        )
        distance = "no face found" if math.isinf(pair.distance) else f"distance {pair.distance:.4f}"
        verdict = {True: ", an error", False: ", still right", None: ""}[pair.error]
        kind = ' class="error"' if pair.error else ""
        shown.append(
            f"<figure{kind}>{pictures}<figcaption><b>{distance}</b>{verdict}<br>"
            f"{escape(pair.names[0])}<br>{escape(pair.names[1])}</figcaption></figure>"
        )
    return f'<h3>{escape(title)}</h3><div class="pairs">{"".join(shown)}</div>'
