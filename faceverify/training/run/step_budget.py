"""How many steps and validations fit into some minutes: a few are run and timed, and forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from faceverify.training.checkpoint.checkpoint import Position
from faceverify.training.config.schema import Config
from faceverify.training.data.loading.source import Source
from faceverify.training.distributed.processes import Processes
from faceverify.training.loop import train
from faceverify.training.metrics_log import MetricsLog
from faceverify.training.run.time_budget import Plan, plan_within
from faceverify.training.stopping import StopRequest
from faceverify.training.train_state import Parts

SHARE = 0.05  # of the time that steps may be rehearsed, and validations: a tenth together
FEWEST, FEW = 2, 8  # images: batch normalisation needs two, a busy machine takes as long for eight
TIMED = 12  # steps
SPARE = 0.97  # share of the time that is planned with
FORWARD = 1 / 3  # of a step: to embed its images


def rehearsed_plan(
    seconds: float,
    parts: Parts,
    config: Config,
    source: Source,
    *,
    people: int,
    processes: Processes,
    embed: Callable[[nn.Module, NDArray[np.uint8]], object],
    crops: NDArray[np.uint8] | None,
) -> Plan:
    """Find how many steps, and the validations among them, fit into a run's time.

    Rehearsing takes a tenth of it at most, but for ten images and crops, and for compiling a step.

    Args:
        seconds: there are; what the rehearsal takes is taken off.
        parts: are used up: build them anew.
        config: of the run.
        source: gives batches.
        people: whose class centres begin at the means of their embeddings; 0 for none.
        processes: this one and the others; all get the same plan.
        embed: embeds crops as a validation does.
        crops: of the validation, in the first process; None where there is none.

    Raises:
        TrainingError: not a single step and a single validation fit.
    """
    began = time.perf_counter()
    seconds = -processes.agree(-seconds)
    step = step_seconds(seconds, parts, config, source, processes)
    judged, validation = processes.said_by_first(crops is not None), 0.0
    if crops is not None:
        shown = crops
        validation = seconds_of(
            lambda count: embed(parts.verified, shown[:count]), len(crops), SHARE * seconds
        )
    return plan_within(
        SPARE * (seconds - processes.agree(time.perf_counter() - began)),
        step=step,
        validation=processes.said_by_first(validation),
        wanted=config.validation if judged else replace(config.validation, times=0),
        first_weights=bool(parts.origin),
        imprint=config.backbone.imprint,
        image_of_each=step * FORWARD * people / config.batches.size,
    )


def step_seconds(
    seconds: float, parts: Parts, config: Config, source: Source, processes: Processes
) -> float:
    """Time of a step: of some whole ones, or where they take too long, by a part of a batch.

    Args:
        seconds: of the run.
        parts, config, source, processes: of the run.
    """
    began = time.perf_counter()

    def left() -> float:
        return SHARE * seconds - processes.agree(time.perf_counter() - began)

    parts.train_mode()
    images = next(source.batches(0, 0)).views[0]
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
                source,
                processes=processes,
                log=log,
                save=lambda _position, _figures: None,
                validate=None,
                stop=StopRequest(),
            )
        return processes.agree(time.perf_counter() - start)

    step = loading + seconds_of(learn, len(some), left() / 2) * len(images) / len(some)
    step = processes.agree(step)
    if 2 * step > left():
        return step
    step = taken_by(1)  # finds memory, chooses kernels, compiles
    count = min(TIMED, int(left() / step))
    return taken_by(count) / count if count else step


def seconds_of(work: Callable[[int], object], total: int, room: float) -> float:
    """Time of some work on all of ``total`` things, by as many of them as there is room for.

    Args:
        work: on a number of things.
        total: things.
        room: seconds that this may take, but for ten things, or an eighth of them.
    """
    began = time.perf_counter()
    work(min(FEWEST, total))  # finds memory and kernels
    count = min(max(FEWEST, min(FEW, total // 8)), total)
    while True:
        start = time.perf_counter()
        work(count)
        taken = time.perf_counter() - start
        left = room - (time.perf_counter() - began)
        more = min(total, int(count * left / taken))
        if more < 2 * count:
            return taken * total / count
        count = more
