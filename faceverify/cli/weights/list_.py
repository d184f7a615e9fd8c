"""``faceverify weights list``: the models that are installed, or that can be downloaded."""

from __future__ import annotations

from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet
from faceverify.errors import UNUSABLE, ModelError


def list_models(
    available: Annotated[
        bool,
        typer.Option("--available", help="What can be downloaded instead.", show_default=False),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the installed models; the default one is marked with a star.

    **Example:** `faceverify weights list --json | jq -r .name`
    """
    from faceverify.cli.weights.text import columns, licence_text, megabytes
    from faceverify.models.catalogue import CATALOGUE
    from faceverify.models.model_file import load_model_file
    from faceverify.models.registry import installed

    console = Console(json, quiet)
    models = installed()
    if available:
        names = {model.name for model in models}
        values = [
            {
                "name": entry.name,
                "bytes": entry.size,
                "installed": entry.name in names,
                "licence": entry.licence,
                "url": entry.url,
                "sha256": entry.sha256,
            }
            for entry in CATALOGUE.values()
        ]
        rows = [
            (entry.name, megabytes(entry.size), entry.dataset, entry.licence)
            for entry in CATALOGUE.values()
        ]
    else:
        values, rows = [], []
        for found in models:
            value = {"name": found.name, "bundled": found.bundled, "default": found.default}
            star = "*" if found.default else " "
            try:
                model = load_model_file(found.path, found.name)
            except ModelError as error:
                value |= {"path": str(found.path), "error": str(error)}
                row = (f"{star} {found.name}", "damaged", "", str(error))
            else:
                size, licence = model.contract.embedding_size, model.provenance.licence
                value |= {"id": model.id, "embedding_size": size, "licence": licence}
                value |= {"path": str(found.path), "error": None}
                row = (f"{star} {found.name}", model.id, f"{size}", licence_text(licence))
            values.append(value)
            rows.append(row)
    for value, line in zip(values, columns(rows), strict=True) if rows else []:
        console.result(value, line)
    if not rows:
        console.message("no models are installed; `faceverify weights pull` downloads some")
    if any(value.get("error") for value in values):
        raise typer.Exit(UNUSABLE)
