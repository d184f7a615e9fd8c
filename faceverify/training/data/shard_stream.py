"""WebDataset shards as a stream: read from beginning to end, from anywhere, shuffled on the way.

Shards are shuffled by seed and epoch and dealt out to the processes and their readers; a buffer
shuffles the samples of each reader. The order is the same every time, for the same seed, epoch,
number of processes and of readers. A stream cannot jump: to resume at a step is to read, and not to
decode, what came before it. It never ends early, for then the processes would disagree on how many
steps an epoch has: where a process runs out of shards, it begins with its own again.
"""

from __future__ import annotations

import random
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from queue import Full, Queue
from typing import Any

import numpy as np
import torch

from faceverify.errors import FaceverifyError
from faceverify.pipeline import default_workers
from faceverify.training.data.decoding import decode_many
from faceverify.training.data.draws import sample_draws
from faceverify.training.data.face_set import data_error
from faceverify.training.data.loader import Batch, Resized, ahead
from faceverify.training.data.transforms import DRAWS, Transform
from faceverify.training.data.webdataset_shards import IMAGES, sample_label

BUFFER = 4000  # samples of each reader's shuffle: 15 MB of JPEGs
READ_AHEAD = 64  # samples of each reader


@dataclass(frozen=True)
class StreamedImage:
    """A sample of a stream.

    Attributes:
        name: its shard and key, for messages.
        image: encoded.
        label: the number of the person.
    """

    name: str
    image: bytes
    label: int


def expand_urls(urls: str | Sequence[str]) -> list[str]:
    """The shards of a pattern such as ``s3://faces/{000..127}.tar``; several are joined by ``::``.

    >>> expand_urls("pipe:cat /data/{0..2}.tar")
    ['pipe:cat /data/0.tar', 'pipe:cat /data/1.tar', 'pipe:cat /data/2.tar']
    """
    import braceexpand  # webdataset's own

    patterns = urls.split("::") if isinstance(urls, str) else urls
    expanded = [url for pattern in patterns for url in braceexpand.braceexpand(pattern)]
    # what webdataset does not know by itself, the command of its store reads
    return [
        f"pipe:aws s3 cp {shlex.quote(url)} -" if url.startswith("s3://") else url
        for url in expanded
    ]


def stream_images(
    urls: Sequence[str],
    *,
    seed: int = 0,
    epoch: int = 0,
    rank: int = 0,
    world: int = 1,
    readers: int = 1,
    buffer: int = BUFFER,
) -> Iterator[StreamedImage]:
    """Yield the images of shards in a shuffled order, without end.

    Args:
        urls: of the shards: paths, ``pipe:COMMAND``, ``https://``, ``gs://``, ... as webdataset
            opens them. A command comes from the command line alone, never from the data.
        seed, epoch: of the order.
        rank, world: this process's number and how many there are.
        readers: shards read at a time.
        buffer: samples of each reader that are shuffled; 0 for their order in the shard.

    Raises:
        TrainingError: fewer shards than readers in all, or a shard that cannot be read.
    """
    needed = world * readers
    if len(urls) < needed:
        raise data_error(
            f"{len(urls)} shards for {world} processes with {readers} readers each",
            f"write at least {needed} shards, or use fewer readers",
        )
    streams = [
        _read_ahead(_shuffled(urls, seed, epoch, rank * readers + reader, needed, buffer))
        for reader in range(readers)
    ]
    try:
        while True:
            for stream in streams:
                yield next(stream)
    finally:
        for stream in streams:
            stream.close()


def stream_batches(
    urls: Sequence[str],
    *,
    size: int,
    steps: int,
    transform: Transform,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
    vary: bool = True,
    crop_size: tuple[int, int],
    workers: int | None = None,
    readers: int = 1,
    buffer: int = BUFFER,
    device: torch.device | str = "cpu",
    rank: int = 0,
    world: int = 1,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Batch]:
    """Make the batches of an epoch from shards that are read as a stream.

    Args:
        urls, seed, epoch, rank, world, readers, buffer: as :func:`stream_images`.
        size: images of a batch of this process.
        steps: batches of an epoch; at least 1.
        start: number of the first batch wanted: those before it are read and not decoded.
        transform, vary, crop_size, workers, device, warn: as :func:`~.loader.batches`.

    Raises:
        ImageError, TrainingError: a shard or an image that cannot be read.
    """
    device = torch.device(device)
    resized = Resized(crop_size, warn)
    images = stream_images(
        urls, seed=seed, epoch=epoch, rank=rank, world=world, readers=readers, buffer=buffer
    )

    def tasks() -> Iterator[tuple[int, list[StreamedImage]]]:
        for _ in range(start * size):
            next(images)
        for step in range(start, steps):
            yield step, list(islice(images, size))

    def made(task: tuple[int, list[StreamedImage]]) -> tuple[Batch, Any]:
        step, samples = task
        indices = (step * world + rank) * size + np.arange(len(samples))
        names = [sample.name for sample in samples]
        decoded = decode_many([sample.image for sample in samples], names, device)
        crops = torch.stack([resized(i, name) for i, name in zip(decoded, names, strict=True)])
        labels = torch.tensor([sample.label for sample in samples])
        draws = sample_draws(seed, epoch, step, indices, DRAWS) if vary else None
        if device.type == "cpu":
            return Batch(transform(crops, draws), labels, indices), None
        return Batch(crops, labels, indices), draws

    try:
        for batch, draws in ahead(made, tasks(), workers or default_workers()):
            if device.type == "cpu":
                yield batch
            else:
                crops = batch.images.to(device, non_blocking=True)
                yield Batch(transform(crops, draws), batch.labels.to(device), batch.indices)
    finally:
        images.close()  # type: ignore[attr-defined]  # it is a generator


def _shuffled(
    urls: Sequence[str], seed: int, epoch: int, part: int, parts: int, buffer: int
) -> Iterator[StreamedImage]:
    """The samples of one part of the shards, over and over, each time in another order."""
    import webdataset

    order = np.random.default_rng((seed, epoch)).permutation(len(urls))[part::parts]
    own = [urls[shard] for shard in order]
    turn = 0
    while True:
        rng = random.Random(f"{seed} {epoch} {part} {turn}")  # noqa: S311  no secret
        if turn:
            rng.shuffle(own)
        stages: list[Any] = [webdataset.SimpleShardList(own), webdataset.tarfile_to_samples()]
        if buffer > 1:
            stages.append(webdataset.shuffle(buffer, initial=buffer, rng=rng))
        found = False
        try:
            for sample in webdataset.DataPipeline(*stages):
                image = _streamed(sample)
                if image is not None:
                    found = True
                    yield image
        except FaceverifyError:
            raise
        except Exception as error:  # of the network, the command, the archive
            shard = next((str(a) for a in reversed(error.args) if str(a) in own), own[0])
            reason = str(error.args[0]) if error.args else type(error).__name__
            raise data_error(f"{shard}: cannot be read ({reason})", "check the URL") from error
        if not found:
            raise data_error(f"{own[0]}: holds no samples with an image", "check the shards")
        turn += 1


def _streamed(sample: dict[str, Any]) -> StreamedImage | None:
    kind = next((kind for kind in IMAGES if kind in sample), None)
    if kind is None:
        return None
    name = f"{sample['__url__']}, key {sample['__key__']}"
    texts: dict[str, bytes] = {kind: sample[kind] for kind in ("cls", "json") if kind in sample}
    label, _ = sample_label(name, texts)
    return StreamedImage(name, sample[kind], label)


def _read_ahead(items: Iterator[StreamedImage]) -> Any:
    """Read a stream in a thread of its own, a few samples ahead; a generator."""
    queue: Queue[StreamedImage | BaseException] = Queue(READ_AHEAD)
    stopped = threading.Event()

    def put(item: StreamedImage | BaseException) -> bool:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def feed() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:
            put(error)
        finally:
            items.close()  # type: ignore[attr-defined]  # it is a generator: lets go of its shard

    def taken() -> Iterator[StreamedImage]:
        reader = threading.Thread(target=feed, daemon=True, name="shards")
        reader.start()
        try:
            while True:
                item = queue.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stopped.set()
            reader.join(timeout=5)

    return taken()
