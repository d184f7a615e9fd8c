"""What a model file says about its model besides the contract: origin and calibrated thresholds.

Both are read from files of strangers, so every field is checked before anybody prints or uses it.
"""

from __future__ import annotations

from dataclasses import dataclass

from faceverify.models.contract import is_finite
from faceverify.runtime.text import line_of_text, shown


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


def provenance_from_dict(values: object) -> Provenance:
    """Check and build; ValueError says what is wrong."""
    known = set(Provenance.__dataclass_fields__)
    if not isinstance(values, dict) or "name" not in values or not set(values) <= known:
        raise ValueError(f"provenance is {shown(values)}, which is not {sorted(known)}")
    return Provenance(**{field: line_of_text(value, field) for field, value in values.items()})


def thresholds_from_list(values: object) -> tuple[Threshold, ...]:
    """Check and build; ValueError says what is wrong."""
    if not isinstance(values, list):
        raise ValueError(f"thresholds are {shown(values)}, not a list")
    return tuple(map(threshold_from_dict, values))


def threshold_from_dict(values: object) -> Threshold:
    """Check and build; ValueError says what is wrong."""
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


def card_from_text(value: object) -> str:
    """Pass on lines of text, none of which could do anything to a terminal.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, str):
        raise ValueError(f"the card is {shown(value)}, not text")
    return "\n".join(line_of_text(line, "a line of the card") for line in value.split("\n"))
