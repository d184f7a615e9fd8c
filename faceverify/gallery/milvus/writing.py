"""How templates get into a gallery on Milvus, and out of it: each step may be repeated."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from faceverify.errors import GalleryError
from faceverify.gallery.milvus.collections import (
    AT_ONCE,
    Model,
    person,
    rows_by_key,
    rows_in_order,
    rows_of,
)
from faceverify.gallery.milvus.freshness import FreshClient
from faceverify.gallery.milvus.rows import FIELDS, Row, SequenceNumbers, numbered, renamed, to_row
from faceverify.gallery.store import Added, Enrolment

BATCH_BYTES = 16_000_000  # of templates in one message; servers take up to 64 MB
ROW_BYTES = 1_000  # of a template beside its embedding


def store(
    client: FreshClient,
    model: Model,
    enrolments: Sequence[Enrolment],
    numbers: SequenceNumbers,
    *,
    anew: bool = False,
) -> list[Added]:
    """Write templates; what became of each.

    Args:
        anew: those that are there already as well, in their place.
    """
    if not enrolments:
        return []
    now = time.time()
    rows: dict[str, Row] = {}
    keys = []
    for row in (to_row(one, now) for one in enrolments):
        keys.append(row["key"])
        rows.setdefault(row["key"], row)
    known = [] if anew else rows_by_key(client, model, list(rows), ["key", "sequence"])
    found = {row["key"]: row["sequence"] for row in known}
    fresh = [key for key in rows if key not in found]
    found |= dict(zip(fresh, numbers.draw(len(fresh)), strict=True))
    _write(client, model, [numbered(rows[key], found[key]) for key in fresh])
    numbers.settle()
    new = dict.fromkeys(fresh, True)
    return [Added(found[key], new=new.pop(key, False)) for key in keys]


def replace(
    client: FreshClient, model: Model, enrolments: Sequence[Enrolment], numbers: SequenceNumbers
) -> list[int]:
    """Write templates, and then delete all others of the model."""
    sequences = [one.sequence for one in store(client, model, enrolments, numbers, anew=True)]
    kept = set(sequences)
    rows = rows_in_order(client, model, "key", fields=["sequence"])
    delete(client, model, [row["key"] for row in rows if row["sequence"] not in kept])
    return sequences


def remove(client: FreshClient, model: Model, name: str, sequences: Sequence[int] | None) -> int:
    """Delete a person's templates, all or these; returns how many."""
    rows = rows_of(client, model, person(name), ["key", "sequence"])
    wanted = None if sequences is None else set(sequences)
    keys = [row["key"] for row in rows if wanted is None or row["sequence"] in wanted]
    return delete(client, model, keys)


def rename(client: FreshClient, models: Iterable[Model], old: str, new: str) -> int:
    """Write a person's templates under another name, then delete them under the old one.

    Interrupted between, they are there under both, with the same numbers, and it can be repeated.

    Raises:
        GalleryError: somebody else has that name.
    """
    found = {model: rows_of(client, model, person(old), ["key", *FIELDS]) for model in models}
    numbers = {row["sequence"] for rows in found.values() for row in rows}
    others = [row["sequence"] for model in found for row in rows_of(client, model, person(new))]
    if numbers and (old == new or not numbers.issuperset(others)):
        raise GalleryError(f"{new!r} is enrolled already", cure="choose another name")
    count = 0
    for model, rows in found.items():
        _write(client, model, [renamed(row, new) for row in rows])
        count += delete(client, model, [row["key"] for row in rows])
    return count


def delete(client: FreshClient, model: Model, keys: Sequence[str]) -> int:
    """Delete rows; returns how many."""
    for start in range(0, len(keys), AT_ONCE):
        client.delete(model.collection, list(keys[start : start + AT_ONCE]))
    return len(keys)


def _write(client: FreshClient, model: Model, rows: Sequence[Row]) -> None:
    step = max(1, BATCH_BYTES // (4 * model.dimension + ROW_BYTES))
    for start in range(0, len(rows), step):
        client.upsert(model.collection, list(rows[start : start + step]))
