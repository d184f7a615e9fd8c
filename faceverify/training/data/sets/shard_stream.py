"""Stream of WebDataset shards: read sequentially, from files, URLs or commands, and shuffled.

Shards are shuffled by seed and epoch and divided among the processes; a buffer shuffles the samples
of each process. The order depends on the seed, the epoch and the number of processes only. A stream
is endless, so that all processes have equally many steps in an epoch: a process that reaches the
end of its shards reads them again.
"""

from __future__ import annotations

import random
import re
import shlex
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from queue import Full, Queue
from typing import Any

import numpy as np

from faceverify.errors import FaceverifyError
from faceverify.runtime.progress import ShowProgress
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.open import REMOTE
from faceverify.training.data.sets.webdataset import IMAGES, refuse_dots, sample_label

BUFFER = 4000  # samples in the shuffle buffer: 15 MB of JPEGs
READ_AHEAD = 64  # samples
PASSWORD = re.compile(r"(?:^|::)(?!pipe:)\w+://[^/@:]*:(?!\d{1,5}/)[^@]*@")


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
    """N images of C people in shards that can only be read sequentially.

    Args:
        source: the pattern of URLs, as the user named it.
        urls: of the shards.
        images: number of images, N.
        num_identities: number of classes, C: the highest label plus one.
        labelled: whether each image must have a label; else labels are not read.
    """

    source: str
    urls: tuple[str, ...]
    images: int
    num_identities: int
    labelled: bool = True

    def __len__(self) -> int:
        return self.images


def open_stream(
    source: str, show_progress: ShowProgress | None = None, *, labelled: bool = True
) -> ShardStream:
    """Read all labels of the shards once, to count images and people.

    Args:
        source: a pattern of URLs, see :func:`expand_urls`.
        show_progress: gets the labels as they are read.
        labelled: as of :class:`ShardStream`.

    Raises:
        TrainingError: a shard is unreadable, or a URL holds a password, which the run's folder
            would keep.
    """
    if PASSWORD.search(source):
        raise data_error(
            f"{source.partition(':')[0]}://...: a URL with a password in it",
            "write 'pipe:curl -sfnL URL', with the password in ~/.netrc",
        )
    urls = expand_urls(source)
    with closing(_in_order(urls, labelled)) as images:
        labels: Iterable[int] = (image.label for image in images)
        if show_progress is not None:
            labels = show_progress(labels, "reading labels", None)
        count, highest = 0, -1
        for label in labels:
            count, highest = count + 1, max(highest, label)
    return ShardStream(source, tuple(urls), count, highest + 1, labelled)


def is_stream(source: str) -> bool:
    """Whether a source is URLs or commands, which can only be read sequentially."""
    return source.startswith(REMOTE)


def has_command(source: str) -> bool:
    """Whether opening a source would run a command in it."""
    return any(url.startswith("pipe:") for url in _expanded(source))


def first_images(stream: ShardStream, most: int) -> Iterator[StreamedImage]:
    """The first images of a stream; TrainingError where a shard is unreadable."""
    with closing(_in_order(stream.urls, stream.labelled)) as images:
        yield from islice(images, most)


def expand_urls(urls: str | Sequence[str]) -> list[str]:
    """URLs of a pattern such as ``s3://faces/{000..127}.tar``; ``::`` separates several.

    >>> expand_urls("pipe:cat /data/{0..2}.tar")
    ['pipe:cat /data/0.tar', 'pipe:cat /data/1.tar', 'pipe:cat /data/2.tar']
    """
    # webdataset cannot open s3:// itself: the command of the AWS CLI reads it
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
    labelled: bool = True,
) -> Generator[StreamedImage, None, None]:
    """Yield the images of shards in a shuffled order, endlessly.

    Args:
        urls: of the shards: paths, ``pipe:COMMAND``, ``https://``, ``gs://``, ... as webdataset
            opens them. A command comes from the command line alone, never from the data.
        seed, epoch: of the order.
        rank, world: number of this process, and of processes.
        buffer: size of the shuffle buffer in samples; 0 for the order of the shard.
        labelled: as of :class:`ShardStream`.

    Raises:
        TrainingError: fewer shards than processes, or a shard is unreadable.
    """
    check_shards(urls, world)
    yield from _read_ahead(_shuffled(urls, seed, epoch, rank, world, buffer, labelled))


def _shuffled(
    urls: Sequence[str],
    seed: int,
    epoch: int,
    part: int,
    parts: int,
    buffer: int,
    labelled: bool,
) -> Generator[StreamedImage, None, None]:
    """The samples of the shards of one process, repeatedly, each time in another order."""
    import webdataset

    order = np.random.default_rng((seed, epoch)).permutation(len(urls))[part::parts]
    own = [urls[shard] for shard in order]
    turn = 0
    while True:
        rng = random.Random(f"{seed} {epoch} {part} {turn}")  # noqa: S311  no secret
        if turn:
            rng.shuffle(own)
        with closing(_in_order(own, labelled)) as images:
            if buffer > 1:
                yield from webdataset.shuffle(buffer, initial=buffer, rng=rng)(images)
            else:
                yield from images
        turn += 1


def _in_order(urls: Sequence[str], labelled: bool) -> Generator[StreamedImage, None, None]:
    """The samples of shards, one shard after the other.

    Raises:
        TrainingError: a shard is unreadable or truncated or has an invalid sample, or there is no
            sample.
    """
    found = False
    for url in urls:
        with closing(_in_shard(url, labelled)) as images:
            for image in images:
                found = True
                yield image
    if not found:
        raise data_error(f"{urls[0]}: holds no samples with an image", "check the shards")


def _in_shard(url: str, labelled: bool) -> Generator[StreamedImage, None, None]:
    import webdataset
    from webdataset.tariterators import group_by_keys, tar_file_expander

    try:
        with webdataset.gopen(url, "rb") as opened:
            stream = _Remembered(opened)
            for sample in group_by_keys(tar_file_expander([{"url": url, "stream": stream}])):
                image = _streamed(sample, labelled)
                if image is not None:
                    yield image
            stream.check_whole()
    except FaceverifyError:
        raise
    except Exception as error:  # of the network, the command, the archive
        raise data_error(f"{url}: cannot be read ({_reason(error)})", "check the URL") from error


def _reason(error: Exception) -> str:
    """Reason of a failure; for a command only its exit status, without webdataset's long text."""
    text = str(error.args[0]) if error.args else type(error).__name__
    status = re.search(r": exit (\d+) \(read\)", text)
    return f"the command ended with exit status {status[1]}" if status else text


class _Remembered:
    """A stream that keeps its first and last bytes: a truncated archive does not end with zeros."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._head = self._tail = b""

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self._head += data[: 512 - len(self._head)]
        self._tail = (self._tail + data)[-512:]
        return data

    def check_whole(self) -> None:
        """ValueError where an uncompressed archive is truncated; compressed ones have checksums."""
        while self.read(1 << 16):
            pass
        if self._head[257:262] == b"ustar" and self._tail.strip(b"\0"):
            raise ValueError("it is cut short")


def _streamed(sample: dict[str, Any], labelled: bool) -> StreamedImage | None:
    kind = next((kind for kind in IMAGES if kind in sample), None)
    if kind is None:
        members = [key for key in sample if not key.startswith("__")]
        refuse_dots(sample["__url__"], sample["__key__"], members)
        return None
    name = f"{sample['__url__']}, key {sample['__key__']}"
    if not labelled:
        return StreamedImage(name, sample[kind], 0)
    texts: dict[str, bytes] = {kind: sample[kind] for kind in ("cls", "json") if kind in sample}
    label, _ = sample_label(name, texts)
    return StreamedImage(name, sample[kind], label)


def _read_ahead(
    items: Generator[StreamedImage, None, None],
) -> Generator[StreamedImage, None, None]:
    """Read a stream in a separate thread, a few samples ahead."""
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
            items.close()  # closes its shard

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
