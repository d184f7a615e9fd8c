"""WebDataset shards as a stream: read from beginning to end, from anywhere, shuffled on the way.

Shards are shuffled by seed and epoch and dealt out to the processes; a buffer shuffles the samples
of each. The order is the same every time, for the same seed, epoch and number of processes. A
stream never ends, for then the processes would disagree on how many steps an epoch has: one that
runs out of shards begins with its own again.
"""

from __future__ import annotations

import random
import re
import shlex
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from queue import Full, Queue
from typing import Any

import numpy as np

from faceverify.errors import FaceverifyError
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.open import REMOTE
from faceverify.training.data.sets.webdataset import IMAGES, sample_label

BUFFER = 4000  # samples that are shuffled: 15 MB of JPEGs
READ_AHEAD = 64  # samples


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


@dataclass(frozen=True)
class ShardStream:
    """N images of C people in shards that can be read in order only.

    Args:
        source: the pattern of URLs, as the user named it.
        urls: of the shards.
        images: how many there are, N.
        people: how many numbers their labels need, C: one more than the highest.
    """

    source: str
    urls: tuple[str, ...]
    images: int
    people: int

    def __len__(self) -> int:
        return self.images


def open_stream(
    source: str, progress: Callable[[Iterable[int], str, int | None], Iterator[int]] | None = None
) -> ShardStream:
    """Read all labels of shards once: what nobody can tell who has seen only their beginning.

    Args:
        source: a pattern of URLs, see :func:`expand_urls`.
        progress: shown the labels as they are read.

    Raises:
        TrainingError: a shard that cannot be read.
    """
    urls = expand_urls(source)
    with closing(_in_order(urls)) as images:
        labels: Iterable[int] = (image.label for image in images)
        if progress is not None:
            labels = progress(labels, "reading labels", None)
        count, highest = 0, -1
        for label in labels:
            count, highest = count + 1, max(highest, label)
    return ShardStream(source, tuple(urls), count, highest + 1)


def is_stream(source: str) -> bool:
    """Whether this means shards that can be read in order only: URLs and commands."""
    return source.startswith(REMOTE)


def has_command(source: str) -> bool:
    """Whether opening this would run a command that stands in it."""
    return any(url.startswith("pipe:") for url in _expanded(source))


def first_image(urls: Sequence[str]) -> StreamedImage:
    """The first image of the first shard; TrainingError where it cannot be read."""
    with closing(_in_order(urls)) as images:
        return next(images)


def expand_urls(urls: str | Sequence[str]) -> list[str]:
    """The shards of a pattern such as ``s3://faces/{000..127}.tar``; several are joined by ``::``.

    >>> expand_urls("pipe:cat /data/{0..2}.tar")
    ['pipe:cat /data/0.tar', 'pipe:cat /data/1.tar', 'pipe:cat /data/2.tar']
    """
    # what webdataset does not know by itself, the command of its store reads
    return [
        f"pipe:aws s3 cp {shlex.quote(url)} -" if url.startswith("s3://") else url
        for url in _expanded(urls)
    ]


def _expanded(urls: str | Sequence[str]) -> list[str]:
    import braceexpand  # webdataset's own

    patterns = urls.split("::") if isinstance(urls, str) else urls
    return [url for pattern in patterns for url in braceexpand.braceexpand(pattern)]


def check_shards(urls: Sequence[str], world: int) -> None:
    """TrainingError where there are fewer shards than processes."""
    if len(urls) < world:
        raise data_error(
            f"{len(urls)} shards for {world} processes", f"write at least {world} shards"
        )


def stream_images(
    urls: Sequence[str],
    *,
    seed: int = 0,
    epoch: int = 0,
    rank: int = 0,
    world: int = 1,
    buffer: int = BUFFER,
) -> Generator[StreamedImage, None, None]:
    """Yield the images of shards in a shuffled order, without end.

    Args:
        urls: of the shards: paths, ``pipe:COMMAND``, ``https://``, ``gs://``, ... as webdataset
            opens them. A command comes from the command line alone, never from the data.
        seed, epoch: of the order.
        rank, world: this process's number and how many there are.
        buffer: samples that are shuffled; 0 for their order in the shard.

    Raises:
        TrainingError: fewer shards than processes, or a shard that cannot be read.
    """
    check_shards(urls, world)
    yield from _read_ahead(_shuffled(urls, seed, epoch, rank, world, buffer))


def _shuffled(
    urls: Sequence[str], seed: int, epoch: int, part: int, parts: int, buffer: int
) -> Generator[StreamedImage, None, None]:
    """The samples of one part of the shards, over and over, each time in another order."""
    import webdataset

    order = np.random.default_rng((seed, epoch)).permutation(len(urls))[part::parts]
    own = [urls[shard] for shard in order]
    turn = 0
    while True:
        rng = random.Random(f"{seed} {epoch} {part} {turn}")  # noqa: S311  no secret
        if turn:
            rng.shuffle(own)
        with closing(_in_order(own)) as images:
            if buffer > 1:
                yield from webdataset.shuffle(buffer, initial=buffer, rng=rng)(images)
            else:
                yield from images
        turn += 1


def _in_order(urls: Sequence[str]) -> Generator[StreamedImage, None, None]:
    """The samples of shards, one shard after the other; at least one.

    Raises:
        TrainingError: a shard that cannot be read, is cut short, or holds what is no sample.
    """
    found = False
    for url in urls:
        with closing(_in_shard(url)) as images:
            for image in images:
                found = True
                yield image
    if not found:
        raise data_error(f"{urls[0]}: holds no samples with an image", "check the shards")


def _in_shard(url: str) -> Generator[StreamedImage, None, None]:
    import webdataset
    from webdataset.tariterators import group_by_keys, tar_file_expander

    try:
        with webdataset.gopen(url, "rb") as opened:
            stream = _Remembered(opened)
            for sample in group_by_keys(tar_file_expander([{"url": url, "stream": stream}])):
                image = _streamed(sample)
                if image is not None:
                    yield image
            stream.check_whole()
    except FaceverifyError:
        raise
    except Exception as error:  # of the network, the command, the archive
        raise data_error(f"{url}: cannot be read ({_reason(error)})", "check the URL") from error


def _reason(error: Exception) -> str:
    """What went wrong; of a command its exit status, of which webdataset makes a long tale."""
    text = str(error.args[0]) if error.args else type(error).__name__
    status = re.search(r": exit (\d+) \(read\)", text)
    return f"the command ended with exit status {status[1]}" if status else text


class _Remembered:
    """A stream that remembers how it began and ended: an archive cut short ends without zeros."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._head = self._tail = b""

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self._head += data[: 512 - len(self._head)]
        self._tail = (self._tail + data)[-512:]
        return data

    def check_whole(self) -> None:
        """ValueError where a plain archive has no end; compressed ones have checks of their own."""
        while self.read(1 << 16):
            pass
        if self._head[257:262] == b"ustar" and self._tail.strip(b"\0"):
            raise ValueError("it is cut short")


def _streamed(sample: dict[str, Any]) -> StreamedImage | None:
    kind = next((kind for kind in IMAGES if kind in sample), None)
    if kind is None:
        return None
    name = f"{sample['__url__']}, key {sample['__key__']}"
    texts: dict[str, bytes] = {kind: sample[kind] for kind in ("cls", "json") if kind in sample}
    label, _ = sample_label(name, texts)
    return StreamedImage(name, sample[kind], label)


def _read_ahead(
    items: Generator[StreamedImage, None, None],
) -> Generator[StreamedImage, None, None]:
    """Read a stream in a thread of its own, a few samples ahead."""
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
            items.close()  # lets go of its shard

    def taken() -> Generator[StreamedImage, None, None]:
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
