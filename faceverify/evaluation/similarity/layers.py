"""Similarity of the layers of two models, on photos of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.cka import LEAST, LayerSimilarities
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.protocols.photo_split import some_photos
from faceverify.evaluation.results import Estimate, Evaluation, LayerTable, Section
from faceverify.evaluation.similarity.crops import ModelCrops, crops_of
from faceverify.faces.options import FaceOptions
from faceverify.models.layer_outputs import LayeredModel
from faceverify.models.model_file import ModelFile
from faceverify.models.registry import load_model
from faceverify.runtime.parallel import map_ordered
from faceverify.runtime.progress import ShowProgress

PHOTOS = 512  # of as many people as possible
BATCH = 32  # photos whose features are compared at once


def with_layers(
    found: Evaluation,
    benchmark: Benchmark,
    models: tuple[str, str],
    options: FaceOptions,
    *,
    workers: int | None = None,
    progress: ShowProgress | None = None,
) -> Evaluation:
    """An evaluation with the similarity of its model's layers to those of another.

    Args:
        found: of the first model.
        benchmark: with identities.
        models: model files, or names of installed ones; the second is the other.
        options: of face detection and selection.
        workers: threads.
        progress: wraps the stream of photos.

    Raises:
        ModelError: a model cannot be run.
        UsageError: too few photos have a face.
    """
    files = [load_model(model) for model in models]
    chosen = [benchmark.photos[index] for index in some_photos(benchmark, PHOTOS)]
    stream: Iterable[ModelCrops | None] = crops_of(
        chosen, [file.contract for file in files], options, workers=workers
    )
    if progress is not None:
        stream = progress(stream, "photos, for their layers", len(chosen))
    table = layer_table(files, [one for one in stream if one is not None], benchmark.source)
    notes = list(found.notes)
    if files[0].contract.alignment != files[1].contract.alignment:
        notes.append(
            "the two models see other crops of the same photos, each its own: their first layers "
            "differ for that, too"
        )
    return replace(
        found, sections=(*found.sections, layer_section(table)), notes=tuple(notes), layers=table
    )


def layer_table(files: Sequence[ModelFile], faces: Sequence[ModelCrops], source: str) -> LayerTable:
    """Linear CKA of every layer of one model with every layer of another.

    Args:
        files: the two models.
        faces: crops of the same faces for both.
        source: of the photos, for errors.

    Raises:
        ModelError: a model cannot be run.
        UsageError: fewer than four faces.
    """
    if len(faces) < LEAST:
        raise UsageError(
            f"{source}: found {len(faces)} photos with a face, expected {LEAST} to compare layers",
            cure="leave --against out, or give more photos",
        )
    models = [LayeredModel(file) for file in files]
    similarities = LayerSimilarities(*(len(model.layers) for model in models))
    for batch in np.array_split(np.arange(len(faces)), math.ceil(len(faces) / BATCH)):
        crops = [
            np.stack([faces[index].crops[which] for index in batch]) for which in range(len(files))
        ]
        similarities.add(
            *map_ordered(lambda pair: pair[0].features(pair[1]), zip(models, crops, strict=True))
        )
    first, second = (
        tuple(f"{place} {layer.output}" for place, layer in enumerate(model.layers, 1))
        for model in models
    )
    return LayerTable(
        (files[0].provenance.name, files[1].provenance.name),
        (first, second),
        tuple(
            tuple(None if math.isnan(value) else value for value in row)
            for row in similarities.values().tolist()
        ),
        len(faces),
    )


def layer_section(table: LayerTable) -> Section:
    """For each layer of the first model the most similar one of the other, and the whole row."""
    estimates = []
    for name, row in zip(table.layers[0], table.values, strict=True):
        known = [value for value in row if value is not None]
        best = max(known, default=None)
        shown = " ".join("  - " if value is None else f"{value:.2f}" for value in row)
        estimates.append(
            Estimate(
                name.split(" ", 1)[0],
                name,
                best,
                "number",
                detail=f"with {table.layers[1][row.index(best)]}; {shown}"
                if best is not None
                else "the same for all photos",
                extra={
                    "layer": name,
                    "most_like": None if best is None else table.layers[1][row.index(best)],
                },
            )
        )
    one, other = table.names
    return Section(
        "layers",
        f"Layers of {one}, by the linear CKA with those of {other} ({table.photos} photos)",
        tuple(estimates),
    )
