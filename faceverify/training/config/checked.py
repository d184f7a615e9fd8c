"""A configuration that is checked: each value by itself, and those that exclude each other."""

from __future__ import annotations

from faceverify.training.config.data import PAIR_SAMPLERS, SALIENCY
from faceverify.training.config.fields import config_error, section_from_dict
from faceverify.training.config.schema import Config, known_keys


def config_from_dict(values: object) -> Config:
    """Check values and build a configuration.

    Raises:
        TrainingError: unknown key, value out of range, or values that exclude each other.
    """
    config = section_from_dict(Config, values, "", known_keys())
    check_together(config)
    return config


def check_together(config: Config) -> None:
    """Check values that exclude each other.

    Raises:
        TrainingError: they do.
    """
    batches, compute = config.batches, config.compute
    given = [
        name for name in ("epochs", "steps", "minutes") if getattr(config.budget, name) is not None
    ]
    if len(given) != 1:
        found = " and ".join(f"budget.{name}" for name in given) or "no budget"
        raise config_error(
            f"found {found}, expected one of budget.epochs, budget.steps, budget.minutes",
            "give --epochs, --steps or --minutes",
        )
    each = batches.images_per_identity
    if each == 1:
        raise config_error("batches.images_per_identity is 1, no pair", "give at least 2")
    if batches.sampler in PAIR_SAMPLERS and each and batches.size % each:
        raise config_error(
            f"batches.size is {batches.size}, no multiple of batches.images_per_identity, "
            f"{batches.images_per_identity}",
            "make it one",
        )
    if batches.size % compute.accumulate:
        raise config_error(
            f"batches.size is {batches.size}, no multiple of compute.accumulate, "
            f"{compute.accumulate}",
            "make it one",
        )
    if compute.accumulate > 1 and (compute.gradient_cache or batches.sampler in PAIR_SAMPLERS):
        raise config_error(
            "compute.accumulate splits a batch, whose images this loss compares with each other",
            "use compute.gradient_cache, which gives the exact gradient of the whole batch",
        )
    for least, most, area in (
        (config.augmentation.least_area, config.augmentation.most_area, "augmentation.{}_area"),
        (config.views.local_least_area, config.views.local_most_area, "views.local_{}_area"),
    ):
        if least > most and least < 1:
            raise config_error(
                f"{area.format('least')} is {least:g}, above {area.format('most')}, {most:g}"
            )
    if config.views.crops == SALIENCY and config.augmentation.least_area == 1:
        raise config_error(
            "views.crops is saliency, and augmentation.least_area 1: there are no crops",
            "give --set augmentation.least_area=0.4",
        )
    if config.average.initial and not config.backbone.init:
        raise config_error(
            f"average.initial is {config.average.initial}, and no weights are given to begin with",
            "give --init, or leave average.initial at 0",
        )
    if config.compute.device == "cpu" and compute.precision == "float16":
        raise config_error("compute.precision float16 needs a GPU", "use bfloat16 or float32")
    if list(config.schedule.milestones) != sorted(config.schedule.milestones):
        raise config_error(f"schedule.milestones {config.schedule.milestones} do not rise")
