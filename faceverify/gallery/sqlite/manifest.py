"""What a gallery holds in all, sealed in one row: how many rows, and the sum of their tags.

It is read with every search and written with every change, in the same transaction as the rows.
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
    """A set of rows.

    Attributes:
        count: how many.
        sum: of their tags, modulo 2^256.
    """

    count: int = 0
    sum: int = 0

    def changed(self, count: int, by: int) -> RowSet:
        """With so many rows more (or less), whose tags sum to ``by``."""
        return RowSet(self.count + count, (self.sum + by) % MODULUS)


@dataclass(frozen=True)
class ModelRows:
    """The templates of a model.

    Attributes:
        key: number of the model in this gallery.
        name: its id.
        width: how many numbers an embedding has.
        rows: the set of its templates.
    """

    key: int
    name: str
    width: int
    rows: RowSet


@dataclass(frozen=True)
class State:
    """The whole gallery.

    Attributes:
        epoch: rises with every removal.
        identities: the set of people.
        models: by id; a model without templates is not in it.
    """

    epoch: int = 0
    identities: RowSet = field(default_factory=RowSet)
    models: dict[str, ModelRows] = field(default_factory=dict)
    next_model: int = 1

    @property
    def templates(self) -> dict[str, int]:
        """How many templates of each model there are, by its id."""
        return {model.name: model.rows.count for model in self.models.values()}

    def with_model(self, model: ModelRows) -> State:
        """With this many templates of a model; none at all, and it is forgotten."""
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
        """As it is stored."""
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


def read_state(protection: Protection, sealed: bytes) -> State:
    """What :meth:`State.seal` made.

    Raises:
        GalleryError: it was changed.
    """
    content = json.loads(protection.open(sealed, PLACE))
    count, tags = content["identities"]
    return State(
        epoch=content["epoch"],
        identities=RowSet(count, int(tags, 16)),
        models={
            name: ModelRows(key, name, width, RowSet(count, int(tags, 16)))
            for key, name, width, count, tags in content["models"]
        },
        next_model=content["next_model"],
    )
