"""Near duplicates, label errors and leaks of evaluation data, found by similarity of embeddings.

Embeddings come from a pretrained model, so this works before any training. Distances are cosine
distances, 1 - cos. Their scale differs between models and sets, so the limits are measured on the
set itself (:class:`Limits`), assuming that most of its labels are right. People are compared by
their mean embeddings, which vary little.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.training.check.problems import Problem
from faceverify.training.data.sets.errors import data_error

Floats = NDArray[np.float32]
BLOCK = 4096  # rows compared at a time
FEWEST = 3  # images of a person for a reliable mean
FEWEST_PEOPLE = 5  # people that limits can be measured on
JUDGED = 20  # images of a person that limits are measured on


@dataclass(frozen=True, eq=False)
class LabelledEmbeddings:
    """Embedded images.

    Args:
        names: of the images, N.
        people: names of the people, C.
        labels: the person on each image, (N,).
        embeddings: unit rows, zeros for an image without a face, (N, D).
    """

    names: Sequence[str]
    people: Sequence[str]
    labels: NDArray[np.int64]
    embeddings: Floats

    def means(self) -> tuple[Floats, NDArray[np.int64]]:
        """Mean embeddings of the people, unit or zero rows, (C, D), and numbers of images, (C,)."""
        sums = np.zeros((len(self.people), self.embeddings.shape[1]), np.float64)
        np.add.at(sums, self.labels, self.embeddings)
        found = (self.embeddings != 0).any(axis=1)
        counts = np.bincount(self.labels[found], minlength=len(self.people))
        return unit(sums), counts


def unit(rows: NDArray[np.floating]) -> Floats:
    """L2-normalise rows; zeros stay zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: Floats = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return result


def nearest(
    rows: Floats,
    others: Floats,
    *,
    labels: NDArray[np.int64] | None = None,
    other_labels: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], Floats]:
    """Nearest neighbour of each row among other rows.

    Args:
        rows: of length 1, (N, D).
        others: of length 1, (M, D).
        labels, other_labels: rows with the same label are excluded, (N,) and (M,).

    Returns:
        Indices and cosine distances of the neighbours, (N,) each.
    """
    which = np.zeros(len(rows), np.int64)
    distance = np.full(len(rows), np.inf, np.float32)
    for start in range(0, len(rows), BLOCK):
        cosine = rows[start : start + BLOCK] @ others.T  # (n, M)
        if labels is not None and other_labels is not None:
            cosine[labels[start : start + BLOCK, None] == other_labels] = -np.inf
        found = cosine.argmax(axis=1)
        which[start : start + BLOCK] = found
        distance[start : start + BLOCK] = 1 - cosine[np.arange(len(found)), found]
    return which, distance


@dataclass(frozen=True)
class Limits:
    """Limits of cosine distances, measured on a set.

    Args:
        photo: between two versions of one photo, resized or compressed.
        person: between the mean of a few images and that of the same person's others.
        twin: between two means of one person.
        typical: between most images and the mean of the same person's others.
        far: between nearly all images and the mean of the same person's others.
    """

    photo: float
    person: float
    twin: float
    typical: float
    far: float


def measured_limits(images: LabelledEmbeddings, altered: Floats, *, seed: int = 0) -> Limits:
    """Measure the limits on a set.

    Args:
        images: the set.
        altered: distances between some images and altered copies of them, (M,).
        seed: of the random choice of images.

    Raises:
        TrainingError: too few people have enough images.
    """
    order = np.argsort(images.labels, kind="stable")
    order = order[(images.embeddings[order] != 0).any(axis=1)]
    starts = np.searchsorted(images.labels[order], np.arange(len(images.people) + 1))
    rng = np.random.default_rng(seed)
    few, halves, own = [], [], []
    for start, end in itertools.pairwise(starts.tolist()):
        if end - start < 2 * FEWEST:
            continue
        rows = images.embeddings[rng.permutation(order[start:end])].astype(np.float64)
        total, cut = rows.sum(axis=0), len(rows) // 2
        few.append(_distance(rows[:2].sum(axis=0), total - rows[:2].sum(axis=0)))
        halves.append(_distance(rows[:cut].sum(axis=0), rows[cut:].sum(axis=0)))
        own += [_distance(row, total - row) for row in rows[:JUDGED]]
    if len(few) < FEWEST_PEOPLE:
        raise data_error(
            f"{len(few)} people have {2 * FEWEST} images or more, which is too few to tell what "
            "is usual",
            "leave --embed out",
        )
    return Limits(
        photo=float(np.quantile(altered, 0.95)),
        person=float(np.quantile(few, 0.9)),
        twin=float(np.quantile(halves, 0.99)),
        typical=float(np.quantile(own, 0.75)),
        far=float(np.quantile(own, 0.95)),
    )


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return 1 - float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def evaluation_problems(
    images: LabelledEmbeddings, evaluated: LabelledEmbeddings, limits: Limits, source: str
) -> Iterator[Problem]:
    """Yield images and people that are also in an evaluation.

    Args:
        images: the set.
        evaluated: the photos of the evaluation, with labels.
        limits: of the set.
        source: name of the evaluation, for messages.
    """
    which, distance = nearest(images.embeddings, evaluated.embeddings)
    for index in np.flatnonzero(distance < limits.photo).tolist():
        other = evaluated.names[which[index]]
        text = f"looks like {other} of {source}, at a distance of {distance[index]:.3f}"
        yield _problem("photo", images.names[index], text, other, distance[index])
    means, counts = images.means()
    which, distance = nearest(means, evaluated.means()[0])
    for label in np.flatnonzero((distance < limits.person) & (counts >= FEWEST)).tolist():
        other = evaluated.people[which[label]]
        text = f"looks like {other} of {source}, at a distance of {distance[label]:.3f}"
        yield _problem("person", images.people[label], text, other, distance[label])


def conflict_problems(images: LabelledEmbeddings, limits: Limits) -> Iterator[Problem]:
    """Yield images that another person has too, resized or recompressed; each pair once."""
    which, distance = nearest(
        images.embeddings,
        images.embeddings,
        labels=images.labels,
        other_labels=images.labels,
    )
    pairs = set()
    for index in np.flatnonzero(distance < limits.photo).tolist():
        other = int(which[index])
        if frozenset((index, other)) in pairs:
            continue
        pairs.add(frozenset((index, other)))
        people = [images.people[images.labels[place]] for place in (index, other)]
        text = (
            f"looks like {images.names[other]}, at a distance of {distance[index]:.3f}: of "
            f"{people[0]} and of {people[1]}"
        )
        yield _problem("conflict", images.names[index], text, images.names[other], distance[index])


def twin_problems(images: LabelledEmbeddings, limits: Limits) -> Iterator[Problem]:
    """Yield people who look like another person of the set; each pair once."""
    means, counts = images.means()
    cosine = means @ means.T
    alike = np.triu(1 - cosine < limits.twin, k=1)
    enough = counts >= FEWEST
    for one, other in zip(*np.nonzero(alike & enough[:, None] & enough), strict=True):
        distance = 1 - cosine[one, other]
        text = f"looks like {images.people[other]}, at a distance of {distance:.3f}"
        yield _problem("twin", images.people[one], text, images.people[other], distance)


def outlier_problems(images: LabelledEmbeddings, limits: Limits) -> Iterator[Problem]:
    """Yield images that look like another person of the set and unlike their own.

    An image unlike all people is of poor quality rather than mislabelled, and not reported.
    """
    means, counts = images.means()
    sums = np.zeros(means.shape, np.float64)
    np.add.at(sums, images.labels, images.embeddings)
    for start in range(0, len(images.labels), BLOCK):
        rows, labels = (
            images.embeddings[start : start + BLOCK],
            images.labels[start : start + BLOCK],
        )
        rest = unit(sums[labels] - rows)  # mean of the person's other images
        own = 1 - (rows * rest).sum(axis=1)
        cosine = rows @ means.T
        cosine[np.arange(len(rows)), labels] = -np.inf
        cosine[:, counts < FEWEST] = -np.inf
        other = cosine.argmax(axis=1)
        away = 1 - cosine[np.arange(len(rows)), other]
        odd = (away < limits.typical) & (own > limits.far) & (counts[labels] >= FEWEST)
        for place in np.flatnonzero(odd & (rows != 0).any(axis=1)).tolist():
            name = images.people[other[place]]
            text = (
                f"looks like {name}, at a distance of {away[place]:.3f}, rather than "
                f"{images.people[labels[place]]}, at {own[place]:.3f}"
            )
            values = {"distance": round(float(away[place]), 4), "own": round(float(own[place]), 4)}
            yield Problem("outlier", images.names[start + place], text, name, values)


def _problem(kind: str, where: str, text: str, other: str, distance: float) -> Problem:
    return Problem(kind, where, text, other, {"distance": round(float(distance), 4)})
