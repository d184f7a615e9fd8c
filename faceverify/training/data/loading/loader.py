"""Batches of images, made ahead in threads so that the device never waits, in a fixed order.

Threads and not processes: decoding and tensor operations release Python's lock, nothing is pickled
or copied between processes, an error arrives as itself, and Ctrl-C leaves nothing behind.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceverify.runtime.parallel import default_workers
from faceverify.training.data.decoding import decode_many, fitted
from faceverify.training.data.loading.counter_rng import sample_draws
from faceverify.training.data.loading.packed_cache import PackedFaces
from faceverify.training.data.samplers import rank_part
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.transforms import DRAWS, Draws, Transform
from faceverify.training.data.views import ONE_VIEW, Batch, Views

Task = TypeVar("Task")
Made = TypeVar("Made")

AHEAD = 2  # batches under way per worker


def batches(
    face_set: FaceSet,
    index_batches: Iterable[NDArray[np.int64]],
    *,
    transform: Transform,
    views: Views = ONE_VIEW,
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
) -> Iterator[Batch]:
    """Make batches of the images that a sampler names, in its order.

    What a step's images look like is decided by the set, the transform, the seed, the epoch and
    the step, bit for bit: not by the workers, nor by how many processes share it.

    Args:
        face_set: the images.
        index_batches: positions of the images of each step, of all processes; read a few ahead.
        transform: from stored crops to the network's input.
        views: that are made of each image.
        seed, epoch: what is drawn of chance depends on them, on the step and on the image.
        start: number of the first batch in its epoch, of a run that goes on in its middle.
        packed: the decoded crops of the set, where there are any.
        crop_size: (height, width) that crops are brought to before they are transformed; by
            default that of the first image. ``packed`` has its own.
        vary: whether images are varied, as the transform says.
        workers: threads that make batches; by default one for each processor.
        rank, world: this process's number and how many there are: it makes its part of each step.
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

    def made(task: tuple[int, NDArray[np.int64]]) -> tuple[Batch, list[Draws | None]]:
        """All of a batch's work that needs no GPU: all of it, where there is none."""
        step, everyone = task
        part = rank_part(np.arange(len(everyone)), rank, world)
        indices = everyone[part]
        # drawn for all of the step: an image that stands in it twice is varied twice, by whomever
        draws = [
            sample_draws(seed, epoch, step, everyone, DRAWS, view=view)[part] if vary else None
            for view in range(views.number)
        ]
        images = crops(indices)
        labels = torch.from_numpy(face_set.labels[indices])
        if device.type == "cpu":
            return Batch([transform(images, one) for one in draws], labels, indices), []
        if device.type == "cuda" and images.device.type == "cpu":
            images = images.contiguous(memory_format=torch.channels_last).pin_memory()
            labels = labels.pin_memory()
        return Batch([images], labels, indices), draws

    for batch, draws in ahead(made, enumerate(index_batches, start), workers or default_workers()):
        if device.type == "cpu":
            yield batch
        else:  # queued on the device by the thread that uses the batch
            images = batch.views[0].to(device, non_blocking=True)
            labels = batch.labels.to(device, non_blocking=True)
            yield Batch([transform(images, one) for one in draws], labels, batch.indices)


def ahead(make: Callable[[Task], Made], tasks: Iterable[Task], workers: int) -> Iterator[Made]:
    """Do tasks in threads, a few ahead of whoever takes their results, in order."""
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
