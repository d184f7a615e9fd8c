"""The images that a run learns from, those held out to validate on, and its epochs of batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceverify.errors import TrainingError
from faceverify.training.data.face_set import FaceSet, open_face_set

MOST_HELD_OUT = 200  # people; more tell no more about which checkpoint is the best
MOST_IMAGES = 4000  # of them
FEWEST_LEARNED = 2


@dataclass(frozen=True, eq=False)
class LearningSet:
    """What a run learns from, and what it does not.

    Args:
        learned: the images that are learned.
        held_out: images of other people, to validate on; None where there are none.
        notes: what a user should know, one line each.
    """

    learned: FaceSet
    held_out: FaceSet | None
    notes: tuple[str, ...]


def open_learning_set(
    source: str,
    *,
    least_images: int,
    held_out: float,
    seed: int,
    pairs_wanted: bool,
    processes: int,
) -> LearningSet:
    """Open the data, leave out who has too few images, and set people aside.

    Who is set aside follows from the seed and the names alone.

    Args:
        source: as the user named it.
        least_images: people with fewer are left out.
        held_out: share of the people to set aside, in [0, 0.5].
        seed: of the draw.
        pairs_wanted: whether the loss compares images of one person.
        processes: how many train together.

    Raises:
        TrainingError: too few people, or images of each, for this loss or these processes.
    """
    whole = open_face_set(source)
    notes = list(whole.notes)
    counts = whole.counts()
    least = max(least_images, 2 if pairs_wanted else 1)
    few = int(np.count_nonzero((counts > 0) & (counts < least)))
    if few:
        if few == np.count_nonzero(counts):
            raise data_error(
                f"{source}: no person has {least} images"
                + (", which this loss compares with each other" if pairs_wanted else ""),
                "add images, or use a loss over classes such as arcface",
            )
        whole = whole.at(np.flatnonzero(counts[whole.labels] >= least))
        notes.append(f"{few} people have fewer than {least} images: left out")
    people = whole.identities
    aside = _drawn(people, whole.counts(), held_out, seed)
    learned = whole.without(aside) if aside else whole
    if len(learned.identities) < FEWEST_LEARNED:
        raise data_error(
            f"{source}: {len(learned.identities)} people to learn from, at least 2 are needed",
            "add a folder for each person",
        )
    if processes > len(learned.identities):
        raise TrainingError(
            f"{processes} processes for {len(learned.identities)} people",
            cure=f"start at most {len(learned.identities)}",
            code="training-processes",
        )
    kept = None
    if aside:
        kept = whole.only(aside)
        if len(kept) > MOST_IMAGES:
            chosen = np.random.default_rng(seed).permutation(len(kept))[:MOST_IMAGES]
            kept = kept.at(np.sort(chosen))
        notes.append(f"{len(aside)} of {len(people)} people held out to validate on")
    return LearningSet(learned, kept, tuple(notes))


def _drawn(people: list[str], counts: np.ndarray, share: float, seed: int) -> list[str]:
    """The people to set aside: some with two images or more; none where it would leave too few."""
    able = [name for name, count in zip(people, counts, strict=True) if count > 1]
    wanted = min(round(share * len(people)), MOST_HELD_OUT, len(people) - FEWEST_LEARNED, len(able))
    if share <= 0 or wanted < FEWEST_LEARNED:
        return []
    order = np.random.default_rng((seed, len(people))).permutation(len(able))
    return sorted(able[index] for index in order[:wanted])


def data_error(message: str, cure: str) -> TrainingError:
    """A TrainingError of the data."""
    return TrainingError(message, cure=cure, code="training-data")
