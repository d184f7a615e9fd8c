"""Model registry: names of the model files in the bundled folder and the user's folder.

* bundled: ``weights/`` beside the package in a checkout, ``faceverify/weights/`` once installed,
  listed in its ``manifest.toml``;
* the user's: ``$FACEVERIFY_HOME/weights``, or ``faceverify/weights`` in the XDG data folder
  (https://specifications.freedesktop.org/basedir-spec/latest/); a ``NAME.onnx`` there is ``NAME``.

A bundled name always refers to the bundled file; the user's folder cannot override it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceverify.errors import ModelError, UsageError
from faceverify.models.catalogue import CATALOGUE
from faceverify.models.manifest import MANIFEST, read_manifest
from faceverify.models.model_file import ModelFile, load_model_file
from faceverify.runtime.addresses import check_path
from faceverify.runtime.text import shown

__all__ = [
    "Installed", "bundled_folder", "find_model", "installed", "load_model", "read_manifest",
    "user_folder",
]  # fmt: skip

DEFAULT = "default"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True)
class Installed:
    """An installed model.

    Attributes:
        name: as ``--model`` takes it.
        path: of its file.
        bundled: whether it is part of faceverify.
        default: whether it is the default model.
    """

    name: str
    path: Path
    bundled: bool
    default: bool


def bundled_folder() -> Path:
    """Folder of the bundled weights."""
    package = Path(__file__).parents[1]
    # Inside the package first: a "weights" beside an installed package may be another project's.
    inside, beside = package / "weights", package.parent / "weights"
    return inside if (inside / MANIFEST).is_file() else beside


def user_folder() -> Path:
    """Folder of the user's models; it may not exist.

    Raises:
        UsageError: the home folder is unknown, or named by a URL.
    """
    home = os.environ.get("FACEVERIFY_HOME")
    if home:
        check_path(home, "FACEVERIFY_HOME")
        return Path(home) / "weights"
    data = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(data):  # the specification says to ignore relative ones
        return Path(data, "faceverify", "weights")
    try:
        return Path.home() / ".local" / "share" / "faceverify" / "weights"
    except RuntimeError:
        raise UsageError(
            "no home folder to look for models in", cure="set FACEVERIFY_HOME to a folder"
        ) from None


def installed() -> list[Installed]:
    """Installed models: the bundled ones, then the user's, each sorted by name.

    Raises:
        ModelError: the bundled manifest is invalid.
    """
    found = []
    folder = bundled_folder()
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        found = [
            Installed(name, folder / entry.file, bundled=True, default=name == manifest.default)
            for name, entry in sorted(manifest.models.items())
        ]
    taken = {model.name for model in found} | {DEFAULT}
    found += [
        Installed(path.stem, path, bundled=False, default=False)
        for path in sorted(user_folder().glob("*.onnx"))
        if path.stem not in taken and NAME.fullmatch(path.stem)
    ]
    return found


def find_model(name: str) -> Path:
    """Path of a model file.

    Args:
        name: "default", the name of an installed model, or a path: a name with a path separator in
            it, or one that ends in .onnx.

    Raises:
        ModelError: no such model or file; lists those installed.
    """
    if names_a_path(name):
        return existing_file(name)
    folder = bundled_folder()
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        entry = manifest.models.get(manifest.default if name == DEFAULT else name)
        if entry:
            return folder / entry.file
    elif name == DEFAULT:
        raise ModelError(
            f"no default model: {folder / MANIFEST} is missing",
            cure="install faceverify again, or run `make weights` in a checkout",
            code="model-missing",
        )
    path = user_folder() / f"{name}.onnx"
    if NAME.fullmatch(name) and path.is_file():
        return path
    known = ", ".join(model.name for model in installed()) or "none"
    raise ModelError(
        f"{shown(name)}: no such model (installed: {known})",
        cure=cure_for(name),
        code="model-missing",
    )


def load_model(name: str) -> ModelFile:
    """The model file of a name or path; its graph is not loaded into ONNX Runtime.

    Raises:
        ModelError: it does not exist, or is damaged.
    """
    return load_model_file(find_model(name), name)


def scores_of(path: Path) -> dict[str, Any]:
    """Measured scores of a bundled model; empty for any other file."""
    folder = bundled_folder()
    if path.parent != folder or not (folder / MANIFEST).is_file():
        return {}
    models = read_manifest(folder).models.values()
    return next((entry.scores for entry in models if entry.file == path.name), {})


def name_for_user(name: str) -> str:
    """A name for a new model of the user, validated.

    Raises:
        UsageError: an invalid name, or that of a bundled model.
    """
    if not NAME.fullmatch(name) or names_a_path(name):
        raise UsageError(
            f"{name!r} is no name for a model", cure="use letters, digits and . _ + - and no .onnx"
        )
    if name == DEFAULT or any(model.bundled and model.name == name for model in installed()):
        raise UsageError(f"{name!r} is the name of a bundled model", cure="choose another --name")
    return name


def names_a_path(name: str) -> bool:
    """Whether a name of a model is a path."""
    separators = {"/", os.sep, os.altsep}
    return name.lower().endswith(".onnx") or any(sign in separators for sign in name)


def existing_file(name: str) -> Path:
    """Path of an existing file; ModelError if there is none."""
    # os.path, not pathlib: an impossible file name counts as missing instead of raising.
    is_folder = os.path.isdir(name)
    if os.path.exists(name) and not is_folder:
        return Path(name)
    problem = "a folder, not a model file" if is_folder else "no such model file"
    raise ModelError(
        f"{name}: {problem}",
        cure="`faceverify weights list` shows what is installed",
        code="model-missing",
    )


def cure_for(name: str) -> str:
    """Cure for the error of an unknown model."""
    if name in CATALOGUE:
        return f"`faceverify weights pull {name}` downloads it"
    if os.path.isfile(name):
        return f"for the file in this folder, give ./{name}"
    return "`faceverify weights list --available` shows what can be downloaded"
