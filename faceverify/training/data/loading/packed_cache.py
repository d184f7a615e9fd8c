"""Every crop of a set decoded once, in one memory-mapped file: no JPEG is decoded in any epoch.

A cache is named by the set and by how its crops are packed, and carries the stamp of the images it
was made of: when one changes, it is made anew. It is written aside and renamed when whole. Several
processes that want the same one make it once. Faces are biometric data: only their owner reads it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceverify.errors import OutputError
from faceverify.runtime.parallel import map_ordered
from faceverify.training.data.decoding import fitted
from faceverify.training.data.sets.face_set import FaceSet

VERSION = 1  # of what is packed: a change of the decoding or the layout makes old ones stale
SHARE_OF_MEMORY = 0.5  # of what is free: a larger cache would be read from the disk all the time
SPARE = 2**30  # bytes of the disk that stay free

Progress = Callable[[Iterable[Any], str, "int | None"], Iterator[Any]]


@dataclass(frozen=True, eq=False)
class PackedFaces:
    """The decoded crops of a set.

    Args:
        pixels: RGB, uint8, (N, H, W, 3): channels-last memory.
    """

    pixels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the crops."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    def rows(self, indices: NDArray[np.int64]) -> Tensor:
        """Crops at some positions, uint8, (n, 3, H, W)."""
        return self.pixels.index_select(0, torch.from_numpy(indices)).permute(0, 3, 1, 2)


def fits(face_set: FaceSet, size: tuple[int, int], folder: Path) -> bool:
    """Tell whether a cache of a set fits into memory, and onto the disk or is there already."""
    needed = len(face_set) * size[0] * size[1] * 3
    if needed > SHARE_OF_MEMORY * free_memory():
        return False
    if _place(face_set, size, folder).exists():
        return True
    around = folder
    while not around.exists():
        around = around.parent
    return needed + SPARE < shutil.disk_usage(around).free


def free_memory() -> int:
    """Bytes of memory that nothing needs; 0 where the system does not say."""
    with (
        suppress(OSError, ValueError, IndexError),
        open("/proc/meminfo", encoding="ascii") as lines,
    ):
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0


def packed(
    face_set: FaceSet,
    size: tuple[int, int],
    folder: Path,
    *,
    progress: Progress = lambda items, _label, _total: iter(items),
    workers: int | None = None,
) -> PackedFaces:
    """Open the cache of a set; make it first where there is none, or its images have changed.

    Args:
        face_set: the set.
        size: (height, width) that each crop is brought to.
        folder: where caches lie; made if it is missing.
        progress: shown the images as they are decoded.
        workers: threads that decode; by default one for each processor.

    Raises:
        ImageError, TrainingError: an image that cannot be read, or has another shape.
        OutputError: the cache cannot be written.
    """
    place = _place(face_set, size, folder)
    shape = (len(face_set), *size, 3)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(place):
            pixels = _opened(place, shape)
            if pixels is None:
                crops = map_ordered(
                    lambda index: fitted(face_set.image(index), size, face_set.name(index)),
                    range(len(face_set)),
                    workers=workers,
                )
                _write(place, shape, progress(crops, "decoding once", len(face_set)))
                pixels = _opened(place, shape)
    except OSError as error:
        raise OutputError(
            f"{place}: cannot be written ({error.strerror})",
            cure="free some space, or train without the packed cache",
        ) from error
    assert pixels is not None
    return PackedFaces(torch.from_numpy(pixels))


def _place(face_set: FaceSet, size: tuple[int, int], folder: Path) -> Path:
    """The file of a set's cache; its name changes with the images."""
    known = f"{VERSION} {face_set.kind} {face_set.images.stamp()}"
    source = hashlib.sha256(os.fsencode(os.path.abspath(face_set.source))).hexdigest()[:16]
    stamp = hashlib.sha256(known.encode()).hexdigest()[:16]
    return folder / f"packed-{source}-{size[0]}x{size[1]}-{stamp}.npy"


def _opened(place: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    try:
        # "c": torch wants memory it could write to; nothing is ever written back
        found = np.load(place, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        return None
    except (ValueError, EOFError):  # not ours, or torn by a failing disk: made anew
        return None
    if found.shape != shape or found.dtype != np.uint8:
        return None
    return np.asarray(found)


def _write(place: Path, shape: tuple[int, ...], crops: Iterable[Tensor]) -> None:
    """Write a cache aside and publish it; those of earlier states of the set go."""
    aside = place.with_suffix(".part")
    with suppress(FileNotFoundError):
        aside.unlink()
    try:
        handle = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for crop in crops:
                stream.write(crop.permute(1, 2, 0).contiguous().numpy().data)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(place)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    family, _, _ = place.stem.rpartition("-")
    for old in place.parent.glob(f"{family}-*.npy"):
        if old != place:
            with suppress(OSError):
                old.unlink()


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold a cache's lock: whoever else wants it waits until it is made."""
    handle = os.open(place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.name == "posix":
            import fcntl

            with suppress(OSError):  # a file system without locks: made twice, published whole
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
