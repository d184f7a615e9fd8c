"""Settings with their limits: what a field of the configuration may hold, declared beside it.

A section of the configuration is a frozen dataclass of such fields; :func:`section_from_dict`
builds one out of what a TOML file or the command line said, and where that cannot be says which
key, what was found and what fits.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

from faceverify.errors import TrainingError

Section = TypeVar("Section")


def setting(
    default: Any,
    text: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """Declare a field of a section.

    Args:
        default: its value where nobody says another one.
        text: what it decides, with its unit; printed in the documentation.
        least, above, most: limits of a number (``above`` is itself not allowed).
        choices: the words it may be.
    """
    limits = {"text": text, "least": least, "above": above, "most": most, "choices": choices}
    return dataclasses.field(default=default, metadata=limits)


def section_from_dict(
    section: type[Section], values: object, where: str, everywhere: Sequence[str] = ()
) -> Section:
    """Check and build one section; sections inside it are built too.

    Args:
        section: the dataclass.
        values: what a file or the command line says of it; what is missing keeps its default.
        where: its name and a dot, empty for the whole configuration.
        everywhere: keys of all sections, to find one that was put into the wrong one.

    Raises:
        TrainingError: an unknown key (names the nearest known one), or an impossible value.
    """
    if not isinstance(values, Mapping):
        raise config_error(f"{where.rstrip('.')} is {values!r}, not a section of keys")
    assert dataclasses.is_dataclass(section)
    fields = {field.name: field for field in dataclasses.fields(section)}
    kinds = get_type_hints(section)
    open_ended = any(field.name == "options" for field in fields.values())
    built: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields or key == "options":
            if not open_ended:
                raise unknown_key(
                    f"{where}{key}", [f"{where}{name}" for name in fields], everywhere
                )
            options[key] = plain_value(value, f"{where}{key}")
        elif dataclasses.is_dataclass(kinds[key]):
            inner = kinds[key]
            assert isinstance(inner, type)
            built[key] = section_from_dict(inner, value, f"{where}{key}.", everywhere)
        else:
            checked = _typed(value, kinds[key], f"{where}{key}")
            _check_limits(checked, fields[key].metadata, f"{where}{key}")
            built[key] = checked
    if open_ended:
        built["options"] = options
    return section(**built)


def unknown_key(key: str, known: Sequence[str], everywhere: Sequence[str] = ()) -> TrainingError:
    """The error of a key that nobody knows, with the nearest one that somebody does."""
    last = key.rpartition(".")[2]
    near = [name for name in everywhere if name.rpartition(".")[2] == last]  # the wrong section
    near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    cure = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return config_error(f"unknown key {key}", cure)


def config_error(message: str, cure: str = "") -> TrainingError:
    """A TrainingError of the configuration."""
    return TrainingError(message, cure=cure, code="training-config")


def plain_value(value: Any, key: str) -> Any:
    """Pass on a number, a word, a truth value, or a list of such."""
    if isinstance(value, list):
        return [plain_value(one, key) for one in value]
    if not isinstance(value, bool | int | float | str) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise config_error(f"{key} is {value!r}, not a finite number, a word, true or false")
    return value


def _typed(value: Any, kind: Any, key: str) -> Any:
    """The value as its field wants it: whole numbers where those are wanted, lists as tuples."""
    accepted = get_args(kind) if type(None) in get_args(kind) else (kind,)
    if value is None and type(None) in accepted:
        return None
    kind = next(one for one in accepted if one is not type(None))
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if (
        kind is float
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    ):
        return float(value)
    if kind is str and isinstance(value, str):
        return value
    if get_args(kind)[-1:] == (...,) and isinstance(value, list | tuple):
        inner = get_args(kind)[0]
        return tuple(_typed(one, inner, key) for one in value)
    raise config_error(f"{key} is {value!r}, not {_kind_name(kind)}")


def _kind_name(kind: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(kind, "a list")


def _check_limits(value: Any, limits: Mapping[str, Any], key: str) -> None:
    if value is None:
        return
    for one in value if isinstance(value, tuple) else (value,):
        if limits["choices"] and one not in limits["choices"]:
            near = difflib.get_close_matches(str(one), limits["choices"], n=1)
            cure = f"did you mean {near[0]}?" if near else ""
            raise config_error(f"{key} is {one!r}, not one of {', '.join(limits['choices'])}", cure)
        if isinstance(one, str | bool):
            continue
        least, above, most = limits["least"], limits["above"], limits["most"]
        for bound, words, broken in (
            (least, "at least", least is not None and one < least),
            (above, "above", above is not None and one <= above),
            (most, "at most", most is not None and one > most),
        ):
            if broken:
                raise config_error(f"{key} is {one:g}, not {words} {bound:g}")
