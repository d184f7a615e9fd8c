"""Look for what is wrong with the people of a set, by how alike their faces are.

Embeddings come from a model that has learned elsewhere, so that this works before any training.
Distances are cosine distances, 1 - cos. How near is near differs from model to model and from set
to set, so it is measured on the set itself (:class:`Limits`): most of its images are what they are
said to be. People are compared by their mean embeddings, which scatter little.
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
FEWEST = 3  # images of a person whose mean says who it is
FEWEST_PEOPLE = 5  # on whom limits can be measured
JUDGED = 20  # images of a person that limits are measured on


@dataclass(frozen=True, eq=False)
class Seen:
    """Embedded images.

    Args:
        names: of the images, N.
        people: names of the people, C.
        labels: the person on each image, (N,).
        embeddings: of length 1, zeros where there is none, (N, D).
    """

    names: Sequence[str]
    people: Sequence[str]
    labels: NDArray[np.int64]
    embeddings: Floats

    def means(self) -> tuple[Floats, NDArray[np.int64]]:
        """Mean embedding of each person, of length 1 or 0, (C, D), and of how many images, (C,)."""
        sums = np.zeros((len(self.people), self.embeddings.shape[1]), np.float64)
        np.add.at(sums, self.labels, self.embeddings)
        seen = (self.embeddings != 0).any(axis=1)
        counts = np.bincount(self.labels[seen], minlength=len(self.people))
        return unit(sums), counts


def unit(rows: NDArray[np.floating]) -> Floats:
    """Rows of length 1; zeros stay zeros."""
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
    """Find the nearest of other rows for each row.

    Args:
        rows: of length 1, (N, D).
        others: of length 1, (M, D).
        labels, other_labels: rows of the same label are no neighbours, (N,) and (M,).

    Returns:
        Which, and the cosine distance, (N,) each.
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
    """How near is near, as cosine distances.

    Args:
        photo: within it two images are one photo, resized or compressed.
        person: within it a few images are of the person whose mean it is.
        twin: within it two means are of one person.
        typical: most images are nearer than this to the rest of their own person.
        far: hardly any image is further than this from the rest of its own person.
    """

    photo: float
    person: float
    twin: float
    typical: float
    far: float


def measured_limits(seen: Seen, altered: Floats, *, seed: int = 0) -> Limits:
    """Measure what is near on a set itself.

    Args:
        seen: the set.
        altered: distances of some images to altered copies of them, (M,).
        seed: of the images that are drawn.

    Raises:
        TrainingError: too few people have images enough.
    """
    order = np.argsort(seen.labels, kind="stable")
    order = order[(seen.embeddings[order] != 0).any(axis=1)]
    starts = np.searchsorted(seen.labels[order], np.arange(len(seen.people) + 1))
    rng = np.random.default_rng(seed)
    few, halves, own = [], [], []
    for start, end in itertools.pairwise(starts.tolist()):
        if end - start < 2 * FEWEST:
            continue
        rows = seen.embeddings[rng.permutation(order[start:end])].astype(np.float64)
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
    seen: Seen, evaluated: Seen, limits: Limits, source: str
) -> Iterator[Problem]:
    """Yield images and people that are also in an evaluation.

    Args:
        seen: the set.
        evaluated: the photos of the evaluation and who is on them.
        source: what it is called, for the messages.
    """
    which, distance = nearest(seen.embeddings, evaluated.embeddings)
    for index in np.flatnonzero(distance < limits.photo).tolist():
        other = evaluated.names[which[index]]
        text = f"looks like {other} of {source}, at a distance of {distance[index]:.3f}"
        yield _problem("photo", seen.names[index], text, other, distance[index])
    means, counts = seen.means()
    which, distance = nearest(means, evaluated.means()[0])
    for label in np.flatnonzero((distance < limits.person) & (counts >= FEWEST)).tolist():
        other = evaluated.people[which[label]]
        text = f"looks like {other} of {source}, at a distance of {distance[label]:.3f}"
        yield _problem("person", seen.people[label], text, other, distance[label])


def conflict_problems(seen: Seen, limits: Limits) -> Iterator[Problem]:
    """Yield images that are also under another person, resized or compressed anew; each once."""
    which, distance = nearest(
        seen.embeddings, seen.embeddings, labels=seen.labels, other_labels=seen.labels
    )
    pairs = set()
    for index in np.flatnonzero(distance < limits.photo).tolist():
        other = int(which[index])
        if frozenset((index, other)) in pairs:
            continue
        pairs.add(frozenset((index, other)))
        people = [seen.people[seen.labels[place]] for place in (index, other)]
        text = (
            f"looks like {seen.names[other]}, at a distance of {distance[index]:.3f}: of "
            f"{people[0]} and of {people[1]}"
        )
        yield _problem("conflict", seen.names[index], text, seen.names[other], distance[index])


def twin_problems(seen: Seen, limits: Limits) -> Iterator[Problem]:
    """Yield people who look like another person of the set, each pair once."""
    means, counts = seen.means()
    cosine = means @ means.T
    alike = np.triu(1 - cosine < limits.twin, k=1)
    enough = counts >= FEWEST
    for one, other in zip(*np.nonzero(alike & enough[:, None] & enough), strict=True):
        distance = 1 - cosine[one, other]
        text = f"looks like {seen.people[other]}, at a distance of {distance:.3f}"
        yield _problem("twin", seen.people[one], text, seen.people[other], distance)


def outlier_problems(seen: Seen, limits: Limits) -> Iterator[Problem]:
    """Yield images that look like another person, and unlike the one they are said to show.

    An image that looks like nobody is a bad image, and not one of somebody else: it is not told.
    """
    means, counts = seen.means()
    sums = np.zeros(means.shape, np.float64)
    np.add.at(sums, seen.labels, seen.embeddings)
    for start in range(0, len(seen.labels), BLOCK):
        rows, labels = seen.embeddings[start : start + BLOCK], seen.labels[start : start + BLOCK]
        rest = unit(sums[labels] - rows)  # the mean of the others of its person
        own = 1 - (rows * rest).sum(axis=1)
        cosine = rows @ means.T
        cosine[np.arange(len(rows)), labels] = -np.inf
        cosine[:, counts < FEWEST] = -np.inf
        other = cosine.argmax(axis=1)
        away = 1 - cosine[np.arange(len(rows)), other]
        odd = (away < limits.typical) & (own > limits.far) & (counts[labels] >= FEWEST)
        for place in np.flatnonzero(odd & (rows != 0).any(axis=1)).tolist():
            name = seen.people[other[place]]
            text = (
                f"looks like {name}, at a distance of {away[place]:.3f}, rather than "
                f"{seen.people[labels[place]]}, at {own[place]:.3f}"
            )
            values = {"distance": round(float(away[place]), 4), "own": round(float(own[place]), 4)}
            yield Problem("outlier", seen.names[start + place], text, name, values)


def _problem(kind: str, where: str, text: str, other: str, distance: float) -> Problem:
    return Problem(kind, where, text, other, {"distance": round(float(distance), 4)})
