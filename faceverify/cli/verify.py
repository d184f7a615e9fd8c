"""``faceverify verify``: do two photos show the same person, or one an enrolled person?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.choices import Fusion
from faceverify.cli.console import Console
from faceverify.cli.gallery_options import (
    Audit,
    Fusing,
    Gallery,
    KeyFile,
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
from faceverify.errors import UNUSABLE, FaceverifyError, UsageError
from faceverify.faces.options import LEAST_QUALITY, FaceOptions

if TYPE_CHECKING:
    from faceverify.evaluation.lists.pair_lines import PairLine, Roles
    from faceverify.matching.decision import Decision
    from faceverify.recognition.verify import Verifier
    from faceverify.recognition.verify_claim import ClaimVerifier


@face_options()
def verify(
    photos: Annotated[
        list[str] | None,
        typer.Argument(metavar="A B", help="Two photos; - is standard input.", show_default=False),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            "--pairs",
            metavar="FILE",
            help="Verify many: a pair a line, with tabs, commas or spaces between, or JSON, or any "
            "list that evaluate takes; - is stdin.",
            show_default=False,
        ),
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(
            "--claim",
            metavar="NAME",
            help="Verify that one photo shows the person enrolled under this name.",
            show_default=False,
        ),
    ] = None,
    claims: Annotated[
        str | None,
        typer.Option(
            "--claims",
            metavar="FILE",
            help="Verify many claims: a photo and a name a line, as --pairs; - is stdin.",
            show_default=False,
        ),
    ] = None,
    gallery: Gallery = None,
    key_file: KeyFile = None,
    fusion: Fusing = Fusion.MAX,
    audit: Audit = None,
    model: Model = "default",
    fmr: Annotated[
        float, typer.Option("--fmr", help="The false match rate to run at.", min=0, max=1)
    ] = 1e-3,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            help="The largest distance that still matches, instead of --fmr.",
            min=0,
            max=2,
            show_default=False,
        ),
    ] = None,
    faces: FaceOptions = FaceOptions(min_quality=LEAST_QUALITY),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Tell whether two photos show the same person, or one photo the person of an enrolled name.

    A claim is decided at the same false match rate, however many templates the person has. The
    gallery's options, --fusion and --audit are for claims alone.

    **Exit status:** 0 the same person, 1 different people, 2 wrong usage or unusable input (or a
    name that nobody is enrolled under), 3 no decision (no face, several, too low a quality). With
    --pairs and --claims: 0 when every line was decided, else 2 or 3 as for the worst of them.

    **Examples:**

    `faceverify verify alice-1.jpg alice-2.jpg && echo welcome`

    `faceverify verify door.jpg --claim alice && echo welcome`

    `curl -s $URL | faceverify verify --json - enrolled.jpg | jq .distance`

    `faceverify verify --pairs pairs.tsv --json > decisions.jsonl`
    """
    check_what(photos, pairs, claim, claims)
    named = [*(photos or []), *([] if claim is None else [claim])]
    console = Console(json, quiet, verbose)
    if pairs is None and claims is None:
        from faceverify.runtime.malloc import use_huge_pages

        use_huge_pages()
    from faceverify.embeddings.extractor import FaceEmbedder

    load = partial(FaceEmbedder.load, model, faces)
    if claim is not None or claims is not None:
        from faceverify.evaluation.lists.pair_lines import CLAIMS
        from faceverify.recognition.verify_claim import ClaimVerifier

        with gallery_beside(load, gallery, key_file) as (extractor, store):
            claimant = ClaimVerifier(
                extractor,
                store,
                fmr=fmr,
                threshold=threshold,
                fusion=fusion,
                audit=open_audit(audit),
            )
            console.detail(f"model {claimant.point.model} ({claimant.point.model_id})")
            if claims is None:
                raise typer.Exit(decide_one(claimant, named, console))
            raise typer.Exit(decide_many(claimant, claims, CLAIMS, workers, console))
    from faceverify.evaluation.lists.pair_cells import PHOTOS
    from faceverify.recognition.verify import Verifier

    verifier = Verifier(load(), fmr=fmr, threshold=threshold)
    console.detail(f"model {verifier.point.model} ({verifier.point.model_id})")
    if pairs is not None:
        raise typer.Exit(decide_many(verifier, pairs, PHOTOS, workers, console))
    raise typer.Exit(decide_one(verifier, named, console))


def check_what(
    photos: list[str] | None, pairs: str | None, claim: str | None, claims: str | None
) -> None:
    """Make sure that one thing was asked for.

    Raises:
        UsageError: two things were, or none.
    """
    wanted = 1 if claim is not None else 0 if pairs is not None or claims is not None else 2
    lists = (pairs is not None) + (claim is not None) + (claims is not None)
    if lists > 1 or len(photos or []) != wanted:
        raise UsageError(
            "give two photos, one photo and --claim NAME, --pairs FILE or --claims FILE",
            cure="see faceverify verify --help",
        )


def decide_one(verifier: Verifier | ClaimVerifier, named: list[str], console: Console) -> int:
    """Print the decision about two photos, or a photo and a name; return the exit status."""
    a, b = named
    try:
        decision: Decision = verifier.verify(a, b)
    except FaceverifyError as error:
        if not console.as_json:
            raise
        decision = verifier.undecided((a, b), error)
    console.result(decision.as_dict(), str(decision))
    return decision.exit_status


def decide_many(
    verifier: Verifier | ClaimVerifier,
    source: str,
    roles: Roles,
    workers: int | None,
    console: Console,
) -> int:
    """Print a decision for every line of a list, in its order; return the exit status."""
    from faceverify.evaluation.lists.pair_lines import read_pair_lines

    statuses = set()
    decisions = verifier.answers(read_pair_lines(source, roles), workers=workers)
    for line, decision in console.progress(decisions, "pairs"):
        console.result({**line.named, **decision.as_dict()}, decision_line(line, decision))
        if decision.error is not None:
            statuses.add(decision.exit_status)
            place = "" if line.error else f"{line.place}: "  # a line's own error says it
            console.message(f"{place}{decision.error}")
    return max(statuses & {UNUSABLE}, default=max(statuses, default=0))


def decision_line(line: PairLine, decision: Decision) -> str:
    """The line's own columns, then the decision and the distance, tab-separated."""
    if decision.error is None:
        verdict = ["same" if decision.same else "different", f"{decision.distance:.6f}"]
    else:
        verdict = [decision.error.code, ""]
    return "\t".join([*line.columns, *verdict])
