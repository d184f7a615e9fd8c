"""The training loop: one function, from top to bottom, no hooks.

What a step does follows from the configuration, the data and the step's number alone: what is
drawn comes from generators seeded by it, learning rates and margins are functions of it. So a run
that was stopped and goes on from a checkpoint does, on a CPU, bit for bit what it would have done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import nn

from faceverify.training.checkpoint.checkpoint import Position
from faceverify.training.config.schema import Config
from faceverify.training.data.loading.source import Source
from faceverify.training.distributed.collectives import average_gradients
from faceverify.training.distributed.processes import Processes
from faceverify.training.metrics_log import MetricsLog
from faceverify.training.optim.gradient_cache import cached_backward
from faceverify.training.stopping import LossWatch, StopRequest
from faceverify.training.train_state import Parts

Figures = Mapping[str, float]

SAVE, STOP = 1.0, 2.0  # what processes agree on after a step


def train(
    parts: Parts,
    config: Config,
    position: Position,
    source: Source,
    *,
    processes: Processes,
    log: MetricsLog,
    save: Callable[[Position, Figures | None], None],
    validate: Callable[[nn.Module], Figures] | None,
    stop: StopRequest,
) -> Position:
    """Train from a position to the end of the run, or until a stop is asked for.

    Args:
        parts: backbone, method, optimiser and what goes with them; they are changed.
        config: of the run.
        position: where it stands; its ``steps`` say where it ends.
        source: gives this process's part of the batches.
        processes: this one and the others.
        log: takes one line every ``log.steps`` steps, and one for each validation.
        save: keeps a checkpoint, together with all processes; with the figures of the validation
            that was just made, if there was one.
        validate: measures a backbone, in the first process; None in the others, or to never do it.
        stop: whether a signal asked to stop.

    Returns:
        Where the run stands: at its end, or where it was stopped, which is saved.

    Raises:
        TrainingError: the loss is no number or grows without end; the last checkpoint stays good.
        OutputError: a checkpoint or the metrics cannot be written.
    """
    backbone, method, optimiser = parts.backbone, parts.method, parts.optimiser
    running, scaler, compute = parts.running, parts.running.scaler, config.compute
    steps = position.steps
    validations = evenly(steps, config.validation.number)
    watch, stopwatch = LossWatch(), Stopwatch(position)
    last_save = time.monotonic()
    parts.train_mode()

    while position.step < steps:
        for batch in source.batches(position.epoch, position.batch):
            step = position.step

            # 1. Whatever this step draws, and how far it moves, follows from its number.
            torch.manual_seed(seed_of_step(config.seed, step, processes.rank))
            share = parts.schedule(step, steps)
            learning_rate = config.optimiser.learning_rate * share
            for group, highest in zip(optimiser.param_groups, parts.highest_rates, strict=True):
                group["lr"] = highest * share
            method.begin_step(step, steps)

            # 2. The gradient of the mean loss of the batch of all processes.
            optimiser.zero_grad(set_to_none=True)
            with running.autocast():
                if compute.gradient_cache:  # the whole batch, in the memory of a part of it
                    loss = cached_backward(
                        running.embed,
                        partial(method.__call__, batch=batch),
                        chunk=compute.gradient_cache,
                        scale=scaler.get_scale(),
                    )
                else:
                    loss = torch.zeros((), device=processes.device)
                    smaller = batch.parts(compute.accumulate)
                    for some in smaller:
                        with nullcontext() if some is smaller[-1] else running.no_exchange():
                            part = method(running.embed, some) * (len(some) / len(batch))
                            scaler.scale(part).backward()
                        loss += part.detach()
            average_gradients(parts.shared_parameters)

            # 3. The step.
            scaler.unscale_(optimiser)
            limit = config.optimiser.clip_norm or torch.inf
            norm = nn.utils.clip_grad_norm_(backbone.parameters(), limit)
            scaler.step(optimiser)
            scaler.update()
            method.finish_step(backbone)
            if parts.average is not None:
                parts.average.update(backbone)
            parts.loss_sum += loss.double()
            position = moved_on(position, source.steps, config.batches.size, stopwatch)

            # 4. A line of the log; and never a checkpoint of a loss that leads nowhere.
            logs = position.step % config.log.steps == 0 or position.step == steps
            verifies = position.step in validations
            due = time.monotonic() - last_save > 60 * config.checkpoints.minutes
            if config.checkpoints.steps:
                due = position.step % config.checkpoints.steps == 0
            wish = processes.agree(STOP if stop.signal else SAVE if due else 0.0)
            if logs or verifies or wish:
                watch.look(
                    float(processes.mean(loss)),
                    position.step,
                    learning_rate=learning_rate,
                    warm_up=step < config.schedule.warm_up * steps,
                )
            if logs:
                count = (position.step - 1) % config.log.steps + 1
                line = {
                    "step": position.step,
                    "epoch": round(position.epoch + position.batch / source.steps, 4),
                    "loss": float(processes.mean(parts.loss_sum)) / count,
                    "learning_rate": learning_rate,
                    "gradient_norm": float(norm) if torch.isfinite(norm) else None,
                    "images_per_second": round(stopwatch.images_per_second(position), 1),
                    "seconds": round(position.seconds, 2),
                }
                parts.loss_sum.zero_()
                if processes.first:
                    log.add(line)

            # 5. Verify, save, stop.
            figures: Figures | None = None
            with stopwatch.stopped():
                if verifies and validate is not None:
                    figures = validate(parts.verified)
                    log.add({"step": position.step, **figures})
                if verifies or wish or position.step == steps:
                    save(position, figures)
                    last_save = time.monotonic()
            if wish == STOP or position.step == steps:
                return position
    return position


def seed_of_step(seed: int, step: int, rank: int) -> int:
    """A number of its own for each step and process: of dropout and of whatever a method draws."""
    words = np.random.SeedSequence((seed, step, rank)).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


def evenly(steps: int, times: int) -> set[int]:
    """Steps after which something is done ``times`` times over a run, its end included.

    >>> sorted(evenly(100, 3))
    [33, 67, 100]
    """
    return {round(steps * index / times) for index in range(1, times + 1)} - {0}


def moved_on(
    position: Position, batches_an_epoch: int, images: int, stopwatch: Stopwatch
) -> Position:
    """The position after a step; an epoch ends where the next one begins."""
    batch = position.batch + 1
    return Position(
        step=position.step + 1,
        steps=position.steps,
        epoch=position.epoch + batch // batches_an_epoch,
        batch=batch % batches_an_epoch,
        images=position.images + images,
        seconds=stopwatch.seconds(),
    )


class Stopwatch:
    """How long a run has trained, stops left out, and how fast it is between lines of the log."""

    def __init__(self, position: Position) -> None:
        self._began = time.perf_counter() - position.seconds
        self._images, self._since = position.images, time.perf_counter()

    def seconds(self) -> float:
        """Of the whole run."""
        return time.perf_counter() - self._began

    def images_per_second(self, position: Position) -> float:
        """Since the last line."""
        now = time.perf_counter()
        speed = (position.images - self._images) / max(now - self._since, 1e-9)
        self._images, self._since = position.images, now
        return speed

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave the block out of the speed: it verifies and saves."""
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began
