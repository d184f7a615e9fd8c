"""Manifest of a gallery: number of rows and multiset hash of each table, sealed in one row.

It is read with every search and written with every change, in the same transaction as the rows.
The multiset hash is additive, as MSet-Add-Hash (Clarke et al., ASIACRYPT 2003): the sum of hashes
of the rows, modulo 2^256, keyed if the gallery is encrypted. It reveals missing, duplicated,
restored and changed rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite.protection import Protection
from faceverify.gallery.sqlite.records import MODULUS

PLACE = b"gallery/state"


@dataclass(frozen=True)
class RowSet:
    """Multiset hash of a set of rows.

    Attributes:
        count: number of rows.
        sum: sum of their tags, modulo 2^256.
    """

    count: int = 0
    sum: int = 0

    def changed(self, count: int, by: int) -> RowSet:
        """The set after adding ``count`` rows (negative: removing) whose tags sum to ``by``."""
        return RowSet(self.count + count, (self.sum + by) % MODULUS)


@dataclass(frozen=True)
class ModelRows:
    """Templates of a model.

    Attributes:
        key: number of the model in this gallery.
        name: id of the model.
        width: dimension of its embeddings.
        rows: the set of its templates.
    """

    key: int
    name: str
    width: int
    rows: RowSet


@dataclass(frozen=True)
class Manifest:
    """Contents of the whole gallery.

    Attributes:
        epoch: increases with every removal.
        identities: the set of people.
        models: the models with templates, by id.
        next_model: key of the next new model.
    """

    epoch: int = 0
    identities: RowSet = field(default_factory=RowSet)
    models: dict[str, ModelRows] = field(default_factory=dict)
    next_model: int = 1

    @property
    def templates(self) -> dict[str, int]:
        """Number of templates by model id."""
        return {model.name: model.rows.count for model in self.models.values()}

    def with_model(self, model: ModelRows) -> Manifest:
        """The manifest with a model replaced, or dropped if it has no template."""
        models = {**self.models, model.name: model}
        if not model.rows.count:
            del models[model.name]
        return replace(self, models=models, next_model=max(self.next_model, model.key + 1))

    def model_of(self, key: int) -> ModelRows:
        """A model by its number.

        Raises:
            GalleryError: a row names a model that the gallery does not have.
        """
        for model in self.models.values():
            if model.key == key:
                return model
        raise GalleryError(f"a template of the unknown model {key}", code="gallery-damaged")

    def seal(self, protection: Protection) -> bytes:
        """Its sealed form in the database."""
        models = [
            [m.key, m.name, m.width, m.rows.count, hex(m.rows.sum)] for m in self.models.values()
        ]
        content: dict[str, Any] = {
            "epoch": self.epoch,
            "identities": [self.identities.count, hex(self.identities.sum)],
            "models": models,
            "next_model": self.next_model,
        }
        return protection.seal(json.dumps(content, separators=(",", ":")).encode(), PLACE)


def read_manifest(protection: Protection, sealed: bytes) -> Manifest:
    """Open what :meth:`Manifest.seal` returned.

    Raises:
        GalleryError: it was changed.
    """
    content = json.loads(protection.open(sealed, PLACE))
    count, tags = content["identities"]
    return Manifest(
        epoch=content["epoch"],
        identities=RowSet(count, int(tags, 16)),
        models={
            name: ModelRows(key, name, width, RowSet(count, int(tags, 16)))
            for key, name, width, count, tags in content["models"]
        },
        next_model=content["next_model"],
    )
