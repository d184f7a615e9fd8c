"""``faceverify calibrate``: thresholds of a model for target false match rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.evaluation_options import DEFAULT_PATTERN, Kind, NoCache, Pattern, Replicates
from faceverify.cli.options import (
    Json,
    Model,
    Quiet,
    Verbose,
    Workers,
    face_options,
)
from faceverify.errors import ModelError, UsageError
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
        str | None,
        typer.Option(
            "--fmr",
            help="False match rates, separated by commas.  [default: those of 1e-2, 1e-3, 1e-4 and "
            "1e-5 that the data support]",
            show_default=False,
        ),
    ] = None,
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
            help="Extrapolate to rates below what the data support (peaks over threshold).",
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

    Each threshold is saved with the 95 % interval of its FMR and the numbers of comparisons.
    A rate that allows fewer than 10 false matches on your data is refused; one that the model
    keeps at no threshold is named and left out (if none is left: exit status 2, nothing saved).

    **Examples:**

    `faceverify calibrate --images people/ --fmr 1e-2,1e-3`

    `faceverify calibrate --images lfw --pairs pairs.txt --fmr 1e-2 --save mine.onnx`
    """
    console = Console(json, quiet, verbose)
    targets = None if fmr is None else rates(fmr)
    from faceverify.embeddings.cache import EmbeddingCache, cache_folder
    from faceverify.embeddings.source import model_source
    from faceverify.evaluation.benchmark import read_benchmark
    from faceverify.evaluation.calibration.calibrate import calibrate_model, output_path

    with EmbeddingCache(None if no_cache else cache_folder(), console.message) as cache:
        source = model_source(model, faces, cache, workers=workers, progress=console.progress)
        assert source.model is not None
        path = None if dry_run else output_path(model, source.model, save)
        benchmark = read_benchmark(
            images if pairs is None else pairs,
            images=images,
            pattern=pattern,
            kind=kind,
            protocol="all" if pairs is None else "10fold",
        )
        found = calibrate_model(
            source, benchmark, targets, extrapolate=extrapolate, replicates=replicates
        )
    if not found.model.thresholds:
        raise no_threshold(found)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        found.model.save(path)
    show(found, path, console)


def rates(text: str) -> list[float]:
    """False match rates from text such as ``1e-3,1e-4``; UsageError for anything else."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < rate < 1 for rate in found):
        raise UsageError(f"--fmr {text!r}: expected rates between 0 and 1, such as 1e-3,1e-4")
    return found


def no_threshold(found: Calibration) -> ModelError:
    """The error of a model that can run at none of the rates; the largest of them says why."""
    largest, *others = found.unreachable
    nor = f", nor at {', '.join(f'{one.fmr:g}' for one in others)}" if others else ""
    return ModelError(
        "; ".join([f"{found.model.name}: {largest}{nor}", *found.notes]),
        cure="check photos and model",
        code="model-fmr-unreachable",
    )


def show(found: Calibration, path: Path | None, console: Console) -> None:
    """Print thresholds, calibrated probability, and the path of the model file."""
    from dataclasses import asdict

    from faceverify.cli.evaluation_table import show_sections
    from faceverify.evaluation.metrics.wilson import Interval
    from faceverify.evaluation.results import Estimate, Section, format_value

    if console.as_json:
        value = {
            "model": found.model.provenance.name,
            "model_id": found.model.id,
            "saved": None if path is None else str(path),
            "thresholds": [asdict(threshold) for threshold in found.model.thresholds],
            "unreachable": [asdict(one) for one in found.unreachable],
            found.probability.key: found.probability.as_dict(),
            "notes": list(found.notes),
        }
        console.result(value, "")
        return
    estimates = tuple(
        Estimate(
            f"{one.fmr:g}",
            f"FMR {one.fmr:g}",
            one.distance,
            "distance",
            detail=f"FNMR {format_value(one.fnmr, 'rate')}; FMR within "
            f"{Estimate('', '', one.fmr, interval=Interval(*one.interval)).interval_text}"
            + ("; extrapolated" if "extrapolated" in one.dataset else ""),
        )
        for one in found.model.thresholds
    )
    sections: list[Section] = [
        Section("thresholds", "Thresholds (largest distance that matches)", estimates),
        found.probability,
    ]
    origin = found.model.thresholds[0].dataset.split("; extrapolated")[0]
    title = f"{found.model.provenance.name} ({found.model.id}) on {origin}"
    left_out = [f"{one}; it has no threshold" for one in found.unreachable]
    show_sections(title, sections, [*left_out, *found.notes])
    if path is not None:
        console.message(f"saved: {path}")
