"""A stream of shards of a known length, which the first process reads once where nobody gave it."""

from __future__ import annotations

from faceverify.runtime.progress import ShowProgress
from faceverify.training.data.sets.shard_stream import ShardStream, expand_urls, open_stream
from faceverify.training.distributed.processes import Processes


def counted_stream(
    source: str,
    images: int,
    people: int,
    processes: Processes,
    show_progress: ShowProgress,
    *,
    labelled: bool = True,
) -> ShardStream:
    """A stream with its numbers of images and people, called in every process.

    Args:
        source: a pattern of URLs.
        images, people: their numbers; 0 where they are to be counted.
        processes: this one and the others.
        show_progress: shown the labels as they are read.
        labelled: whether the shards have names of people.

    Raises:
        TrainingError: a shard is unreadable.
    """
    if not (images and people):
        stream = open_stream(source, show_progress, labelled=labelled) if processes.first else None
        own = (0, 0) if stream is None else (len(stream), stream.num_identities)
        images, people = (int(processes.from_first(one)) for one in own)
    return ShardStream(source, tuple(expand_urls(source)), images, people, labelled)
