"""``faceverify calibrate``: set a model's thresholds for wanted false match rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.evaluate import DEFAULT_PATTERN, Kind, NoCache, Pattern, Replicates
from faceverify.cli.options import (
    Json,
    Model,
    Quiet,
    Verbose,
    Workers,
    face_options,
)
from faceverify.errors import UsageError
from faceverify.faces.options import FaceOptions

if TYPE_CHECKING:
    from faceverify.evaluation.calibration.calibrate import Calibration
    from faceverify.evaluation.results import Section


@face_options()
def calibrate(
    images: Annotated[
        Path,
        typer.Option(
            "--images",
            metavar="FOLDER",
            help="A folder with a folder a person; with --pairs, where its photos lie.",
            show_default=False,
        ),
    ],
    fmr: Annotated[
        str, typer.Option("--fmr", help="False match rates, separated by commas.")
    ] = "1e-3,1e-4,1e-5",
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            metavar="LIST",
            help="Only the comparisons of this list, instead of all.",
            show_default=False,
        ),
    ] = None,
    pattern: Pattern = DEFAULT_PATTERN,
    kind: Kind = None,
    model: Model = "default",
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="PATH",
            help="The calibrated model file; by default NAME.onnx among your models.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Save nothing.", show_default=False)
    ] = False,
    extrapolate: Annotated[
        bool,
        typer.Option(
            "--extrapolate",
            help="Follow a fitted tail to rates that the data cannot count.",
            show_default=False,
        ),
    ] = False,
    replicates: Replicates = 1000,
    faces: FaceOptions = FaceOptions(),
    workers: Workers = None,
    no_cache: NoCache = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Set a model's thresholds from all genuine and impostor comparisons of your photos.

    Each threshold is saved with its FMR's 95 % interval and the numbers of comparisons behind it.
    A rate that allows fewer than 10 false matches on your data is refused.

    **Examples:**

    `faceverify calibrate --images people/ --fmr 1e-2,1e-3`

    `faceverify calibrate --images lfw --pairs pairs.txt --fmr 1e-2 --save mine.onnx`
    """
    console = Console(json, quiet, verbose)
    targets = rates(fmr)
    from faceverify.embeddings.cache import EmbeddingCache, cache_folder
    from faceverify.embeddings.source import model_source
    from faceverify.evaluation.benchmark import read_task
    from faceverify.evaluation.calibration.calibrate import calibrated, place_to_save

    with EmbeddingCache(None if no_cache else cache_folder(), console.message) as cache:
        source = model_source(model, faces, cache, workers=workers, progress=console.progress)
        assert source.model is not None
        path = None if dry_run else place_to_save(model, source.model, save)
        task = read_task(
            images if pairs is None else pairs,
            images=images,
            pattern=pattern,
            kind=kind,
            protocol="all" if pairs is None else "10fold",
        )
        found = calibrated(source, task, targets, extrapolate=extrapolate, replicates=replicates)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        found.model.save(path)
    show(found, path, console)


def rates(text: str) -> list[float]:
    """False match rates out of ``1e-3,1e-4``; UsageError for anything else."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < rate < 1 for rate in found):
        raise UsageError(f"--fmr {text!r}: expected rates between 0 and 1, such as 1e-3,1e-4")
    return found


def show(found: Calibration, path: Path | None, console: Console) -> None:
    """Print thresholds, probability, and where the model was saved."""
    from dataclasses import asdict

    from faceverify.cli.evaluation_table import show_sections
    from faceverify.evaluation.metrics.wilson import Interval
    from faceverify.evaluation.results import Figure, Section, written

    if console.as_json:
        value = {
            "model": found.model.provenance.name,
            "model_id": found.model.id,
            "saved": None if path is None else str(path),
            "thresholds": [asdict(threshold) for threshold in found.model.thresholds],
            found.probability.key: {
                figure.key: figure.as_dict() for figure in found.probability.figures
            },
            "notes": list(found.notes),
        }
        console.result(value, "")
        return
    figures = tuple(
        Figure(
            f"{one.fmr:g}",
            f"FMR {one.fmr:g}",
            one.distance,
            "distance",
            detail=f"FNMR {written(one.fnmr, 'rate')}; FMR within "
            f"{Figure('', '', one.fmr, interval=Interval(*one.interval)).interval_text}"
            + ("; extrapolated" if "extrapolated" in one.dataset else ""),
        )
        for one in found.model.thresholds
    )
    sections: list[Section] = [
        Section("thresholds", "Thresholds (largest distance that matches)", figures),
        found.probability,
    ]
    origin = found.model.thresholds[0].dataset.split("; extrapolated")[0]
    title = f"{found.model.provenance.name} ({found.model.id}) on {origin}"
    show_sections(title, sections, found.notes)
    if path is not None:
        console.message(f"saved: {path}")
