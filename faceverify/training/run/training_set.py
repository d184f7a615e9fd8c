"""The images that a run learns from, and those held out to validate on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from faceverify.errors import TrainingError
from faceverify.models.contract import Contract
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Config, Data
from faceverify.training.data.loading.epochs import StoredSource, StreamedSource
from faceverify.training.data.loading.packed_cache import Progress
from faceverify.training.data.loading.source import Source
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.sets.shard_stream import (
    ShardStream,
    expand_urls,
    is_stream,
    open_stream,
)
from faceverify.training.data.views import Views
from faceverify.training.distributed.processes import Processes
from faceverify.training.losses import HEADS

FEWEST_HELD_OUT = 10  # people: with 15 images each, thresholds for a false match rate of 1e-3
MOST_HELD_OUT = 200  # people; more tell no more about which checkpoint is the best
MOST_IMAGES = 4000  # of them
FEWEST_LEARNED = 2


@dataclass(frozen=True, eq=False)
class Divided:
    """Stored images that are learned, and those that are not.

    Args:
        learned: the images that are learned.
        held_out: images of other people, to validate on; None where there are none.
        notes: what a user should know, one line each.
    """

    learned: FaceSet
    held_out: FaceSet | None
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class LearningSet:
    """What a run learns from, and what it does not.

    Args:
        learned: gives the batches that are learned.
        held_out: images of other people, to validate on; None where there are none.
        notes: what a user should know, one line each.
        settings: ``[data]`` with what was counted, so that it is counted once only.
    """

    learned: Source
    held_out: FaceSet | None
    notes: tuple[str, ...]
    settings: Data


def learning_set_of(
    config: Config,
    contract: Contract,
    processes: Processes,
    *,
    views: Views,
    progress: Progress,
    warn: Callable[[str], None],
) -> LearningSet:
    """Open what a configuration says to learn from.

    Args:
        config: of the run.
        contract: what the backbone sees.
        processes: this one and the others.
        views: that a method sees of each image.
        progress: shown the labels of a stream as they are counted.
        warn: called once, when images had to be resized.

    Raises:
        TrainingError: data that cannot be read, or that do not go with the other settings.
        ImageError: the first image cannot be read.
    """
    data, validation = config.data, config.validation
    if not data.source:
        raise config_error("no data to learn from", "name a folder of people")
    known = HEADS.get(config.head.name)
    pairs_wanted = known is not None and known.batches == "identities"
    if pairs_wanted and config.batches.sampler == "shuffled":
        raise config_error(
            f"head {config.head.name} compares images of one person, which shuffled batches "
            "rarely hold",
            "use --set batches.sampler=identities",
        )
    if is_stream(data.source):
        stream = _counted_stream(config, processes, progress)
        counted = replace(data, stream_images=len(stream), stream_people=stream.people)
        streamed = StreamedSource(stream, contract, config, processes, views, warn)
        return LearningSet(streamed, None, (), counted)
    if data.stream_images or data.stream_people:
        raise config_error(
            f"data.stream_images and data.stream_people: {data.source} is no stream",
            "use --set data.stream_images=0 --set data.stream_people=0",
        )
    held_out_wanted = validation.times and not validation.pairs
    divided = open_learning_set(
        data.source,
        least_images=data.least_images,
        held_out=validation.held_out if held_out_wanted else 0.0,
        seed=config.seed,
        pairs_wanted=pairs_wanted,
        processes=processes.world,
    )
    stored = StoredSource(divided.learned, contract, config, processes, views, warn)
    return LearningSet(stored, divided.held_out, divided.notes, data)


def open_learning_set(
    source: str,
    *,
    least_images: int,
    held_out: float,
    seed: int,
    pairs_wanted: bool,
    processes: int,
) -> Divided:
    """Open the data, leave out who has too few images, and set people aside.

    Who is set aside follows from the seed and the names alone: the share that is asked for, but ten
    people at least where they are no more than a quarter of all.

    Args:
        source: as the user named it.
        least_images: people with fewer are left out.
        held_out: share of the people to set aside, in [0, 0.5].
        seed: of the draw.
        pairs_wanted: whether the loss compares images of one person.
        processes: how many train together.

    Raises:
        TrainingError: too few people, or images of each, for this loss or these processes.
    """
    whole = open_face_set(source)
    notes = list(whole.notes)
    counts = whole.counts()
    least = max(least_images, 2 if pairs_wanted else 1)
    few = int(np.count_nonzero((counts > 0) & (counts < least)))
    if few:
        if few == np.count_nonzero(counts):
            raise data_error(
                f"{source}: no person has {least} images"
                + (", which this loss compares with each other" if pairs_wanted else ""),
                "add images, or use a loss over classes such as arcface",
            )
        whole = whole.at(np.flatnonzero(counts[whole.labels] >= least))
        notes.append(f"{few} people have fewer than {least} images: left out")
    people = whole.identities
    aside = _drawn(people, whole.counts(), held_out, seed)
    learned = whole.without(aside) if aside else whole
    _check_people(source, learned.people, processes)
    kept = None
    if aside:
        kept = whole.only(aside)
        if len(kept) > MOST_IMAGES:
            chosen = np.random.default_rng(seed).permutation(len(kept))[:MOST_IMAGES]
            kept = kept.at(np.sort(chosen))
        notes.append(f"{len(aside)} of {len(people)} people held out to validate on")
    elif held_out:
        notes.append(
            f"{len(people)} people are too few to hold any out: the last step counts, without "
            "thresholds; give --validate, or run `faceverify calibrate` afterwards"
        )
    return Divided(learned, kept, tuple(notes))


def _counted_stream(config: Config, processes: Processes, progress: Progress) -> ShardStream:
    """Shards that can be read in order only: no image is left out, nobody held out.

    Unless the configuration says how many images and people there are, the first process reads all
    of the stream once to know.
    """
    data = config.data
    for setting, chosen in (("least_images", data.least_images > 1), ("column", data.column)):
        if chosen:
            raise data_error(
                f"{data.source}: data.{setting} wants all labels at hand, not a stream",
                "copy the shards to a disk",
            )
    if config.batches.sampler != "shuffled":
        raise config_error(
            f"batches.sampler is {config.batches.sampler}, and {data.source} a stream: it has its "
            "own order",
            "use --set batches.sampler=shuffled, or copy the shards to a disk",
        )
    if config.validation.times and not config.validation.pairs:
        raise config_error(
            f"{data.source}: nobody can be held out of a stream",
            "give --validate LIST, or --set validation.times=0",
        )
    counts = data.stream_images, data.stream_people
    if not all(counts):
        stream = open_stream(data.source, progress) if processes.first else None
        own = (0, 0) if stream is None else (len(stream), stream.people)
        counts = int(processes.said_by_first(own[0])), int(processes.said_by_first(own[1]))
    _check_people(data.source, counts[1], processes.world)
    return ShardStream(data.source, tuple(expand_urls(data.source)), *counts)


def _check_people(source: str, people: int, processes: int) -> None:
    if people < FEWEST_LEARNED:
        raise data_error(
            f"{source}: {people} people to learn from, at least 2 are needed",
            "add images of others",
        )
    if processes > people:
        raise TrainingError(
            f"{processes} processes for {people} people",
            cure=f"start at most {people}",
            code="training-processes",
        )


def _drawn(people: list[str], counts: np.ndarray, share: float, seed: int) -> list[str]:
    """The people to set aside: some with two images or more; none where it would leave too few."""
    able = [name for name, count in zip(people, counts, strict=True) if count > 1]
    if share <= 0:
        return []
    wanted = max(round(share * len(people)), min(FEWEST_HELD_OUT, len(people) // 4))
    wanted = min(wanted, MOST_HELD_OUT, len(people) - FEWEST_LEARNED, len(able))
    if wanted < 2:  # of one person alone there are no impostors
        return []
    order = np.random.default_rng((seed, len(people))).permutation(len(able))
    return sorted(able[index] for index in order[:wanted])
