"""Model file: an ONNX file with all that inference needs to know about a model.

Its ONNX metadata has up to six entries of faceverify, each a JSON document:

* ``faceverify.contract``: the preprocessing contract (:mod:`faceverify.models.contract`);
* ``faceverify.provenance``: name, architecture, head, dataset, licence, source;
* ``faceverify.thresholds``: distance thresholds, each with its nominal false match rate;
* ``faceverify.usual-length``, optional: of an embedding, before it is scaled to 1;
* ``faceverify.card``, optional: the model card, as text;
* ``faceverify.prepared``, optional: of which model the graph was prepared for the engine.

Read and written as protocol-buffer fields, without the ``onnx`` package and without a copy of the
graph: ``metadata_props`` is field 14 of ``ModelProto``.
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
    PreparedFrom,
    Provenance,
    Threshold,
    card_from_text,
    length_of,
    prepared_from_dict,
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

CONTRACT, PROVENANCE, THRESHOLDS, USUAL_LENGTH, CARD, PREPARED = (
    "faceverify.contract",
    "faceverify.provenance",
    "faceverify.thresholds",
    "faceverify.usual-length",
    "faceverify.card",
    "faceverify.prepared",
)
METADATA_FIELD = 14


@dataclass(frozen=True)
class ModelFile:
    """A model file, read and validated; the graph stays serialised.

    Attributes:
        name: as given by the user, for messages.
        graph: the ONNX model without the entries of faceverify.
        contract: the preprocessing contract.
        provenance: architecture, dataset, licence and source.
        thresholds: calibrated.
        card: the model card, lines of text; may be empty.
        prepared_from: the model whose graph was prepared for the engine; None if it was not.
        usual_length: of embeddings of good photos before they are scaled to 1: the length that 95 %
            of them exceed; None where it is not known, or says nothing.
    """

    name: str
    graph: bytes
    contract: Contract
    provenance: Provenance
    thresholds: tuple[Threshold, ...] = ()
    card: str = ""
    prepared_from: PreparedFrom | None = None
    usual_length: float | None = None

    @property
    def id(self) -> str:
        """Hash of what determines an embedding: graph and contract, not the other metadata.

        Of a graph that was prepared for the engine: the id of the model before, whose embeddings it
        gives, as long as graph and contract are those that were made then.
        """
        kept = self.prepared_from
        return kept.id if kept and kept.content == self.content else self.content

    @cached_property
    def content(self) -> str:
        """Hash of the graph and the contract that are in the file."""
        digest = hashlib.sha256(self.graph)
        digest.update(as_json(self.contract.as_dict()).encode())
        return digest.hexdigest()[:16]

    def threshold_for(self, fmr: float) -> Threshold:
        """The calibrated threshold of a false match rate.

        Raises:
            ModelError: the model is not calibrated for that rate, or its threshold does not hold.
        """
        usable = [threshold for threshold in self.thresholds if threshold.holds]
        for threshold in usable:
            if abs(threshold.fmr - fmr) <= 1e-9 * fmr:
                return threshold
        known = ", ".join(f"{threshold.fmr:g}" for threshold in usable) or "none"
        broken = [one for one in self.thresholds if abs(one.fmr - fmr) <= 1e-9 * fmr]
        measured = "".join(
            f"; the one it has does not hold (distance {one.distance:g}, FMR measured "
            f"{one.interval[0]:.2g} to {one.interval[1]:.2g})"
            for one in broken[:1]
        )
        rates = "one of the calibrated rates as --fmr" if usable else "`faceverify calibrate` it"
        raise ModelError(
            f"{self.name}: no threshold for a false match rate of {fmr:g} (calibrated: {known})"
            f"{measured}",
            cure=f"give --threshold, or {rates}",
            code="model-not-calibrated",
        )

    @property
    def calibration(self) -> list[tuple[float, float]]:
        """The calibrated points that hold: (false match rate, distance)."""
        return [(one.fmr, one.distance) for one in self.thresholds if one.holds]

    def operating_point(self, fmr: float, threshold: float | None = None) -> OperatingPoint:
        """Operating point for verification.

        Args:
            fmr: false match rate, one that the model is calibrated for.
            threshold: cosine distance in [0, 2], used instead if given.

        Raises:
            ModelError: the model is not calibrated for that rate.
        """
        if threshold is not None:
            return OperatingPoint(threshold, self.provenance.name, self.id)
        found = self.threshold_for(fmr)
        return OperatingPoint(
            found.distance, self.provenance.name, self.id, fmr=fmr, dataset=found.dataset
        )

    def with_thresholds(self, thresholds: Iterable[Threshold]) -> ModelFile:
        """The model with other thresholds, and the same id."""
        return replace(self, thresholds=tuple(thresholds))

    def to_bytes(self) -> bytes:
        """Content of the file; equal models give equal bytes."""
        entries: dict[str, object] = {
            CONTRACT: self.contract.as_dict(),
            PROVENANCE: asdict(self.provenance),
            THRESHOLDS: [asdict(threshold) for threshold in self.thresholds],
        }
        if self.card:
            entries[CARD] = self.card
        if self.usual_length is not None:
            entries[USUAL_LENGTH] = self.usual_length
        if self.prepared_from:
            entries[PREPARED] = asdict(self.prepared_from)
        return self.graph + b"".join(metadata_entry(key, as_json(v)) for key, v in entries.items())

    def save(self, path: Path) -> None:
        """Write the file atomically."""
        atomic_write(path, self.to_bytes())


def load_model_file(path: Path, name: str | None = None) -> ModelFile:
    """The model file at a path, read and validated.

    Args:
        name: for messages; the path by default.

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
    """The model file of its bytes; errors as :func:`load_model_file`."""
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
        prepared = prepared_from_dict(document(entries, PREPARED)) if PREPARED in entries else None
        length = length_of(document(entries, USUAL_LENGTH)) if USUAL_LENGTH in entries else None
    except ValueError as error:
        raise ModelError(f"{name}: its metadata is not valid: {error}") from error
    return ModelFile(name, graph, contract, provenance, thresholds, card, prepared, length)


def document(entries: dict[str, str], key: str) -> object:
    """Value of a JSON document of the metadata; ValueError if it is missing or not JSON."""
    if key not in entries:
        raise ValueError(f"{key} is missing")
    try:
        return json.loads(entries[key])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{key} is not JSON: {error}") from error


def as_json(value: object) -> str:
    """Compact JSON with sorted keys: equal values give equal text."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def split_metadata(data: bytes, name: str) -> tuple[bytes, dict[str, str]]:
    """The ONNX model without the entries of faceverify, and those entries.

    Raises:
        ModelError: not an ONNX model.
    """
    entries: dict[str, str] = {}
    kept: list[slice] = []
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
            if kept and kept[-1].stop == start:  # one copy of the weights, and not two
                start = kept.pop().start
            kept.append(slice(start, end))
    except (ValueError, IndexError) as error:
        raise _not_onnx(data, name) from error
    if not {1, 7, 8} <= numbers:  # ir_version, graph, opset_import
        raise _not_onnx(data, name)
    return b"".join(data[part] for part in kept), entries


def _not_onnx(data: bytes, name: str) -> ModelError:
    from faceverify.models.foreign import not_onnx_error  # no file of a working model needs it

    return not_onnx_error(data, name)


def metadata_entry(key: str, value: str) -> bytes:
    """A ``metadata_props`` field: a StringStringEntryProto, serialised."""
    return write_field(
        METADATA_FIELD, write_field(1, key.encode()) + write_field(2, value.encode())
    )
