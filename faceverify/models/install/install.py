"""Installation of a model from a file or from the catalogue."""

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
from faceverify.models.foreign import STATE_DICT, foreign_kind, not_onnx_error
from faceverify.models.install.convert import facenet_needs, import_facenet
from faceverify.models.install.download import USUAL, Patience, hash_of, nothing, pull, unpacked
from faceverify.models.install.insightface import import_insightface
from faceverify.models.install.preprocessing import UNSTATED, Preprocessing
from faceverify.models.install.ready import Say
from faceverify.models.install.ready import nothing as silent
from faceverify.models.install.whole_file import read, read_whole
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
    """Result of an installation.

    Attributes:
        model: the model file.
        path: of the file.
        written: whether the file was written; False where it existed already.
    """

    model: ModelFile
    path: Path
    written: bool


def import_model(
    path: Path,
    *,
    kind: Kind = Kind.AUTO,
    name: str = "",
    stated: Preprocessing = UNSTATED,
    flip_average: bool = True,
    licence: str = "",
    say: Say = silent,
) -> ModelFile:
    """A model file of a file in any supported format.

    Args:
        path: an ONNX file, a state dict, or a model file, whose name and licence are replaced if
            given.
        kind: format of the file; by default recognised by content.
        name: of the model; by default that of the file.
        stated: what the user knows of an ONNX file's input and output.
        flip_average: whether to add the embedding of the mirrored crop.
        licence: of the weights; "unknown" by default.
        say: called with lines about what was assumed and done.

    Raises:
        ModelError: an unknown format, or damaged.
        UsageError: torch is needed and not installed, a text is not printable, or the user has to
            state something, or states what the file itself says.
    """
    kind = kind_of(path) if kind is Kind.AUTO else kind
    if kind is not Kind.INSIGHTFACE and stated != UNSTATED:
        what = "model file" if kind is Kind.AUTO else "net of facenet-pytorch"
        raise UsageError(
            f"{path}: a {what}, whose input and output are known",
            cure="leave out --colour, --mean, --scale and --output",
        )
    if kind is Kind.AUTO:
        model = parse_model_file(read_whole(path), str(path))
        known = {"name": name, "licence": licence}
        given = {field: storable(value) for field, value in known.items() if value}
        return replace(model, provenance=replace(model.provenance, **given))
    provenance = Provenance(
        name=storable(name or name_from(path)),
        licence=storable(licence or "unknown"),
        source=f"{printable(path.name)} sha256:{hash_of(path)}",
    )
    if kind is Kind.FACENET:
        return import_facenet(path, provenance=provenance, flip_average=flip_average, say=say)
    return import_insightface(
        path, provenance=provenance, stated=stated, flip_average=flip_average, say=say
    )


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
    """Download and install a model of the catalogue, unless it is installed.

    The download is kept in ``downloads/`` beside the target until the model file is written.

    Args:
        name: in the catalogue.
        target: path of the model file.
        as_name: the model's name; by default the catalogue's.
        url: a mirror; see :func:`faceverify.models.install.download.pull`.
        offline: do not use the network.
        force: replace another existing file.
        progress: called with the bytes received and the bytes in total.
        patience: timeouts and attempts.

    Raises:
        UsageError: unknown name, another file at the target, or torch is needed and missing.
        DownloadError: the download failed.
        ModelError: the downloaded file is not a model.
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
        known = import_facenet if entry.kind is Kind.FACENET else import_insightface
        model = known(net, provenance=provenance)
    finally:
        if net != pulled:
            net.unlink(missing_ok=True)
    model.save(target)
    pulled.unlink(missing_ok=True)  # the model file holds all that is needed of it
    with suppress(OSError):
        downloads.rmdir()
    return Installation(model, target, written=True)


def install(model: ModelFile, target: Path, *, force: bool = False) -> Installation:
    """Write a model file, unless an identical one exists.

    Raises:
        UsageError: another file exists, and force is not given.
        OutputError: it cannot be written.
    """
    data = model.to_bytes()
    if target.is_file() and target.stat().st_size == len(data) and read(target) == data:
        return Installation(model, target, written=False)
    refuse_to_replace(target, force=force)
    model.save(target)
    return Installation(model, target, written=True)


def target_for(name: str, to: str = "") -> Path:
    """Path for a model file of a name; its folder is created.

    Args:
        name: of the model.
        to: a folder (an existing one, or a path that ends in a separator) or an .onnx file; by
            default the user's folder, where models are found by name.

    Raises:
        UsageError: neither a folder nor an .onnx file, or an invalid name.
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
    """Format of a file, by its content; AUTO for a model file.

    Raises:
        ModelError: unreadable, or an archive of several networks.
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
        if foreign_kind(data) != STATE_DICT:
            raise not_onnx_error(data, str(path))
        return Kind.FACENET
    _, entries = split_metadata(data, str(path))
    return Kind.AUTO if CONTRACT in entries else Kind.INSIGHTFACE


def already(entry: Download, target: Path) -> ModelFile | None:
    """The installed model at a path if it is that of the catalogue, else None."""
    try:
        model = load_model_file(target)
    except ModelError:
        return None
    same = model.provenance.source == source_of(entry)
    if model.prepared_from:  # its graph is what was made of the pinned net
        return model if same and model.prepared_from.content == model.content else None
    if entry.member:  # its graph is the pinned net, byte for byte
        same = same and hashlib.sha256(model.graph).hexdigest() == entry.member_sha256
    return model if same else None


def source_of(entry: Download) -> str:
    """Source of a model of the catalogue, for its provenance."""
    inside = f", {entry.member} sha256:{entry.member_sha256}" if entry.member else ""
    return f"{entry.url} sha256:{entry.sha256}{inside}"


def refuse_to_replace(target: Path, *, force: bool) -> None:
    """Check that no file is at the target, unless forced; UsageError if there is."""
    if target.exists() and not force:
        raise UsageError(
            f"{target}: another file of that name is there",
            cure="--force replaces it, --name gives the new one another name",
        )


def name_from(path: Path) -> str:
    """Name for a model, of the name of its file."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", path.stem).strip("._+-") or "model"


def storable(text: str) -> str:
    """A line of printable text; UsageError for anything else."""
    if not is_line(text):
        raise UsageError(f"{text!r} cannot be stored", cure="give one line of printable text")
    return text
