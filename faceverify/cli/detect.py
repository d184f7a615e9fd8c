"""``faceverify detect``: the faces of photos, as data and as drawings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
from faceverify.cli.photo_inputs import Outcome, Photos, Tally, attempt
from faceverify.faces.options import FaceOptions
from faceverify.images.inputs import PhotoInput, find_inputs

if TYPE_CHECKING:
    from faceverify.cli.drawings import Drawings
    from faceverify.faces.finder import FaceFinder, FoundFace


@dataclass(frozen=True)
class Finding:
    """The faces of a photo, and the file with the drawing of them."""

    faces: list[FoundFace]
    drawing: Path | None


@face_options("face", "min_face", "min_quality")
def detect(
    photos: Photos,
    faces: FaceOptions = FaceOptions(face=FaceChoice.ALL),
    draw: Annotated[
        Path | None,
        typer.Option(
            "--draw",
            metavar="FOLDER",
            help="Write each photo there, with its faces drawn.",
            show_default=False,
        ),
    ] = None,
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find the faces of photos: boxes, points, scores and quality.

    Prints one line for each face, or with --json one object for each photo: photo, faces (each with
    box, points, turned, score, quality and what was measured), drawing, error. Pixels count from
    the top left corner of the upright photo; the points are left eye, right eye, nose, left and
    right mouth corner, as seen in the upright face. turned tells by how many degrees, 0, 90, 180 or
    270, the photo has to be turned anticlockwise for the face to be upright.

    --draw writes JPEG for JPEG and PNG for all else, in the photos' own sub-folders. It never
    overwrites a file.

    **Exit status:** 0 every photo shows a face, 2 wrong usage, a photo that cannot be read or a
    drawing that cannot be written, 3 a photo without a face, or none of the wanted quality.

    **Examples:**

    `faceverify detect party.jpg`

    `faceverify detect --json photos/ | jq -c '[.photo, (.faces | length)]'`

    `faceverify detect photos/ --draw drawn/ --min-face 24`
    """
    console = Console(json, quiet, verbose)
    from faceverify.cli.drawings import Drawings
    from faceverify.faces.detection import Detector
    from faceverify.faces.finder import FaceFinder
    from faceverify.models.registry import bundled_folder
    from faceverify.runtime.parallel import map_ordered

    drawings = None if draw is None else Drawings(draw, photos)
    finder = FaceFinder(Detector(bundled_folder()), faces)
    tally = Tally()
    inputs = find_inputs(photos, passed=tally.pass_over)
    findings = map_ordered(
        attempt(lambda photo: find(photo, finder, drawings)),
        inputs if drawings is None else drawings.placed(inputs),
        workers=workers,
    )
    for outcome in console.progress(findings, "photos"):
        show(outcome, console)
        if outcome.error is None:
            tally.done += 1
        else:
            tally.refuse(outcome.error)
            console.message(str(outcome.error))
    console.detail(str(tally))
    raise typer.Exit(tally.exit_status)


def find(photo: PhotoInput, finder: FaceFinder, drawings: Drawings | None) -> Finding:
    """Find a photo's faces and draw them; errors are the finder's, or of writing."""
    faces = finder.find(photo.name)
    return Finding(faces, None if drawings is None else drawings.write(photo, faces))


def show(outcome: Outcome[Finding], console: Console) -> None:
    """Print a photo's object, or one line for each of its faces."""
    name, finding = outcome.photo.name, outcome.result
    if console.as_json:
        drawing = finding.drawing if finding else None
        value = {
            "photo": name,
            "faces": [as_dict(face) for face in finding.faces] if finding else [],
            "drawing": None if drawing is None else str(drawing),
            "error": None if outcome.error is None else outcome.error.as_dict(),
        }
        console.result(value, "")
    elif finding:
        for line in lines(name, finding.faces):
            console.result({}, line)


def as_dict(found: FoundFace) -> dict[str, Any]:
    """Plain values of a face, for JSON."""
    measured = found.quality.as_dict()
    return {
        "box": [round(edge, 2) for edge in found.face.box],
        "points": [[round(x, 2), round(y, 2)] for x, y in found.face.points.tolist()],
        "turned": found.face.turned,
        "score": round(found.face.score, 4),
        "quality": measured.pop("score"),
        "measured": measured,
    }


def lines(name: str, faces: list[FoundFace]) -> Iterator[str]:
    """Yield one line a face, for people."""
    for index, found in enumerate(faces, start=1):
        left, top, right, bottom = (round(edge) for edge in found.face.box)
        turned = (
            f"in the photo turned by {found.face.turned} degrees, " if found.face.turned else ""
        )
        yield (
            f"{name}: face {index} of {len(faces)}, {right - left} x {bottom - top} at "
            f"({left}, {top}), {turned}score {found.face.score:.3f}, "
            f"quality {found.quality.score:.2f}"
        )
