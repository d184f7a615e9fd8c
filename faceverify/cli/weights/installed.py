"""Where an installed model goes and is called, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console

To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="FOLDER|FILE",
        help="Where the model file goes, instead of the user's folder.",
        show_default=False,
    ),
]


Name = Annotated[
    str, typer.Option("--name", help="What to call the model.", show_default=False, metavar="NAME")
]


Force = Annotated[
    bool, typer.Option("--force", help="Replace another model there.", show_default=False)
]


def report(console: Console, path: Path, *, written: bool) -> None:
    """Say which model is now where, and under which licence."""
    from faceverify.cli.weights.text import described, licence_text
    from faceverify.models.model_file import load_model_file

    model = load_model_file(path)
    console.result(
        {**described(model, path), "written": written},
        f"{model.provenance.name} {model.id} {'installed as' if written else 'is there already:'} "
        f"{path}\nlicence: {licence_text(model.provenance.licence)}",
    )
