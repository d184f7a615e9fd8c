"""Where model files are: the bundled folder, the user's folder, and names for what lies there.

* bundled: ``weights/`` beside the package in a checkout, ``faceverify/weights/`` once installed;
  what it holds is written in its ``manifest.toml``;
* the user's: ``$FACEVERIFY_HOME/weights``, or ``faceverify/weights`` in the XDG data folder
  (https://specifications.freedesktop.org/basedir-spec/latest/); a ``NAME.onnx`` there is ``NAME``.

A bundled name always means the bundled file: nothing in the user's folder can stand in for it.
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
from faceverify.runtime.text import shown

__all__ = [
    "Installed", "bundled_folder", "find_model", "installed", "load_model", "read_manifest",
    "user_folder",
]  # fmt: skip

DEFAULT = "default"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True)
class Installed:
    """A model that can be named.

    Attributes:
        name: what ``--model`` takes.
        path: its file.
        bundled: whether it came with faceverify.
        default: whether it is the one that "default" means.
    """

    name: str
    path: Path
    bundled: bool
    default: bool


def bundled_folder() -> Path:
    """Return the folder of the weights that came with faceverify."""
    package = Path(__file__).parents[1]
    # The package's own first: beside an installed one, any project's "weights" may lie.
    inside, beside = package / "weights", package.parent / "weights"
    return inside if (inside / MANIFEST).is_file() else beside


def user_folder() -> Path:
    """Return the folder of the user's own models; it need not exist yet.

    Raises:
        UsageError: neither the environment nor the system says where home is.
    """
    home = os.environ.get("FACEVERIFY_HOME")
    if home:
        return Path(home) / "weights"
    data = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(data):  # the specification wants relative ones ignored
        return Path(data, "faceverify", "weights")
    try:
        return Path.home() / ".local" / "share" / "faceverify" / "weights"
    except RuntimeError:
        raise UsageError(
            "no home folder to look for models in", cure="set FACEVERIFY_HOME to a folder"
        ) from None


def installed() -> list[Installed]:
    """List what can be named: the bundled models, then the user's, each in order of name.

    Raises:
        ModelError: the bundled manifest is damaged.
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
    """Find the file of a model.

    Args:
        name: "default", the name of an installed model, or a path: a name with a path separator in
            it, or one that ends in .onnx.

    Raises:
        ModelError: there is no such model or file; says what is installed.
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
    """Read a model file by name or path; its net is not loaded.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    return load_model_file(find_model(name), name)


def scores_of(path: Path) -> dict[str, Any]:
    """Return what was measured with a bundled model; nothing for any other file."""
    folder = bundled_folder()
    if path.parent != folder or not (folder / MANIFEST).is_file():
        return {}
    models = read_manifest(folder).models.values()
    return next((entry.scores for entry in models if entry.file == path.name), {})


def name_for_user(name: str) -> str:
    """Check a name that a new model of the user's shall have.

    Raises:
        UsageError: it cannot be a name, or is one of a bundled model.
    """
    if not NAME.fullmatch(name) or names_a_path(name):
        raise UsageError(
            f"{name!r} is no name for a model", cure="use letters, digits and . _ + - and no .onnx"
        )
    if name == DEFAULT or any(model.bundled and model.name == name for model in installed()):
        raise UsageError(f"{name!r} is the name of a bundled model", cure="choose another --name")
    return name


def names_a_path(name: str) -> bool:
    """Tell whether a model is named by its path."""
    separators = {"/", os.sep, os.altsep}
    return name.lower().endswith(".onnx") or any(sign in separators for sign in name)


def existing_file(name: str) -> Path:
    """Return the path, if a file is there; ModelError if not."""
    # os.path and not pathlib: a name that no file can have is just one that does not exist.
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
    """Say what helps where there is no model of that name."""
    if name in CATALOGUE:
        return f"`faceverify weights pull {name}` downloads it"
    if os.path.isfile(name):
        return f"a file here is meant by ./{name}"
    return "`faceverify weights list --available` shows what can be downloaded"
