"""Configurations as TOML: shipped recipes, files, and overrides by ``--set key=value``."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Backbone, Config, Joined, Loss, Method

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

RECIPES = Path(__file__).parent / "recipes"
# own keys of the sections that also take options of the loss or backbone they name
WITH_OPTIONS = {
    "loss": tuple(field.name for field in dataclasses.fields(Loss)),
    "joined": tuple(field.name for field in dataclasses.fields(Joined)),
    "method": tuple(field.name for field in dataclasses.fields(Method)),
    "backbone": tuple(field.name for field in dataclasses.fields(Backbone)),
}


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def read_recipe(name: str) -> dict[str, Any]:
    """Values of a shipped recipe, by name, or of a TOML file, by path.

    Raises:
        TrainingError: unknown recipe, or a file that is missing or no TOML.
    """
    if name.endswith(".toml") or "/" in name:
        return read_toml(Path(name))
    if name not in recipe_names():
        near = difflib.get_close_matches(name, recipe_names(), n=1)
        cure = f"did you mean {near[0]}?" if near else f"known: {', '.join(recipe_names())}"
        raise config_error(f"no recipe {name!r}", f"{cure} A file of your own ends in .toml")
    return read_toml(RECIPES / f"{name}.toml")


def read_toml(path: Path) -> dict[str, Any]:
    """Values of a TOML file.

    Raises:
        TrainingError: it cannot be read or is no TOML.
    """
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise config_error(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise config_error(f"{path}: no TOML: {error}") from error
    return values


def overridden(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values with changes applied, section by section; None means no change.

    A change of the budget replaces the whole section (``--steps`` replaces the epochs of a recipe).
    Another loss or backbone drops the options of the one that it replaces.

    >>> overridden({"loss": {"name": "arcface"}, "seed": 1}, {"seed": 2, "loss": {"margin": 0.4}})
    {'loss': {'name': 'arcface', 'margin': 0.4}, 'seed': 2}
    """
    merged = dict(values)
    for key, change in changes.items():
        if change is None:
            continue
        old = merged.get(key, {})
        if isinstance(change, Mapping) and isinstance(old, Mapping):
            if key == "budget" and any(value is not None for value in change.values()):
                old = {}
            if key in WITH_OPTIONS and change.get("name") not in (None, old.get("name")):
                old = {name: old[name] for name in old if name in WITH_OPTIONS[key]}
            if section := overridden(old, change):
                merged[key] = section
        else:
            merged[key] = change
    return merged


def changes_of(assignments: Iterable[str]) -> dict[str, Any]:
    """Nested values of ``--set section.key=value``; values are TOML, or else plain words.

    Raises:
        TrainingError: an assignment without ``=``.

    >>> changes_of(["loss.margin=0.4", "loss.name=cosface", "backbone.freeze=['stem']"])
    {'loss': {'margin': 0.4, 'name': 'cosface'}, 'backbone': {'freeze': ['stem']}}
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise config_error(f"--set {assignment}: no key=value", "for example loss.margin=0.4")
        *sections, last = key.strip().split(".")
        place = changes
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise config_error(f"--set {assignment}: {section} is a value and no section")
        try:
            place[last] = tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, KeyError):
            place[last] = text.strip()
    return changes


def as_dict(config: Config) -> dict[str, Any]:
    """Values of a configuration; options are beside the keys of their section, as in TOML."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            section = dataclasses.asdict(value)  # type: ignore[arg-type]
            section.update(section.pop("options", {}))
            values[field.name] = {key: one for key, one in section.items() if one is not None}
        else:
            values[field.name] = value
    return values


def to_toml(values: Mapping[str, Any]) -> str:
    """TOML text of values and one level of sections; numbers are read back exactly.

    >>> print(to_toml({"seed": 1, "loss": {"name": "arcface", "margin": 0.1}}), end="")
    seed = 1
    <BLANKLINE>
    [loss]
    name = "arcface"
    margin = 0.1
    """
    lines = [f"{key} = {_value(one)}" for key, one in values.items() if not isinstance(one, dict)]
    for name, section in values.items():
        if isinstance(section, dict):
            lines += ["", f"[{name}]"]
            lines += [f"{_key(key)} = {_value(one)}" for key, one in section.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isascii() and bare.isalnum() else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)  # shortest text that reads back as the same number
        return text if "." in text or "e" not in text else text.replace("e", ".0e")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    raise TypeError(f"{value!r} has no place in a configuration")


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return "\\" + sign
    if not sign.isprintable():
        return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"
    return sign
