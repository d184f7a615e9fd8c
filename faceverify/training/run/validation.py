"""Pairs that judge a model while it learns: crops cut out of photos once, figures of embeddings.

photos -> crops in the model's frame (cached) -> embeddings by whoever learns -> figures

It is the using half's own way of a photo, so that what is measured is what a user of the model will
get; only the embedding is done by the caller.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.embeddings.compute import made_by
from faceverify.errors import ImageError, NoDecisionError, PairListError
from faceverify.evaluation.benchmark import read_task
from faceverify.evaluation.lists.pair_list import PairList, folds_by_position
from faceverify.evaluation.metrics.error_rates import auc, rates_at_fmr
from faceverify.evaluation.metrics.fold_accuracy import folded_accuracy
from faceverify.evaluation.metrics.pair_distances import pair_distances
from faceverify.evaluation.metrics.scores import count_scores
from faceverify.evaluation.protocols.task import Task
from faceverify.faces.alignment import SHRINK
from faceverify.faces.detection import Detector
from faceverify.faces.finder import FaceFinder
from faceverify.faces.options import FaceOptions
from faceverify.images.photo import open_photo
from faceverify.models.contract import Contract
from faceverify.models.registry import bundled_folder
from faceverify.runtime.files import atomic_writer
from faceverify.runtime.parallel import map_ordered

PAIRS_OF_A_KIND = 3000  # drawn among held-out people
TAR_AT = 1e-2
PROGRESS_LABEL = "crops for validation"

Progress = Callable[[Iterable[Any], str, "int | None"], Iterator[Any]]


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """P photos as a model sees them, and what is compared.

    Args:
        task: the pairs; its ``identities`` are those of the photos where they are known.
        crops: RGB, uint8, (P, height, width, 3); zeros where a photo has no face.
        failure: why a photo has no crop, as an error code; empty where it has one, P.
    """

    task: Task
    crops: NDArray[np.uint8]
    failure: list[str]

    @property
    def enrolled(self) -> NDArray[np.bool_]:
        """Which photos have a crop, (P,)."""
        return np.array([not code for code in self.failure], bool)


@dataclass(frozen=True)
class PairFigures:
    """How well embeddings tell the pairs apart; None where the pairs cannot say.

    Args:
        accuracy: mean of ten folds, each at the threshold that is best on the others.
        auc: area under the ROC.
        tar: true match rate at an FMR of 1e-2.
    """

    accuracy: float | None
    auc: float | None
    tar: float | None

    def as_dict(self) -> dict[str, float]:
        """Those that are known, by name."""
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
    progress: Progress = lambda items, _label, _total: iter(items),
) -> ValidationSet:
    """Cut the crops of a pair list or pack.

    Args:
        path: the list.
        contract: of the model: the frame of its crops.
        images: where the photos lie; None beside the list.
        pattern: from a listed photo to its file.
        aligned: whether the photos are arcface-112 crops already.
        cache: folder where crops are kept for the next run; None to keep none.
        workers: photos worked on at once.
        progress: wraps the stream of photos that are cut.

    Raises:
        PairListError: the list cannot be used, or none of its photos.
        ImageError: photos are missing.
    """
    task = read_task(path, images=images, pattern=pattern)
    template = "arcface-112" if aligned else None
    return _cut(task, contract, template, cache, workers, progress)


def set_of_people(
    source: str,
    photos: Sequence[bytes],
    identities: Sequence[str],
    contract: Contract,
    *,
    template: str = "arcface-112",
    seed: int = 0,
    workers: int | None = None,
) -> ValidationSet:
    """Draw pairs among aligned photos of people, as many impostor as genuine ones.

    Args:
        source: what to call them.
        photos: encoded crops, P.
        identities: who is on each, P.
        contract: of the model.
        template: what the crops were cut to.
        seed: of the draw.
        workers: photos worked on at once.

    Raises:
        PairListError: fewer than two people, or none with two photos.
    """
    pairs = drawn_pairs(source, identities, seed)
    first, second = (
        np.array([int(i) for i in side], np.int64) for side in (pairs.first, pairs.second)
    )
    names = [f"photo {index}" for index in range(len(photos))]
    task = Task(source, "10fold", list(photos), names, pairs, first, second, list(identities))
    return _cut(task, contract, template, None, workers, lambda items, _label, _total: iter(items))


def drawn_pairs(source: str, identities: Sequence[str], seed: int) -> PairList:
    """Draw genuine and impostor pairs, equally many, none twice; photos are named by position.

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
    for _ in range(20 * len(genuine)):  # few people may not have as many
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


def pair_figures(judged: ValidationSet, embeddings: NDArray[np.float32]) -> PairFigures:
    """Measure embeddings of the photos, unit rows, (P, D)."""
    task = judged.task
    assert task.pairs is not None
    same = task.pairs.same
    distances = pair_distances(embeddings, judged.enrolled, task.first, task.second)
    fold = task.pairs.fold
    if fold is None:
        fold = folds_by_position(same, min(10, int(same.sum()), int((~same).sum())) or 1)
    folded = folded_accuracy(distances, same, fold) if len(np.unique(fold)) > 1 else None
    counts = count_scores(distances, same)
    reached = rates_at_fmr(counts, TAR_AT)
    return PairFigures(
        None if folded is None else folded.accuracy, auc(counts), reached.tmr if reached else None
    )


def _cut(
    task: Task,
    contract: Contract,
    template: str | None,
    cache: Path | None,
    workers: int | None,
    progress: Progress,
) -> ValidationSet:
    place = None if cache is None else cache / f"{_key(task, contract, template)}.npz"
    if place is not None and (known := _read(place, len(task.photos), contract)) is not None:
        return ValidationSet(task, *known)
    aligned = None if template == "facenet-160" else template
    finder = FaceFinder(Detector(bundled_folder()), FaceOptions(aligned=aligned))
    size = (contract.width, contract.height)

    def crop(photo: Path | bytes) -> NDArray[np.uint8] | str:
        try:
            if template == "facenet-160":  # no points in it, and no other frame made of it
                return np.asarray(open_photo(photo).decode().resize(size, SHRINK))
            (found,) = finder.find(photo)
        except (ImageError, NoDecisionError) as error:
            return error.code
        return np.asarray(found.crop(contract.alignment, size))

    crops = np.zeros((len(task.photos), contract.height, contract.width, 3), np.uint8)
    failure = [""] * len(task.photos)
    made = map_ordered(crop, task.photos, workers=workers)
    for index, result in enumerate(progress(made, PROGRESS_LABEL, len(task.photos))):
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


def _key(task: Task, contract: Contract, template: str | None) -> str:
    """A name that changes with anything that decides the crops."""
    frame = contract.as_dict()
    known = [made_by(), template, frame["width"], frame["height"], frame["alignment"]]
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
    """Crops that were cut before; None where there are none, or they are damaged."""
    try:
        with np.load(place, allow_pickle=False) as stored:
            crops, failure = stored["crops"], [str(code) for code in stored["failure"]]
    except (OSError, ValueError, KeyError, EOFError):
        return None
    shape = (count, contract.height, contract.width, 3)
    return (crops, failure) if crops.shape == shape and len(failure) == count else None
