"""Look for what is wrong with the files of a set: nothing of this needs a model."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from faceverify.errors import ImageError, TrainingError
from faceverify.runtime.parallel import map_ordered
from faceverify.training.check.problems import Problem
from faceverify.training.data.decoding import SAME_SHAPE, decode
from faceverify.training.data.sets.face_set import FaceSet

LEAST_SIDE = 64  # pixels: less shows a face at half of what a 112 crop should


@dataclass(frozen=True)
class ImageFacts:
    """What reading an image told.

    Args:
        digest: SHA-256 of the encoded image; empty where it could not even be read.
        height, width: in pixels; 0 where it could not be decoded.
        error: why not.
    """

    digest: bytes
    height: int = 0
    width: int = 0
    error: str = ""


def read_facts(
    face_set: FaceSet,
    *,
    workers: int | None = None,
    progress: Callable[[Iterable[ImageFacts], str, int | None], Iterator[ImageFacts]] | None = None,
) -> list[ImageFacts]:
    """Read and decode every image of a set, N facts; what is wrong with one stops nothing."""

    def facts(index: int) -> ImageFacts:
        digest = b""
        try:
            data = face_set.read(index)
            digest = hashlib.sha256(data).digest()
            height, width = decode(data, face_set.name(index)).shape[-2:]
        except (ImageError, TrainingError) as error:
            return ImageFacts(digest, error=str(error))
        return ImageFacts(digest, int(height), int(width))

    found: Iterable[ImageFacts] = map_ordered(facts, range(len(face_set)), workers=workers)
    if progress is not None:
        found = progress(found, "images", len(face_set))
    return list(found)


def file_problems(
    face_set: FaceSet, facts: Sequence[ImageFacts], *, least_side: int = LEAST_SIDE
) -> Iterator[Problem]:
    """Yield images that are unreadable, tiny, of another shape, or in the set twice."""
    shapes = Counter((fact.height, fact.width) for fact in facts if fact.height)
    usual = shapes.most_common(1)[0][0] if shapes else (0, 0)
    for index, fact in enumerate(facts):
        name = face_set.name(index)
        if fact.error:
            yield Problem("unreadable", name, fact.error)
            continue
        size = {"width": fact.width, "height": fact.height}
        if min(fact.height, fact.width) < least_side:
            text = f"{fact.width} x {fact.height} pixels, under {least_side}"
            yield Problem("tiny", name, text, values=size)
        stretch = (fact.height / fact.width) / (usual[0] / usual[1])
        if not 1 / SAME_SHAPE <= stretch <= SAME_SHAPE:
            text = f"{fact.width} x {fact.height} pixels, where most are {usual[1]} x {usual[0]}"
            yield Problem("shape", name, text, values=size)
    yield from _duplicates(face_set, facts)


def _duplicates(face_set: FaceSet, facts: Sequence[ImageFacts]) -> Iterator[Problem]:
    first: dict[bytes, int] = {}
    for index, fact in enumerate(facts):
        if fact.error:  # said already
            continue
        before = first.setdefault(fact.digest, index)
        if before == index:
            continue
        name, other = face_set.name(index), face_set.name(before)
        people = [face_set.identities[face_set.labels[place]] for place in (before, index)]
        if people[0] == people[1]:
            yield Problem("duplicate", name, f"the same file as {other}", other)
        else:
            text = f"the same file as {other}: of {people[1]} and of {people[0]}"
            yield Problem("conflict", name, text, other)


def people_problems(face_set: FaceSet, empty: Sequence[str] = ()) -> Iterator[Problem]:
    """Yield people without images (``empty``, their names), and those with one."""
    for name in empty:
        yield Problem("empty", name, "has no image")
    counts = face_set.counts()
    for label in np.flatnonzero(counts == 1):
        yield Problem("single", face_set.identities[label], "has one image")


def name_problems(face_set: FaceSet, evaluated: Iterable[str], source: str) -> Iterator[Problem]:
    """Yield people whose names are in an evaluation list.

    Case, punctuation and what stands before the name make no difference: ``pins_Adriana Lima`` is
    ``Adriana_Lima``.

    Args:
        evaluated: the people of the list.
        source: the list, for the messages.
    """
    known: dict[str, str] = {}
    for name in evaluated:
        words = _words(name)
        if words:
            known.setdefault("".join(words), name)
    for person in face_set.identities:
        words = _words(person)
        # one word alone ("7", "x") must be all of the name
        ends = ["".join(words[start:]) for start in range(len(words))]
        match = next(
            (
                known[end]
                for start, end in enumerate(ends)
                if end in known and (start == 0 or len(_words(known[end])) > 1)
            ),
            None,
        )
        if match is not None:
            yield Problem("name", person, f"{source} has {match}", match)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", name.casefold()) if word]
