"""Batches out of a stream of shards.

A stream cannot jump: to resume at a step is to read, and not to decode, what came before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch

from faceverify.runtime.parallel import default_workers
from faceverify.training.data.decoding import decode_many
from faceverify.training.data.loading.counter_rng import sample_draws
from faceverify.training.data.loading.loader import Resized, ahead
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.shard_stream import (
    BUFFER,
    ShardStream,
    StreamedImage,
    stream_images,
)
from faceverify.training.data.transforms import DRAWS, Draws, Transform
from faceverify.training.data.views import ONE_VIEW, Batch, Views


def stream_batches(
    stream: ShardStream,
    *,
    size: int,
    steps: int,
    transform: Transform,
    views: Views = ONE_VIEW,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
    vary: bool = True,
    crop_size: tuple[int, int],
    workers: int | None = None,
    buffer: int = BUFFER,
    device: torch.device | str = "cpu",
    rank: int = 0,
    world: int = 1,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Batch]:
    """Make the batches of an epoch from shards that are read as a stream.

    Args:
        stream: the shards.
        seed, epoch, rank, world, buffer: as :func:`stream_images`.
        size: images of a batch of this process.
        steps: batches of an epoch; at least 1.
        start: number of the first batch wanted: those before it are read and not decoded.
        transform, views, vary, crop_size, workers, device, warn: as :func:`~.loader.batches`.

    Raises:
        ImageError, TrainingError: a shard or an image that cannot be read, or a label beyond the
            people of the stream.
    """
    device = torch.device(device)
    resized = Resized(crop_size, warn)
    images = stream_images(
        stream.urls, seed=seed, epoch=epoch, rank=rank, world=world, buffer=buffer
    )

    def tasks() -> Iterator[tuple[int, list[StreamedImage]]]:
        for _ in range(start * size):
            next(images)
        for step in range(start, steps):
            yield step, list(islice(images, size))

    def made(task: tuple[int, list[StreamedImage]]) -> tuple[Batch, list[Draws | None]]:
        step, samples = task
        indices = (step * world + rank) * size + np.arange(len(samples))
        for sample in samples:
            if sample.label >= stream.people:
                raise data_error(
                    f"{sample.name}: label {sample.label}, where data.stream_people is "
                    f"{stream.people}",
                    "give --set data.stream_people=0 to look at all labels first",
                )
        names = [sample.name for sample in samples]
        decoded = decode_many([sample.image for sample in samples], names, device)
        crops = torch.stack([resized(i, name) for i, name in zip(decoded, names, strict=True)])
        labels = torch.tensor([sample.label for sample in samples])
        draws = [
            sample_draws(seed, epoch, step, indices, DRAWS, view=view) if vary else None
            for view in range(views.number)
        ]
        if device.type == "cpu":
            return Batch([transform(crops, one) for one in draws], labels, indices), []
        return Batch([crops], labels, indices), draws

    try:
        for batch, draws in ahead(made, tasks(), workers or default_workers()):
            if device.type == "cpu":
                yield batch
            else:
                crops = batch.views[0].to(device, non_blocking=True)
                views_made = [transform(crops, one) for one in draws]
                yield Batch(views_made, batch.labels.to(device), batch.indices)
    finally:
        images.close()
