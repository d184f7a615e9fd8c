"""Settings of the optimisation: steps, their rate and number, precision, averages of weights."""

from __future__ import annotations

from dataclasses import dataclass

from faceverify.training.config.fields import setting


@dataclass(frozen=True)
class Optimiser:
    """``[optimiser]``: the optimiser."""

    name: str = setting("sgd", "optimiser", choices=("sgd", "adamw", "lars", "muon"))
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
        0.9, "momentum of SGD, LARS and Muon, or beta 1 of AdamW", least=0, most=0.9999
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
