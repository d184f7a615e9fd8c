"""``faceverify data``: look into the files that evaluations are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json

app = typer.Typer(
    help="Look into pair lists and verification packs.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def data() -> None:
    """Look into pair lists and verification packs."""


@app.command()
def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A list, a .bin pack, or a CFP split folder.")
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", help="Read it as this kind, instead of by its content.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what a file of an evaluation is and holds; nothing in it is run.

    **Example:** `faceverify data inspect pairs.txt`
    """
    from dataclasses import asdict

    from faceverify.evaluation.inspection import inspect as look_into

    found = look_into(file, kind=kind)
    lines = [f"{found.source}: {found.title} (--kind {found.kind})"]
    lines += [f"  {count:>10,}  {name}" for name, count in found.facts.items()]
    lines += [f"note: {note}" for note in found.notes]
    Console(json).result(asdict(found), "\n".join(lines))
