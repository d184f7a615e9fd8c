"""Steps and validations that fit into a time budget, from timing a few of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from faceverify.training.checkpoint.checkpoint import Progress
from faceverify.training.config.schema import Config
from faceverify.training.data.loading.source import Source
from faceverify.training.distributed.processes import Processes
from faceverify.training.export.embed_crops import BATCH
from faceverify.training.loop import train
from faceverify.training.metrics_log import MetricsLog
from faceverify.training.run.time_budget import Duration, Plan, plan_within
from faceverify.training.stopping import StopRequest
from faceverify.training.train_state import TrainState

SHARE = 0.05  # of the time for timing steps, and as much for validations
FEWEST, PART = 2, 8  # images, for batch normalisation; a batch over the least part that is timed
TIMED = 12  # steps
PLANNED = 0.97  # share of the time that is planned; the rest is a margin
FORWARD = 1 / 3  # share of a step that the forward pass takes


def measured_plan(
    seconds: float,
    state: TrainState,
    config: Config,
    source: Source,
    *,
    people: int,
    processes: Processes,
    embed: Callable[[nn.Module, NDArray[np.uint8]], object],
    crops: NDArray[np.uint8] | None,
    first_weights: bool,
) -> Plan:
    """Measure how many steps and validations fit into the time of a run.

    The measurement takes a tenth of it at most, unless an eighth of a batch or compilation takes
    longer.

    Args:
        seconds: there are, this measurement included.
        state: trained by the measurement: build another one for the run.
        config: of the run.
        source: gives batches.
        people: number of class centres that begin at mean embeddings; 0 for none.
        processes: this one and the others; all get the same plan.
        embed: embeds crops as a validation does.
        crops: of the validation, in the first process; None where there is none.
        first_weights: whether the run begins with weights worth validating.

    Raises:
        TrainingError: there is no time for one step and one validation.
    """
    began = time.perf_counter()
    seconds = -processes.maximum(-seconds)
    step = step_time(seconds, state, config, source, processes)
    judged, validation = processes.from_first(crops is not None), Duration(0.0, 0.0)
    if crops is not None:
        shown = crops
        batch = min(BATCH, len(crops))
        one = time_of(
            lambda count: embed(state.final_backbone, shown[:count]), batch, SHARE * seconds
        )
        validation = one.times(-(-len(crops) // batch))
    return plan_within(
        PLANNED * (seconds - processes.maximum(time.perf_counter() - began)),
        step=step,
        validation=Duration(*map(processes.from_first, (validation.least, validation.likely))),
        wanted=config.validation if judged else replace(config.validation, times=0),
        first_weights=first_weights,
        imprint=config.backbone.imprint,
        image_of_each=step.likely * FORWARD * people / config.batches.size,
    )


def step_time(
    seconds: float, state: TrainState, config: Config, source: Source, processes: Processes
) -> Duration:
    """Time of a step: of some whole ones, or where they take too long, by a part of a batch.

    Args:
        seconds: of the run.
        state, config, source, processes: of the run.
    """
    began = time.perf_counter()

    def left() -> float:
        return SHARE * seconds - processes.maximum(time.perf_counter() - began)

    state.train_mode()
    views = next(source.batches(0, 0)).views
    images = views[0]
    all_views = sum(view.numel() for view in views) / images.numel()
    loading = time.perf_counter() - began
    compute, backbone = config.compute, state.backbone
    at_once = compute.gradient_cache or -(-len(images) // compute.accumulate)
    some = images[:at_once]
    learning = [one for one in backbone.parameters() if one.requires_grad]

    def learn(count: int) -> None:
        with state.executor.autocast():
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
                state,
                config,
                Progress(steps=count),
                source,
                processes=processes,
                log=log,
                save=lambda _progress, _results: None,
                validate=None,
                stop=StopRequest(),
            )
        return processes.maximum(time.perf_counter() - start)

    part = time_of(learn, len(some), left() / 2).times(all_views * len(images) / len(some))
    step = Duration(*(processes.maximum(loading + one) for one in (part.least, part.likely)))
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
