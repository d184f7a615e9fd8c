"""``faceverify gallery dedupe``: people enrolled under two names."""

from __future__ import annotations

from dataclasses import asdict

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import ComparisonRate, Gallery, KeyFile, Threshold, open_gallery
from faceverify.cli.options import (
    Json,
    Model,
    Quiet,
)
from faceverify.errors import DIFFERENT, SAME


def dedupe(
    model: Model = "default",
    fmr: ComparisonRate = 1e-5,
    threshold: Threshold = None,
    gallery: Gallery = None,
    key_file: KeyFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find people who are enrolled under two names: those whose templates match one another.

    A gallery of N people makes N (N - 1) / 2 comparisons, so look at small rates. Nothing is
    changed: `gallery remove` or `gallery rename` is yours to decide.

    **Exit status:** 0 nobody matches another, 1 some do, 2 wrong usage or an unusable gallery.

    **Example:** `faceverify gallery dedupe --json | jq -r '[.first, .second] | @tsv'`
    """
    from faceverify.gallery.cluster import find_duplicates
    from faceverify.models.registry import load_model

    console = Console(json, quiet)
    file = load_model(model)
    limit = file.operating_point(fmr, threshold).threshold
    found = False
    with open_gallery(gallery, key_file) as store:
        for duplicate in console.progress(find_duplicates(store, file.id, limit), "duplicates"):
            found = True
            text = f"{duplicate.first}\t{duplicate.second}\tdistance {duplicate.distance:.4f}"
            console.result(asdict(duplicate), text)
    raise typer.Exit(DIFFERENT if found else SAME)
