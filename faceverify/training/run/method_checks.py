"""Settings, data and backbones that a method cannot learn with."""

from __future__ import annotations

from torch import nn

from faceverify.models.contract import Contract
from faceverify.training.config.data import TRACKS, VIEWMAKER
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Config
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.shard_stream import is_stream
from faceverify.training.data.views import Views
from faceverify.training.distributed.processes import Processes
from faceverify.training.methods.method import Method
from faceverify.training.optim.view_encoder import embeds_side
from faceverify.training.train_state import build_train_state


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
    if method.needs_captions and config.data.align:
        raise config_error(
            f"--align cuts faces out of a folder, and method {name} learns from a table of photos",
            "cut them out with `faceverify align`, and name the crops in the table",
        )
    if method.needs_captions and (config.average.decay or config.average.initial):
        raise config_error(
            f"[average] averages the backbone alone, which method {name} fits to its text encoder",
            "use --set average.decay=0 --set average.initial=0",
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


def check_photos(
    config: Config,
    contract: Contract,
    method: type[Method],
    processes: Processes,
    photos: int,
) -> None:
    """Refuse settings that cannot be for so many photos, before these are cut out.

    Args:
        config: of the run.
        contract: of the backbone.
        method: its class.
        processes: this one and the others.
        photos: number of them; there will be no more crops.

    Raises:
        TrainingError: as :func:`build_train_state`; or too few photos for a batch.
    """
    if method.compares_images or not method.needs_labels:
        check_fills(config.data.source, photos, config.batches.size)
    people = max(2, processes.world)
    build_train_state(config, contract=contract, classes=people, images=photos, processes=processes)


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
            "use --backbone resnet18, or --set views.local=0",
        )
