"""CFP, frontal against frontal (FF) or profile (FP): Sengupta et al., WACV 2016.

``Protocol/Split/{FF,FP}/{01..10}/{same,diff}.txt`` hold lines ``a,b``: indices into
``Protocol/Pair_list_F.txt`` and ``Pair_list_P.txt``, whose lines are ``index path``.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from faceverify.errors import PairListError
from faceverify.evaluation.lists.list_format import ListFormat
from faceverify.evaluation.lists.pair_list import pair_list
from faceverify.evaluation.lists.rows import Row, integer, read_lines, wrong_line

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_cfp(folder: Path) -> bool:
    """Whether a folder looks like ``Split/FF`` or ``Split/FP``."""
    return (folder / "01" / "same.txt").is_file()


def cfp(folder: Path) -> Iterator[Row]:
    """Rows of ``Protocol/Split/FF`` or ``FP``, fold by fold; each folder is one fold.

    Raises:
        PairListError: a fold lacks a list, or an index is in no ``Pair_list`` file.
    """
    protocol = folder.resolve().parent.parent
    frontal = _paths(protocol / "Pair_list_F.txt")
    second = _paths(protocol / "Pair_list_P.txt") if folder.resolve().name == "FP" else frontal
    folds = sorted(child for child in folder.iterdir() if child.is_dir() and child.name.isdigit())
    if not folds:
        raise PairListError(
            f"{folder}: found no fold folders, expected 01 to 10", cure="name Protocol/Split/FP"
        )
    for fold, child in enumerate(folds):
        for name, same in (("same.txt", True), ("diff.txt", False)):
            for line, text in read_lines(child / name):
                fields = [field.strip() for field in text.split(",")]
                if len(fields) != 2:
                    raise wrong_line(child / name, line, repr(text), "INDEX,INDEX", "correct it")
                images = [
                    _image(child / name, line, field, paths)
                    for field, paths in zip(fields, (frontal, second), strict=True)
                ]
                identities = [_identity(image) for image in images]
                yield Row(line, images[0], images[1], same, identities[0], identities[1], fold)


def _paths(path: Path) -> dict[int, str]:
    paths = {}
    for line, text in read_lines(path):
        fields = text.split(None, 1)
        if len(fields) != 2:
            raise wrong_line(path, line, repr(text), "INDEX PATH", "correct it")
        paths[integer(path, line, fields[0], "INDEX PATH")] = fields[1]
    return paths


def _image(path: Path, line: int, index: str, paths: dict[int, str]) -> str:
    number = integer(path, line, index, "INDEX,INDEX")
    if number not in paths:
        expected = f"one of the {len(paths)} of Pair_list"
        raise wrong_line(path, line, f"index {number}", expected, "use matching files")
    return paths[number]


def _identity(image: str) -> str:
    """``.../Images/001/frontal/01.jpg`` -> ``001``."""
    parts = PurePosixPath(image).parts
    return parts[-3] if len(parts) >= 3 else ""


FORMAT = ListFormat(
    "cfp",
    "CFP protocol folder",
    lambda file: is_cfp(file.path),
    lambda path, _: pair_list(path, "cfp", cfp(path)),
)
