"""How many steps and validations fit into some minutes: a few are run and timed, and forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from faceverify.training.checkpoint import Position
from faceverify.training.config import Config
from faceverify.training.distributed import Processes
from faceverify.training.epochs import Epochs
from faceverify.training.loop import train
from faceverify.training.metrics_log import MetricsLog
from faceverify.training.parts import Parts
from faceverify.training.stopping import StopRequest
from faceverify.training.time_budget import Duration, Plan, plan_within
from faceverify.training.validation import BATCH

SHARE = 0.05  # of the time that steps may be rehearsed, and validations: a tenth together
FEWEST, PART = 2, 8  # images, for batch normalisation; a batch over the least part that is timed
TIMED = 12  # steps
SPARE = 0.97  # share of the time that is planned with
FORWARD = 1 / 3  # of a step: to embed its images


def rehearsed_plan(
    seconds: float,
    parts: Parts,
    config: Config,
    epochs: Epochs,
    *,
    people: int,
    processes: Processes,
    embed: Callable[[nn.Module, NDArray[np.uint8]], object],
    crops: NDArray[np.uint8] | None,
) -> Plan:
    """Find how many steps, and the validations among them, fit into a run's time.

    Rehearsing takes a tenth of it at most, unless an eighth of a batch takes longer, or compiling.

    Args:
        seconds: there are; what the rehearsal takes is taken off.
        parts: are used up: build them anew.
        config: of the run.
        epochs: give batches.
        people: whose class centres begin at the means of their embeddings; 0 for none.
        processes: this one and the others; all get the same plan.
        embed: embeds crops as a validation does.
        crops: of the validation, in the first process; None where there is none.

    Raises:
        TrainingError: not a single step and a single validation fit.
    """
    began = time.perf_counter()
    seconds = -processes.agree(-seconds)
    step = step_time(seconds, parts, config, epochs, processes)
    judged, validation = processes.said_by_first(crops is not None), Duration(0.0, 0.0)
    if crops is not None:
        shown = crops
        batch = min(BATCH, len(crops))
        one = time_of(lambda count: embed(parts.verified, shown[:count]), batch, SHARE * seconds)
        validation = one.times(-(-len(crops) // batch))
    return plan_within(
        SPARE * (seconds - processes.agree(time.perf_counter() - began)),
        step=step,
        validation=Duration(*map(processes.said_by_first, (validation.least, validation.likely))),
        wanted=config.validation if judged else replace(config.validation, times=0),
        first_weights=bool(parts.origin),
        imprint=config.backbone.imprint,
        image_of_each=step.likely * FORWARD * people / config.batches.size,
    )


def step_time(
    seconds: float, parts: Parts, config: Config, epochs: Epochs, processes: Processes
) -> Duration:
    """Time of a step: of some whole ones, or where they take too long, by a part of a batch.

    Args:
        seconds: of the run.
        parts, config, epochs, processes: of the run.
    """
    began = time.perf_counter()

    def left() -> float:
        return SHARE * seconds - processes.agree(time.perf_counter() - began)

    parts.train_mode()
    images, _ = next(epochs(0, 0))
    loading = time.perf_counter() - began
    compute, backbone = config.compute, parts.backbone
    at_once = compute.gradient_cache or -(-len(images) // compute.accumulate)
    some = images[:at_once]
    learning = [one for one in backbone.parameters() if one.requires_grad]

    def learn(count: int) -> None:
        with parts.running.autocast():
            if compute.gradient_cache:
                with torch.no_grad():
                    backbone(some[:count])
            loss = backbone(some[:count]).float().square().mean()
        gradients = torch.autograd.grad(loss, learning, allow_unused=True)
        float(sum(one.sum() for one in gradients if one is not None))  # waits for a GPU

    def taken_by(count: int) -> float:
        start = time.perf_counter()
        with MetricsLog(None) as log:
            train(
                parts,
                config,
                Position(steps=count),
                epochs,
                processes=processes,
                log=log,
                save=lambda _position, _figures: None,
                validate=None,
                stop=StopRequest(),
            )
        return processes.agree(time.perf_counter() - start)

    part = time_of(learn, len(some), left() / 2).times(len(images) / len(some))
    step = Duration(*(processes.agree(loading + one) for one in (part.least, part.likely)))
    if 2 * step.likely > left():
        return step
    taken = taken_by(1)  # finds memory, chooses kernels, compiles
    if count := min(TIMED, int(left() / taken)):
        taken = taken_by(count) / count
    return Duration(taken, taken)


def time_of(work: Callable[[int], object], batch: int, room: float) -> Duration:
    """Time of some work on a batch, by as much of it as there is room for.

    What it takes whatever the number of images is not known, and much on a busy machine: at least
    the whole takes as long as the part, likely as many times as long as it is larger.

    Args:
        work: on a number of images.
        batch: images.
        room: seconds that this may take, unless an eighth of the batch takes longer.
    """
    began = time.perf_counter()
    work(min(FEWEST, batch))  # finds memory and kernels
    count = min(max(FEWEST, batch // PART), batch)
    while True:
        start = time.perf_counter()
        work(count)
        taken = time.perf_counter() - start
        left = room - (time.perf_counter() - began)
        more = min(batch, int(count * left / taken))
        if more < 2 * count:
            return Duration(taken, taken * batch / count)
        count = more
