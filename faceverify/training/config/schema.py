"""The configuration of a training run: every setting, its default, its limits.

A run's whole configuration is one frozen :class:`Config`. It is made of a recipe, a TOML file, and
of what the command line changes (``files.py``), checked once, and written into the run's
folder, from which the same run can be started again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from faceverify.training.config.augmentation import Augmentation
from faceverify.training.config.fields import config_error, section_from_dict, setting

AUTOMATIC, VALIDATIONS = -1, 10  # validations over a run: by the machine, and how many then
PAIR_SAMPLERS = ("identities", "facenet")  # every image has a partner in its batch


@dataclass(frozen=True)
class Data:
    """``[data]``: what is learned from."""

    source: str = setting("", "folder of people, RecordIO folder, WebDataset shards or their URLs")
    template: str = setting(
        "arcface-112",
        "what the crops were cut to",
        choices=("arcface-112", "dlib-150", "facenet-160"),
    )
    size: int = setting(112, "side of the crops that the backbone sees, pixels", least=16, most=512)
    workers: int = setting(-1, "threads that make batches; -1: by the machine, 0: none", least=-1)
    cache: str = setting(
        "auto",
        "packed uint8 copy of the decoded crops: auto where it fits into memory",
        choices=("auto", "memory", "none"),
    )
    least_images: int = setting(1, "people with fewer images are left out", least=1)
    column: str = setting("", "of labels.csv, learned instead of the person: for log-ratio")
    stream_images: int = setting(0, "of shards read as a stream; 0: count first", least=0)
    stream_people: int = setting(0, "labels of a stream are below it; 0: look first", least=0)


@dataclass(frozen=True)
class Batches:
    """``[batches]``: which images make a step."""

    sampler: str = setting(
        "shuffled",
        "how a batch is drawn",
        choices=("shuffled", "balanced", *PAIR_SAMPLERS),
    )
    size: int = setting(128, "images of a step, over all processes", least=2)
    images_per_identity: int = setting(4, "in a batch, where people are drawn", least=2)


@dataclass(frozen=True)
class Backbone:
    """``[backbone]``: the network that embeds."""

    name: str = setting("mobilefacenet", "architecture; timm:NAME for any of timm's")
    embedding_size: int = setting(512, "numbers in an embedding", least=2, most=65_536)
    init: str = setting("", "weights to start from: model file, checkpoint, facenet:NAME")
    imprint: int = setting(
        16,
        "images of a person whose mean embedding its class centre begins at, after init; fewer "
        "where they would take more than a tenth of budget.minutes; 0: random centres",
        least=0,
    )
    freeze: tuple[str, ...] = setting((), "stages whose weights stay as they are")
    options: dict[str, Any] = field(default_factory=dict, metadata={"text": "of the architecture"})


@dataclass(frozen=True)
class Method:
    """``[method]``: how the backbone learns."""

    name: str = setting("supervised", "supervised: by the loss of ``[head]`` and the labels")


@dataclass(frozen=True)
class Head:
    """``[head]``: the loss. Keys other than ``name`` are options of that loss."""

    name: str = setting("arcface", "the loss")
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"text": "of the loss: margin, ..."}
    )


@dataclass(frozen=True)
class Optimiser:
    """``[optimiser]``: how a gradient becomes a step."""

    name: str = setting("sgd", "", choices=("sgd", "adamw"))
    learning_rate: float = setting(0.1, "highest, of the backbone", above=0)
    head_factor: float = setting(1.0, "the head's learning rate over the backbone's", above=0)
    layer_decay: float = setting(
        1.0, "learning rate of a stage over that of the next: below 1 to fine-tune", above=0, most=1
    )
    momentum: float = setting(0.9, "of SGD; the first beta of AdamW", least=0, most=0.9999)
    weight_decay: float = setting(5e-4, "not on norms and biases", least=0)
    clip_norm: float = setting(5.0, "longest gradient of the backbone; 0: any", least=0)


@dataclass(frozen=True)
class Schedule:
    """``[schedule]``: the learning rate over the run, as a share of the highest."""

    name: str = setting("cosine", "", choices=("cosine", "polynomial", "step", "constant"))
    warm_up: float = setting(0.05, "share of the steps in which it rises from 0", least=0, most=0.9)
    power: float = setting(2.0, "of the polynomial", above=0)
    milestones: tuple[float, ...] = setting(
        (0.5, 0.75, 0.9), "shares of the steps at which a step schedule falls", above=0, most=1
    )
    factor: float = setting(0.1, "by which it falls at each", above=0, most=1)
    floor: float = setting(0.0, "what is left at the end", least=0, most=1)


@dataclass(frozen=True)
class Budget:
    """``[budget]``: how long; exactly one of the three.

    ``minutes`` becomes ``steps`` before the first step: a rehearsal of a tenth of them at most
    measures how long steps and validations take, so that the schedule, and a run that goes on after
    a stop, know where the end is.
    """

    epochs: float | None = setting(None, "passes over the images", above=0)
    steps: int | None = setting(None, "optimiser steps", least=1)
    minutes: float | None = setting(None, "of this machine", above=0)


@dataclass(frozen=True)
class Compute:
    """``[compute]``: where and in what arithmetic."""

    device: str = setting("auto", "auto, cpu, cuda or mps", choices=("auto", "cpu", "cuda", "mps"))
    precision: str = setting(
        "auto",
        "of the backbone; logits are float32 always. auto: bfloat16 where the device is fast in it",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    channels_last: bool = setting(True, "memory layout of images")
    compile: str = setting("auto", "torch.compile; auto: on a GPU", choices=("auto", "on", "off"))
    accumulate: int = setting(1, "parts that the batch of a step is done in, one by one", least=1)
    gradient_cache: int = setting(
        0, "images embedded at once, where the loss needs the whole batch; 0: all", least=0
    )
    sync_batch_norm: bool = setting(False, "batch statistics over all processes (GPU)")
    threads: int = setting(0, "CPU threads of each process; 0: torch decides", least=0)


@dataclass(frozen=True)
class Average:
    """``[average]``: a moving average of the weights; it is then what is verified and exported."""

    decay: float = setting(0.0, "share that stays at each step; 0: none", least=0, most=0.99999)
    initial: float = setting(
        0.0, "share of the weights of backbone.init that stays for good", least=0, most=0.99
    )


@dataclass(frozen=True)
class Validation:
    """``[validation]``: pairs that choose the best checkpoint. Never those you report."""

    pairs: str = setting("", "a pair list or .bin pack; empty: people held out of the data")
    images: str = setting("", "where the photos of the list lie; empty: beside it")
    pattern: str = setting("{path}", "from a listed photo to its file")
    aligned: bool = setting(False, "the photos are arcface-112 crops already")
    held_out: float = setting(
        0.1,
        "share of the people (ten at least, if a quarter allows) that only validate",
        least=0,
        most=0.5,
    )
    times: int = setting(
        AUTOMATIC,
        "how often over the run, the end included; -1: 10 times, and fewer where they would take "
        "more than a fifth of budget.minutes; 0: never",
        least=AUTOMATIC,
    )

    @property
    def number(self) -> int:
        """How often."""
        return VALIDATIONS if self.times == AUTOMATIC else self.times


@dataclass(frozen=True)
class Checkpoints:
    """``[checkpoints]``: what a run that was stopped goes on from."""

    minutes: float = setting(10.0, "between two of them", above=0)
    steps: int = setting(0, "between two of them instead; 0: by minutes", least=0)
    keep: int = setting(2, "last ones that stay, beside the best", least=1)


@dataclass(frozen=True)
class Log:
    """``[log]``: what a run says of itself."""

    steps: int = setting(20, "of which one line of metrics.jsonl is the mean", least=1)
    tensorboard: bool = setting(False, "event files for TensorBoard too")


@dataclass(frozen=True)
class Config:
    """A training run. The sections stand in the order in which a run meets them."""

    seed: int = setting(0, "of everything drawn", least=0, most=2**31 - 1)
    licence: str = setting("unknown", "of the data; goes into the model file")
    data: Data = field(default_factory=Data)
    augmentation: Augmentation = field(default_factory=Augmentation)
    batches: Batches = field(default_factory=Batches)
    backbone: Backbone = field(default_factory=Backbone)
    method: Method = field(default_factory=Method)
    head: Head = field(default_factory=Head)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    budget: Budget = field(default_factory=Budget)
    compute: Compute = field(default_factory=Compute)
    average: Average = field(default_factory=Average)
    validation: Validation = field(default_factory=Validation)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    log: Log = field(default_factory=Log)


def config_from_dict(values: object) -> Config:
    """Build a configuration and check all of it.

    Raises:
        TrainingError: an unknown key, an impossible value, or values that exclude each other.
    """
    config = section_from_dict(Config, values, "", known_keys())
    _check_together(config)
    return config


def known_keys() -> list[str]:
    """Every key, with its section: ``optimiser.learning_rate``."""
    default = Config()
    keys = []
    for part in fields(Config):
        section = getattr(default, part.name)
        if is_dataclass(section):
            keys += [f"{part.name}.{one.name}" for one in fields(section) if one.name != "options"]
        else:
            keys.append(part.name)
    return keys


def _check_together(config: Config) -> None:
    """Refuse values that exclude each other, before anything long begins."""
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
    if batches.sampler in PAIR_SAMPLERS and batches.size % batches.images_per_identity:
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
    if config.average.initial and not config.backbone.init:
        raise config_error(
            f"average.initial is {config.average.initial}, and no weights are given to begin with",
            "give --init, or leave average.initial at 0",
        )
    if config.compute.device == "cpu" and compute.precision == "float16":
        raise config_error("compute.precision float16 needs a GPU", "use bfloat16 or float32")
    if list(config.schedule.milestones) != sorted(config.schedule.milestones):
        raise config_error(f"schedule.milestones {config.schedule.milestones} do not rise")
