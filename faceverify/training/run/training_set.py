"""Training set of a run, and the people held out of it for validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from faceverify.errors import TrainingError
from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import BY_THE_LOSS, Config, check_together
from faceverify.training.data.loading.epochs import StoredSource, StreamedSource
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
from faceverify.training.losses.loss import Loss
from faceverify.training.run.follow_loss import compares_pairs, settled_batches, settled_column

FEWEST_HELD_OUT = 10  # people: with 15 images each, thresholds for a false match rate of 1e-3
MOST_HELD_OUT = 200  # people; more do not choose the best checkpoint any better
MOST_IMAGES = 4000  # of them
FEWEST_LEARNED = 2


@dataclass(frozen=True, eq=False)
class HeldOutSplit:
    """Stored images split by person.

    Args:
        train: images to train on.
        held_out: images of other people, to validate on; None where there are none.
        notes: messages for the user, one line each.
    """

    train: FaceSet
    held_out: FaceSet | None
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Training set of a run.

    Args:
        source: source of the batches to train on.
        held_out: images of other people, to validate on; None where there are none.
        notes: messages for the user, one line each.
        config: of the run, with what follows from its loss and its data where nothing was said.
        named: whether people's names are learned.
        captions: of each image to train on, one or more; empty where there are none.
    """

    source: Source
    held_out: FaceSet | None
    notes: tuple[str, ...]
    config: Config
    named: bool = True
    captions: Sequence[Sequence[str]] = ()


def open_training_set(
    config: Config,
    contract: Contract,
    processes: Processes,
    *,
    views: Views,
    show_progress: ShowProgress,
    warn: Callable[[str], None],
    say: Callable[[str], None],
) -> TrainingSet:
    """Open the training set of a configuration.

    Args:
        config: of the run.
        contract: preprocessing contract of the backbone.
        processes: this one and the others.
        views: of each image, as the method needs them.
        show_progress: shown the labels of a stream as they are counted.
        warn: called once, when images had to be resized.
        say: called for each image that is left out, in every process.

    Raises:
        TrainingError: data that cannot be read, or that do not fit the other settings.
        ImageError: no image can be read.
    """
    data, validation = config.data, config.validation
    if not data.source:
        raise config_error("no data to learn from", "name a folder of people")
    if is_stream(data.source):
        stream = _counted_stream(config, processes, show_progress)
        config, notes = _settled_for_stream(config, stream)
        streamed = StreamedSource(stream, contract, config, processes, views, warn, say)
        return TrainingSet(streamed, None, notes, config)
    if data.stream_images or data.stream_people:
        raise config_error(
            f"data.stream_images and data.stream_people: {data.source} is no stream",
            "use --set data.stream_images=0 --set data.stream_people=0",
        )
    held_out_wanted = validation.times and not validation.pairs
    split = open_and_hold_out(
        data.source,
        least_images=data.least_images,
        held_out=validation.held_out if held_out_wanted else 0.0,
        seed=config.seed,
        pairs_wanted=compares_pairs(config.loss.name),
        processes=processes.world,
    )
    settled = settled_batches(config.batches, config.loss.name, split.train.labels, processes.world)
    notes = split.notes
    if settled.size != config.batches.size:
        people = settled.size // settled.images_per_identity
        notes += (
            f"batches of {settled.size} images: {people} people, {settled.images_per_identity} "
            "images each",
        )
    column = settled_column(data.column, config.loss.name, split.train)
    config = replace(config, batches=settled, data=replace(data, column=column))
    check_together(config)
    stored = StoredSource(split.train, contract, config, processes, views, warn, say)
    return TrainingSet(stored, split.held_out, notes, config)


def open_and_hold_out(
    source: str,
    *,
    least_images: int,
    held_out: float,
    seed: int,
    pairs_wanted: bool,
    processes: int,
) -> HeldOutSplit:
    """Open stored data, leave out people with too few images, and hold people out.

    The people held out depend on the seed and the names alone: the configured share, but at least
    ten people where these are no more than a quarter of all.

    Args:
        source: as the user named it.
        least_images: people with fewer are left out.
        held_out: share of the people to hold out, in [0, 0.5].
        seed: of the draw.
        pairs_wanted: whether the loss compares images of one person.
        processes: number of processes of the run.

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
    train = whole.without(aside) if aside else whole
    _check_people(source, train.num_identities, processes)
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
    return HeldOutSplit(train, kept, tuple(notes))


def _counted_stream(
    config: Config, processes: Processes, show_progress: ShowProgress
) -> ShardStream:
    """Shards that can only be read in order: no image is left out, no person held out.

    Unless the configuration has the numbers of images and people, the first process reads the whole
    stream once to count them.
    """
    data = config.data
    for setting, chosen in (("least_images", data.least_images > 1), ("column", data.column)):
        if chosen:
            raise data_error(
                f"{data.source}: data.{setting} wants all labels at hand, not a stream",
                "copy the shards to a disk",
            )
    if compares_pairs(config.loss.name):
        raise config_error(
            f"loss {config.loss.name} compares images of one person, which a stream does not bring "
            f"together: {data.source} has its own order",
            "copy the shards to a disk, or use a loss over classes such as arcface",
        )
    if config.batches.sampler not in (BY_THE_LOSS, "shuffled"):
        raise config_error(
            f"batches.sampler is {config.batches.sampler}, and {data.source} a stream: it has its "
            "own order",
            "leave it out, or copy the shards to a disk",
        )
    if config.validation.times > 0 and not config.validation.pairs:
        raise config_error(
            f"{data.source}: nobody can be held out of a stream",
            "give --validate LIST, or --set validation.times=0",
        )
    counts = data.stream_images, data.stream_people
    if not all(counts):
        stream = open_stream(data.source, show_progress) if processes.first else None
        own = (0, 0) if stream is None else (len(stream), stream.num_identities)
        counts = int(processes.from_first(own[0])), int(processes.from_first(own[1]))
    _check_people(data.source, counts[1], processes.world)
    return ShardStream(data.source, tuple(expand_urls(data.source)), *counts)


def _settled_for_stream(config: Config, stream: ShardStream) -> tuple[Config, tuple[str, ...]]:
    """The configuration of a streamed run, with what follows from the stream, and notes."""
    counted = replace(config.data, stream_images=len(stream), stream_people=stream.num_identities)
    batches = replace(
        config.batches, sampler="shuffled", images_per_identity=Loss.images_per_identity
    )
    config = replace(config, data=counted, batches=batches)
    if config.validation.times and not config.validation.pairs:
        note = (
            "nobody can be held out of a stream: the last step counts, without thresholds; give "
            "--validate, or run `faceverify calibrate` afterwards"
        )
        return replace(config, validation=replace(config.validation, times=0)), (note,)
    return config, ()


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
    """Names of people to hold out, each with two images or more; none where too few are left."""
    able = [name for name, count in zip(people, counts, strict=True) if count > 1]
    if share <= 0:
        return []
    wanted = max(round(share * len(people)), min(FEWEST_HELD_OUT, len(people) // 4))
    wanted = min(wanted, MOST_HELD_OUT, len(people) - FEWEST_LEARNED, len(able))
    if wanted < 2:  # of one person alone there are no impostors
        return []
    order = np.random.default_rng((seed, len(people))).permutation(len(able))
    return sorted(able[index] for index in order[:wanted])
