"""The model file: one ONNX file that carries everything the using half must know about a model.

Four entries of the ONNX metadata are ours, each a JSON document:

* ``faceverify.contract``: the preprocessing contract (see :mod:`faceverify.models.contract`);
* ``faceverify.provenance``: name, architecture, head, dataset, licence, source;
* ``faceverify.thresholds``: distance thresholds, each with the false match rate it was set for;
* ``faceverify.card``, where there is one: the model card, text for people.

The file is read and written as protocol-buffer fields, so that neither the ``onnx`` package nor a
copy of the graph is needed: ``metadata_props`` is field 14 of ``ModelProto``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from faceverify.errors import ModelError
from faceverify.matching.operating_point import OperatingPoint
from faceverify.models.contract import Contract
from faceverify.models.metadata import (
    Provenance,
    Threshold,
    card_from_text,
    provenance_from_dict,
    threshold_from_dict,
    thresholds_from_list,
)
from faceverify.models.protobuf import fields, write_field
from faceverify.runtime.files import atomic_write

__all__ = [
    "ModelFile",
    "Provenance",
    "Threshold",
    "load_model_file",
    "parse_model_file",
    "split_metadata",
    "threshold_from_dict",
]

CONTRACT, PROVENANCE, THRESHOLDS, CARD = (
    "faceverify.contract",
    "faceverify.provenance",
    "faceverify.thresholds",
    "faceverify.card",
)
METADATA_FIELD = 14


@dataclass(frozen=True)
class ModelFile:
    """A model file, read and checked; the graph itself stays serialised.

    Attributes:
        name: what the user called it, for messages.
        graph: the ONNX model without our metadata.
        card: how it was made, what it was measured to do, what it must not be used for; lines of
            text, or nothing.
    """

    name: str
    graph: bytes
    contract: Contract
    provenance: Provenance
    thresholds: tuple[Threshold, ...] = ()
    card: str = ""

    @cached_property
    def id(self) -> str:
        """Hash of what decides an embedding: graph and contract, not name, origin or thresholds."""
        digest = hashlib.sha256(self.graph)
        digest.update(as_json(self.contract.as_dict()).encode())
        return digest.hexdigest()[:16]

    def threshold_for(self, fmr: float) -> Threshold:
        """Find the calibrated threshold of a false match rate.

        Raises:
            ModelError: the model was not calibrated for it.
        """
        for threshold in self.thresholds:
            if abs(threshold.fmr - fmr) <= 1e-9 * fmr:
                return threshold
        known = ", ".join(f"{threshold.fmr:g}" for threshold in self.thresholds) or "none"
        raise ModelError(
            f"{self.name}: no threshold for a false match rate of {fmr:g} (calibrated: {known})",
            cure="give --threshold, or one of the calibrated rates as --fmr",
            code="model-not-calibrated",
        )

    @property
    def calibration(self) -> list[tuple[float, float]]:
        """The calibrated points: (false match rate, distance)."""
        return [(one.fmr, one.distance) for one in self.thresholds]

    def operating_point(self, fmr: float, threshold: float | None = None) -> OperatingPoint:
        """Where to operate the model in a verification.

        Args:
            fmr: the false match rate to run at; one that the model was calibrated for.
            threshold: a cosine distance instead, in [0, 2].

        Raises:
            ModelError: it was not calibrated for the rate.
        """
        if threshold is not None:
            return OperatingPoint(threshold, self.provenance.name, self.id)
        found = self.threshold_for(fmr)
        return OperatingPoint(
            found.distance, self.provenance.name, self.id, fmr=fmr, dataset=found.dataset
        )

    def with_thresholds(self, thresholds: Iterable[Threshold]) -> ModelFile:
        """Give the model other thresholds; its id stays."""
        return replace(self, thresholds=tuple(thresholds))

    def to_bytes(self) -> bytes:
        """Build the whole file; the same model gives the same bytes."""
        entries: dict[str, object] = {
            CONTRACT: self.contract.as_dict(),
            PROVENANCE: asdict(self.provenance),
            THRESHOLDS: [asdict(threshold) for threshold in self.thresholds],
        }
        if self.card:
            entries[CARD] = self.card
        return self.graph + b"".join(metadata_entry(key, as_json(v)) for key, v in entries.items())

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        atomic_write(path, self.to_bytes())


def load_model_file(path: Path, name: str | None = None) -> ModelFile:
    """Read a model file.

    Raises:
        ModelError: it is missing, not an ONNX file, or one without a valid contract.
    """
    name = name or str(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(
            f"{name}: no such model file", cure="`faceverify weights list` shows what is installed"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{name}: cannot be read: {reason}") from error
    return parse_model_file(data, name)


def parse_model_file(data: bytes, name: str) -> ModelFile:
    """Split the bytes of a model file into graph and metadata, and check the metadata."""
    graph, entries = split_metadata(data, name)
    if CONTRACT not in entries:
        raise ModelError(
            f"{name}: an ONNX file without a faceverify contract",
            cure="`faceverify weights import` makes a model file of it",
        )
    try:
        contract = Contract.from_dict(document(entries, CONTRACT))
        provenance = provenance_from_dict(document(entries, PROVENANCE))
        thresholds = thresholds_from_list(document(entries, THRESHOLDS))
        card = card_from_text(document(entries, CARD)) if CARD in entries else ""
    except ValueError as error:
        raise ModelError(f"{name}: its metadata is not valid: {error}") from error
    return ModelFile(name, graph, contract, provenance, thresholds, card)


def document(entries: dict[str, str], key: str) -> object:
    """Read one JSON document of the metadata; ValueError says what is wrong with it."""
    if key not in entries:
        raise ValueError(f"{key} is missing")
    try:
        return json.loads(entries[key])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{key} is not JSON: {error}") from error


def as_json(value: object) -> str:
    """Write compact JSON with sorted keys: one text for one value."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def split_metadata(data: bytes, name: str) -> tuple[bytes, dict[str, str]]:
    """Part a file's bytes into the model without our metadata entries, and those entries.

    Raises:
        ModelError: these bytes are no ONNX model.
    """
    entries: dict[str, str] = {}
    kept: list[bytes] = []
    numbers = set()
    try:
        for number, start, value_start, end in fields(data):
            numbers.add(number)
            if number == METADATA_FIELD:
                pair = {n: data[s:e].decode() for n, _, s, e in fields(data, value_start, end)}
                key = pair.get(1, "")
                if key.startswith("faceverify."):
                    if key in entries:
                        raise ValueError(f"{key} twice")
                    entries[key] = pair.get(2, "")
                    continue
            kept.append(data[start:end])
    except (ValueError, IndexError) as error:
        raise ModelError(f"{name}: not an ONNX file, or a damaged one") from error
    if not {1, 7, 8} <= numbers:  # ir_version, graph, opset_import
        raise ModelError(f"{name}: not an ONNX file, or a damaged one")
    return b"".join(kept), entries


def metadata_entry(key: str, value: str) -> bytes:
    """Write one ``metadata_props`` field: a StringStringEntryProto."""
    return write_field(
        METADATA_FIELD, write_field(1, key.encode()) + write_field(2, value.encode())
    )
