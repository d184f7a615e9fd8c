"""``faceverify gallery cluster``: photos grouped by person."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.choices import ClusteringMethod
from faceverify.cli.console import Console
from faceverify.cli.gallery_options import ComparisonRate, Threshold
from faceverify.cli.options import (
    Json,
    Model,
    Quiet,
    Workers,
    face_options,
)
from faceverify.cli.photo_inputs import Photos, Tally, attempt
from faceverify.faces.options import FaceOptions
from faceverify.images.inputs import find_inputs

if TYPE_CHECKING:
    from faceverify.embeddings.extractor import FaceEmbedding


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
        ClusteringMethod, typer.Option("--method", help="How faces are grouped.")
    ] = ClusteringMethod.AGGLOMERATIVE,
    fmr: ComparisonRate = 1e-4,
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

    from faceverify.embeddings.extractor import FaceEmbedder
    from faceverify.gallery.cluster import cluster_faces
    from faceverify.runtime.folders import check_apart
    from faceverify.runtime.parallel import map_ordered

    console = Console(json, quiet)
    if into is not None:
        check_apart(into, photos, "--into")
    extractor = FaceEmbedder.load(model, faces)
    limit = extractor.model.operating_point(fmr, threshold).threshold
    tally = Tally()
    found: list[tuple[str, int, FaceEmbedding]] = []  # photo, number of the face in it
    extract = attempt(lambda photo: extractor.extract(photo.name))
    outcomes = map_ordered(extract, find_inputs(photos, passed=tally.pass_over), workers=workers)
    for outcome in console.progress(outcomes, "photos"):
        if outcome.result is not None:
            tally.done += 1
            found += [(outcome.photo.name, i, one) for i, one in enumerate(outcome.result)]
        elif outcome.error is not None:
            tally.refuse(outcome.error)
            console.message(str(outcome.error))
    size = extractor.model.contract.embedding_size
    rows = [face.embedding for _, _, face in found]
    groups = cluster_faces(np.array(rows, np.float32).reshape(-1, size), limit, method=method)
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
