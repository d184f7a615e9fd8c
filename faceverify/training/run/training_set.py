"""Training set of a run, and the people held out of it for validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.checked import check_together
from faceverify.training.config.data import BY_THE_LOSS
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Config
from faceverify.training.data.loading.epochs import StoredSource, StreamedSource
from faceverify.training.data.loading.source import Source
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.shard_stream import ShardStream, is_stream
from faceverify.training.data.views import Views
from faceverify.training.distributed.processes import Processes
from faceverify.training.losses.loss import Loss
from faceverify.training.run.counted_stream import counted_stream
from faceverify.training.run.follow_loss import compares_pairs, settled_batches, settled_column
from faceverify.training.run.grey_photos import refuse_grey
from faceverify.training.run.held_out import check_people, open_and_hold_out


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
    needs_colour: bool = False,
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
        needs_colour: whether grey images are refused, for the method that is joined.
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
        stream = _open_stream(config, processes, show_progress)
        config, notes = _settled_for_stream(config, stream)
        if needs_colour:
            notes += refuse_grey(stream, data.source, config.joined.name)
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
    if needs_colour:
        notes += refuse_grey(split.train, data.source, config.joined.name)
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


def _open_stream(config: Config, processes: Processes, show_progress: ShowProgress) -> ShardStream:
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
    stream = counted_stream(
        data.source, data.stream_images, data.stream_people, processes, show_progress
    )
    check_people(data.source, stream.num_identities, processes.world)
    return stream


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
