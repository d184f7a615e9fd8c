"""People, or photos without names, held out of a training set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceverify.errors import TrainingError
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.open import open_face_set

FEWEST_PEOPLE = 10  # with 15 images each, thresholds for a false match rate of 1e-3
MOST_PEOPLE = 200  # more do not choose the best checkpoint any better
MOST_IMAGES = 4000  # of them
FEWEST_LEARNED = 2  # people
FEWEST_PHOTOS, MOST_PHOTOS = 16, 256  # more say no more about spread and rank


@dataclass(frozen=True, eq=False)
class HeldOutSplit:
    """Stored images split by person.

    Args:
        train: images to train on.
        held_out: images of other people, to validate on; None where there are none.
        notes: messages for the user, one line each.
    """

    train: FaceSet
    held_out: FaceSet | None
    notes: tuple[str, ...]


def open_and_hold_out(
    source: str,
    *,
    least_images: int,
    held_out: float,
    seed: int,
    pairs_wanted: bool,
    processes: int,
) -> HeldOutSplit:
    """Open stored data, leave out people with too few images, and hold people out.

    The people held out depend on the seed and the names alone: the configured share, but at least
    ten people where these are no more than a quarter of all.

    Args:
        source: as the user named it.
        least_images: people with fewer are left out.
        held_out: share of the people to hold out, in [0, 0.5].
        seed: of the draw.
        pairs_wanted: whether the loss compares images of one person.
        processes: number of processes of the run.

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
    train = whole.without(aside) if aside else whole
    check_people(source, train.num_identities, processes)
    kept = None
    if aside:
        kept = whole.only(aside)
        if len(kept) > MOST_IMAGES:
            chosen = np.random.default_rng(seed).permutation(len(kept))[:MOST_IMAGES]
            kept = kept.at(np.sort(chosen))
        notes.append(f"{len(aside)} of {len(people)} people held out to validate on")
    elif held_out:
        notes.append(
            f"{len(people)} people are too few to hold any out: the last step counts, without "
            "thresholds; give --validate, or run `faceverify calibrate` afterwards"
        )
    return HeldOutSplit(train, kept, tuple(notes))


def check_people(source: str, people: int, processes: int) -> None:
    """Refuse too few people to learn from, or fewer than there are processes."""
    if people < FEWEST_LEARNED:
        raise data_error(
            f"{source}: {people} people to learn from, at least 2 are needed",
            "add images of others",
        )
    if processes > people:
        raise TrainingError(
            f"{processes} processes for {people} people",
            cure=f"start at most {people}",
            code="training-processes",
        )


def _drawn(people: list[str], counts: np.ndarray, share: float, seed: int) -> list[str]:
    """Names of people to hold out, each with two images or more; none where too few are left."""
    able = [name for name, count in zip(people, counts, strict=True) if count > 1]
    if share <= 0:
        return []
    wanted = max(round(share * len(people)), min(FEWEST_PEOPLE, len(people) // 4))
    wanted = min(wanted, MOST_PEOPLE, len(people) - FEWEST_LEARNED, len(able))
    if wanted < 2:  # of one person alone there are no impostors
        return []
    order = np.random.default_rng((seed, len(people))).permutation(len(able))
    return sorted(able[index] for index in order[:wanted])


def held_out_of(count: int, share: float, seed: int) -> np.ndarray:
    """Positions of the photos held out, sorted; none where they would be too few to tell."""
    wanted = min(round(share * count), MOST_PHOTOS)
    if share > 0:
        wanted = max(wanted, min(FEWEST_PHOTOS, count // 8))
    if wanted < 2:
        return np.zeros(0, np.int64)
    return np.sort(np.random.default_rng((seed, count)).permutation(count)[:wanted])
