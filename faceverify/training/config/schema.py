"""Configuration of a training run: every setting, its default, its limits.

The configuration is one frozen :class:`Config`, made from a recipe or TOML file and the overrides
of the command line (``files.py``), checked once, and written into the folder of the run, from which
the same run can be started again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from faceverify.training.config.augmentation import Augmentation
from faceverify.training.config.fields import config_error, section_from_dict, setting

AUTOMATIC, VALIDATIONS = -1, 10  # validation.times by default, and what it stands for
BY_THE_LOSS = "auto"
SALIENCY = "saliency"
VIEWMAKER = "viewmaker"
TRACKS = "tracks"
PAIR_SAMPLERS = ("identities", "facenet")  # several images per identity in a batch


@dataclass(frozen=True)
class Data:
    """``[data]``: the training set."""

    source: str = setting("", "folder of people, RecordIO folder, WebDataset shards or their URLs")
    alignment: str = setting(
        "arcface-112",
        "of the crops",
        choices=("arcface-112", "dlib-150", "facenet-160"),
    )
    align: bool = setting(
        False, "whether faces are cut out of the photos of a folder first; the run keeps the crops"
    )
    size: int = setting(112, "side of the input images, pixels", least=16, most=512)
    workers: int = setting(-1, "loader threads; -1: by the number of processors, 0: none", least=-1)
    cache: str = setting(
        "auto",
        "cache of decoded crops, uint8; auto: where it fits into memory",
        choices=("auto", "memory", "none"),
    )
    least_images: int = setting(
        1, "least images of an identity; identities with fewer are left out", least=1
    )
    unreadable: float = setting(
        0.05,
        "largest share of the images that may be unreadable and are left out; 0: none",
        least=0,
        most=1,
    )
    column: str = setting(
        "", "column of labels.csv used as the label, for log-ratio; empty: the identity"
    )
    stream_images: int = setting(
        0, "images in a stream of shards; 0: read it once and count", least=0
    )
    stream_people: int = setting(
        0, "identities in a stream of shards; 0: read it once and count", least=0
    )


@dataclass(frozen=True)
class Views:
    """``[views]``: what the views of an image are of, and the small ones of multi-crop."""

    positives: str = setting(
        "photo",
        "what a second view is of: photo, the same one; tracks, another photo of its folder",
        choices=("photo", TRACKS),
    )

    crops: str = setting(
        "uniform",
        "where random resized crops are: uniform, anywhere; saliency, about salient places",
        choices=("uniform", SALIENCY),
    )
    learned: str = setting(
        "none",
        "what is learned about views; viewmaker: what is added to them, against the method",
        choices=("none", VIEWMAKER),
    )
    budget: float = setting(
        0.05, "mean size of what a viewmaker adds, share of the range of a pixel", above=0, most=0.5
    )
    local: int = setting(
        -1, "small views of each image; -1: as many as the method has", least=-1, most=32
    )
    local_side: float = setting(
        0.5, "side of a small view, share of that of the input", above=0, most=1
    )
    local_least_area: float = setting(
        0.15, "least share of the image's area in a small view", above=0, most=1
    )
    local_most_area: float = setting(
        0.4, "largest share of the image's area in a small view", above=0, most=1
    )


@dataclass(frozen=True)
class Batches:
    """``[batches]``: how batches are sampled."""

    sampler: str = setting(
        BY_THE_LOSS,
        "sampler of the batches; auto: identities for a loss of pairs, else shuffled",
        choices=(BY_THE_LOSS, "shuffled", "balanced", *PAIR_SAMPLERS),
    )
    size: int = setting(
        128,
        "images in a global batch, over all processes; fewer where the identities sampler finds "
        "fewer people",
        least=2,
    )
    images_per_identity: int = setting(
        0, "images per identity in a batch of an identity sampler; 0: by the loss", least=0
    )


@dataclass(frozen=True)
class Backbone:
    """``[backbone]``: the embedding network. Other keys are options of the architecture."""

    name: str = setting(
        "mobilefacenet",
        "architecture; timm:NAME for one of timm, lab:NAME for two, of luminance and chrominance",
    )
    embedding_size: int = setting(512, "length of an embedding", least=2, most=65_536)
    flip_average: bool = setting(
        True,
        "whether the model adds the embedding of the mirrored crop: twice the time a face; with "
        "init as it has it",
    )
    init: str = setting("", "initial weights: model file, checkpoint, facenet:NAME; empty: random")
    imprint: int = setting(
        16,
        "images per identity whose mean embedding initialises the class centre, with init; fewer "
        "where they would take more than a tenth of budget.minutes; 0: random centres",
        least=0,
    )
    freeze: tuple[str, ...] = setting((), "frozen stages")
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"text": "options of the architecture"}
    )


@dataclass(frozen=True)
class Method:
    """``[method]``: the learning method. Other keys are options of the method."""

    name: str = setting(
        "supervised", "learning method; supervised: the loss of ``[loss]`` on identity labels"
    )
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"text": "options of the method: temperature, ..."}
    )


@dataclass(frozen=True)
class Loss:
    """``[loss]``: the loss function. Other keys are options of the loss."""

    name: str = setting("arcface", "loss function")
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"text": "options of the loss: margin, ..."}
    )


@dataclass(frozen=True)
class Joined:
    """``[joined]``: a method without names beside the loss. Other keys are its options."""

    name: str = setting("", "method whose loss is added to that of ``[loss]``; empty: none")
    weight: float = setting(0.3, "factor of its loss", above=0)
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"text": "options of the method: temperature, ..."}
    )


@dataclass(frozen=True)
class Optimiser:
    """``[optimiser]``: the optimiser."""

    name: str = setting("sgd", "optimiser", choices=("sgd", "adamw", "lars"))
    learning_rate: float = setting(0.1, "peak learning rate of the backbone", above=0)
    loss_factor: float = setting(
        1.0, "learning rate of the loss's own parameters over that of the backbone", above=0
    )
    layer_decay: float = setting(
        1.0,
        "learning rate of a stage over that of the next; below 1 for fine-tuning",
        above=0,
        most=1,
    )
    momentum: float = setting(
        0.9, "momentum of SGD and LARS, or beta 1 of AdamW", least=0, most=0.9999
    )
    weight_decay: float = setting(5e-4, "weight decay, not of norms and biases", least=0)
    clip_norm: float = setting(
        5.0, "largest gradient norm of the backbone; 0: no clipping", least=0
    )


@dataclass(frozen=True)
class Schedule:
    """``[schedule]``: the learning rate over the run, as a share of its peak."""

    name: str = setting("cosine", "schedule", choices=("cosine", "polynomial", "step", "constant"))
    warm_up: float = setting(0.05, "share of the steps of linear warm-up from 0", least=0, most=0.9)
    power: float = setting(2.0, "power of the polynomial schedule", above=0)
    milestones: tuple[float, ...] = setting(
        (0.5, 0.75, 0.9), "shares of the steps at which the step schedule decays", above=0, most=1
    )
    factor: float = setting(0.1, "decay of the step schedule at each milestone", above=0, most=1)
    floor: float = setting(0.0, "share of the peak at the end", least=0, most=1)


@dataclass(frozen=True)
class Budget:
    """``[budget]``: length of the run; exactly one of the three.

    ``minutes`` are converted to ``steps`` before the first step: a rehearsal of at most a tenth of
    the time measures steps and validations, so that the schedule and a resumed run know the end.
    """

    epochs: float | None = setting(None, "epochs, passes over the images", above=0)
    steps: int | None = setting(None, "optimiser steps", least=1)
    minutes: float | None = setting(None, "minutes on this machine", above=0)


@dataclass(frozen=True)
class Compute:
    """``[compute]``: device, precision and memory."""

    device: str = setting("auto", "device", choices=("auto", "cpu", "cuda", "mps"))
    precision: str = setting(
        "auto",
        "precision of the backbone (losses are float32); auto: bfloat16 where that is fast",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    channels_last: bool = setting(True, "channels-last memory layout")
    compile: str = setting("auto", "torch.compile; auto: on a GPU", choices=("auto", "on", "off"))
    accumulate: int = setting(1, "gradient accumulation: parts of a batch", least=1)
    gradient_cache: int = setting(
        0, "gradient cache: images embedded at once, for pair losses; 0: all", least=0
    )
    sync_batch_norm: bool = setting(False, "batch normalisation over all processes (GPU)")
    threads: int = setting(0, "CPU threads per process; 0: torch's default", least=0)


@dataclass(frozen=True)
class Average:
    """``[average]``: exponential moving average of the weights, which is validated and exported."""

    decay: float = setting(0.0, "decay per step; 0: no average", least=0, most=0.99999)
    initial: float = setting(
        0.0,
        "share of the initial weights in the result (WiSE-FT), with backbone.init",
        least=0,
        most=0.99,
    )


@dataclass(frozen=True)
class Validation:
    """``[validation]``: pairs that select the best checkpoint; never the test set."""

    probe: str = setting(
        "", "folder of people, aligned crops, that tells how a method without names goes"
    )
    pairs: str = setting("", "pair list or .bin pack; empty: identities held out of the data")
    images: str = setting("", "folder of the listed photos; empty: that of the list")
    pattern: str = setting("{path}", "file of a listed photo, from its path in the list")
    aligned: bool = setting(False, "whether the photos are arcface-112 crops already")
    held_out: float = setting(
        0.1,
        "share of the identities held out (at least ten, if that is at most a quarter); of the "
        "photos, for a method without names",
        least=0,
        most=0.5,
    )
    times: int = setting(
        AUTOMATIC,
        "validations over the run, with the last step; -1: 10, and fewer where they would take "
        "more than a fifth of budget.minutes; 0: never",
        least=AUTOMATIC,
    )

    @property
    def number(self) -> int:
        """Number of validations."""
        return VALIDATIONS if self.times == AUTOMATIC else self.times


@dataclass(frozen=True)
class Checkpoints:
    """``[checkpoints]``: checkpoints to resume from."""

    minutes: float = setting(10.0, "minutes between two checkpoints", above=0)
    steps: int = setting(0, "steps between two checkpoints; 0: by minutes", least=0)
    keep: int = setting(2, "number of latest checkpoints kept, beside the best", least=1)


@dataclass(frozen=True)
class Log:
    """``[log]``: metrics of the run."""

    steps: int = setting(20, "steps averaged in a line of metrics.jsonl", least=1)
    tensorboard: bool = setting(False, "also write TensorBoard event files")


@dataclass(frozen=True)
class Config:
    """Configuration of a training run; sections in the order in which a run uses them."""

    seed: int = setting(0, "seed of all random numbers", least=0, most=2**31 - 1)
    licence: str = setting("unknown", "licence of the data, stored in the model file")
    data: Data = field(default_factory=Data)
    augmentation: Augmentation = field(default_factory=Augmentation)
    views: Views = field(default_factory=Views)
    batches: Batches = field(default_factory=Batches)
    backbone: Backbone = field(default_factory=Backbone)
    method: Method = field(default_factory=Method)
    loss: Loss = field(default_factory=Loss)
    joined: Joined = field(default_factory=Joined)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    budget: Budget = field(default_factory=Budget)
    compute: Compute = field(default_factory=Compute)
    average: Average = field(default_factory=Average)
    validation: Validation = field(default_factory=Validation)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    log: Log = field(default_factory=Log)


def config_from_dict(values: object) -> Config:
    """Check values and build a configuration.

    Raises:
        TrainingError: unknown key, value out of range, or values that exclude each other.
    """
    config = section_from_dict(Config, values, "", known_keys())
    check_together(config)
    return config


def known_keys() -> list[str]:
    """All keys with their section, such as ``optimiser.learning_rate``."""
    default = Config()
    keys = []
    for part in fields(Config):
        section = getattr(default, part.name)
        if is_dataclass(section):
            keys += [f"{part.name}.{one.name}" for one in fields(section) if one.name != "options"]
        else:
            keys.append(part.name)
    return keys


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
