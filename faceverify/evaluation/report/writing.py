"""Files of a report: the HTML page, the estimates as JSON, the plots as SVG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faceverify.errors import OutputError
from faceverify.evaluation.report.heat_map import HeatMap
from faceverify.evaluation.report.page import Plot, ShownModel, ShownPair, page
from faceverify.evaluation.report.plots import (
    Series,
    det_chart,
    discard_chart,
    histogram_chart,
    movement_chart,
    reliability_chart,
    roc_chart,
)
from faceverify.evaluation.report.thumbnails import thumbnail
from faceverify.evaluation.results import Evaluation, Section
from faceverify.runtime.files import atomic_write

if TYPE_CHECKING:
    from faceverify.evaluation.protocols.protocol import Measurement
    from faceverify.evaluation.protocols.worst import WorstPair
    from faceverify.evaluation.report.svg import Chart

PAGE, FIGURES = "report.html", "figures.json"


def write_report(
    folder: Path,
    models: Sequence[Measurement],
    photos: Sequence[Path | bytes],
    names: Sequence[str],
    differences: Sequence[Section] = (),
) -> list[Path]:
    """Write the report, each file atomically.

    Args:
        folder: created if missing.
        models: at least one.
        photos: of the benchmark, indexed by the worst errors.
        names: of the photos in the list.
        differences: of the other models from the first.

    Returns:
        Paths of the files, the page first.

    Raises:
        OutputError: the folder cannot be written to.
    """
    plots = _common_plots([one.evaluation for one in models])
    shown = [_shown(one, photos, names) for one in models]
    document = {
        "evaluations": [one.evaluation.as_dict() for one in models],
        "differences": [section.as_dict() for section in differences],
    }
    files = {FIGURES: json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"}
    files |= {f"{name}.svg": chart.svg() for name, chart in plots.items()}
    if (layers := models[0].evaluation.layers) is not None:
        files["cka.svg"] = HeatMap(layers).svg()
    files[PAGE] = page(shown, list(plots.values()), differences)  # last: exists only if all do
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made ({error.strerror})", cure="name another folder"
        ) from error
    for name, text in files.items():
        atomic_write(folder / name, text.encode())
    return [folder / name for name in reversed(files)]


def _common_plots(evaluations: Sequence[Evaluation]) -> dict[str, Chart]:
    series = [
        Series(one.model, one.counts, one.band)
        for one in evaluations
        if one.counts is not None and one.counts.genuines and one.counts.impostors
    ]
    return {"roc": roc_chart(series), "det": det_chart(series)} if series else {}


def _shown(one: Measurement, photos: Sequence[Path | bytes], names: Sequence[str]) -> ShownModel:
    found, plots = one.evaluation, list[Plot]()
    threshold = _threshold(found)
    if found.counts is not None:
        plots.append(histogram_chart(found.counts, threshold, found.model, found.distance))
    if found.reliability is not None:
        plots.append(reliability_chart(found.reliability))
    if found.discards:
        plots.append(discard_chart("FMR", [(kind, fmr) for kind, fmr, _ in found.discards]))
        plots.append(discard_chart("FNMR", [(kind, fnmr) for kind, _, fnmr in found.discards]))

    if found.movements:
        plots.append(movement_chart(found.movements))
    if found.layers is not None:
        plots.append(HeatMap(found.layers))

    def pair(worst: WorstPair, *, genuine: bool) -> ShownPair:
        ends = worst.first, worst.second
        error = None if threshold is None else (worst.distance <= threshold) != genuine
        return ShownPair(
            (names[ends[0]], names[ends[1]]),
            (thumbnail(photos[ends[0]]), thumbnail(photos[ends[1]])),
            worst.distance,
            error,
        )

    if one.worst is None:
        return ShownModel(found, plots, (), ())
    return ShownModel(
        found,
        plots,
        [pair(worst, genuine=False) for worst in one.worst.false_matches],
        [pair(worst, genuine=True) for worst in one.worst.false_non_matches],
    )


def _threshold(found: Evaluation) -> float | None:
    """The operating point of the evaluation, or else the threshold of the EER."""
    if found.threshold is not None:
        return found.threshold
    equal = found.estimate("eer")
    return equal.extra.get("threshold") if equal is not None else None
