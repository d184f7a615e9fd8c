"""Data loader for a stream of shards.

A stream has no random access: to resume at a step, the images before it are read, not decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from faceverify.runtime.parallel import default_workers
from faceverify.training.data.decoding import decode_many
from faceverify.training.data.loading.counter_rng import OF_A_METHOD, sample_draws, sample_keys
from faceverify.training.data.loading.left_out import BAD_IMAGE, LeftOut
from faceverify.training.data.loading.loader import Resized, ahead, made_views
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
    left_out: LeftOut | None = None,
) -> Iterator[Batch]:
    """Batches of an epoch from a stream of shards.

    The next readable image of its batch takes the place of one that cannot be read.

    Args:
        stream: the shards.
        seed, epoch, rank, world, buffer: as :func:`stream_images`.
        size: images of a batch of this process.
        steps: batches of an epoch; at least 1.
        start: number of the first batch; those before it are read, not decoded.
        transform, views, vary, crop_size, workers, device, warn, left_out: as of
            :func:`~.loader.batches`.

    Raises:
        ImageError, TrainingError: an unreadable shard or image, or a label that is not below
            ``stream.num_identities``.
    """
    device = torch.device(device)
    transforms = [transform.of_view(kind) for kind in views.kinds]
    resized = Resized(crop_size, warn)
    images = stream_images(
        stream.urls,
        seed=seed,
        epoch=epoch,
        rank=rank,
        world=world,
        buffer=buffer,
        labelled=stream.labelled,
    )

    def tasks() -> Iterator[tuple[int, list[StreamedImage]]]:
        for _ in range(start * size):
            next(images)
        for step in range(start, steps):
            yield step, list(islice(images, size))

    def decoded(samples: list[StreamedImage]) -> list[Tensor]:
        names = [sample.name for sample in samples]
        images = decode_many([sample.image for sample in samples], names, device)
        return [resized(image, name) for image, name in zip(images, names, strict=True)]

    def readable(
        samples: list[StreamedImage], left_out: LeftOut
    ) -> tuple[list[StreamedImage], list[Tensor]]:
        """The samples of a batch and their images, the next readable one for an unreadable one."""

        def image_of(sample: StreamedImage) -> Tensor | None:
            try:
                return decoded([sample])[0]
            except BAD_IMAGE as error:
                left_out.add(sample.name, error)
                return None

        images = [image_of(sample) for sample in samples]
        good = [place for place, image in enumerate(images) if image is not None]
        if not good:
            raise data_error(
                f"{samples[0].name}: neither it nor the {len(samples) - 1} images read with it can "
                "be decoded",
                "check the shards",
            )
        at = [next((one for one in good if one >= place), good[0]) for place in range(len(samples))]
        kept = [image for place in at if (image := images[place]) is not None]
        return [samples[place] for place in at], kept

    def made(task: tuple[int, list[StreamedImage]]) -> tuple[Batch, list[Draws | None]]:
        step, samples = task
        indices = (step * world + rank) * size + np.arange(len(samples))
        for sample in samples:
            if sample.label >= stream.num_identities:
                raise data_error(
                    f"{sample.name}: label {sample.label}, where data.stream_people is "
                    f"{stream.num_identities}",
                    "give --set data.stream_people=0 to look at all labels first",
                )
        try:
            crops = torch.stack(decoded(samples))
        except BAD_IMAGE:
            if left_out is None:
                raise
            samples, images = readable(samples, left_out)
            crops = torch.stack(images)
        labels = torch.tensor([sample.label for sample in samples])
        draws = [
            sample_draws(seed, epoch, step, indices, DRAWS, view=view) if vary else None
            for view in range(len(transforms))
        ]
        keys = sample_keys(seed, epoch, step, indices, view=OF_A_METHOD)
        if device.type == "cpu":
            return Batch(made_views(transforms, [crops], draws), labels, indices, keys), []
        return Batch([crops], labels, indices, keys), draws

    try:
        for batch, draws in ahead(made, tasks(), workers or default_workers()):
            if device.type == "cpu":
                yield batch
            else:
                crops = batch.views[0].to(device, non_blocking=True)
                ready = made_views(transforms, [crops], draws)
                yield Batch(ready, batch.labels.to(device), batch.indices, batch.keys)
    finally:
        images.close()
