"""Mapping of listed names to files: copies of a data set differ in their folder structure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.lists.rows import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faceverify.evaluation.lists.pair_list import PairList

PLACEHOLDERS = ("path", "folder", "file", "stem", "suffix", "identity")


@dataclass(frozen=True, eq=False)
class PairImages:
    """Files of a pair list, all N pairs, missing files included.

    Args:
        source: the list.
        first, second: files, N each, in the order of the list.
        missing: files that do not exist, each once, in the order of first mention.
        complete: whether both photos of a pair exist, (N,).
    """

    source: str
    first: list[Path]
    second: list[Path]
    missing: list[Path]
    complete: NDArray[np.bool_]

    @property
    def files(self) -> list[Path]:
        """All files, each once."""
        return list(dict.fromkeys([*self.first, *self.second]))

    def require_all(self) -> None:
        """Raise a PairListError with the number and names of missing photos, if there are any."""
        if self.missing:
            named = ", ".join(str(path) for path in self.missing[:3])
            more = ", ..." if len(self.missing) > 3 else ""
            raise PairListError(
                f"{self.source}: found {len(self.missing)} of {len(self.files)} photos missing, "
                f"in {np.count_nonzero(~self.complete)} of {len(self.first)} pairs ({named}{more})",
                cure="name the right image root or pattern",
            )


def map_images(pairs: PairList, root: Path, *, pattern: str = "{path}") -> PairImages:
    """Files of the photos of a list, below a root.

    Args:
        pairs: N pairs.
        root: folder of the photos.
        pattern: for a listed ``ann/ann_0001.jpg``: ``{path}`` is all of it, ``{folder}`` ``ann``,
            ``{file}`` ``ann_0001.jpg``, ``{stem}`` ``ann_0001``, ``{suffix}`` ``.jpg``,
            ``{identity}`` ``ann``. Example: ``{folder}/{stem}.png``.

    Raises:
        UsageError: the pattern has an unknown placeholder, or none.
    """
    files = map_names(pairs.images, root, pattern)
    present = {image: file.is_file() for image, file in files.items()}
    return PairImages(
        source=pairs.source,
        first=[files[image] for image in pairs.first],
        second=[files[image] for image in pairs.second],
        missing=list(dict.fromkeys(files[image] for image in files if not present[image])),
        complete=np.array(
            [present[a] and present[b] for a, b in zip(pairs.first, pairs.second, strict=True)],
            bool,
        ),
    )


def map_names(images: Iterable[str], root: Path, pattern: str = "{path}") -> dict[str, Path]:
    """File of each listed photo, see :func:`map_images`.

    Raises:
        UsageError: the pattern has an unknown placeholder, or none.
    """
    found = re.findall(r"\{(.*?)\}", pattern)
    unknown = [name for name in found if name not in PLACEHOLDERS]
    if unknown or not found:
        raise UsageError(
            f"image pattern {pattern!r}: found {'{' + unknown[0] + '}' if unknown else 'no braces'}"
            f", expected some of {', '.join('{' + name + '}' for name in PLACEHOLDERS)}",
            cure="the default is {path}",
        )
    return {image: root / _fill(pattern, image) for image in images}


def _fill(pattern: str, image: str) -> str:
    path = PurePosixPath(image)
    values = {
        "path": image,
        "folder": str(path.parent),
        "file": path.name,
        "stem": path.stem,
        "suffix": path.suffix,
        "identity": identity_of(image),
    }
    return re.sub(r"\{(\w+)\}", lambda match: values[match.group(1)], pattern)
