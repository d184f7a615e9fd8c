"""Batches of images, made ahead in threads so that the device never waits, in a fixed order.

Threads and not processes: decoding and tensor operations release Python's lock, nothing is pickled
or copied between processes, an error arrives as itself, and Ctrl-C leaves nothing behind.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceverify.pipeline import default_workers
from faceverify.training.data.decoding import decode_many, fitted
from faceverify.training.data.draws import sample_draws
from faceverify.training.data.face_set import FaceSet
from faceverify.training.data.packed_cache import PackedFaces
from faceverify.training.data.transforms import DRAWS, Transform

AHEAD = 2  # batches under way per worker


@dataclass(frozen=True, eq=False)
class Batch:
    """N images, ready for the network.

    Attributes:
        images: float32, normalised, (N, 3, height, width), channels-last memory, on the device.
        labels: the person on each, int64, (N,), on the device.
        indices: positions in the set, (N,).
    """

    images: Tensor
    labels: Tensor
    indices: NDArray[np.int64]


def batches(
    face_set: FaceSet,
    index_batches: Iterable[NDArray[np.int64]],
    *,
    transform: Transform,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
    packed: PackedFaces | None = None,
    crop_size: tuple[int, int] | None = None,
    vary: bool = True,
    workers: int | None = None,
    device: torch.device | str = "cpu",
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Batch]:
    """Make batches of the images that a sampler names, in its order.

    What a batch holds is decided by the arguments alone, bit for bit: not by the workers, nor by
    which process makes which part of a step's batch, as long as no image stands twice in one step.

    Args:
        face_set: the images.
        index_batches: positions of the images of each batch; read a few batches ahead.
        transform: from stored crops to the network's input.
        seed, epoch: what is drawn of chance depends on them, on the step and on the image.
        start: number of the first batch in its epoch, of a run that goes on in its middle.
        packed: the decoded crops of the set, where there are any.
        crop_size: (height, width) that crops are brought to before they are transformed; by
            default that of the first image. ``packed`` has its own.
        vary: whether images are varied, as the transform says.
        workers: threads that make batches; by default one for each processor.
        device: where batches go. On a GPU images are varied there, and JPEGs decoded there.
        warn: told once, in one line, when images of another size had to be resized.

    Raises:
        ImageError, TrainingError: an image that cannot be read, decoded or brought to the size.
    """
    device = torch.device(device)
    size = crop_size or (packed.size if packed is not None else stored_size(face_set))
    resized = Resized(size, warn)

    def crops(indices: NDArray[np.int64]) -> Tensor:
        """Stored crops, uint8, (n, 3, H, W), in memory or on the device."""
        if packed is not None:
            return packed.rows(indices)
        names = [face_set.name(int(index)) for index in indices]
        datas = [face_set.read(int(index)) for index in indices]
        images = decode_many(datas, names, device)
        return torch.stack(
            [resized(image, name) for image, name in zip(images, names, strict=True)]
        )

    def made(step: int, indices: NDArray[np.int64]) -> Batch:
        """All of a batch's work that needs no GPU: all of it, where there is none."""
        draws = sample_draws(seed, epoch, step, indices, DRAWS) if vary else None
        images = crops(indices)
        labels = torch.from_numpy(face_set.labels[indices])
        if device.type == "cpu":
            return Batch(transform(images, draws), labels, indices)
        if images.device.type == "cpu":
            images = images.contiguous(memory_format=torch.channels_last).pin_memory()
        return Batch(images, labels.pin_memory(), indices)

    def delivered(step: int, batch: Batch) -> Batch:
        """The rest of the work, queued on the GPU by the thread that uses the batch."""
        if device.type == "cpu":
            return batch
        draws = sample_draws(seed, epoch, step, batch.indices, DRAWS) if vary else None
        images = transform(batch.images.to(device, non_blocking=True), draws)
        return Batch(images, batch.labels.to(device, non_blocking=True), batch.indices)

    numbered = enumerate(index_batches, start)
    for step, batch in ahead(made, numbered, workers or default_workers()):
        yield delivered(step, batch)


def ahead(
    make: Callable[[int, NDArray[np.int64]], Batch],
    numbered: Iterable[tuple[int, NDArray[np.int64]]],
    workers: int,
) -> Iterator[tuple[int, Batch]]:
    """Make batches in threads, a few ahead of whoever takes them, in order."""
    pool = single_threaded_pool(workers)
    waiting: deque[tuple[int, Future[Batch]]] = deque()
    try:
        for step, indices in numbered:
            waiting.append((step, pool.submit(make, step, indices)))
            if len(waiting) > workers * AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def single_threaded_pool(workers: int) -> ThreadPoolExecutor:
    """A pool of threads of which each computes by itself.

    torch would give each of them as many threads again as there are processors. Its setting is of
    the thread that makes it, and also the default of threads to come, which is put back.
    """
    everybody_up = threading.Barrier(workers + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread takes over the default once, when first asked
        torch.set_num_threads(1)
        everybody_up.wait()

    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches", initializer=begin)
    threads = torch.get_num_threads()
    for _ in range(workers):  # the pool starts a thread for each while none is idle
        pool.submit(int)
    everybody_up.wait()
    torch.set_num_threads(threads)
    return pool


def stored_size(face_set: FaceSet) -> tuple[int, int]:
    """(Height, width) of the first image of a set."""
    height, width = face_set.image(0).shape[-2:]
    return int(height), int(width)


class Resized:
    """Brings images to a size, and says once that some had another."""

    def __init__(self, size: tuple[int, int], warn: Callable[[str], None]) -> None:
        self._size = size
        self._warn = warn
        self._said = False

    def __call__(self, image: Tensor, name: str) -> Tensor:
        """An image of the size; TrainingError where its shape is another."""
        result = fitted(image, self._size, name)
        if result is not image and not self._said:
            self._said = True
            (height, width), wanted = image.shape[-2:], self._size
            self._warn(
                f"{name}: {width} x {height} pixels, resized to {wanted[1]} x {wanted[0]}; so is "
                "every image of another size. To do it once: faceverify data convert --size"
            )
        return result
