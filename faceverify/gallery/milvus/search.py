"""Searches of a gallery on Milvus: the nearest people, of templates or of their means."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from faceverify.gallery.milvus.collections import Model, rows_in_order
from faceverify.gallery.milvus.freshness import FreshClient
from faceverify.gallery.milvus.rows import person_of
from faceverify.gallery.store import Candidate
from faceverify.matching.fusion import mean_direction

PER_PERSON = 4  # templates fetched for each person wanted, to begin with
MOST = 16_384  # results that Milvus gives to one query
TOGETHER = 64  # queries in one request
MEANS_AT_ONCE = 4_096


def nearest_templates(
    client: FreshClient,
    model: Model,
    queries: NDArray[np.float32],
    count: int,
    *,
    names: Sequence[str] | None,
) -> list[list[Candidate]]:
    """The people of the nearest templates, compared with every template.

    More and more templates are fetched, until enough different people are among them; where Milvus
    gives no more at once, the people known already are left out of the next question.
    """
    found: list[dict[str, Candidate]] = [{} for _ in queries]
    among = "" if names is None else f"person in {_hashes(names)}"
    limit = min(count * PER_PERSON, MOST)
    waiting = list(range(len(queries)))
    while waiting:
        left = []
        for start in range(0, len(waiting), TOGETHER):
            part = waiting[start : start + TOGETHER]
            for index, hits in zip(
                part, _hits(client, model, queries[part], limit, among), strict=True
            ):
                if _gather(found[index], hits, count) and len(hits) == limit:
                    left.append(index)
        waiting = left
        if limit == MOST:
            break
        limit = min(limit * 4, MOST)
    for index in waiting:
        query = queries[index : index + 1]
        while True:
            known = f"person not in {_hashes(list(found[index]))}"
            both = f"{among} and {known}" if among else known
            (hits,) = _hits(client, model, query, MOST, both)
            if not _gather(found[index], hits, count) or len(hits) < MOST:
                break
    return [sorted(one.values(), key=_distance)[:count] for one in found]


def nearest_means(
    client: FreshClient,
    model: Model,
    queries: NDArray[np.float32],
    count: int,
    *,
    names: Sequence[str] | None,
) -> list[list[Candidate]]:
    """The people whose mean templates are nearest.

    Milvus computes no means: every template of the model is read, and compared here.
    """
    people = None if names is None else set(names)
    best: list[list[Candidate]] = [[] for _ in queries]
    batch: list[tuple[str, NDArray[np.float64]]] = []

    def compare() -> None:
        if not batch:
            return
        means = mean_direction(np.stack([total for _, total in batch]))  # (P, D)
        distances = np.clip(1 - queries.astype(np.float64) @ means.T, 0, 2)  # (Q, P)
        for index, row in enumerate(distances):
            nearest = np.argsort(row, kind="stable")[:count]
            more = [Candidate(batch[one][0], float(row[one]), None) for one in nearest]
            best[index] = sorted(best[index] + more, key=_distance)[:count]
        batch.clear()

    rows = rows_in_order(client, model, "key", fields=["person", "name", "embedding"])
    for _, group in groupby(rows, key=lambda row: row["person"]):  # a key begins with its person
        templates = list(group)
        name = templates[0]["name"]
        if people is None or name in people:
            batch.append((name, np.sum([row["embedding"] for row in templates], 0, np.float64)))
        if len(batch) == MEANS_AT_ONCE:
            compare()
    compare()
    return best


def _hits(
    client: FreshClient, model: Model, queries: NDArray[np.float32], limit: int, condition: str
) -> list[list[Candidate]]:
    """The nearest templates of each query."""
    found = client.search(
        model.collection,
        data=list(queries),
        limit=limit,
        filter=condition,
        output_fields=["name", "sequence"],
        search_params={"metric_type": "COSINE"},
    )
    return [
        [
            Candidate(
                hit["entity"]["name"],
                min(max(1 - hit["distance"], 0.0), 2.0),  # Milvus tells the similarity
                hit["entity"]["sequence"],
            )
            for hit in hits
        ]
        for hits in found
    ]


def _gather(found: dict[str, Candidate], hits: list[Candidate], count: int) -> bool:
    """Keep each person's nearest; tells whether people are still missing."""
    for one in sorted(hits, key=_distance):
        if one.name not in found or one.distance < found[one.name].distance:
            found[one.name] = one
    return len(found) < count


def _distance(candidate: Candidate) -> tuple[float, int]:
    return candidate.distance, candidate.sequence or 0


def _hashes(names: Sequence[str]) -> str:
    """People as a list in a filter: hex digits only, so nothing in a name can be read as one."""
    return "[" + ", ".join(f'"{person_of(name)}"' for name in names) + "]"
