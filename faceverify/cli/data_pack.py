"""Verification packs from and to photos: where training sets and evaluation lists meet."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from faceverify.errors import UsageError

if TYPE_CHECKING:
    from faceverify.training.data.writers.convert import Change


def convert_pack(
    source: str, destination: Path, kind: str, *, pairs: Path | None, change: Change | None
) -> int:
    """Write a pack of the photos of a pair list, or the photos of a pack.

    Args:
        source: a folder of photos, or a ``.bin`` file.
        destination: a ``.bin`` file, or a new folder.
        kind: "pack" or "folders".
        pairs: the list, for a pack.
        change: what happens to each image.

    Returns:
        How many images were written.

    Raises:
        UsageError: another combination.
        ImageError, NoDecisionError: a photo that cannot be used; a pack has no place for a gap.
        PairListError: the list or the pack cannot be read, or photos are missing.
        OutputError: it cannot be written.
    """
    if kind == "pack" and pairs is not None and Path(source).is_dir():
        return photos_to_pack(Path(source), destination, pairs, change)
    if kind == "folders" and Path(source).suffix == ".bin":
        return pack_to_photos(Path(source), destination, change)
    if kind == "pack":
        raise UsageError(
            "--to pack wants a folder of photos and --pairs", cure="name the list of pairs"
        )
    raise UsageError(f"{source}: a verification pack names no people", cure="use --to folders")


def photos_to_pack(folder: Path, destination: Path, pairs: Path, change: Change | None) -> int:
    """Write the photos of a pair list as a pack; each photo is read and changed once."""
    from faceverify.errors import ImageError
    from faceverify.evaluation.lists.image_roots import map_images
    from faceverify.evaluation.lists.reading import read_pairs
    from faceverify.runtime.parallel import map_ordered
    from faceverify.training.data.writers.insightface_bin import write_pack

    listed = read_pairs(pairs)
    images = map_images(listed, folder)
    images.require_all()

    def made(path: Path) -> bytes:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
        return data if change is None else change(data, str(path))

    content = dict(zip(images.files, map_ordered(made, images.files), strict=True))
    both = [path for pair in zip(images.first, images.second, strict=True) for path in pair]
    write_pack(destination, [content[path] for path in both], listed.same.tolist())
    return len(both)


def pack_to_photos(pack: Path, destination: Path, change: Change | None) -> int:
    """Write the images of a pack and ``pairs.csv``, which lists them."""
    from faceverify.evaluation.lists.insightface_bin import read_pack
    from faceverify.training.data.writers.convert import staged
    from faceverify.training.data.writers.written_face import extension

    found = read_pack(pack)
    with staged(destination) as folder:
        (folder / "images").mkdir()
        names = []
        for index, image in enumerate(found.images):
            data = image if change is None else change(image, f"{pack}, image {index}")
            names.append(f"images/{index:06d}{extension(data)}")
            (folder / names[-1]).write_bytes(data)
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["first", "second", "label"])
        rows.writerows(zip(names[::2], names[1::2], map(int, found.pairs.same), strict=True))
        (folder / "pairs.csv").write_text(table.getvalue(), encoding="utf-8")
    return len(found.images)
