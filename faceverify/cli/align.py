"""``faceverify align``: a tree of photos into the same tree of aligned crops."""

from __future__ import annotations

from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceverify.choices import FaceChoice
from faceverify.cli.console import Console
from faceverify.cli.options import (
    Json,
    Quiet,
    Verbose,
    Workers,
    face_options,
)
from faceverify.cli.photo_inputs import Outcome, Tally, attempt
from faceverify.errors import UsageError
from faceverify.faces.options import FaceOptions

if TYPE_CHECKING:
    from faceverify.faces.crop_tree import Crop


class CropFormat(str, Enum):
    """How crops are stored."""

    PNG = "png"
    JPG = "jpg"


@face_options("face", "min_face", "min_quality")
def align(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="A folder of photos.", show_default=False)
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="The folder of crops.", show_default=False)
    ],
    alignment: Annotated[
        str,
        typer.Option(
            "--alignment",
            "--template",
            "-t",
            help="arcface-112, dlib-150 or facenet-160.",
            metavar="NAME",
        ),
    ] = "arcface-112",
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            help="Side of the crops in pixels, when not the alignment's own.",
            min=16,
            max=4096,
            show_default=False,
        ),
    ] = None,
    format: Annotated[  # noqa: A002  the option's name
        CropFormat, typer.Option("--format", help="PNG keeps every bit; JPEG is a tenth of it.")
    ] = CropFormat.PNG,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write a JSON line for each photo there: its crop, or why it was refused.",
            show_default=False,
        ),
    ] = None,
    faces: FaceOptions = FaceOptions(),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Cut the faces of a tree of photos out, aligned, into the same tree of crops.

    A run that was cut short goes on where it stopped: crops that are there stay, as long as their
    photos are those that they were cut from. Photos that are refused are tried again. With --json,
    one object for each photo: photo, crop, quality, skipped, error.

    **Exit status:** 0 every photo has its crop, 2 wrong usage, a photo that cannot be read or a
    crop that cannot be written, 3 a photo without a face, with several (--face only) or with too
    low a quality.

    **Examples:**

    `faceverify align photos/ crops/`

    `faceverify align lfw/ lfw-160/ --alignment facenet-160 --format jpg --report refused.jsonl`

    `faceverify align photos/ crops/ --json | jq -r 'select(.error) | .photo'`
    """
    if faces.face is FaceChoice.ALL:
        raise UsageError("--face all: a photo has one crop", cure="choose which face it shows")
    if not source.is_dir():
        raise UsageError(f"{source}: not a folder", cure="name a folder of photos")
    console = Console(json, quiet, verbose)
    from faceverify.faces.crop_tree import open_tree
    from faceverify.faces.detection import Detector
    from faceverify.faces.finder import FaceFinder
    from faceverify.models.registry import bundled_folder
    from faceverify.runtime.files import atomic_writer
    from faceverify.runtime.json_lines import json_line
    from faceverify.runtime.parallel import map_ordered

    finder = FaceFinder(Detector(bundled_folder()), faces)
    tree = open_tree(
        finder, source, destination, alignment=alignment, side=size, suffix=f".{format.value}"
    )
    tally = Tally()
    with ExitStack() as stack:
        stream = None if report is None else stack.enter_context(atomic_writer(report))
        outcomes = map_ordered(
            attempt(tree.cut), tree.placed(passed=tally.pass_over), workers=workers
        )
        for outcome in console.progress(outcomes, "photos"):
            value = as_dict(outcome)
            if json:
                console.result(value, "")
            if stream is not None:
                stream.write(json_line(value).encode() + b"\n")
            if outcome.error is not None:
                tally.refuse(outcome.error)
                console.message(str(outcome.error))
            elif outcome.result is not None and outcome.result.quality is None:
                tally.skipped += 1
            else:
                tally.done += 1
    console.message(f"{tally}; in {destination}")
    raise typer.Exit(tally.exit_status)


def as_dict(outcome: Outcome[Crop]) -> dict[str, Any]:
    """Plain values of what became of a photo, for JSON."""
    crop = outcome.result
    return {
        "photo": outcome.photo.name,
        "crop": None if crop is None else str(crop.path),
        "quality": None if crop is None or crop.quality is None else round(crop.quality, 4),
        "skipped": crop is not None and crop.quality is None,
        "error": None if outcome.error is None else outcome.error.as_dict(),
    }
