"""Invariance of embeddings: to occlusion, viewpoint, direction and colour of light, resolution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from faceverify.embeddings.cache import EmbeddingCache
from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import UsageError
from faceverify.evaluation.degradation import DEGRADATIONS
from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.intervals.identity_mean import mean_replicates, share_estimate
from faceverify.evaluation.metrics.exact_distances import STEPS
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.results import Estimate, Evaluation, Section
from faceverify.evaluation.robustness.faces import CLEAN, DegradedFaces, degraded_faces
from faceverify.evaluation.robustness.movement import Movement, movement
from faceverify.evaluation.robustness.rates import compare
from faceverify.evaluation.robustness.selection import select_photos
from faceverify.evaluation.robustness.yaw import yaw_movements
from faceverify.faces.options import FaceOptions
from faceverify.models.registry import load_model
from faceverify.runtime.progress import ShowProgress

PROTOCOL = "invariance"
FACTORS = {
    "occlusion": ("mask", "bar", "hand"),
    "viewpoint": ("mirrored",),
    "light": ("side-light", "top-light", "under-light", "warm", "cold"),
    "resolution": ("enlarged",),
}
"""Kinds of degradation by what they change."""

TITLES = {
    "occlusion": "Occlusion: distance moved, by share covered",
    "viewpoint": "Viewpoint: distance moved",
    "light": "Direction and colour of light: distance moved, by ratio",
    "resolution": "Resolution: distance moved, by crop pixels made of one",
}


def evaluate_invariance(
    benchmark: Benchmark,
    model: str,
    options: FaceOptions,
    cache: EmbeddingCache,
    *,
    replicates: int = 1000,
    seed: int = 0,
    workers: int | None = None,
    progress: ShowProgress | None = None,
) -> Evaluation:
    """How far embeddings move from those of the untouched photos, and the rank of the right person.

    A changed photo is looked for among the untouched photos of all people but itself.

    Args:
        benchmark: photos with identities; a few of each of some people are taken.
        model: a model file, or the name of an installed one.
        options: of face detection, selection and cropping.
        cache: of embeddings.
        replicates: of the bootstrap over identities; 0 for none.
        seed: of the bootstrap.
        workers: threads.
        progress: wraps the stream of photos.

    Raises:
        ModelError: the model cannot be run.
        UsageError: fewer than two people, or nobody with two photos that have a face.
    """
    few = select_photos(benchmark)
    file = load_model(model)
    load = partial(FaceEmbedder.load, model, options)
    kinds = [kind for factor in FACTORS.values() for kind in factor]
    cells = [(kind, strength) for kind in kinds for strength in DEGRADATIONS[kind].strengths]
    clean, *changed = degraded_faces(
        few.photos, [(CLEAN, 0.0), *cells], load, file, options, cache,
        workers=workers, progress=progress,
    )  # fmt: skip
    _require_people(few, clean)
    estimate = partial(moved_estimate, replicates=replicates, seed=seed)
    sections = [_clean_section(few, clean, estimate("untouched", _moved(few, clean, clean)))]
    curves = []
    for factor, members in FACTORS.items():
        estimates = []
        for kind in members:
            steps = []
            for one in changed:
                if one.kind == kind:
                    made = _moved(few, clean, one)
                    name = (
                        kind
                        if len(DEGRADATIONS[kind].strengths) == 1
                        else (f"{kind} {one.strength:g}")
                    )
                    estimates.append(estimate(name, made))
                    steps.append(estimates[-1].value)
            curves.append((kind, tuple(steps)))
        if factor == "viewpoint":
            turned = yaw_movements(
                benchmark, load, file, options, cache, workers=workers, progress=progress
            )
            estimates += [estimate(name, made) for name, made in turned.items()]
            if not turned:
                why = "needs photos with a face found in them: crops have no yaw of their own"
                estimates.append(Estimate("yaw", "yaw", None, "distance", detail=why))
        sections.append(Section(factor, TITLES[factor], tuple(estimates)))
    return Evaluation(
        source=benchmark.source,
        protocol=PROTOCOL,
        model=file.provenance.name,
        model_id=file.id,
        sections=tuple(sections),
        notes=benchmark.notes,
        movements=tuple(curves),
    )


def moved_estimate(name: str, made: Movement, *, replicates: int, seed: int = 0) -> Estimate:
    """Mean distance moved, with the rank of the right person in the detail.

    A photo without an embedding has not moved, and its person is not found.
    """
    decided, count = made.decided, len(made.identities)
    who = [one for one, kept in zip(made.identities, decided, strict=True) if kept]
    asked = [one for one, kept in zip(made.identities, made.ranked, strict=True) if kept]
    found = made.rank[made.ranked] == 1
    over = mean_replicates(found, asked, replicates=replicates, seed=seed)
    first = share_estimate("rank_1", "rank 1", found, over)
    ranks = made.rank[made.ranked & decided]
    mean_rank = float(ranks.mean()) if len(ranks) else None
    share = float(decided.mean()) if count else None
    extra = {
        "photos": count,
        "decided": share,
        "rank_1": first.as_dict(),
        "mean_rank": mean_rank,
    }
    if not who:
        return Estimate(
            name, name, None, "distance", detail="no photo with a face" if count else "no photo",
            extra=extra,
        )  # fmt: skip
    moved = made.moved[decided]
    detail = f"rank 1: {first.text}"
    if first.interval_text:
        detail += f" {first.interval_text}"
    if mean_rank is not None:
        detail += f", mean rank {mean_rank:.2f}"
    return Estimate(
        name,
        name,
        float(moved.mean()),
        "distance",
        interval(mean_replicates(moved, who, replicates=replicates, seed=seed)),
        "identities",
        f"{detail}; decided {len(who):,} of {count:,}",
        extra,
    )


def _moved(few: Benchmark, clean: DegradedFaces, one: DegradedFaces) -> Movement:
    """Movement of those photos that have an embedding when they are clean."""
    kept = np.flatnonzero(clean.decided)
    return movement(
        one.embeddings[kept],
        one.decided[kept],
        np.arange(len(kept)),
        clean.embeddings[kept],
        [few.identities[index] for index in kept],
        hidden=True,
    )


def _require_people(few: Benchmark, clean: DegradedFaces) -> None:
    found = [few.identities[index] for index in np.flatnonzero(clean.decided)]
    if len(set(found)) < 2 or len(set(found)) == len(found):
        raise UsageError(
            f"{few.source}: found {len(found)} photos with a face, of {len(set(found))} people, "
            "expected two people and two photos of one of them",
            cure="give at least two photos a person",
        )


def _clean_section(few: Benchmark, clean: DegradedFaces, untouched: Estimate) -> Section:
    """The photos as they are: distances of the right and of wrong people, to compare with."""
    made = compare(clean, clean)
    code = np.unique(np.asarray(few.identities, dtype=str), return_inverse=True)[1]
    same = code[made.first] == code[made.second]
    distance = made.steps / STEPS

    def mean(values: Sequence[bool]) -> float:
        return float(distance[np.asarray(values)].mean())

    photos = Estimate("photos", "photos", len(few.photos), "count")
    return Section(
        CLEAN,
        "Photos as they are",
        (
            photos,
            Estimate("people", "people", len(set(few.identities)), "count"),
            Estimate("genuine", "distance of two photos of a person", mean(same), "distance"),
            Estimate("impostor", "distance of two people", mean(~same), "distance"),
            untouched,
        ),
    )
