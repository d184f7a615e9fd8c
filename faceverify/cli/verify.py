"""``faceverify verify``: do two photos show the same person?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import (
    Aligned,
    Augment,
    Choice,
    Json,
    MinFace,
    MinQuality,
    Model,
    Quiet,
    Verbose,
    Workers,
)
from faceverify.errors import UNUSABLE, FaceverifyError, UsageError
from faceverify.faces.choice import MIN_FACE, FaceChoice

if TYPE_CHECKING:
    from faceverify.cli.pair_lines import PairLine
    from faceverify.matching.decision import Decision
    from faceverify.verification import Verifier


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
            help="Verify many: one pair a line, tab- or comma-separated, or JSON; - is stdin.",
            show_default=False,
        ),
    ] = None,
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
    face: Choice = FaceChoice.PROMINENT,
    min_face: MinFace = MIN_FACE,
    min_quality: MinQuality = 0.0,
    aligned: Aligned = None,
    augment: Augment = 1,
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Tell whether two photos show the same person.

    **Exit status:** 0 the same person, 1 different people, 2 wrong usage or unusable input, 3 no
    decision (no face, several, too low a quality). With --pairs: 0 when every pair was decided,
    else 2 or 3 as for the worst of them.

    **Examples:**

    `faceverify verify alice-1.jpg alice-2.jpg && echo welcome`

    `curl -s $URL | faceverify verify --json - enrolled.jpg | jq .distance`

    `faceverify verify --pairs pairs.tsv --json > decisions.jsonl`
    """
    if (pairs is None) == (not photos) or (photos and len(photos) != 2):
        raise UsageError("give two photos, or --pairs FILE", cure="see faceverify verify --help")
    console = Console(json, quiet, verbose)
    from faceverify.matching.decision import Decision
    from faceverify.verification import Verifier

    verifier = Verifier.load(
        model,
        fmr=fmr,
        threshold=threshold,
        face=face,
        min_face=min_face,
        min_quality=min_quality,
        aligned=aligned,
        augment=augment,
    )
    console.detail(f"model {verifier.operation.model} ({verifier.operation.model_id})")
    if pairs is not None:
        raise typer.Exit(verify_many(verifier, pairs, workers, console))
    first, second = photos or []
    try:
        decision = verifier.verify(first, second)
    except FaceverifyError as error:
        if not json:
            raise
        decision = Decision(first, second, None, verifier.operation, error)
    console.result(decision.as_dict(), str(decision))
    raise typer.Exit(decision.exit_status)


def verify_many(verifier: Verifier, source: str, workers: int | None, console: Console) -> int:
    """Print a decision for every line of a list, in its order; return the exit status."""
    from faceverify.cli.pair_lines import read_pair_lines
    from faceverify.matching.decision import Decision
    from faceverify.pipeline import map_ordered

    decide = verifier.pair_decider()

    def decide_line(line: PairLine) -> tuple[PairLine, Decision]:
        if line.error is not None:
            return line, Decision(line.a, line.b, None, verifier.operation, line.error)
        return line, decide((line.a, line.b))

    statuses = set()
    decisions = map_ordered(decide_line, read_pair_lines(source), workers=workers)
    for line, decision in console.progress(decisions, "pairs"):
        console.result({**line.named, **decision.as_dict()}, decision_line(line, decision))
        if decision.error is not None:
            statuses.add(decision.exit_status)
            console.message(f"{source}:{line.number}: {decision.error}")
    return max(statuses & {UNUSABLE}, default=max(statuses, default=0))


def decision_line(line: PairLine, decision: Decision) -> str:
    """The line's own columns, then the decision and the distance, tab-separated."""
    if decision.error is None:
        verdict = ["same" if decision.same else "different", f"{decision.distance:.6f}"]
    else:
        verdict = [decision.error.code, ""]
    return "\t".join([*line.columns, *verdict])
