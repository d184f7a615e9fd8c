"""``faceverify data convert``: a training set or verification pack in another format."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet, Verbose, Workers
from faceverify.cli.photo_inputs import Tally
from faceverify.errors import FaceverifyError, UsageError

if TYPE_CHECKING:
    from faceverify.training.data.sets.face_set import FaceSet
    from faceverify.training.data.writers.convert import Change


class SetFormat(str, Enum):
    """Formats that faces are stored in."""

    FOLDERS = "folders"
    RECORDIO = "recordio"
    WEBDATASET = "webdataset"
    PACK = "pack"


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A folder of people, RecordIO, WebDataset shards, or a .bin verification pack.",
            show_default=False,
        ),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="A new folder, or file.bin.", show_default=False)
    ],
    to: Annotated[SetFormat, typer.Option("--to", help="The format wanted.", show_default=False)],
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            help="Resize to this width and height in pixels.",
            min=16,
            max=4096,
            show_default=False,
        ),
    ] = None,
    align: Annotated[
        str | None,
        typer.Option(
            "--align",
            metavar="TEMPLATE",
            help="Find the face and cut it out: arcface-112, dlib-150 or facenet-160.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        Path | None,
        typer.Option(
            "--only", metavar="LIST", help="People to take, one a line.", show_default=False
        ),
    ] = None,
    without: Annotated[
        Path | None,
        typer.Option(
            "--without", metavar="LIST", help="People to leave, one a line.", show_default=False
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            metavar="LIST",
            help="With --to pack: the pairs; their photos lie in SRC.",
            show_default=False,
        ),
    ] = None,
    shard_size: Annotated[
        int, typer.Option("--shard-size", help="Images in a WebDataset shard.", min=1)
    ] = 10_000,
    seed: Annotated[
        int, typer.Option("--seed", help="Of the order of images in shards.", min=0)
    ] = 0,
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a training set, or a verification pack, in another format.

    Images are copied byte for byte, unless --size or --align change them; what has the size already
    stays. Images that cannot be changed (no face, unreadable) are left out and said. DST appears
    when it is whole. A pack becomes a folder with images/ and pairs.csv, for `evaluate`.

    **Exit status:** 0 done, 2 wrong usage or an image that cannot be read, 3 an image without a
    face.

    **Examples:**

    `faceverify data convert faces_emore/ people/ --to folders`

    `faceverify data convert photos/ shards/ --to webdataset --align arcface-112`

    `faceverify data convert lfw/ lfw.bin --to pack --pairs pairs.txt --align arcface-112`
    """
    console = Console(json, quiet, verbose)
    tally = Tally()
    change = changed_by(size, align)

    def refuse(name: str, error: FaceverifyError) -> None:
        tally.refuse(error)
        console.message(str(error))

    if to is SetFormat.PACK or Path(source).suffix == ".bin":
        from faceverify.cli.data_pack import convert_pack

        if only or without:
            raise UsageError("--only and --without: a pack names no people", cure="leave them out")
        tally.done = convert_pack(source, destination, to.value, pairs=pairs, change=change)
    else:
        from faceverify.training.data.sets.open import open_face_set
        from faceverify.training.data.writers.convert import convert as write_anew

        if pairs is not None:
            raise UsageError("--pairs goes with --to pack")
        face_set = chosen_people(open_face_set(source), only, without)
        if to is SetFormat.RECORDIO and face_set.columns:
            console.message(
                f"{', '.join(face_set.columns)}: not carried, RecordIO holds the person alone"
            )
        tally.done = write_anew(
            face_set,
            destination,
            to.value,
            change=change,
            refuse=refuse,
            seed=seed,
            shard_size=shard_size,
            workers=workers,
            progress=console.progress,
        )
    if json:
        console.result({"out": str(destination), "format": to.value, **tally.as_dict()}, "")
    else:
        console.message(f"{tally}; in {destination}")
    raise typer.Exit(tally.exit_status)


def chosen_people(face_set: FaceSet, only: Path | None, without: Path | None) -> FaceSet:
    """The part of a set that two lists leave."""
    from faceverify.training.data.writers.split import read_list

    if only is not None:
        face_set = face_set.only(read_list(only))
    if without is not None:
        face_set = face_set.without(read_list(without))
    return face_set


def changed_by(size: int | None, align: str | None) -> Change | None:
    """What happens to each image: nothing, resizing, or cutting the face out.

    Raises:
        UsageError: an unknown template.
    """
    from faceverify.training.data.writers.convert import encoded, resized

    if align is None:
        if size is None:
            return None
        side = size
        return lambda data, name: resized(data, name, side=side)
    from faceverify.faces.alignment import named_alignment
    from faceverify.faces.detection import Detector
    from faceverify.faces.finder import FaceFinder
    from faceverify.models.registry import bundled_folder

    alignment, side = named_alignment(align, size)
    finder = FaceFinder(Detector(bundled_folder()))

    def cut(data: bytes, name: str) -> bytes:
        try:
            (found,) = finder.find(data)
        except FaceverifyError as error:
            message = str(error).replace("<bytes>", name, 1)
            raise type(error)(message, code=error.code) from error
        crop = found.crop(alignment, (side, side))
        return encoded(crop, jpeg=data.startswith(b"\xff\xd8\xff"))

    return cut
