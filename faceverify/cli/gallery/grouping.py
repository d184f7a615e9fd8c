"""``faceverify gallery dedupe`` and ``cluster``: who is whom where nobody says."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.choices import GroupingMethod
from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, Threshold, open_gallery
from faceverify.cli.options import (
    Json,
    Model,
    Quiet,
    Workers,
    face_options,
)
from faceverify.cli.photo_inputs import Photos, Tally, attempt
from faceverify.errors import DIFFERENT, SAME
from faceverify.faces.options import FaceOptions
from faceverify.images.inputs import find_inputs

if TYPE_CHECKING:
    from faceverify.embeddings.extractor import Template

Fmr = Annotated[
    float,
    typer.Option("--fmr", help="False match rate of one comparison.", metavar="RATE"),
]


def dedupe(
    model: Model = "default",
    fmr: Fmr = 1e-5,
    threshold: Threshold = None,
    gallery: Gallery = None,
    key_file: KeyFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find people who are enrolled under two names: those whose templates match one another.

    A gallery of N people makes N (N - 1) / 2 comparisons, so look at small rates. Nothing is
    changed: `gallery remove` or `gallery rename` is yours to decide.

    **Exit status:** 0 nobody matches another, 1 some do, 2 wrong usage or an unusable gallery.

    **Example:** `faceverify gallery dedupe --json | jq -r '[.first, .second] | @tsv'`
    """
    from faceverify.gallery.cluster import find_doubles
    from faceverify.models.registry import load_model

    console = Console(json, quiet)
    file = load_model(model)
    limit = file.operating_point(fmr, threshold).threshold
    found = False
    with open_gallery(gallery, key_file) as store:
        for double in console.progress(find_doubles(store, file.id, limit), "doubles"):
            found = True
            text = f"{double.first}\t{double.second}\tdistance {double.distance:.4f}"
            console.result(asdict(double), text)
    raise typer.Exit(DIFFERENT if found else SAME)


@face_options()
def cluster(
    photos: Photos,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="FOLDER",
            help="Copy the photos into a folder for each person there, ready for enroll --tree.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        GroupingMethod, typer.Option("--method", help="How faces are grouped.")
    ] = GroupingMethod.AGGLOMERATIVE,
    fmr: Fmr = 1e-4,
    threshold: Threshold = None,
    model: Model = "default",
    faces: FaceOptions = FaceOptions(),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Group photos of unknown people by person; the largest group is person-0001.

    Prints a line for each face. Nobody is enrolled: look at the groups first.

    **Exit status:** 0 every photo was grouped, else 2 or 3, as `embed`.

    **Examples:**

    `faceverify gallery cluster photos/ --into people/ && faceverify enroll --tree people/`

    `faceverify gallery cluster party/ --face all --json | jq -s 'group_by(.person) | length'`
    """
    import numpy as np

    from faceverify.embeddings.extractor import TemplateExtractor
    from faceverify.gallery.cluster import group_faces
    from faceverify.runtime.folders import check_apart
    from faceverify.runtime.parallel import map_ordered

    console = Console(json, quiet)
    if into is not None:
        check_apart(into, photos, "--into")
    extractor = TemplateExtractor.load(model, faces)
    limit = extractor.model.operating_point(fmr, threshold).threshold
    tally = Tally()
    found: list[tuple[str, int, Template]] = []  # photo, number of the face in it
    extract = attempt(lambda photo: extractor.extract(photo.name))
    outcomes = map_ordered(extract, find_inputs(photos), workers=workers)
    for outcome in console.progress(outcomes, "photos"):
        if outcome.result is not None:
            tally.done += 1
            found += [(outcome.photo.name, i, one) for i, one in enumerate(outcome.result)]
        elif outcome.error is not None:
            tally.refuse(outcome.error)
            console.message(str(outcome.error))
    size = extractor.model.contract.embedding_size
    rows = [template.embedding for _, _, template in found]
    groups = group_faces(np.array(rows, np.float32).reshape(-1, size), limit, method=method)
    for (photo, number, _), group in zip(found, groups.tolist(), strict=True):
        person = f"person-{group + 1:04d}"
        if into is not None:
            copy_photo(photo, into / person)
        console.result({"photo": photo, "face": number, "person": person}, f"{person}\t{photo}")
    people = len(set(groups.tolist()))
    console.message(f"{tally}; {len(found):,} faces of {people:,} people")
    raise typer.Exit(tally.exit_status)


def copy_photo(photo: str, folder: Path) -> None:
    """Copy a photo into a person's folder, beside those of the same name from elsewhere."""
    from faceverify.runtime.files import atomic_writer
    from faceverify.runtime.folders import make_folder

    make_folder(folder)
    source = Path(photo)
    target, number = folder / source.name, 1
    while target.exists() and target.read_bytes() != source.read_bytes():
        number += 1
        target = folder / f"{source.stem}-{number}{source.suffix}"
    with source.open("rb") as content, atomic_writer(target) as stream:
        shutil.copyfileobj(content, stream)
