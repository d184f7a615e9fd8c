"""Collections of a gallery on Milvus: one that lists its models, and one for each model.

The vectors of a collection have one dimension, and a search covers all of it: hence one for each
model. The index is FLAT: every vector is compared. Milvus sorts and pages by search distance only;
so rows are read in order by ranges of keys, bisected until a range fits into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from faceverify.errors import GalleryError
from faceverify.gallery.milvus.consistency import ConsistentClient
from faceverify.gallery.milvus.rows import (
    FIELDS,
    KEY_DIGITS,
    LONGEST_TEXT,
    PERSON_BYTES,
    Row,
    person_of,
)

VERSION = 1
MARK = "faceverify gallery"  # the row of the list that holds the version, not a model
PAGE = 4_096  # rows of a range that is fetched
AT_ONCE = 1_000  # keys in one query
SMALLEST_DIMENSION = 2  # that Milvus accepts


@dataclass(frozen=True)
class Model:
    """A model of a gallery.

    Attributes:
        name: id of the model.
        collection: name of the collection of its templates.
        dimension: dimension of its embeddings.
    """

    name: str
    collection: str
    dimension: int


def make_list(client: ConsistentClient, gallery: str) -> None:
    """Create the collection that lists the models, and with it the gallery."""
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("model", DataType.VARCHAR, max_length=LONGEST_TEXT, is_primary=True)
    schema.add_field("collection", DataType.VARCHAR, max_length=256)
    schema.add_field("dimension", DataType.INT64)
    schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)  # Milvus requires a vector
    _create(client, gallery, schema, "nothing")
    _list(client, gallery, MARK, "", VERSION)


def version_of(client: ConsistentClient, gallery: str) -> int | None:
    """Schema version of the gallery; None without one, 0 for a collection of another program.

    A list without the version row, left by an interrupted creation, gets it now.
    """
    if not client.has_collection(gallery):
        return None
    fields = {field["name"] for field in client.describe_collection(gallery)["fields"]}
    if fields != {"model", "collection", "dimension", "nothing"}:
        return 0
    client.load_collection(gallery)
    marks = _models(client, gallery, f'model == "{MARK}"')
    if not marks:
        _list(client, gallery, MARK, "", VERSION)
    return marks[0].dimension if marks else VERSION


def models_of(client: ConsistentClient, gallery: str) -> dict[str, Model]:
    """Models of a gallery, by name, those added by other processes included."""
    found = _models(client, gallery, f'model != "{MARK}"')
    return {model.name: model for model in sorted(found, key=lambda one: one.name)}


def make_model(client: ConsistentClient, gallery: str, name: str, dimension: int) -> Model:
    """Create a model's collection, unless it exists, and list it."""
    from pymilvus import DataType

    if dimension < SMALLEST_DIMENSION:
        raise GalleryError("Milvus keeps no embeddings of one number", code="gallery-model")
    collection = f"{gallery}_{sha256(name.encode()).hexdigest()[:16]}"
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", DataType.VARCHAR, max_length=KEY_DIGITS, is_primary=True)
    schema.add_field("person", DataType.VARCHAR, max_length=2 * PERSON_BYTES)
    schema.add_field("sequence", DataType.INT64)
    schema.add_field("name", DataType.VARCHAR, max_length=LONGEST_TEXT)
    schema.add_field("quality", DataType.DOUBLE)
    schema.add_field("time", DataType.DOUBLE)
    schema.add_field("checksum", DataType.INT64)
    schema.add_field("photo_hash", DataType.VARCHAR, max_length=64)
    schema.add_field("photo", DataType.VARCHAR, max_length=LONGEST_TEXT)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dimension)
    _create(client, collection, schema, "embedding")
    _list(client, gallery, name, collection, dimension)
    return Model(name, collection, dimension)


def drop_model(client: ConsistentClient, gallery: str, model: Model) -> None:
    """Drop a model's collection and its row in the list."""
    client.drop_collection(model.collection)
    client.delete(gallery, ids=[model.name])


def person(name: str) -> str:
    """Filter for a person's rows; contains hex digits only, never the name."""
    return f'person == "{person_of(name)}"'


def rows_of(
    client: ConsistentClient, model: Model, condition: str, fields: Sequence[str] = FIELDS
) -> list[Row]:
    """Rows that match a filter, in no order."""
    found = client.query(model.collection, filter=condition, output_fields=list(fields))
    return [dict(row) for row in found]


def rows_by_key(
    client: ConsistentClient, model: Model, keys: Sequence[str], fields: Sequence[str]
) -> list[Row]:
    """Rows with these keys, in no order."""
    found: list[Row] = []
    for start in range(0, len(keys), AT_ONCE):
        part = list(keys[start : start + AT_ONCE])
        rows = client.query(model.collection, ids=part, output_fields=list(fields))
        found += [dict(row) for row in rows]
    return found


def rows_in_order(
    client: ConsistentClient,
    model: Model,
    field: str,
    *,
    above: int = -1,
    fields: Sequence[str] = FIELDS,
) -> Iterator[Row]:
    """All rows ordered by ``field``, with one page in memory.

    Args:
        field: "key" or "sequence".
        above: only rows with a greater sequence number.
        fields: the fields to read.
    """
    low, high = (0, 16**KEY_DIGITS) if field == "key" else (above + 1, 2**63 - 1)

    def literal(number: int) -> str:
        return f'"{number:0{KEY_DIGITS}x}"' if field == "key" else str(number)

    def condition(low: int, high: int) -> str:
        last = "" if high == 16**KEY_DIGITS else f" and {field} < {literal(high)}"
        return f"{field} >= {literal(low)}{last}"

    def count(low: int, high: int) -> int:
        counted = client.query(
            model.collection, filter=condition(low, high), output_fields=["count(*)"]
        )
        return int(counted[0]["count(*)"])

    for start, end in _ranges(count, low, high, count(low, high)):
        columns = list(dict.fromkeys([field, *fields]))
        yield from sorted(
            rows_of(client, model, condition(start, end), columns), key=lambda row: row[field]
        )


def _ranges(
    count: Callable[[int, int], int], low: int, high: int, found: int
) -> Iterator[tuple[int, int]]:
    """Ranges in order, bisected until ``count`` gives at most a page in each."""
    if found <= PAGE or high - low < 2:
        if found:
            yield low, high
        return
    middle = (low + high) // 2
    below = count(low, middle)
    yield from _ranges(count, low, middle, below)
    yield from _ranges(count, middle, high, found - below)


def _create(client: ConsistentClient, collection: str, schema: Any, vector: str) -> None:
    """Create and load a collection; another process may do the same concurrently."""
    from pymilvus import MilvusException

    if not client.has_collection(collection):
        try:
            client.create_collection(collection, schema=schema, consistency_level="Session")
        except MilvusException:
            if not client.has_collection(collection):
                raise
    if not client.list_indexes(collection):
        index = client.prepare_index_params()
        index.add_index(vector, index_type="FLAT", metric_type="COSINE")
        try:
            client.create_index(collection, index)
        except MilvusException:
            if not client.list_indexes(collection):
                raise
    client.load_collection(collection)


def _list(
    client: ConsistentClient, gallery: str, model: str, collection: str, dimension: int
) -> None:
    row = {"model": model, "collection": collection, "dimension": dimension, "nothing": [1.0, 0.0]}
    client.upsert(gallery, [row])


def _models(client: ConsistentClient, gallery: str, condition: str) -> list[Model]:
    fields = ["model", "collection", "dimension"]
    found = client.query(gallery, filter=condition, output_fields=fields)
    return [Model(row["model"], row["collection"], row["dimension"]) for row in found]
