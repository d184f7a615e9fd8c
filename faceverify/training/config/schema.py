"""Configuration of a training run: every setting, its default, its limits.

The configuration is one frozen :class:`Config`, made from a recipe or TOML file and the overrides
of the command line (``files.py``), checked once (``checked.py``), and written into the folder of
the run, from which the same run can be started again. The sections of what is learned from are in
``data.py`` and ``augmentation.py``, those of how in ``optimisation.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from faceverify.training.config.augmentation import Augmentation
from faceverify.training.config.data import Batches, Data, Views
from faceverify.training.config.fields import setting
from faceverify.training.config.optimisation import Average, Budget, Compute, Optimiser, Schedule

AUTOMATIC, VALIDATIONS = -1, 10  # validation.times by default, and what it stands for


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
    kept: str = setting(
        "whole",
        "what is kept of init: whole, or body, every stage but the last, which begins at random; "
        "train --init of a method without names: body",
        choices=("whole", "body"),
    )
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
