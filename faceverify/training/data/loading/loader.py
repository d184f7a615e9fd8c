"""Data loader: batches prepared ahead in threads, in a fixed order.

Threads instead of processes: decoding and tensor operations release the GIL, nothing is pickled or
copied between processes, errors keep their type, and Ctrl-C leaves no process behind.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import cycle
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceverify.errors import FaceverifyError
from faceverify.runtime.parallel import default_workers
from faceverify.training.data.decoding import decode_many, fitted
from faceverify.training.data.loading.counter_rng import (
    OF_A_METHOD,
    OF_A_TRACK,
    sample_draws,
    sample_keys,
)
from faceverify.training.data.loading.left_out import (
    BAD_IMAGE,
    LOOKED_AT,
    LeftOut,
    attempt,
    first_size,
    in_place_of,
)
from faceverify.training.data.loading.packed_cache import PackedFaces
from faceverify.training.data.samplers import rank_part
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.tracks import Tracks
from faceverify.training.data.transforms import DRAWS, Draws, Transform
from faceverify.training.data.views import ONE_VIEW, Batch, Views

Task = TypeVar("Task")
Made = TypeVar("Made")

AHEAD = 2  # batches in preparation per worker


def batches(
    face_set: FaceSet,
    index_batches: Iterable[NDArray[np.int64]],
    *,
    transform: Transform,
    views: Views = ONE_VIEW,
    tracks: Tracks | None = None,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
    packed: PackedFaces | None = None,
    crop_size: tuple[int, int] | None = None,
    vary: bool = True,
    workers: int | None = None,
    device: torch.device | str = "cpu",
    rank: int = 0,
    world: int = 1,
    warn: Callable[[str], None] = lambda _: None,
    left_out: LeftOut | None = None,
) -> Iterator[Batch]:
    """Batches of the images that a sampler chose, in its order.

    Another image of its person takes the place of one that cannot be read, with its own index.

    The images of a step depend, bit for bit, on the set, the transform, the seed, the epoch and the
    step: not on the number of workers or processes.

    Args:
        face_set: the images.
        index_batches: positions of the images of each step, of all processes; consumed a few ahead.
        transform: from stored crops to the network's input.
        views: of each image.
        tracks: every second view is of another frame of the image's track; None: of the image.
        seed, epoch: augmentation depends on them, on the step and on the image.
        start: number of the first batch in its epoch, in a resumed run.
        packed: decoded crops of the set, where there are any.
        crop_size: (height, width) that crops are resized to before the transform; by default
            that of the first image. ``packed`` has its own.
        vary: whether images are augmented.
        workers: threads; by default one for each CPU.
        rank, world: number of this process, and of processes; it makes its part of each step.
        device: of the batches. On a GPU augmentation and JPEG decoding run there.
        warn: called once, with one line, when images of another size were resized.
        left_out: takes the images that cannot be read; None: such an image is an error.

    Raises:
        ImageError, TrainingError: an image cannot be read, decoded or resized, or too many.
    """
    device = torch.device(device)
    transforms = [transform.of_view(kind) for kind in views.kinds]
    size = crop_size or (packed.size if packed is not None else stored_size(face_set))
    resized = Resized(size, warn)

    def crops(indices: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64]]:
        """Stored crops, uint8, (n, 3, H, W), in memory or on the device, and their positions."""
        if packed is not None:
            kept = packed.kept[indices]
            return packed.rows(kept), kept
        try:
            return torch.stack(decoded(indices)), indices
        except BAD_IMAGE:
            if left_out is None:
                raise
        found = [readable(int(index), left_out) for index in indices]
        return torch.stack([image for image, _ in found]), np.array([at for _, at in found])

    def decoded(indices: Iterable[int]) -> list[Tensor]:
        names = [face_set.name(int(index)) for index in indices]
        datas = [face_set.read(int(index)) for index in indices]
        images = decode_many(datas, names, device)
        return [resized(image, name) for image, name in zip(images, names, strict=True)]

    def readable(index: int, left_out: LeftOut) -> tuple[Tensor, int]:
        """The first readable image of those that may stand at a position, and its own position."""
        for candidate in in_place_of(index, face_set.labels):
            found = attempt(partial(decoded, [candidate]))
            if not isinstance(found, FaceverifyError):
                return found[0], candidate
            left_out.add(candidate, found)
        raise data_error(f"{face_set.source}: no image can be read", "run `faceverify data check`")

    def made(task: tuple[int, NDArray[np.int64]]) -> tuple[Batch, list[Draws | None]]:
        """The CPU's part of the work on a batch."""
        step, everyone = task
        part = rank_part(np.arange(len(everyone)), rank, world)
        indices = everyone[part]
        # of the whole step: an image that occurs twice in it is augmented differently
        draws = [
            sample_draws(seed, epoch, step, everyone, DRAWS, view=view)[part] if vary else None
            for view in range(len(transforms))
        ]
        keys = sample_keys(seed, epoch, step, everyone, view=OF_A_METHOD)[part]
        others: list[Tensor] = []
        if tracks is not None and vary:
            turns = sample_draws(seed, epoch, step, everyone, 1, view=OF_A_TRACK)[part, 0]
            others = [crops(tracks.others(indices, turns))[0]]
        images, indices = crops(indices)
        frames = [images, *others]
        labels = torch.from_numpy(face_set.labels[indices])
        if device.type == "cpu":
            return Batch(made_views(transforms, frames, draws), labels, indices, keys), []
        if device.type == "cuda" and images.device.type == "cpu":
            frames = [
                one.contiguous(memory_format=torch.channels_last).pin_memory() for one in frames
            ]
            labels = labels.pin_memory()
        return Batch(frames, labels, indices, keys), draws

    for batch, draws in ahead(made, enumerate(index_batches, start), workers or default_workers()):
        if device.type == "cpu":
            yield batch
        else:  # queued on the device by the thread that uses the batch
            frames = [one.to(device, non_blocking=True) for one in batch.views]
            labels = batch.labels.to(device, non_blocking=True)
            ready = made_views(transforms, frames, draws)
            yield Batch(ready, labels, batch.indices, batch.keys)


def made_views(
    transforms: Sequence[Transform], frames: Sequence[Tensor], draws: Sequence[Draws | None]
) -> list[Tensor]:
    """Each view of some images, by its transform and its random numbers.

    Args:
        transforms: of each view.
        frames: the images, and perhaps other frames of their tracks: the views are of each in turn.
        draws: of each view.
    """
    turns = cycle(frames)
    return [made(images, own) for made, images, own in zip(transforms, turns, draws, strict=False)]


def ahead(make: Callable[[Task], Made], tasks: Iterable[Task], workers: int) -> Iterator[Made]:
    """Results of tasks run in threads, a few ahead of the consumer, in order."""
    pool = single_threaded_pool(workers)
    waiting: deque[Future[Made]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(make, task))
            if len(waiting) > workers * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def single_threaded_pool(workers: int) -> ThreadPoolExecutor:
    """A thread pool in which torch uses one thread for each worker.

    By default torch would start as many threads for each worker as there are CPUs. Its setting is
    per thread, and also the default of new threads, which is restored.
    """
    all_started = threading.Barrier(workers + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread reads the default once, on its first call
        torch.set_num_threads(1)
        all_started.wait()

    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches", initializer=begin)
    threads = torch.get_num_threads()
    for _ in range(workers):  # the pool starts a thread for each while none is idle
        pool.submit(int)
    all_started.wait()
    torch.set_num_threads(threads)
    return pool


def stored_size(face_set: FaceSet) -> tuple[int, int]:
    """(Height, width) of the first image of a set that can be read.

    Raises:
        ImageError, TrainingError: none of the first images can be.
    """
    some = range(min(LOOKED_AT, len(face_set)))
    return first_size(partial(face_set.image, index) for index in some)


class Resized:
    """Resizes images, and warns once that some had another size."""

    def __init__(self, size: tuple[int, int], warn: Callable[[str], None]) -> None:
        self._size = size
        self._warn = warn
        self._said = False

    def __call__(self, image: Tensor, name: str) -> Tensor:
        """Resize an image; TrainingError where its aspect ratio differs."""
        result = fitted(image, self._size, name)
        if result is not image and not self._said:
            self._said = True
            (height, width), wanted = image.shape[-2:], self._size
            self._warn(
                f"{name}: {width} x {height} pixels, resized to {wanted[1]} x {wanted[0]}; so is "
                "every image of another size. To do it once: faceverify data convert --size"
            )
        return result
