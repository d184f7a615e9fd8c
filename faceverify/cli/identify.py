"""``faceverify identify``: who of the enrolled people do photos show?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.choices import Fusion, SearchMethod
from faceverify.cli.console import Console
from faceverify.cli.gallery_options import (
    Audit,
    Fpir,
    Fusing,
    Gallery,
    KeyFile,
    Searching,
    Threshold,
    gallery_beside,
    open_audit,
)
from faceverify.cli.options import (
    Json,
    Model,
    Quiet,
    Verbose,
    Workers,
    face_options,
)
from faceverify.cli.photo_inputs import Photos, Tally
from faceverify.errors import DIFFERENT, SAME
from faceverify.faces.options import LEAST_QUALITY, FaceOptions
from faceverify.images.inputs import find_inputs

if TYPE_CHECKING:
    from faceverify.recognition.identify import Identification


@face_options()
def identify(
    photos: Photos,
    gallery: Gallery = None,
    key_file: KeyFile = None,
    top: Annotated[
        int, typer.Option("--top", metavar="K", help="How many people are named at most.", min=1)
    ] = 5,
    fpir: Fpir = 0.01,
    threshold: Threshold = None,
    fusion: Fusing = Fusion.MAX,
    search: Searching = SearchMethod.EXACT,
    audit: Audit = None,
    model: Model = "default",
    faces: FaceOptions = FaceOptions(min_quality=LEAST_QUALITY),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Tell who of the enrolled people photos show, or that it is nobody.

    Prints one line for each face (--face all: of every face): the nearest people, nearest first.
    Somebody is identified where the nearest is within the threshold. That follows the size of the
    gallery, so that at most --fpir of the people who are not enrolled are taken for one who is.

    **Exit status** of one photo: 0 somebody was identified, 1 nobody, 2 wrong usage or unusable
    input, 3 no decision (no face, several, too low a quality). Of several photos, a folder or a
    list: 0 when every photo was decided, else 2 or 3 as for the worst of them.

    **Examples:**

    `faceverify identify visitor.jpg`

    `faceverify identify party.jpg --face all --json | jq -r .identified`

    `find camera -name '*.jpg' | faceverify identify - --json > seen.jsonl`
    """
    console = Console(json, quiet, verbose)
    from faceverify.embeddings.extractor import FaceEmbedder
    from faceverify.recognition.identify import Identifier

    load = partial(FaceEmbedder.load, model, faces)
    tally = Tally()
    status = SAME
    with gallery_beside(load, gallery, key_file, search=search) as (extractor, store):
        identifier = Identifier(
            extractor,
            store,
            fpir=fpir,
            threshold=threshold,
            top=top,
            fusion=fusion,
            audit=open_audit(audit),
        )
        console.detail(f"model {extractor.model.provenance.name} ({extractor.model.id})")
        identified = identifier.answers(
            find_inputs(photos, passed=tally.pass_over), workers=workers
        )
        for photo, answers in console.progress(identified, "photos"):
            alone, error = photos == [photo.name], answers[0].error
            if error is None:
                tally.done += 1
            elif alone and not json:
                raise error
            else:
                tally.refuse(error)
                console.message(str(error))
            show(answers, console, alone=alone)
            if alone and error is None:
                found = any(one.identified is not None for one in answers)
                status = SAME if found else DIFFERENT
    raise typer.Exit(tally.exit_status or status)


def show(answers: list[Identification], console: Console, *, alone: bool) -> None:
    """Print one line a face; without the photo's name where there is one photo."""
    for number, one in enumerate(answers, start=1):
        if one.error is not None and not console.as_json:
            continue
        face = [f"face {number}"] if len(answers) > 1 else []
        where = [] if alone else [one.photo]
        console.result(one.as_dict(), ": ".join([*where, *face, str(one)]))
