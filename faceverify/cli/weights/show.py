"""``faceverify weights show``: what a model is."""

from __future__ import annotations

from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet


def show(
    model: Annotated[
        str, typer.Argument(help="A model file, or the name of an installed one.", metavar="MODEL")
    ] = "default",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a model is: contract, origin, licence, id, thresholds with their evidence.

    **Example:** `faceverify weights show buffalo_l`
    """
    from faceverify.cli.weights.text import described, page
    from faceverify.models.model_file import load_model_file
    from faceverify.models.registry import find_model, scores_of

    path = find_model(model)
    loaded = load_model_file(path, model)
    scores = scores_of(path)
    Console(json, quiet).result(
        {**described(loaded, path), "scores": scores}, page(loaded, path, scores)
    )
