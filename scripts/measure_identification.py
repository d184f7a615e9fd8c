"""Measure identification, claims and the guards of enrolment on LFW, in real galleries.

Prints three tables in Markdown. The photos' embeddings come out of the embedding cache: the first
run computes them (some four minutes on two cores), later ones take a minute or two. All people are
those of the pair lists; "unseen" are those whom the default model was not calibrated on (LFW View 1
names them), and galleries are drawn from these alone where there are enough.

Usage: ``python scripts/measure_identification.py --data ../shared/data``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import Fusion
from faceverify.embeddings.cache import EmbeddingCache, cache_folder
from faceverify.embeddings.compute import embed_photos
from faceverify.errors import FaceverifyError
from faceverify.evaluation.lists.reading import read_pairs
from faceverify.faces.options import FaceOptions
from faceverify.gallery.open import open_store
from faceverify.gallery.store import Enrolment, Store
from faceverify.images.discovery import find_photos
from faceverify.matching.threshold import MEAN_MARGIN, open_set_point
from faceverify.models.model_file import ModelFile
from faceverify.models.registry import load_model
from faceverify.recognition.admission import Admission
from faceverify.recognition.verify_claim import fused_distance

VIEW1 = ("pairsDevTrain.txt", "pairsDevTest.txt")
SIZES = ((100, 20), (300, 10), (900, 5), (2000, 5), (4000, 3))  # people enrolled, draws
FPIRS = (0.01, 0.1)
CLAIMED = 500  # people whom every photo claims to be
WRONG = 500  # photos that are enrolled under another's name
BATCH = 64  # faces that the guards of enrolment see at a time


@dataclass(frozen=True, eq=False)
class Photos:
    """N photos with a face.

    Args:
        embeddings: (N, D).
        people: who is on each, N.
        seen: people whom the calibration has seen.
    """

    model: ModelFile
    embeddings: NDArray[np.float32]
    people: NDArray[np.str_]
    seen: frozenset[str]

    def places(self, people: Iterable[str]) -> dict[str, NDArray[np.int64]]:
        """The photos of each of some people."""
        order = np.argsort(self.people, kind="stable")
        ordered = self.people[order]
        return {
            name: order[np.searchsorted(ordered, name) : np.searchsorted(ordered, name, "right")]
            for name in people
        }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds lfw/ and protocols/")
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    photos = read_photos(options.data, options.model)
    random = np.random.default_rng(0)
    print(
        f"Model {photos.model.provenance.name} ({photos.model.id}), {len(photos.people):,} photos"
    )
    print("\n".join(["", *sizes_table(photos, random)]), flush=True)
    print("\n".join(["", *templates_table(photos, random)]), flush=True)
    print("\n".join(["", *guards_table(photos, random)]), flush=True)


def read_photos(data: Path, model: str) -> Photos:
    """Embed all photos; those without a face are left out."""
    file = load_model(model)
    paths = list(find_photos(data / "lfw"))
    with EmbeddingCache(cache_folder()) as cache:
        found = embed_photos(paths, model, file, FaceOptions(), cache)
    seen: set[str] = set()
    for name in VIEW1:
        pairs = read_pairs(data / "protocols" / name)
        seen.update(pairs.first_identity or (), pairs.second_identity or ())
    people = np.array([path.parent.name for path in paths])
    return Photos(file, found.embeddings[found.enrolled], people[found.enrolled], frozenset(seen))


@contextmanager
def gallery() -> Iterator[Store]:
    """An empty gallery, for a while."""
    with tempfile.TemporaryDirectory() as folder, open_store(f"{folder}/g", create=True) as store:
        yield store


def enrol(
    store: Store, photos: Photos, places: Sequence[int], people: NDArray[np.str_] | None = None
) -> None:
    """Put templates into a gallery, whatever they are, under their own names or these."""
    names = photos.people if people is None else people
    store.add(templates(photos, places, names), model=photos.model.id)


def templates(photos: Photos, places: Sequence[int], names: NDArray[np.str_]) -> list[Enrolment]:
    """Photos as templates under these names."""
    return [
        Enrolment(str(names[p]), photos.embeddings[p], "", int(p).to_bytes(32, "big"), 1.0)
        for p in places
    ]


@dataclass
class Rates:
    """Searches that went wrong, and all of them."""

    wrong: int = 0
    all: int = 0

    def count(self, wrong: NDArray[np.bool_]) -> None:
        self.wrong += int(wrong.sum())
        self.all += len(wrong)

    def __str__(self) -> str:
        return f"{self.wrong / self.all:.2%}" if self.all else "n/a"


def searched(
    store: Store, photos: Photos, places: NDArray[np.int64], fusion: Fusion
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Name and distance of the nearest person of each photo."""
    found = store.search(photos.embeddings[places], 1, model=photos.model.id, fusion=fusion)
    nearest = [candidates[0] for candidates in found]
    return np.array([one.name for one in nearest]), np.array([one.distance for one in nearest])


def measured(
    store: Store,
    photos: Photos,
    mated: NDArray[np.int64],
    unmated: NDArray[np.int64],
    fusion: Fusion,
    rates: dict[str, Rates],
) -> None:
    """Count the errors of a gallery at each nominal FPIR."""
    templates = sum(store.count().values())
    _, strange = searched(store, photos, unmated, fusion)
    names, near = searched(store, photos, mated, fusion)
    right = names == photos.people[mated]
    rates.setdefault("rank-1", Rates()).count(right)
    for fpir in FPIRS:
        limit = limit_at(photos, fpir, templates, fusion)
        rates.setdefault(f"FPIR {fpir}", Rates()).count(strange <= limit)
        rates.setdefault(f"FNIR {fpir}", Rates()).count(~(right & (near <= limit)))


def limit_at(photos: Photos, rate: float, templates: int, fusion: Fusion) -> float:
    """The threshold that the commands would use."""
    margin = MEAN_MARGIN if fusion is Fusion.MEAN else 1.0
    found = open_set_point(
        photos.model.calibration, rate, templates, model="", model_id="", margin=margin
    )
    return found.threshold


def sizes_table(photos: Photos, random: np.random.Generator) -> list[str]:
    """One template a person: galleries of several sizes."""
    columns = ["rank-1", *(f"{kind} {fpir}" for fpir in FPIRS for kind in ("FPIR", "FNIR"))]
    lines = table("people enrolled", "drawn from", "unmated searches", "mated", *columns)
    everybody = sorted(set(photos.people.tolist()))
    unseen = [name for name in everybody if name not in photos.seen]
    for size, draws in SIZES:
        pool = unseen if 2 * size <= len(unseen) else everybody
        rates: dict[str, Rates] = {}
        for _ in range(draws):
            drawn = photos.places(random.permutation(pool)[:size].tolist())
            inside = np.isin(photos.people, list(drawn))
            outside = np.isin(photos.people, pool) & ~inside
            first = [int(places[0]) for places in drawn.values()]
            with gallery() as store:
                enrol(store, photos, first)
                mated = np.setdiff1d(np.flatnonzero(inside), first)
                measured(store, photos, mated, np.flatnonzero(outside), Fusion.MAX, rates)
        lines.append(
            row(
                f"{size:,}",
                "unseen" if pool is unseen else "all",
                f"{rates[columns[1]].all:,}",
                f"{rates['rank-1'].all:,}",
                *(rates[column] for column in columns),
            )
        )
    return lines


def templates_table(photos: Photos, random: np.random.Generator) -> list[str]:
    """Several templates a person: identification, and claims at an FMR of 1e-3."""
    columns = ["rank-1", *(f"{kind} {fpir}" for fpir in FPIRS for kind in ("FPIR", "FNIR"))]
    claims = ["claims: FMR", "claims: FNMR"]
    lines = table("templates each", "people", "fusion", *columns, *claims)
    everybody = sorted(set(photos.people.tolist()))
    for each in (1, 2, 3, 5):
        drawn = {
            name: random.permutation(places)
            for name, places in photos.places(everybody).items()
            if len(places) > each
        }
        kept = np.concatenate([places[:each] for places in drawn.values()])
        inside = np.isin(photos.people, list(drawn))
        mated = np.setdiff1d(np.flatnonzero(inside), kept)
        with gallery() as store:
            enrol(store, photos, kept)
            for fusion in Fusion if each > 1 else [Fusion.MAX]:
                rates: dict[str, Rates] = {}
                measured(store, photos, mated, np.flatnonzero(~inside), fusion, rates)
                false_match, false_non_match = claim_rates(store, photos, drawn, each, fusion)
                found = [*(rates[column] for column in columns), false_match, false_non_match]
                lines.append(row(each, len(drawn), fusion.value, *found))
    return lines


def claim_rates(
    store: Store,
    photos: Photos,
    drawn: dict[str, NDArray[np.int64]],
    each: int,
    fusion: Fusion,
    fmr: float = 1e-3,
) -> tuple[Rates, Rates]:
    """FMR and FNMR of claims: every photo claims to be each of some enrolled people."""
    limit = limit_at(photos, fmr, each, fusion if each > 1 else Fusion.MAX)
    false_match, false_non_match = Rates(), Rates()
    for name, places in list(drawn.items())[:CLAIMED]:
        distances = fused_distance(photos.embeddings, store.of(name), fusion)
        false_match.count(distances[photos.people != name] <= limit)
        false_non_match.count(distances[places[each:]] > limit)
    return false_match, false_non_match


def guards_table(photos: Photos, random: np.random.Generator) -> list[str]:
    """What the guards of enrolment refuse: of right photos, and of 500 under a wrong name."""
    lines = table("photos", "number", "matches-another", "unlike-own", "enrolled")
    right = np.zeros(len(photos.people), bool)
    wrong = right.copy()
    wrong[random.choice(len(wrong), WRONG, replace=False)] = True
    swapped = np.where(wrong, random.permutation(photos.people), photos.people)
    for what, people, chosen in (
        ("under their own names", photos.people, ~right),
        ("under another's name", swapped, swapped != photos.people),
    ):
        codes, new = guarded(photos, people, random)
        for whose, those in (("new", new), ("enrolled", ~new)):
            cells = [Rates() for _ in range(3)]
            for cell, code in zip(cells, ("matches-another", "unlike-own", ""), strict=True):
                cell.count(codes[chosen & those] == code)
            lines.append(row(f"{what}, {whose}", f"{(chosen & those).sum():,}", *cells))
    return lines


def guarded(
    photos: Photos, people: NDArray[np.str_], random: np.random.Generator
) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Enrol all photos under these names, person by person.

    Returns:
        Why each was refused, and whether its name was new to the gallery.
    """
    codes = np.full(len(people), "", object)
    new = np.zeros(len(people), bool)
    known: set[str] = set()
    order = np.lexsort((random.random(len(people)), people))
    with gallery() as store:
        admission = Admission(store, photos.model)
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            batch = templates(photos, places, people)
            admit = admission.examine(batch, [""] * len(batch))
            admission.grow(len(store.add(batch, model=photos.model.id, admit=admit)))
            codes[places[list(admit.doubts)]] = [doubt.code for doubt in admit.doubts.values()]
            for place in places:
                new[place] = people[place] not in known
                if not codes[place]:
                    known.add(str(people[place]))
    return codes, new


def table(*names: str) -> list[str]:
    """The head of a table."""
    return [row(*names), row(*["---"] * len(names))]


def row(*cells: object) -> str:
    """A row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    try:
        main()
    except FaceverifyError as error:
        sys.exit(f"measure_identification: {error}")
