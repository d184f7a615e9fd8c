"""Validation pairs: crops of their photos, cut once, and verification accuracy of embeddings.

photos -> aligned crops (cached) -> embeddings of the caller -> results

Detection and alignment are those of a model's use, so that results are what its users will get.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.embeddings.compute import made_by
from faceverify.errors import ImageError, NoDecisionError, PairListError
from faceverify.evaluation.benchmark import read_benchmark
from faceverify.evaluation.lists.pair_list import PairList, folds_by_position
from faceverify.evaluation.metrics.error_rates import auc, rates_at_fmr
from faceverify.evaluation.metrics.fold_accuracy import folded_accuracy
from faceverify.evaluation.metrics.pair_distances import pair_distances
from faceverify.evaluation.metrics.retrieval import retrieval
from faceverify.evaluation.metrics.scores import count_scores
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.faces.detection import Detector
from faceverify.faces.finder import FaceFinder
from faceverify.faces.options import FaceOptions
from faceverify.faces.similarity import SHRINK
from faceverify.images.photo import open_photo
from faceverify.models.contract import Contract
from faceverify.models.registry import bundled_folder
from faceverify.runtime.files import atomic_writer
from faceverify.runtime.parallel import map_ordered
from faceverify.runtime.progress import ShowProgress, no_progress

PAIRS_OF_A_KIND = 3000  # genuine, and as many impostor pairs, of held-out people
TAR_AT = 1e-2
PROGRESS_LABEL = "crops for validation"


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Crops of P photos, and the pairs to compare.

    Args:
        task: the pairs; its ``identities`` are those of the photos where they are known.
        crops: RGB, uint8, (P, height, width, 3); zeros where a photo has no face.
        failure: error code of a photo without a crop; empty for one with a crop, P.
    """

    task: Benchmark
    crops: NDArray[np.uint8]
    failure: list[str]

    @property
    def enrolled(self) -> NDArray[np.bool_]:
        """Which photos have a crop, (P,)."""
        return np.array([not code for code in self.failure], bool)


@dataclass(frozen=True)
class PairResults:
    """Verification results; None where the pairs do not allow one.

    Args:
        accuracy: mean over ten folds, each at the best threshold of the others.
        auc: area under the ROC.
        tar: true match rate at an FMR of 1e-2.
    """

    accuracy: float | None
    auc: float | None
    tar: float | None

    def as_dict(self) -> dict[str, float]:
        """Results that are not None, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def set_of_list(
    path: Path,
    contract: Contract,
    *,
    images: Path | None = None,
    pattern: str = "{path}",
    aligned: bool = False,
    cache: Path | None = None,
    workers: int | None = None,
    show_progress: ShowProgress = no_progress,
) -> ValidationSet:
    """Validation set of a pair list or pack.

    Args:
        path: of the list.
        contract: of the model, with the alignment of its crops.
        images: folder of the photos; None for that of the list.
        pattern: from a listed photo to its file.
        aligned: whether the photos are arcface-112 crops already.
        cache: folder of cached crops; None for no cache.
        workers: photos processed at once.
        show_progress: gets the photos as they are cut.

    Raises:
        PairListError: the list is invalid, or no photo has a face.
        ImageError: photos are missing.
    """
    task = read_benchmark(path, images=images, pattern=pattern)
    alignment = "arcface-112" if aligned else None
    return _cut(task, contract, alignment, cache, workers, show_progress)


def set_of_people(
    source: str,
    photos: Sequence[bytes],
    identities: Sequence[str],
    contract: Contract,
    *,
    alignment: str = "arcface-112",
    seed: int = 0,
    workers: int | None = None,
) -> ValidationSet:
    """Validation set of random pairs of aligned photos, equally many genuine and impostor ones.

    Args:
        source: name of the set.
        photos: encoded crops, P.
        identities: the person on each, P.
        contract: of the model.
        alignment: alignment of the crops.
        seed: of the random choice.
        workers: photos processed at once.

    Raises:
        PairListError: fewer than two people, or none with two photos.
    """
    pairs = drawn_pairs(source, identities, seed)
    first, second = (
        np.array([int(i) for i in side], np.int64) for side in (pairs.first, pairs.second)
    )
    names = [f"photo {index}" for index in range(len(photos))]
    task = Benchmark(source, "10fold", list(photos), names, pairs, first, second, list(identities))
    return _cut(task, contract, alignment, None, workers, no_progress)


def drawn_pairs(source: str, identities: Sequence[str], seed: int) -> PairList:
    """Random genuine and impostor pairs, equally many, none twice; photos are named by position.

    Raises:
        PairListError: there are none of one kind.
    """
    rng = np.random.default_rng(seed)
    people: dict[str, list[int]] = {}
    for index, name in enumerate(identities):
        people.setdefault(name, []).append(index)
    genuine = [
        (photos[i], photos[j])
        for photos in people.values()
        for i in range(len(photos))
        for j in range(i + 1, len(photos))
    ]
    if not genuine or len(people) < 2:
        raise PairListError(
            f"{source}: {len(people)} people held out, {len(genuine)} genuine pairs: nothing to "
            "validate on",
            cure="give a pair list with --validate, or hold out more with validation.held_out",
        )
    rng.shuffle(genuine)
    genuine = genuine[:PAIRS_OF_A_KIND]
    impostor: set[tuple[int, int]] = set()
    for _ in range(20 * len(genuine)):  # few people may have fewer pairs
        first, second = sorted(rng.integers(len(identities), size=2).tolist())
        if identities[first] != identities[second]:
            impostor.add((first, second))
        if len(impostor) == len(genuine):
            break
    both = [*genuine, *sorted(impostor)]
    same = np.arange(len(both)) < len(genuine)
    order = rng.permutation(len(both))
    both, same = [both[i] for i in order], same[order]
    return PairList(
        source,
        "drawn",
        [str(first) for first, _ in both],
        [str(second) for _, second in both],
        same,
        first_identity=[identities[first] for first, _ in both],
        second_identity=[identities[second] for _, second in both],
    )


def nearest_results(
    validation_set: ValidationSet, embeddings: NDArray[np.float32]
) -> dict[str, float]:
    """Share of the photos whose nearest other one shows the same person (1-NN), by its name.

    Args:
        validation_set: its photos; nothing where the people on them are not known.
        embeddings: of them, unit rows, (P, D).
    """
    identities, enrolled = validation_set.task.identities, np.flatnonzero(validation_set.enrolled)
    if not identities:
        return {}
    found = retrieval(embeddings[enrolled], [identities[one] for one in enrolled])
    return {"nearest": float(found.found_within(1).mean())} if len(found.query) else {}


def pair_results(validation_set: ValidationSet, embeddings: NDArray[np.float32]) -> PairResults:
    """Verification results of embeddings of the photos, unit rows, (P, D)."""
    task = validation_set.task
    assert task.pairs is not None
    same = task.pairs.same
    distances = pair_distances(embeddings, validation_set.enrolled, task.first, task.second)
    fold = task.pairs.fold
    if fold is None:
        fold = folds_by_position(same, min(10, int(same.sum()), int((~same).sum())) or 1)
    folded = folded_accuracy(distances, same, fold) if len(np.unique(fold)) > 1 else None
    counts = count_scores(distances, same)
    reached = rates_at_fmr(counts, TAR_AT)
    return PairResults(
        None if folded is None else folded.accuracy, auc(counts), reached.tmr if reached else None
    )


def _cut(
    task: Benchmark,
    contract: Contract,
    alignment: str | None,
    cache: Path | None,
    workers: int | None,
    show_progress: ShowProgress,
) -> ValidationSet:
    place = None if cache is None else cache / f"{_key(task, contract, alignment)}.npz"
    if place is not None and (known := _read(place, len(task.photos), contract)) is not None:
        return ValidationSet(task, *known)
    aligned = None if alignment == "facenet-160" else alignment
    finder = FaceFinder(Detector(bundled_folder()), FaceOptions(aligned=aligned))
    size = (contract.width, contract.height)

    def crop(photo: Path | bytes) -> NDArray[np.uint8] | str:
        try:
            if alignment == "facenet-160":  # it has no landmarks, so it can only be resized
                return np.asarray(open_photo(photo).decode().resize(size, SHRINK))
            (found,) = finder.find(photo)
        except (ImageError, NoDecisionError) as error:
            return error.code
        return np.asarray(found.crop(contract.alignment, size))

    crops = np.zeros((len(task.photos), contract.height, contract.width, 3), np.uint8)
    failure = [""] * len(task.photos)
    made = map_ordered(crop, task.photos, workers=workers)
    for index, result in enumerate(show_progress(made, PROGRESS_LABEL, len(task.photos))):
        if isinstance(result, str):
            failure[index] = result
        else:
            crops[index] = result
    if all(failure):
        raise PairListError(
            f"{task.source}: no face in any of its {len(failure)} photos ({failure[0]})",
            cure="for aligned crops set validation.aligned=true",
        )
    if place is not None:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_writer(place, mode=0o600) as stream:
            np.savez(stream, crops=crops, failure=np.array(failure))
    return ValidationSet(task, crops, failure)


def _key(task: Benchmark, contract: Contract, alignment: str | None) -> str:
    """Cache key of the crops: a hash of all that they depend on."""
    frame = contract.as_dict()
    known = [made_by(), alignment, frame["width"], frame["height"], frame["alignment"]]
    digest = hashlib.sha256(json.dumps(known).encode())
    for photo in task.photos:
        if isinstance(photo, bytes):
            digest.update(hashlib.sha256(photo).digest())
        else:
            status = photo.stat()
            path = os.fsencode(os.path.abspath(photo))
            digest.update(b"%s %d %d\0" % (path, status.st_size, status.st_mtime_ns))
    return f"crops-{digest.hexdigest()[:32]}"


def _read(
    place: Path, count: int, contract: Contract
) -> tuple[NDArray[np.uint8], list[str]] | None:
    """Cached crops; None where there are none, or they are damaged."""
    try:
        with np.load(place, allow_pickle=False) as stored:
            crops, failure = stored["crops"], [str(code) for code in stored["failure"]]
    except (OSError, ValueError, KeyError, EOFError):
        return None
    shape = (count, contract.height, contract.width, 3)
    return (crops, failure) if crops.shape == shape and len(failure) == count else None
