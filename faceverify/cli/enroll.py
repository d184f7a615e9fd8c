"""``faceverify enroll``: photos of named people into a gallery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.choices import Engine, FaceChoice
from faceverify.cli.console import Console
from faceverify.cli.gallery_options import (
    Audit,
    Gallery,
    KeyFile,
    Threshold,
    gallery_beside,
    open_audit,
)
from faceverify.cli.options import (
    Engines,
    Json,
    Model,
    Quiet,
    Verbose,
    Workers,
    face_options,
)
from faceverify.cli.photo_inputs import Tally
from faceverify.errors import ImageError, UsageError
from faceverify.faces.options import LEAST_ENROLLED, FaceOptions
from faceverify.images.inputs import STANDARD_INPUT, find_inputs, not_shared

if TYPE_CHECKING:
    from faceverify.recognition.enroll import Enrolled, NamedPhoto

# Of LFW's 9,056 photos 31 are below, mostly profiles. Where a photo of a genuine pair is under 0.2,
# 26 % of the pairs miss the threshold for a false match rate of 1e-3; of all pairs, 5 %.


@face_options()
def enroll(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Whom the photos show.", show_default=False),
    ] = None,
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTOS",
            help="Photos, folders of photos, or -: a photo, or a list of paths, on stdin.",
            show_default=False,
        ),
    ] = None,
    tree: Annotated[
        Path | None,
        typer.Option(
            "--tree",
            metavar="FOLDER",
            help="Enroll many: FOLDER holds a folder for each person.",
            show_default=False,
        ),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Enroll many: a name and a photo a line, comma- or tab-separated, or JSON; "
            "- is stdin.",
            show_default=False,
        ),
    ] = None,
    gallery: Gallery = None,
    key_file: KeyFile = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Enroll faces that are like another person's, or unlike the person's own, too.",
            show_default=False,
        ),
    ] = False,
    fpir: Annotated[
        float,
        typer.Option(
            "--fpir", help="Share of new people that may be taken for another.", min=0, max=1
        ),
    ] = 0.01,
    threshold: Threshold = None,
    audit: Audit = None,
    model: Model = "default",
    faces: FaceOptions = FaceOptions(face=FaceChoice.ONLY, min_quality=LEAST_ENROLLED),
    workers: Workers = None,
    engine: Engines = Engine.THREADS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Enroll people: put templates of their photos into a gallery, which the first one creates.

    A person may have any number of photos. What is reported as enrolled is on the disk, and a run
    that was cut short is simply started again: photos that are there already are passed over.

    Refused are photos without a face, with several (--face only), of low quality; photos that
    match another enrolled person (a duplicate, or somebody under a false name); and photos unlike
    all that the person is enrolled with. --force enrolls the last two kinds, too.

    **Exit status:** 0 everybody is enrolled, 2 wrong usage or unusable input, 3 photos were
    refused.

    --engine processes or ray (RAY_ADDRESS names the cluster) makes the templates elsewhere; they
    come back to this command, which alone writes into the gallery.

    **Examples:**

    `faceverify enroll alice alice-1.jpg alice-2.jpg`

    `faceverify enroll --tree people/ --face prominent`

    `faceverify enroll --csv staff.csv --gallery postgresql://db/faces --json > enrolled.jsonl`
    """
    given = (tree is not None) + (csv is not None) + (name is not None)
    if given != 1 or (name is not None) != bool(photos):
        raise UsageError(
            "give a NAME and PHOTOS, --tree FOLDER, or --csv FILE",
            cure="see faceverify enroll --help",
        )
    if faces.face is FaceChoice.ALL:
        raise UsageError(
            "--face all: a template is of one face", cure="give another --face, such as prominent"
        )
    if tree is not None and not tree.is_dir():
        raise ImageError(f"{tree}: no such folder", cure="check the path", code="image-missing")
    if tree is not None:
        from faceverify.images.people import require_people

        require_people(tree)  # before a gallery is made
    console = Console(json, quiet, verbose)
    from faceverify.embeddings.extractor import FaceEmbedder
    from faceverify.recognition.admission import Admission
    from faceverify.recognition.enroll import Enroller, enrollment_worker
    from faceverify.runtime.workers import map_on

    load = partial(FaceEmbedder.load, model, faces)
    tally = Tally()
    with gallery_beside(load, gallery, key_file, create=True) as (extractor, store):
        console.detail(f"model {extractor.model.provenance.name} ({extractor.model.id})")
        admission = None
        if not force:
            admission = Admission(store, extractor.model, fpir=fpir, threshold=threshold)
        enroller = Enroller(extractor, store, admission, audit=open_audit(audit))
        wanted = of_person(name or "", photos or [], tally)
        if tree is not None:
            wanted = of_tree(tree, tally)
        elif csv is not None:
            wanted = of_list(csv)
        spread = None
        if engine != Engine.THREADS:
            build = partial(enrollment_worker, load, model_id=extractor.model.id)
            spread = partial(map_on, engine, build, workers=workers)
            wanted = map(unshared, wanted)
        answers = enroller.enroll(wanted, workers=workers, spread=spread)
        for answer in console.progress(answers, "photos"):
            show(answer, console, tally)
        if tree is not None or csv is not None:
            console.message(str(tally))
        if admission is not None and (outgrown := admission.outgrown()):
            console.message(outgrown)
    raise typer.Exit(tally.exit_status)


def of_person(name: str, photos: list[str], tally: Tally) -> Iterator[NamedPhoto]:
    """Yield photos of one person."""
    from faceverify.recognition.enroll import NamedPhoto

    for photo in find_inputs(photos, passed=tally.pass_over):
        yield NamedPhoto(name, photo.name, photo.error)


def unshared(photo: NamedPhoto) -> NamedPhoto:
    """Refuse what a worker in another process cannot read."""
    return replace(photo, error=not_shared()) if photo.photo == STANDARD_INPUT else photo


def of_tree(folder: Path, tally: Tally) -> Iterator[NamedPhoto]:
    """Yield the photos of a folder of people; the first folder below it names the person."""
    from faceverify.images.people import find_people
    from faceverify.recognition.enroll import NamedPhoto

    for one in find_people(folder, passed=tally.pass_over):
        yield NamedPhoto(one.person, str(one.path), one.error)


def of_list(source: str) -> Iterator[NamedPhoto]:
    """Yield the photos of a list of names and photos."""
    from faceverify.evaluation.lists.pair_lines import PEOPLE, read_pair_lines
    from faceverify.recognition.enroll import NamedPhoto

    for line in read_pair_lines(source, PEOPLE):
        yield NamedPhoto(line.a, line.b, line.error)


def show(answer: Enrolled, console: Console, tally: Tally) -> None:
    """Print and count what came of a photo."""
    if answer.error is not None:
        tally.refuse(answer.error)
        console.message(str(answer.error))
    elif answer.already:
        tally.skipped += 1
    else:
        tally.done += 1
    if answer.error is None or console.as_json:
        console.result(answer.as_dict(), str(answer))
