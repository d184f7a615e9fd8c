"""A training run in one function: configuration and data in, a model file out.

images -> held out | trained on -> loop, validated on pairs -> best weights -> model file

The loop knows no photos and no evaluation protocol: this module connects them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from torch import Tensor

from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress, no_progress
from faceverify.training.checkpoint.checkpoint import (
    Progress,
    best,
    latest,
    load_progress,
    mark_best,
    remove_old,
    save_checkpoint,
)
from faceverify.training.config.schema import Checkpoints, Config
from faceverify.training.data.loading.source import Source
from faceverify.training.data.views import Views, configured
from faceverify.training.distributed.processes import Processes, device_name, join_processes
from faceverify.training.loop import Results, train
from faceverify.training.methods import method_class
from faceverify.training.methods.method import Method
from faceverify.training.metrics_log import MetricsLog, ProgressLine
from faceverify.training.optim.cpu import tuned_process
from faceverify.training.optim.precision import emulates_bfloat16
from faceverify.training.run.aligned_photos import with_crops
from faceverify.training.run.batch_statistics import check_statistics
from faceverify.training.run.contract import contract_of
from faceverify.training.run.description import described, learned_by, names_of
from faceverify.training.run.finish import Trained, finished
from faceverify.training.run.folder import RunFolder, training_cache
from faceverify.training.run.imprinting import has_directions, imprint
from faceverify.training.run.method_checks import (
    check_fills,
    check_method,
    check_photos,
    check_small_views,
)
from faceverify.training.run.narrowed_start import narrowing_of
from faceverify.training.run.pretraining_set import open_unnamed
from faceverify.training.run.selection import Judged, deciding, embedding, judged_by, validation
from faceverify.training.run.step_budget import measured_plan
from faceverify.training.run.training_set import TrainingSet, open_training_set
from faceverify.training.stopping import stop_on_signals
from faceverify.training.train_state import TrainState, build_train_state

Say = Callable[[str], None]


def train_model(
    config: Config,
    run: RunFolder,
    *,
    resume: bool = False,
    say: Say = lambda _: None,
    show_progress: ShowProgress = no_progress,
    live: bool = False,
) -> Trained:
    """Train a model, or resume its training, and export its best weights as a model file.

    Every process of a run calls it; the first one prints and writes.

    Args:
        config: of the run; on resuming, that of its folder, perhaps with changes.
        run: its folder.
        resume: whether to continue from its last checkpoint.
        say: called with a line of text for each thing that is done.
        show_progress: wraps what takes long before the first step.
        live: whether to show progress on stderr while it learns.

    Raises:
        TrainingError: the run cannot start or continue; the last checkpoint stays.
        ImageError, PairListError: photos or pairs that cannot be read.
        OutputError: the run's folder cannot be written.
    """
    began = time.monotonic()
    with (
        join_processes(config.compute.device, threads=config.compute.threads) as processes,
        ExitStack() as held,
    ):
        say_of_images = say  # in every process: each has images of its own
        if not processes.first:
            say, show_progress, live = _silent, no_progress, False
        elif not resume:
            run.refuse_if_begun()
        contract = contract_of(config.backbone, config.data)
        method = method_class(config)
        if method.needs_captions:  # which may tell left from right
            contract = replace(contract, flip_average=False)
        check_method(config, method)
        if config.data.align:
            config = with_crops(
                config, run, processes,
                try_out=partial(check_photos, config, contract, method, processes),
                show_progress=show_progress, say=say,
            )  # fmt: skip
        views = configured(method.views, config.views)
        data = _open(
            config, contract, method, processes, views,
            show_progress=show_progress, warn=say, say=say_of_images,
        )  # fmt: skip
        for note in data.notes:
            say(note)
        config, source = data.config, data.source
        if config.joined.name and method.compares_images:
            check_fills(config.data.source, source.images, config.batches.size)
        judged = Judged()
        if processes.first and config.validation.times != 0:
            judged = judged_by(config, data, contract, show_progress=show_progress, warn=say)

        start: dict[str, Tensor] | None = None  # of a backbone that begins as a wider one

        def build() -> TrainState:
            return build_train_state(
                config,
                contract=contract,
                classes=source.num_identities,
                images=source.images,
                processes=processes,
                captions=data.captions,
                start=start,
            )

        held.enter_context(tuned_process(processes.device))
        state = build()  # wrong options are reported before the slow work
        check_small_views(state.backbone, views, contract.width)
        check_statistics(
            state.backbone, state.frozen, config, contract,
            world=processes.world, views=1 if method.embeds_one_view else views.number,
        )  # fmt: skip
        checkpoint = latest(run.checkpoints) if resume else None
        narrowing = narrowing_of(config.backbone, source.stills) if checkpoint is None else None
        source.prepare(training_cache(), show_progress)
        if narrowing is not None:
            start = narrowing(state.backbone)
            say(f"begins with fewer channels as {state.origin}")
            state = build()
        state.method.prepare(source.stills, training_cache(), show_progress)
        embed = embedding(contract, state.executor)
        validate = validation(judged, embed, state.executor, lambda: state.method)
        for note in (*announced(config, state, source, method, processes), *judged.notes):
            say(note)
        first_weights = state.first_weights or (
            not method.needs_labels
            and bool(processes.from_first(judged.validation_set is not None))
        )  # without names, random ones too: a run may end below them
        imprints = bool(state.origin) and source.stills is not None and has_directions(state.method)
        if config.budget.minutes is not None:
            say(f"rehearsing, to see how many steps {config.budget.minutes:g} minutes hold")
            plan = measured_plan(
                60 * config.budget.minutes - (time.monotonic() - began), state, config, source,
                people=source.num_identities if imprints else 0, processes=processes,
                embed=embed, crops=judged.timed(), first_weights=first_weights,
            )  # fmt: skip
            say(plan.in_words(config.validation))
            config, first_weights = plan.written_into(config), plan.first_weights
            state = build()
            state.method.prepare(source.stills, training_cache(), no_progress)
        steps = config.budget.steps or round((config.budget.epochs or 0) * source.steps) or 1
        progress = Progress(steps=steps)
        if processes.first:
            held.enter_context(run.locked())
            run.write_config(config)
        if checkpoint is not None:
            state.restore(checkpoint)
            progress = replace(load_progress(checkpoint), steps=steps)
            say(f"going on from {checkpoint.name}")

        if imprints and config.backbone.imprint and progress.step == 0:
            assert source.stills is not None
            with state.executor.autocast():
                imprint(
                    state.backbone, state.method, source.stills.labels, source.stills.at,
                    of_a_person=config.backbone.imprint,
                )  # fmt: skip
            say("class centres begin at the means of the people's embeddings")

        line = ProgressLine(progress.steps, progress.step) if live else None
        events = run.events if config.log.tensorboard else None
        with (
            stop_on_signals() as stop,
            MetricsLog(
                run.metrics if processes.first else None,
                step=progress.step,
                events=events if processes.first else None,
                show=line,
            ) as log,
        ):
            if first_weights and validate is not None and progress.step == 0:
                log.add({"step": 0, **validate(state.final_backbone)})  # the baseline
            if progress.step < progress.steps:
                progress = train(
                    state, config, progress, source,
                    processes=processes, log=log, validate=validate, stop=stop,
                    save=partial(saved, state, config.checkpoints, run, processes),
                )  # fmt: skip
        if line is not None:
            line.finish()
    if progress.step < progress.steps or not processes.first:
        return Trained(
            run.path, progress.step, progress.steps, stop.signal, None, "", "", {},
            progress.seconds,
        )  # fmt: skip
    return finished(config, run, state, data, contract, judged.validation_set, progress, say)


def _open(
    config: Config,
    contract: Contract,
    method: type[Method],
    processes: Processes,
    views: Views,
    *,
    show_progress: ShowProgress,
    warn: Say,
    say: Say,
) -> TrainingSet:
    """Training set with people's names, or without; arguments of :func:`open_training_set`."""
    if method.needs_labels:
        return open_training_set(
            config, contract, processes,
            views=views, needs_colour=method.needs_colour,
            show_progress=show_progress, warn=warn, say=say,
        )  # fmt: skip
    return open_unnamed(
        config, contract, processes,
        views=views, needs_colour=method.needs_colour, needs_captions=method.needs_captions,
        show_progress=show_progress, warn=warn, say=say,
    )  # fmt: skip


def announced(
    config: Config,
    state: TrainState,
    source: Source,
    method: type[Method],
    processes: Processes,
) -> list[str]:
    """What is learned from what, and on what: lines for the user before the first step."""
    lines = [
        f"{described(source, named=method.needs_labels)}; "
        f"{config.backbone.name} and {names_of(learned_by(config))} "
        f"on {device_name(processes.device)}"
        + (f", {processes.world} processes" if processes.world > 1 else "")
    ]
    if state.origin and not state.first_weights:
        lines.append(f"the last stage begins at random, the others as in {state.origin}")
    if state.executor.precision == "bfloat16" and emulates_bfloat16(processes.device):
        lines.append(
            "bfloat16 is emulated: this device has no instructions for it, float32 is faster"
        )
    return lines


def saved(
    state: TrainState,
    checkpoints: Checkpoints,
    run: RunFolder,
    processes: Processes,
    reached: Progress,
    results: Results | None,
) -> None:
    """Save a checkpoint, mark the best one, and remove old ones; the first process writes."""
    place = save_checkpoint(run.checkpoints, reached, state.tensors())
    if processes.first:
        known, figure = best(run.checkpoints), deciding(results or {}, reached)
        if figure is not None and (known is None or figure >= known[1]):
            mark_best(run.checkpoints, place, figure)
        remove_old(run.checkpoints, checkpoints.keep)


def _silent(_: str) -> None:
    """Print nothing, as all processes but the first do."""
