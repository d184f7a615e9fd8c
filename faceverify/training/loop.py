"""The training loop: one function, from top to bottom, no hooks.

A step depends on the configuration, the data and its own number alone: random generators are seeded
with that number, learning rate and margin are functions of it. So a run that is resumed from a
checkpoint gives, on a CPU, bit for bit what it would have given without the stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import nn

from faceverify.errors import FaceverifyError, TrainingError
from faceverify.training.checkpoint.checkpoint import Progress
from faceverify.training.config.schema import Config
from faceverify.training.data.loading.source import Source
from faceverify.training.data.views import Batch
from faceverify.training.distributed.collectives import average_gradients
from faceverify.training.distributed.processes import Processes
from faceverify.training.metrics_log import MetricsLog
from faceverify.training.optim.gradient_cache import cached_backward
from faceverify.training.stopping import CollapseWatch, LossWatch, StopRequest
from faceverify.training.train_state import TrainState

Results = Mapping[str, float]
"""Validation results by name, such as ``accuracy``."""

SAVE, STOP = 1.0, 2.0  # requests: after a step all processes follow the largest one


def train(
    state: TrainState,
    config: Config,
    progress: Progress,
    source: Source,
    *,
    processes: Processes,
    log: MetricsLog,
    save: Callable[[Progress, Results | None], None],
    validate: Callable[[nn.Module], Results] | None,
    stop: StopRequest,
) -> Progress:
    """Train from a step to the end of the run, or until a signal asks to stop.

    Args:
        state: backbone, method, optimiser and average; changed in place.
        config: of the run.
        progress: where the run is; ``progress.steps`` is where it ends.
        source: gives this process's part of each batch.
        processes: this process and the others.
        log: gets a line every ``log.steps`` steps, and one for each validation.
        save: writes a checkpoint, together with all processes; with the results of the validation
            at that step, if there was one.
        validate: from a backbone to its results, in the first process; None in the others, and
            where nothing is validated.
        stop: set by a signal.

    Returns:
        Where the run is: at its end, or at the step where it was stopped and saved.

    Raises:
        TrainingError: the loss is not finite or diverges, or the embeddings of a method without
            names collapse; the last checkpoint stays good. Or a
            batch cannot be made: what was learned until then is saved.
        OutputError: a checkpoint or the metrics cannot be written.
    """
    backbone, method, optimiser = state.backbone, state.method, state.optimiser
    executor, scaler, compute = state.executor, state.executor.scaler, config.compute
    steps, began = progress.steps, progress.step
    validation_steps = evenly_spaced(steps, config.validation.number)
    loss_watch, collapse_watch = LossWatch(), CollapseWatch(method.collapse)
    stopwatch = Stopwatch(progress)
    last_save = time.monotonic()
    state.train_mode()

    while progress.step < steps:
        batches = source.batches(progress.epoch, progress.batch)
        for batch, problem in agreed(batches, processes):  # views of (N, 3, H, W)
            if batch is None:
                if progress.step > began:
                    save(progress, None)
                raise no_batch(progress, problem)
            step = progress.step

            # 1. The step's number decides what is random in it, its learning rate and its margin.
            torch.manual_seed(seed_of_step(config.seed, step, processes.rank))
            lr_factor = state.schedule(step, steps)  # in [0, 1]
            learning_rate = config.optimiser.learning_rate * lr_factor
            for group, peak in zip(optimiser.param_groups, state.peak_learning_rates, strict=True):
                group["lr"] = peak * lr_factor
            method.begin_step(step, steps)

            # 2. The gradient of the mean loss over the batch of all processes.
            optimiser.zero_grad(set_to_none=True)
            with executor.autocast():  # executor.embed: views to embeddings, (N, D) each
                if compute.gradient_cache:  # the whole batch, a chunk's activations at a time
                    loss = cached_backward(  # ()
                        executor.embed,
                        partial(state.loss, batch=batch),
                        chunk=compute.gradient_cache,
                        scale=scaler.get_scale(),
                    )
                else:
                    loss = torch.zeros((), device=processes.device)
                    micro_batches = batch.split(compute.accumulate)  # views of (N / n, 3, H, W)
                    for micro_batch in micro_batches:
                        last = micro_batch is micro_batches[-1]  # its backward averages gradients
                        with nullcontext() if last else executor.no_sync():
                            weight = len(micro_batch) / len(batch)
                            micro_loss = state.loss(executor.embed, micro_batch) * weight  # ()
                            torch.autograd.backward(scaler.scale(micro_loss))
                        loss += micro_loss.detach()
            average_gradients(state.shared_parameters)

            # 3. The step.
            scaler.unscale_(optimiser)
            clip_norm = config.optimiser.clip_norm or torch.inf
            gradient_norm = nn.utils.clip_grad_norm_(backbone.parameters(), clip_norm)  # ()
            scaler.step(optimiser)
            scaler.update()
            method.finish_step(backbone)
            if state.average is not None:
                state.average.update(backbone)
            state.loss_sum += loss.double()
            progress = advance(progress, source.steps, config.batches.size, stopwatch)

            # 4. The log. Reading the loss waits for a GPU: only where it is logged or saved.
            logs = progress.step % config.log.steps == 0 or progress.step == steps
            validates = progress.step in validation_steps
            due = time.monotonic() - last_save > 60 * config.checkpoints.minutes
            if config.checkpoints.steps:
                due = progress.step % config.checkpoints.steps == 0
            request = processes.maximum(STOP if stop.signal else SAVE if due else 0.0)
            if logs or validates or request:  # a diverged run is never saved
                loss_watch.check(
                    float(processes.mean(loss)),
                    progress.step,
                    learning_rate=learning_rate,
                    warm_up=step < config.schedule.warm_up * steps,
                )
            if logs:
                signs = state.signs()
                collapse_watch.check(signs, progress.step)
                count = (progress.step - 1) % config.log.steps + 1  # steps since the last line
                line = {
                    "step": progress.step,
                    "epoch": round(progress.epoch + progress.batch / source.steps, 4),
                    "loss": float(processes.mean(state.loss_sum)) / count,
                    "learning_rate": learning_rate,
                    "gradient_norm": (
                        float(gradient_norm) if torch.isfinite(gradient_norm) else None
                    ),
                    "images_per_second": round(stopwatch.images_per_second(progress), 1),
                    "seconds": round(progress.seconds, 2),
                    **{name: float(f"{value:.6g}") for name, value in signs.items()},
                }
                state.loss_sum.zero_()
                if processes.first:
                    log.add(line)

            # 5. Validate, save, stop.
            results: Results | None = None
            with stopwatch.paused():
                if validates and validate is not None:
                    results = validate(state.final_backbone)
                    log.add({"step": progress.step, **results})
                if validates or request or progress.step == steps:
                    save(progress, results)
                    last_save = time.monotonic()
            if request == STOP or progress.step == steps:
                return progress
    return progress


def agreed(
    batches: Iterator[Batch], processes: Processes
) -> Iterator[tuple[Batch | None, FaceverifyError | None]]:
    """Batches until one of the processes cannot make its part: then None in all, and why."""
    while True:
        batch, problem = None, None
        try:
            batch = next(batches, None)
        except FaceverifyError as error:
            problem = error
        if processes.maximum(float(problem is not None)):
            yield None, problem
            return
        if batch is None:
            return
        yield batch, None


def no_batch(progress: Progress, error: FaceverifyError | None) -> TrainingError:
    """The error of a run that stands where it was saved, as its next batch cannot be made.

    Args:
        progress: where it stands.
        error: why; None where it is another process that cannot.
    """
    found = error or "another process cannot read its images, and says why"
    return TrainingError(
        f"{found}; the run is saved at step {progress.step:,} of {progress.steps:,}",
        cure="go on from there with --resume",
        code="training-data" if error is None else error.code,
    )


def seed_of_step(seed: int, step: int, rank: int) -> int:
    """Seed of one step in one process: of dropout and of what a method draws, an int below 2^63."""
    words = np.random.SeedSequence((seed, step, rank)).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


def evenly_spaced(steps: int, times: int) -> set[int]:
    """Steps that divide a run into ``times`` parts as even as can be; the last step is one of them.

    >>> sorted(evenly_spaced(100, 3))
    [33, 67, 100]
    """
    return {round(steps * index / times) for index in range(1, times + 1)} - {0}


def advance(
    progress: Progress, batches_an_epoch: int, images: int, stopwatch: Stopwatch
) -> Progress:
    """Progress after one more step; the last batch of an epoch leads to batch 0 of the next."""
    batch = progress.batch + 1
    return Progress(
        step=progress.step + 1,
        steps=progress.steps,
        epoch=progress.epoch + batch // batches_an_epoch,
        batch=batch % batches_an_epoch,
        images=progress.images + images,
        seconds=stopwatch.seconds(),
    )


class Stopwatch:
    """Training time of a run over all its starts, and images per second since the last line."""

    def __init__(self, progress: Progress) -> None:
        self._began = time.perf_counter() - progress.seconds
        self._images, self._since = progress.images, time.perf_counter()

    def seconds(self) -> float:
        """Seconds of the whole run."""
        return time.perf_counter() - self._began

    def images_per_second(self, progress: Progress) -> float:
        """Images per second since the last call."""
        now = time.perf_counter()
        speed = (progress.images - self._images) / max(now - self._since, 1e-9)
        self._images, self._since = progress.images, now
        return speed

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the block (validation, saving) out of the images per second."""
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began
