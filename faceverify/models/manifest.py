"""Manifest of a folder of weights, ``manifest.toml``: its files, their hashes and sources.

::

    default = "sface"

    [models.dlib-resnet29]              # a model file
    file = "dlib-resnet29.onnx"
    sha256 = "..."
    bytes = 22000000
    licence = "CC0-1.0"
    id = "..."
    source_package = "..."              # any source_* keys

    [models.dlib-resnet29.scores]       # measured; any keys

    [nets.mtcnn-onet]                   # a network of the detector: the same keys, no id, no scores
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceverify.errors import ModelError
from faceverify.runtime.text import shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

MANIFEST = "manifest.toml"


@dataclass(frozen=True)
class Entry:
    """A file of the folder.

    Attributes:
        file: name in the folder.
        sha256: of the whole file, in hexadecimal.
        licence: of the weights.
        bytes: size of the file; None if not stated.
        id: of a model file; empty for a network of the detector.
        source: the ``source_*`` keys without that prefix: package, version, file, sha256.
        scores: measured accuracy.
    """

    file: str
    sha256: str
    licence: str
    bytes: int | None = None
    id: str = ""
    source: dict[str, str] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Contents of a folder of weights.

    Attributes:
        default: name of the model that "default" means.
        models: model files, by name.
        nets: the detector's networks, by name.
    """

    default: str
    models: dict[str, Entry]
    nets: dict[str, Entry]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, validated.

    Raises:
        ModelError: it is missing, not TOML, or invalid.
    """
    path = folder / MANIFEST
    cure = "install faceverify again, or run `make weights` in a checkout"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        models, nets = (
            {name: entry_from_dict(name, entry) for name, entry in table(values, kind).items()}
            for kind in ("models", "nets")
        )
        default = values.get("default")
        if not isinstance(default, str) or default not in models:
            raise ValueError(f"default is {shown(default)}, which is none of its models")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(f"{path}: cannot be read: {reason}", cure=cure) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {error}", cure=cure) from error
    return Manifest(default, models, nets)


def table(values: dict[str, Any], key: str) -> dict[str, Any]:
    """A table of tables, empty if missing; ValueError for anything else."""
    found = values.get(key, {})
    if not isinstance(found, dict) or not all(isinstance(item, dict) for item in found.values()):
        raise ValueError(f"{key} is {shown(found)}, not a table of tables")
    return found


def entry_from_dict(name: str, values: dict[str, Any]) -> Entry:
    """The entry of a table, validated; ValueError names the wrong key."""
    for key in ("file", "sha256", "licence"):
        if not isinstance(values.get(key), str):
            raise ValueError(f"{name}: {key} is {shown(values.get(key))}, not text")
    if Path(values["file"]).name != values["file"]:
        raise ValueError(f"{name}: file is {shown(values['file'])}, not a name in this folder")
    if not re.fullmatch("[0-9a-f]{64}", values["sha256"]):
        raise ValueError(f"{name}: sha256 is {shown(values['sha256'])}")
    prefix = "source_"
    return Entry(
        file=values["file"],
        sha256=values["sha256"],
        licence=values["licence"],
        bytes=values.get("bytes"),
        id=values.get("id", ""),
        source={
            key.removeprefix(prefix): str(value)
            for key, value in values.items()
            if key.startswith(prefix)
        },
        scores=values.get("scores", {}),
    )
