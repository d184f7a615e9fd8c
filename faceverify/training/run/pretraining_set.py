"""Training set of a run without names, and the photos held out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.checked import check_together
from faceverify.training.config.data import BY_THE_LOSS
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Config
from faceverify.training.data.loading.epochs import StoredSource, StreamedSource
from faceverify.training.data.sets.captions import open_captions
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.sets.shard_stream import is_stream
from faceverify.training.data.views import Views
from faceverify.training.distributed.processes import Processes
from faceverify.training.run.counted_stream import counted_stream
from faceverify.training.run.grey_photos import refuse_grey
from faceverify.training.run.held_out import held_out_of
from faceverify.training.run.method_checks import check_fills
from faceverify.training.run.probe import refuse_shared
from faceverify.training.run.training_set import TrainingSet


def open_unnamed(
    config: Config,
    contract: Contract,
    processes: Processes,
    *,
    views: Views,
    needs_colour: bool = False,
    needs_captions: bool = False,
    show_progress: ShowProgress,
    warn: Callable[[str], None],
    say: Callable[[str], None],
) -> TrainingSet:
    """Open photos without names, and hold some of them out; none of a stream.

    Args:
        config: of the run.
        contract: of the backbone.
        processes: this one and the others.
        views: of each image.
        needs_colour: whether grey photos are refused.
        needs_captions: whether each photo needs captions.
        show_progress: shown the photos of a stream as they are counted.
        warn: called once, when images had to be resized.
        say: called for each image that is left out.

    Raises:
        TrainingError: data that cannot be read, too few photos, or a probe that shares some.
    """
    data, batches = config.data, config.batches
    if not data.source:
        raise config_error("no photos to learn from", "name a folder of aligned crops")
    for setting, given in (
        ("data.column", bool(data.column)),
        ("data.least_images", data.least_images > 1),
        ("batches.sampler", batches.sampler not in (BY_THE_LOSS, "shuffled")),
    ):
        if given:
            raise config_error(
                f"{setting} is about people, and method {config.method.name} learns without names",
                "leave it out",
            )
    if is_stream(data.source) and not needs_captions:
        stream = counted_stream(
            data.source, data.stream_images, 1, processes, show_progress, labelled=False
        )
        said: tuple[str, ...] = ()
        if config.validation.times and not judged_by_people(config):
            said = (
                "no photo can be held out of a stream: the last step counts, and the signs are "
                "those of the batches; --probe FOLDER chooses a checkpoint",
            )
        if needs_colour:
            said += refuse_grey(stream, data.source, config.method.name)
        config = replace(
            config,
            data=replace(data, stream_images=len(stream), stream_people=1),
            batches=replace(batches, sampler="shuffled"),
            validation=replace(
                config.validation, times=config.validation.times if judged_by_people(config) else 0
            ),
        )
        check_fills(data.source, len(stream), batches.size)
        streamed = StreamedSource(stream, contract, config, processes, views, warn, say)
        return TrainingSet(streamed, None, said, config, named=False)
    whole = (
        open_captions(data.source) if needs_captions else open_face_set(data.source, named=False)
    )
    notes = list(whole.notes)
    if needs_colour:
        notes += refuse_grey(whole, data.source, config.method.name)
    if len(whole) < 2:
        raise data_error(
            f"{data.source}: found {len(whole)} photo, nothing to compare it with",
            "name a folder with more aligned crops",
        )
    train, held_out = whole, None
    if config.validation.times:
        aside = held_out_of(len(whole), config.validation.held_out, config.seed)
        if len(aside):
            held_out = whole.at(aside)
            train = whole.at(np.setdiff1d(np.arange(len(whole)), aside))
            notes.append(f"{len(aside)} of {len(whole):,} photos held out to look at")
    check_fills(data.source, len(train), batches.size)
    if config.validation.probe:
        refuse_shared(config.validation.probe, whole)
    config = replace(config, batches=replace(batches, sampler="shuffled"))
    check_together(config)
    source = StoredSource(train, contract, config, processes, views, warn, say)
    return TrainingSet(source, held_out, tuple(notes), config, named=False, captions=train.captions)


def judged_by_people(config: Config) -> bool:
    """Whether a probe or a list of pairs tells how the run goes."""
    return bool(config.validation.probe or config.validation.pairs)
