"""``faceverify gallery rebuild``: a gallery embedded with another model."""

from __future__ import annotations

from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Audit, Gallery, KeyFile, gallery_beside, open_audit
from faceverify.cli.options import (
    Json,
    Model,
    Quiet,
    Workers,
    face_options,
)
from faceverify.errors import NO_DECISION
from faceverify.faces.options import FaceOptions


@face_options("min_face", "aligned", "augment")
def rebuild(
    model: Model = "default",
    old: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="ID",
            help="Id of the model to replace, where the gallery is of several.",
            show_default=False,
        ),
    ] = None,
    drop_missing: Annotated[
        bool,
        typer.Option(
            "--drop-missing",
            help="Lose the templates whose photos are gone or give no face now.",
            show_default=False,
        ),
    ] = False,
    gallery: Gallery = None,
    key_file: KeyFile = None,
    audit: Audit = None,
    faces: FaceOptions = FaceOptions(),
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Embed everybody again with another model, from the photos they were enrolled with.

    All templates are replaced in one step, or none is: where photos are gone or have changed,
    the gallery stays as it is, unless --drop-missing gives those templates up.

    **Exit status:** 0 rebuilt, 2 nothing to rebuild or an unusable gallery, 3 photos are missing.

    **Example:** `faceverify gallery rebuild --model runs/mine/model.onnx`
    """
    from functools import partial

    from faceverify.embeddings.extractor import FaceEmbedder
    from faceverify.recognition.reembed import old_model, reembed

    console = Console(json, quiet)
    load = partial(FaceEmbedder.load, model, faces)
    with gallery_beside(load, gallery, key_file) as (extractor, store):
        new = extractor.model.id
        replaced = old or old_model(store, new)
        total = store.count().get(replaced, 0)
        again = reembed(extractor, store.since(0, model=replaced), workers=workers)
        enrollments, lost = [], 0
        for one in console.progress(again, "photos", total):
            if one.new is not None:
                enrollments.append(one.new)
            elif one.error is not None:
                lost += 1
                console.message(f"{one.old.name}: {one.error}")
        done = bool(enrollments) and (drop_missing or not lost)
        if done:
            store.replace_model(replaced, enrollments, model=new)
            if (log := open_audit(audit)) is not None:
                facts = {"old_model_id": replaced, "model_id": new}
                log.append("rebuild", **facts, templates=len(enrollments), lost=lost)
    value = {"rebuilt": done, "model_id": new, "templates": len(enrollments), "missing": lost}
    text = f"{len(enrollments):,} templates of {extractor.model.provenance.name}"
    if not done:
        text = f"nothing was changed: {lost:,} of {total:,} photos are missing or give no face"
    elif lost:
        text += f"; {lost:,} were lost"
    console.result(value, text)
    raise typer.Exit(0 if done else NO_DECISION)
