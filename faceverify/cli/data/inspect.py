"""``faceverify data inspect``: what a training set or a file of an evaluation is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json


def inspect(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="A pair list, a .bin pack, a CFP split folder; or a training set: a folder of "
            "people, RecordIO, WebDataset shards.",
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", help="Read it as this kind, instead of by its content.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what a training set or a file of an evaluation is and holds; nothing in it is run.

    **Examples:**

    `faceverify data inspect pairs.txt`

    `faceverify data inspect faces_emore/`
    """
    from dataclasses import asdict

    from faceverify.evaluation.lists.cfp import is_cfp
    from faceverify.evaluation.lists.cub import is_cub
    from faceverify.evaluation.lists.reading import Inspection
    from faceverify.evaluation.lists.reading import inspect as look_into
    from faceverify.training.data.sets.summary import is_face_set, summarise

    if kind is None and is_face_set(file) and not (is_cfp(Path(file)) or is_cub(Path(file))):
        summary = summarise(file)
        found = Inspection(file, summary.kind, summary.title, summary.facts, list(summary.notes))
        heading = f"{file}: {found.title}"
    else:
        found = look_into(Path(file), kind=kind)
        heading = f"{found.source}: {found.title} (--kind {found.kind})"
    lines = [heading]
    lines += [f"  {count:>10,}  {name}" for name, count in found.facts.items()]
    lines += [f"note: {note}" for note in found.notes]
    Console(json).result(asdict(found), "\n".join(lines))
