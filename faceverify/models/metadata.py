"""Metadata of a model file besides the contract: provenance, calibrated thresholds, model card.

Model files are untrusted input: every field is validated before it is printed or used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from faceverify.models.contract import is_finite
from faceverify.runtime.text import line_of_text, shown


@dataclass(frozen=True)
class Provenance:
    """Provenance of a model; free text, "unknown" where it is not stated."""

    name: str
    architecture: str = "unknown"
    head: str = "unknown"
    dataset: str = "unknown"
    licence: str = "unknown"
    source: str = "unknown"


@dataclass(frozen=True)
class Threshold:
    """A calibrated distance threshold, with the measurement behind it.

    Attributes:
        fmr: the nominal false match rate.
        distance: largest cosine distance of a match.
        fnmr: false non-match rate on the same data.
        impostors, genuine: number of comparisons of each kind.
        interval: 95 % confidence interval of the false match rate at this distance.
        dataset: of the measurement.
    """

    fmr: float
    distance: float
    fnmr: float
    impostors: int
    genuine: int
    interval: tuple[float, float]
    dataset: str

    @property
    def holds(self) -> bool:
        """Whether its own measurement bears its rate out; earlier versions stored others, too.

        At distance 0 every comparison of a constant net matches.
        """
        return self.distance > 0 and self.interval[0] <= self.fmr


@dataclass(frozen=True)
class PreparedFrom:
    """The model that a graph was prepared from, whose id and embeddings it keeps.

    Attributes:
        id: of that model.
        content: hash of the graph and the contract that were made of it, which alone keep the id.
    """

    id: str
    content: str


def prepared_from_dict(values: object) -> PreparedFrom:
    """What plain values say of a preparation, validated; ValueError for anything else."""
    known = set(PreparedFrom.__dataclass_fields__)
    if not isinstance(values, dict) or set(values) != known:
        raise ValueError(f"prepared is {shown(values)}, which is not {sorted(known)}")
    for field, value in values.items():
        if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{16}", value):
            raise ValueError(f"prepared: {field} is {shown(value)}, not 16 hexadecimal digits")
    return PreparedFrom(**values)


def provenance_from_dict(values: object) -> Provenance:
    """The provenance of plain values, validated; ValueError for anything else."""
    known = set(Provenance.__dataclass_fields__)
    if not isinstance(values, dict) or "name" not in values or not set(values) <= known:
        raise ValueError(f"provenance is {shown(values)}, which is not {sorted(known)}")
    return Provenance(**{field: line_of_text(value, field) for field, value in values.items()})


def thresholds_from_list(values: object) -> tuple[Threshold, ...]:
    """The thresholds of plain values, validated; ValueError for anything else."""
    if not isinstance(values, list):
        raise ValueError(f"thresholds are {shown(values)}, not a list")
    return tuple(map(threshold_from_dict, values))


def threshold_from_dict(values: object) -> Threshold:
    """The threshold of plain values, validated; ValueError names what is wrong."""
    expected = set(Threshold.__dataclass_fields__)
    if not isinstance(values, dict) or set(values) != expected:
        raise ValueError(f"a threshold is {shown(values)}, which is not {sorted(expected)}")
    match values["interval"]:
        case [low, high]:
            pass
        case other:
            raise ValueError(f"a threshold's interval is {shown(other)}, not two numbers")
    rates = (values["fmr"], values["fnmr"], low, high)
    if not all(is_finite(rate) and 0 <= rate <= 1 for rate in rates) or not 0 < rates[0] < 1:
        raise ValueError(f"a threshold's rates are {shown(rates)}, not within 0 to 1")
    if not (is_finite(values["distance"]) and 0 <= values["distance"] <= 2):
        raise ValueError(f"a threshold's distance is {shown(values['distance'])}, not 0 to 2")
    for count in (values["impostors"], values["genuine"]):
        if type(count) is not int or count < 0 or not is_finite(count):
            raise ValueError(f"a threshold's count is {shown(count)}, not a whole number")
    line_of_text(values["dataset"], "a threshold's dataset")
    return Threshold(**{**values, "interval": (low, high)})


def length_of(value: object) -> float:
    """The usual length of an embedding, checked: ValueError for what is no length."""
    if not isinstance(value, (int, float)) or not is_finite(value) or value <= 0:
        raise ValueError(f"the usual length is {shown(value)}, not a number above 0")
    return float(value)


def card_from_text(value: object) -> str:
    """The model card, checked to be printable lines of text.

    Raises:
        ValueError: not text, or with control characters.
    """
    if not isinstance(value, str):
        raise ValueError(f"the card is {shown(value)}, not text")
    return "\n".join(line_of_text(line, "a line of the card") for line in value.split("\n"))
