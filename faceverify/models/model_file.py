"""The model file: one ONNX file that carries everything the using half must know about a model.

Three entries of the ONNX metadata are ours, each a JSON document:

* ``faceverify.contract``: the preprocessing contract (see :mod:`faceverify.models.contract`);
* ``faceverify.provenance``: name, architecture, head, dataset, licence, source;
* ``faceverify.thresholds``: distance thresholds, each with the false match rate it was set for.

The file is read and written as protocol-buffer fields, so that neither the ``onnx`` package nor a
copy of the graph is needed: ``metadata_props`` is field 14 of ``ModelProto``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from faceverify.errors import ModelError
from faceverify.files import atomic_write
from faceverify.models.contract import Contract, is_finite

CONTRACT, PROVENANCE, THRESHOLDS = (
    "faceverify.contract",
    "faceverify.provenance",
    "faceverify.thresholds",
)
METADATA_FIELD = 14


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from; free text, "unknown" where nobody said."""

    name: str
    architecture: str = "unknown"
    head: str = "unknown"
    dataset: str = "unknown"
    licence: str = "unknown"
    source: str = "unknown"


@dataclass(frozen=True)
class Threshold:
    """A distance threshold with the evidence behind it.

    Attributes:
        fmr: the false match rate it was set for.
        distance: two faces match where their cosine distance is at most this.
        fnmr: share of genuine comparisons it rejects on the same data.
        impostors, genuine: number of comparisons behind the two rates.
        interval: 95 % interval of the false match rate at this distance.
        dataset: what it was measured on.
    """

    fmr: float
    distance: float
    fnmr: float
    impostors: int
    genuine: int
    interval: tuple[float, float]
    dataset: str


@dataclass(frozen=True)
class ModelFile:
    """A model file, read and checked; the graph itself stays serialised.

    Attributes:
        name: what the user called it, for messages.
        graph: the ONNX model without our metadata.
    """

    name: str
    graph: bytes
    contract: Contract
    provenance: Provenance
    thresholds: tuple[Threshold, ...] = ()

    @cached_property
    def id(self) -> str:
        """Hash of what decides an embedding: graph and contract, not name, origin or thresholds."""
        digest = hashlib.sha256(self.graph)
        digest.update(as_json(self.contract.as_dict()).encode())
        return digest.hexdigest()[:16]

    def threshold_for(self, fmr: float) -> Threshold:
        """The calibrated threshold of a false match rate.

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

    def with_thresholds(self, thresholds: Iterable[Threshold]) -> ModelFile:
        """The same model with other thresholds; its id stays."""
        return replace(self, thresholds=tuple(thresholds))

    def to_bytes(self) -> bytes:
        """The whole file; the same model gives the same bytes."""
        entries = {
            CONTRACT: self.contract.as_dict(),
            PROVENANCE: asdict(self.provenance),
            THRESHOLDS: [asdict(threshold) for threshold in self.thresholds],
        }
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
    except OSError as error:
        raise ModelError(f"{name}: cannot be read: {error.strerror}") from error
    return parse_model_file(data, name)


def parse_model_file(data: bytes, name: str) -> ModelFile:
    """Split the bytes of a model file into graph and metadata, and check the metadata."""
    graph, entries = split_metadata(data, name)
    if CONTRACT not in entries:
        raise ModelError(
            f"{name}: an ONNX file without a faceverify contract",
            cure="`faceverify weights import` makes a model file of it",
        )
    documents = {}
    for key in (CONTRACT, PROVENANCE, THRESHOLDS):
        try:
            documents[key] = json.loads(entries[key])
        except (KeyError, ValueError, RecursionError) as error:
            raise ModelError(f"{name}: metadata {key} is missing or not JSON: {error}") from error
    try:
        contract = Contract.from_dict(documents[CONTRACT])
        provenance = provenance_from_dict(documents[PROVENANCE])
        thresholds = tuple(map(threshold_from_dict, documents[THRESHOLDS]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{name}: its metadata is not valid: {error}") from error
    return ModelFile(name, graph, contract, provenance, thresholds)


def provenance_from_dict(values: dict[str, Any]) -> Provenance:
    """Check and build; ValueError or TypeError says what is wrong."""
    provenance = Provenance(**values)
    for field, value in asdict(provenance).items():
        if not isinstance(value, str):
            raise ValueError(f"provenance {field} is {value!r}, not text")  # noqa: TRY004
    return provenance


def threshold_from_dict(values: dict[str, Any]) -> Threshold:
    """Check and build; ValueError or TypeError says what is wrong."""
    low, high = values.pop("interval")
    threshold = Threshold(**values, interval=(low, high))
    numbers = (threshold.fmr, threshold.distance, threshold.fnmr, low, high)
    if not all(map(is_finite, numbers)):
        raise ValueError(f"a threshold holds {numbers}, not numbers")
    if not (0 < threshold.fmr < 1 and 0 <= threshold.distance <= 2):
        raise ValueError(f"threshold {threshold.distance} for a false match rate of {threshold.fmr}")
    return threshold


def as_json(value: object) -> str:
    """Compact JSON with sorted keys: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


# --- protocol-buffer fields -----------------------------------------------------------------------


def split_metadata(data: bytes, name: str) -> tuple[bytes, dict[str, str]]:
    """The model without our metadata entries, and those entries."""
    entries: dict[str, str] = {}
    kept: list[bytes] = []
    numbers = set()
    try:
        for number, start, value_start, end in fields(data):
            numbers.add(number)
            if number == METADATA_FIELD:
                pair = {n: data[s:e].decode() for n, _, s, e in fields(data, value_start, end)}
                if pair.get(1, "").startswith("faceverify."):
                    entries[pair[1]] = pair.get(2, "")
                    continue
            kept.append(data[start:end])
    except (ValueError, IndexError) as error:
        raise ModelError(f"{name}: not an ONNX file, or a damaged one") from error
    if not {1, 7, 8} <= numbers:  # ir_version, graph, opset_import
        raise ModelError(f"{name}: not an ONNX file, or a damaged one")
    return b"".join(kept), entries


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """Each field of a message: its number, where it starts, where its value starts and ends."""
    at, end = start, len(data) if end is None else end
    while at < end:
        first = at
        tag, at = read_varint(data, at)
        match tag & 7:
            case 0:
                value = at
                _, at = read_varint(data, at)
            case 1:
                value, at = at, at + 8
            case 2:
                length, value = read_varint(data, at)
                at = value + length
            case 5:
                value, at = at, at + 4
            case wire:
                raise ValueError(f"wire type {wire}")
        if at > end:
            raise ValueError("a field reaches beyond its message")
        yield tag >> 3, first, value, at


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 integer and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("an integer of more than 64 bits")


def write_varint(value: int) -> bytes:
    """A base-128 integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def metadata_entry(key: str, value: str) -> bytes:
    """One ``metadata_props`` field: a StringStringEntryProto."""
    texts = [(1, key.encode()), (2, value.encode())]
    entry = b"".join(bytes([n << 3 | 2]) + write_varint(len(text)) + text for n, text in texts)
    return bytes([METADATA_FIELD << 3 | 2]) + write_varint(len(entry)) + entry
