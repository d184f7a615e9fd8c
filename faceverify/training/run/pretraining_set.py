"""Training set of a run without names, and the photos held out of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np
from torch import nn

from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import BY_THE_LOSS, TRACKS, VIEWMAKER, Config, check_together
from faceverify.training.data.loading.epochs import StoredSource, StreamedSource
from faceverify.training.data.loading.left_out import BAD_IMAGE
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import EncodedImages, FaceSet
from faceverify.training.data.sets.folders import PhotoFiles
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.sets.shard_stream import (
    ShardStream,
    expand_urls,
    is_stream,
    open_stream,
)
from faceverify.training.data.views import Views
from faceverify.training.distributed.processes import Processes
from faceverify.training.methods.method import Method
from faceverify.training.optim.view_encoder import embeds_side
from faceverify.training.run.grey_photos import refuse_grey
from faceverify.training.run.training_set import TrainingSet

FEWEST_HELD_OUT, MOST_HELD_OUT = 16, 256  # photos; more say no more about spread and rank


def check_method(config: Config, method: type[Method]) -> None:
    """Check settings that a method excludes.

    Raises:
        TrainingError: they do.
    """
    name, compute = config.joined.name or config.method.name, config.compute
    if compute.accumulate > 1 and method.compares_images:
        raise config_error(
            f"compute.accumulate splits a batch, whose images method {name} compares with each "
            "other",
            "use compute.gradient_cache"
            if method.embeds_whole_views
            else "use a smaller --batch-size, or more processes",
        )
    if compute.gradient_cache and not method.embeds_whole_views:
        raise config_error(
            f"compute.gradient_cache: method {name} has views of several sizes, parts of them "
            "or their feature maps",
            "leave it out, and use a smaller --batch-size",
        )
    if config.views.positives == TRACKS:
        if method.views.number < 2:
            raise config_error(
                f"--positives tracks: method {name} has no second view, of another frame",
                "use a method with two views, such as simclr",
            )
        if is_stream(config.data.source):
            raise config_error(
                f"--positives tracks: {config.data.source} is a stream, which has no folders",
                "copy it to a disk, a folder a track",
            )
    if config.views.learned == VIEWMAKER:
        if method.views.number < 2:
            raise config_error(
                f"views.learned is viewmaker, which learns against views that are compared, and "
                f"method {name} has one",
                "use a method with two views, such as simclr",
            )
        if compute.gradient_cache:
            raise config_error(
                "compute.gradient_cache keeps no gradient of the views, by which views.learned "
                "learns",
                "leave one of them out",
            )
    if method.looks_at_people and is_stream(config.data.source):
        raise config_error(
            f"method {config.method.name} looks at images of each person before the first step, "
            f"and {config.data.source} is a stream",
            "copy the shards to a disk",
        )
    if method.remembers_images and is_stream(config.data.source):
        raise config_error(
            f"method {name} remembers each photo by its place in the set, and "
            f"{config.data.source} is a stream, which has none",
            "copy the photos to a disk, `faceverify data convert`, or use --method moco",
        )
    if method.needs_colour and config.augmentation.grey >= 1:
        raise config_error(
            f"augmentation.grey is {config.augmentation.grey:g}: every view is grey, and method "
            f"{name} learns from colour",
            "use --set augmentation.grey=0",
        )
    if config.batches.size < method.least_batch:
        raise config_error(
            f"batches.size is {config.batches.size}, and method {name} needs at least "
            f"{method.least_batch} images in a batch",
            f"use --batch-size {method.least_batch} or more",
        )


def open_unnamed(
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
    """Open photos without names, and hold some of them out; none of a stream.

    Args:
        config: of the run.
        contract: of the backbone.
        processes: this one and the others.
        views: of each image.
        needs_colour: whether grey photos are refused.
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
    if is_stream(data.source):
        stream, said = counted_stream(config, processes, show_progress)
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
    whole = open_face_set(data.source, named=False)
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
    return TrainingSet(source, held_out, tuple(notes), config, named=False)


def counted_stream(
    config: Config, processes: Processes, show_progress: ShowProgress
) -> tuple[ShardStream, tuple[str, ...]]:
    """A stream of shards, counted by the first process unless its number of photos is known."""
    source, count = config.data.source, config.data.stream_images
    if not count:
        own = open_stream(source, show_progress, labelled=False) if processes.first else ()
        count = int(processes.from_first(len(own)))
    notes: tuple[str, ...] = ()
    if config.validation.times and not judged_by_people(config):
        notes = (
            "no photo can be held out of a stream: the last step counts, and the signs are those "
            "of the batches; --probe FOLDER chooses a checkpoint",
        )
    return ShardStream(source, tuple(expand_urls(source)), count, 1, labelled=False), notes


def judged_by_people(config: Config) -> bool:
    """Whether a probe or a list of pairs tells how the run goes."""
    return bool(config.validation.probe or config.validation.pairs)


def check_fills(source: str, photos: int, size: int) -> None:
    """Refuse a batch of more photos than there are: some would count as two different ones."""
    if photos < size:
        raise data_error(
            f"{source}: {photos:,} photos do not fill a batch of {size}: some would be in it "
            "twice, and count as two different ones",
            f"use --batch-size {photos // 2 * 2}, or add photos",
        )


def check_small_views(backbone: nn.Module, views: Views, size: int) -> None:
    """Check that a backbone embeds views of every size.

    Args:
        backbone: on any device; its mode is restored.
        views: of the method.
        size: side of the backbone's input, in pixels.

    Raises:
        TrainingError: it embeds one size alone.
    """
    if not views.local:
        return
    side = max(1, round(views.small.side * size))
    if not embeds_side(backbone, side):
        raise config_error(
            f"the method has views of {side} pixels beside those of {size}, and this backbone "
            "embeds one size alone",
            "use --set backbone.neck=pool, or --set views.local=0",
        )


def held_out_of(count: int, share: float, seed: int) -> np.ndarray:
    """Positions of the photos held out, sorted; none where they would be too few to tell."""
    wanted = min(round(share * count), MOST_HELD_OUT)
    if share > 0:
        wanted = max(wanted, min(FEWEST_HELD_OUT, count // 8))
    if wanted < 2:
        return np.zeros(0, np.int64)
    return np.sort(np.random.default_rng((seed, count)).permutation(count)[:wanted])


def refuse_shared(probe: str, photos: FaceSet) -> None:
    """Refuse a probe of too few people, or with photos of the training set, learned by heart.

    Files are compared by their bytes where their sizes are the same; a pack by its path alone.

    Raises:
        TrainingError: a photo is in both, or there is nobody to tell apart.
    """
    judged = open_face_set(probe)
    if judged.num_identities < 2 or judged.counts().max() < 2:
        raise data_error(
            f"the probe {probe}: found {judged.num_identities} people, and at most "
            f"{judged.counts().max()} photos of one",
            "name a folder of two people or more, one of them with two photos",
        )
    cure = "name a folder of people with other photos"
    if os.path.realpath(probe) == os.path.realpath(photos.source):
        raise data_error(f"the probe {probe} is the training set itself", cure)
    own = photos.images
    if not isinstance(own, PhotoFiles):
        return
    sizes = dict[int, list[int]]()
    for index in range(len(own)):
        with suppress(OSError):  # reading it will say so
            sizes.setdefault(os.stat(own.name(index)).st_size, []).append(index)
    digests = dict[int, dict[bytes, int]]()
    for index in range(len(judged)):
        digest, size = digest_of(judged.images, index)
        if size not in sizes:
            continue
        if size not in digests:
            digests[size] = {digest_of(own, place)[0]: place for place in sizes[size]}
        same = digests[size].get(digest) if digest else None
        if same is not None:
            raise data_error(
                f"the probe {probe} shares photos with the training set: {judged.name(index)} is "
                f"{own.name(same)}",
                cure,
            )


def digest_of(images: EncodedImages, index: int) -> tuple[bytes, int]:
    """Hash and size of an encoded image; empty and -1 where it cannot be read."""
    with suppress(*BAD_IMAGE):
        content = images.read(index)
        return hashlib.sha256(content).digest(), len(content)
    return b"", -1
