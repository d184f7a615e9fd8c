"""``faceverify data check``: what is wrong with a training set?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Model, Quiet, Workers
from faceverify.errors import UsageError

if TYPE_CHECKING:
    from faceverify.training.check.faces import Evaluated
    from faceverify.training.check.problems import Problem
    from faceverify.training.data.sets.face_set import FaceSet

PROBLEMS_FOUND = 1


def check(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A training set.", show_default=False)
    ],
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against",
            metavar="LIST",
            help="An evaluation: pair list, .bin pack or folder of people. May be repeated.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="ROOT",
            help="Where the photos of the pair lists lie; by default beside each.",
            show_default=False,
        ),
    ] = None,
    embed: Annotated[
        bool,
        typer.Option(
            "--embed",
            help="Embed every image too: finds who is also in an evaluation, whatever their name, "
            "people under two names, and images under the wrong one.",
        ),
    ] = False,
    alignment: Annotated[
        str,
        typer.Option(
            "--alignment",
            "--template",
            help="How the crops were cut; none: they are photos.",
            metavar="NAME",
        ),
    ] = "arcface-112",
    sample: Annotated[
        int, typer.Option("--sample", help="Crops whose alignment is looked at; 0: none.", min=0)
    ] = 200,
    least_side: Annotated[
        int, typer.Option("--least-side", help="Pixels; smaller images are tiny.", min=1)
    ] = 64,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore", metavar="KIND", help="A kind of problem to pass over.", show_default=False
        ),
    ] = None,
    model: Model = "default",
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look for what is wrong with a training set.

    Images that are unreadable, tiny, of another shape, or there twice; people without images, or
    with one; faces that do not lie where --alignment has them; people whose names are in an
    evaluation (--against). With --embed, what only a look at the faces tells.

    One line for each problem; with --json an object: problem (its kind), where, other, text and the
    numbers it was judged by. Counts go to standard error.

    **Exit status:** 0 nothing found, 1 problems found, 2 wrong usage or unusable data.

    **Examples:**

    `faceverify data check people/ --against pairs.txt --images lfw/`

    `faceverify data check faces_emore/ --embed --json | jq -c '[.problem, .where]'`
    """
    console = Console(json, quiet)
    from faceverify.training.check.faces import read_evaluated
    from faceverify.training.check.problems import KINDS
    from faceverify.training.data.sets.open import open_face_set

    passed_over = set(ignore or [])
    if passed_over - KINDS.keys():
        raise UsageError(
            f"--ignore {sorted(passed_over - KINDS.keys())[0]}: no such kind",
            cure=f"kinds: {', '.join(KINDS)}",
        )
    evaluated = [read_evaluated(path, images) for path in against or []]
    face_set = open_face_set(source)
    for note in face_set.notes:
        console.message(note)
    found: Counter[str] = Counter()
    for problem in all_problems(
        face_set,
        evaluated,
        console,
        embed=embed,
        sample=sample,
        least_side=least_side,
        alignment=None if alignment == "none" else alignment,
        model=model,
        workers=workers,
    ):
        if problem.kind not in passed_over:
            found[problem.kind] += 1
            console.result(problem.as_dict(), str(problem))
    counts = ", ".join(f"{kind} {found[kind]:,}" for kind in KINDS if found[kind])
    about = f"{len(face_set):,} images of {len(face_set.identities):,} people"
    console.message(f"{about}: {counts or 'no problems'}")
    if found:
        raise typer.Exit(PROBLEMS_FOUND)


def all_problems(
    face_set: FaceSet,
    evaluated: list[Evaluated],
    console: Console,
    *,
    embed: bool,
    sample: int,
    least_side: int,
    alignment: str | None,
    model: str,
    workers: int | None,
) -> Iterator[Problem]:
    """Yield everything wrong with a set, what is quick to find first."""
    from faceverify.images.people import People, read_people
    from faceverify.training.check.files import (
        file_problems,
        name_problems,
        people_problems,
        read_facts,
    )
    from faceverify.training.check.problems import Problem

    people = read_people(Path(face_set.source)) if face_set.kind == "folders" else People()
    for foreign in people.foreign:
        yield Problem("unreadable", str(foreign.path), str(foreign.error))
    yield from people_problems(face_set, people.empty)
    for one in evaluated:
        if one.named:
            yield from name_problems(face_set, one.people, one.source)
    facts = read_facts(face_set, workers=workers, show_progress=console.progress)
    yield from file_problems(face_set, facts, least_side=least_side)
    readable = [index for index, fact in enumerate(facts) if not fact.error]
    from faceverify.training.check.faces import face_problems, misaligned

    if alignment is not None and sample:
        yield from misaligned(face_set, readable, alignment, sample, workers)
    if embed:
        yield from face_problems(
            face_set,
            readable,
            evaluated,
            alignment=alignment,
            model=model,
            workers=workers,
            say=console.message,
            show_progress=console.progress,
        )
