"""Cache of decoded crops: all crops of a set in one memory-mapped file, decoded once for all runs.

The name of a cache has the path of the set, the size of its crops and a hash of the images' stamp:
when an image changes, the cache is rebuilt. Beside it is a list of the images that could not be
read, of which it has no crop. It is written to a temporary file and renamed. Several
processes build the same cache once. Faces are biometric data: only their owner can read it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceverify.errors import FaceverifyError, ImageError, OutputError
from faceverify.runtime.files import atomic_write
from faceverify.runtime.parallel import map_ordered
from faceverify.runtime.progress import ShowProgress, no_progress
from faceverify.training.data.decoding import fitted
from faceverify.training.data.loading.left_out import BAD_IMAGE, LeftOut, replaced
from faceverify.training.data.sets.face_set import FaceSet

VERSION = 2  # of decoding and layout: raised by a change, so that old caches are rebuilt
SHARE_OF_MEMORY = 0.5  # of free memory: a larger cache would be read from the disk all the time
SPARE = 2**30  # bytes to leave free on the disk


@dataclass(frozen=True, eq=False)
class PackedFaces:
    """The decoded crops of a set.

    Args:
        pixels: RGB, uint8, (N, H, W, 3): channels-last memory.
        kept: position of the crop that stands at each position, (N,): its own, where it could be
            read.
    """

    pixels: Tensor
    kept: NDArray[np.int64]

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
    """Whether a cache of a set fits into memory, and exists or fits onto the disk."""
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
    """Bytes of available memory; 0 where the system does not say."""
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
    show_progress: ShowProgress = no_progress,
    workers: int | None = None,
    left_out: LeftOut | None = None,
) -> PackedFaces:
    """Open the cache of a set; build it if there is none or images have changed.

    Args:
        face_set: the set.
        size: (height, width) that each crop is resized to.
        folder: of the caches; created if missing.
        show_progress: gets the images as they are decoded.
        workers: threads that decode; by default one for each CPU.
        left_out: takes the images that cannot be read; None: such an image is an error.

    Raises:
        ImageError, TrainingError: an image is unreadable or has another aspect ratio, or too many.
        OutputError: the cache cannot be written.
    """
    place = _place(face_set, size, folder)
    shape = (len(face_set), *size, 3)
    bad: dict[int, FaceverifyError] = {}

    def crop(index: int) -> Tensor:
        try:
            return fitted(face_set.image(index), size, face_set.name(index))
        except BAD_IMAGE as error:
            if left_out is None:
                raise
            left_out.add(index, error)
            bad[index] = error
            return torch.zeros((3, *size), dtype=torch.uint8)

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(place):
            pixels = _opened(place, shape)
            if pixels is None:
                crops = map_ordered(crop, range(len(face_set)), workers=workers)
                shown = show_progress(crops, "decoding once", len(face_set))
                _write(place, shape, shown, bad)
                pixels = _opened(place, shape)
            known = _read_unreadable(place)
    except OSError as error:
        raise OutputError(
            f"{place}: cannot be written ({error.strerror})",
            cure="free some space, or train without the packed cache",
        ) from error
    assert pixels is not None
    for index, problem in known.items():
        if left_out is None:
            raise problem
        left_out.add(index, problem)
    return PackedFaces(torch.from_numpy(pixels), replaced(known, face_set.labels))


def _place(face_set: FaceSet, size: tuple[int, int], folder: Path) -> Path:
    """Path of a set's cache; its name changes with the images."""
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
    except (ValueError, EOFError):  # another file, or damaged: rebuilt
        return None
    if found.shape != shape or found.dtype != np.uint8:
        return None
    return np.asarray(found)


def _read_unreadable(place: Path) -> dict[int, FaceverifyError]:
    """The images that a cache has no crop of, with their errors."""
    try:
        listed = json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))
        return {int(index): ImageError(text) for index, text in listed.items()}
    except FileNotFoundError:
        return {}


def _write(
    place: Path,
    shape: tuple[int, ...],
    crops: Iterable[Tensor],
    unreadable: Mapping[int, FaceverifyError],
) -> None:
    """Write a cache to a temporary file, rename it, and remove outdated ones of the set.

    Args:
        place: of the cache.
        shape: of all crops.
        crops: in order.
        unreadable: filled by them: images without one, with their errors.
    """
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
        beside = place.with_suffix(".json")
        with suppress(FileNotFoundError):
            beside.unlink()
        if unreadable:  # before the cache itself, which is not complete without it
            listed = {index: str(error) for index, error in sorted(unreadable.items())}
            atomic_write(beside, json.dumps(listed).encode())
        aside.replace(place)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    family, _, _ = place.stem.rpartition("-")
    for old in place.parent.glob(f"{family}-*.*"):
        if old.suffix in (".npy", ".json") and old.stem != place.stem:
            with suppress(OSError):
                old.unlink()


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Lock a cache: other processes wait until it is built."""
    handle = os.open(place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.name == "posix":
            import fcntl

            with suppress(OSError):  # a file system without locks: built twice
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
