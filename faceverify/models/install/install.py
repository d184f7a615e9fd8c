"""From somebody's file, or from the catalogue, to an installed model."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from faceverify.errors import ModelError, UsageError
from faceverify.models.catalogue import Download, Kind, find_download
from faceverify.models.install.convert import (
    facenet_needs,
    import_facenet,
    import_insightface,
    read,
)
from faceverify.models.install.download import USUAL, Patience, hash_of, nothing, pull, unpacked
from faceverify.models.model_file import (
    CONTRACT,
    ModelFile,
    Provenance,
    load_model_file,
    parse_model_file,
    split_metadata,
)
from faceverify.models.registry import name_for_user, user_folder
from faceverify.runtime.text import is_line, printable


@dataclass(frozen=True)
class Installation:
    """A model and where it now is.

    Attributes:
        model: what was read or made.
        path: its file.
        written: whether the file was written now; False where it was there already.
    """

    model: ModelFile
    path: Path
    written: bool


def import_model(
    path: Path,
    *,
    kind: Kind = Kind.AUTO,
    name: str = "",
    colour_order: str = "RGB",
    flip_average: bool = True,
    licence: str = "",
) -> ModelFile:
    """Make a model file of whatever this is.

    Args:
        path: an ONNX file, a state dict, or a model file already, which only gets another name and
            licence if those are given.
        kind: what it is; by default its first bytes tell.
        name: of the model; by default that of the file.
        colour_order: of an ONNX file's input.
        flip_average: whether to add the embedding of the mirrored crop.
        licence: of the weights; "unknown" by default.

    Raises:
        ModelError: it is none of these, or damaged.
        UsageError: torch is needed and not installed, or a text cannot be stored.
    """
    kind = kind_of(path) if kind is Kind.AUTO else kind
    if kind is Kind.AUTO:
        model = parse_model_file(read(path), str(path))
        known = {"name": name, "licence": licence}
        given = {field: storable(value) for field, value in known.items() if value}
        return replace(model, provenance=replace(model.provenance, **given))
    provenance = Provenance(
        name=storable(name or name_from(path)),
        licence=storable(licence or "unknown"),
        source=f"{printable(path.name)} sha256:{hash_of(path)}",
    )
    return made(path, kind, provenance, colour_order=colour_order, flip_average=flip_average)


def pull_model(
    name: str,
    target: Path,
    *,
    as_name: str = "",
    url: str = "",
    offline: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] = nothing,
    patience: Patience = USUAL,
) -> Installation:
    """Download a model of the catalogue and make a model file of it, unless it is there already.

    The download itself lies in ``downloads/`` beside the target until the model file is written.

    Args:
        name: what the catalogue calls it.
        target: the model file to write.
        as_name: the model's name; by default the catalogue's.
        url: a mirror; see :func:`faceverify.models.install.download.pull`.
        offline: ask no server.
        force: replace another model that is there.
        progress: called with the bytes there and the bytes in all.
        patience: timeouts and attempts.

    Raises:
        UsageError: no such name, another model in its place, or torch is needed and missing.
        DownloadError: the file cannot be had.
        ModelError: what came is no model.
    """
    entry = find_download(name)
    there = already(entry, target)
    if there:
        return Installation(there, target, written=False)
    refuse_to_replace(target, force=force)
    if entry.kind is Kind.FACENET and (missing := facenet_needs()):
        raise UsageError(
            f"{name}: making a model file of it needs {', '.join(missing)}",
            cure="pip install 'faceverify[train]'",
        )
    downloads = target.parent / "downloads"
    pulled = pull(
        name, downloads, url=url, offline=offline, progress=progress, patience=patience
    ).path
    net = unpacked(name, pulled)
    try:
        provenance = Provenance(
            name=as_name or name,
            architecture=entry.architecture,
            head=entry.head,
            dataset=entry.dataset,
            licence=entry.licence,
            source=source_of(entry),
        )
        model = made(net, entry.kind, provenance)
    finally:
        if net != pulled:
            net.unlink(missing_ok=True)
    model.save(target)
    pulled.unlink(missing_ok=True)  # the model file holds all that is needed of it
    with suppress(OSError):
        downloads.rmdir()
    return Installation(model, target, written=True)


def install(model: ModelFile, target: Path, *, force: bool = False) -> Installation:
    """Write a model file where it shall be; the same one that is there already is left alone.

    Raises:
        UsageError: another file is there, and force is not given.
        OutputError: it cannot be written.
    """
    data = model.to_bytes()
    if target.is_file() and target.stat().st_size == len(data) and read(target) == data:
        return Installation(model, target, written=False)
    refuse_to_replace(target, force=force)
    model.save(target)
    return Installation(model, target, written=True)


def target_for(name: str, to: str = "") -> Path:
    """Say where a model file of a name goes, and make the folder.

    Args:
        name: of the model.
        to: a folder (an existing one, or a name that ends in a separator) or an .onnx file; by
            default the user's folder, where the name alone finds it.

    Raises:
        UsageError: neither a folder nor an .onnx file, or a name that cannot be given.
    """
    folder = Path(to) if to else user_folder()
    if to and not to.endswith(("/", "\\")) and not folder.is_dir():
        if folder.suffix.lower() != ".onnx":
            raise UsageError(f"--to {to}: neither a folder nor an .onnx file", cure=f"--to {to}/")
        return folder
    if not to:
        name_for_user(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder}: no such folder, and it cannot be made ({error.strerror})",
            cure="give another one with --to, or set FACEVERIFY_HOME",
        ) from error
    return folder / f"{name}.onnx"


def kind_of(path: Path) -> Kind:
    """Tell by its content what a file is; AUTO is a model file already.

    Raises:
        ModelError: it cannot be read, or is a whole pack.
    """
    data = read(path)
    if data[:2] == b"\x80\x02":  # a pickle: what torch.save wrote before it wrote zip archives
        return Kind.FACENET
    if data[:4] == b"PK\x03\x04":
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            nets = [name for name in archive.namelist() if name.endswith(".onnx")]
            if nets:
                raise ModelError(
                    f"{path}: an archive of {', '.join(nets[:9])}",
                    cure="unpack it and import the net that recognises, such as w600k_r50.onnx",
                )
        return Kind.FACENET
    _, entries = split_metadata(data, str(path))
    return Kind.AUTO if CONTRACT in entries else Kind.INSIGHTFACE


def made(
    path: Path,
    kind: Kind,
    provenance: Provenance,
    *,
    colour_order: str = "RGB",
    flip_average: bool = True,
) -> ModelFile:
    """Call the importer of a kind."""
    if kind is Kind.FACENET:
        return import_facenet(path, provenance=provenance, flip_average=flip_average)
    return import_insightface(
        path, provenance=provenance, colour_order=colour_order, flip_average=flip_average
    )


def already(entry: Download, target: Path) -> ModelFile | None:
    """Return the model that is there, if it is the catalogue's and whole."""
    try:
        model = load_model_file(target)
    except ModelError:
        return None
    same = model.provenance.source == source_of(entry)
    if entry.member:  # its graph is the pinned net, byte for byte
        same = same and hashlib.sha256(model.graph).hexdigest() == entry.member_sha256
    return model if same else None


def source_of(entry: Download) -> str:
    """Write down where a model of the catalogue comes from."""
    inside = f", {entry.member} sha256:{entry.member_sha256}" if entry.member else ""
    return f"{entry.url} sha256:{entry.sha256}{inside}"


def refuse_to_replace(target: Path, *, force: bool) -> None:
    """Leave what is there; UsageError says so."""
    if target.exists() and not force:
        raise UsageError(
            f"{target}: another file of that name is there",
            cure="--force replaces it, --name gives the new one another name",
        )


def name_from(path: Path) -> str:
    """Make a model's name of a file's."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", path.stem).strip("._+-") or "model"


def storable(text: str) -> str:
    """Pass on what a model file can store; UsageError for anything else."""
    if not is_line(text):
        raise UsageError(f"{text!r} cannot be stored", cure="give one line of printable text")
    return text
