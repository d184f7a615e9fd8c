"""A training run in one function: configuration and data in, a model file out.

images -> held out | trained on -> loop, validated on pairs -> best weights -> model file

The loop knows no photos and no evaluation protocol: this module connects them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.embeddings.cache import cache_folder
from faceverify.errors import UsageError
from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress, no_progress
from faceverify.training.backbones import contract_for
from faceverify.training.backbones.pretrained import read_weights
from faceverify.training.checkpoint.checkpoint import (
    Progress,
    best,
    latest,
    load_progress,
    mark_best,
    remove_old,
    save_checkpoint,
)
from faceverify.training.config.fields import config_error
from faceverify.training.config.files import as_dict, to_toml
from faceverify.training.config.schema import Backbone, Config, Data, Validation
from faceverify.training.data.loading.left_out import BAD_IMAGE
from faceverify.training.data.loading.source import Source
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.views import configured
from faceverify.training.distributed.processes import Processes, device_name, join_processes
from faceverify.training.export.embed_crops import embed_crops
from faceverify.training.loop import Results, train
from faceverify.training.methods import method_class
from faceverify.training.methods.method import Method
from faceverify.training.metrics_log import MetricsLog, ProgressLine, read_metrics
from faceverify.training.optim.cpu import tuned_process
from faceverify.training.optim.precision import Executor, emulates_bfloat16
from faceverify.training.run.aligned_photos import with_crops
from faceverify.training.run.batch_statistics import check_statistics
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.imprinting import has_directions, imprint
from faceverify.training.run.pretraining_set import (
    check_fills,
    check_method,
    check_small_views,
    open_unnamed,
)
from faceverify.training.run.publish import LearnedBy, best_weights, make_model, names_of
from faceverify.training.run.report import write_run_report
from faceverify.training.run.representation import (
    RANKED_BY,
    HeldOutPhotos,
    as_many_crops,
    prepared,
    representation_of,
)
from faceverify.training.run.step_budget import measured_plan
from faceverify.training.run.training_set import TrainingSet, open_training_set
from faceverify.training.run.validation import (
    ValidationSet,
    nearest_results,
    pair_results,
    set_of_list,
    set_of_people,
)
from faceverify.training.stopping import stop_on_signals
from faceverify.training.train_state import TrainState, build_train_state

Say = Callable[[str], None]
Embed = Callable[[Any, NDArray[np.uint8]], NDArray[np.float32]]  # a backbone, crops


@dataclass(frozen=True)
class Trained:
    """Result of a training run.

    Args:
        folder: of the run.
        step: steps done.
        steps: of the whole run.
        stopped_by: number of the signal that stopped it before its end; 0 for none.
        model: the model file; None before the end of a run.
        model_id: id of the model file.
        checkpoint: name of the one that its weights come from.
        results: of the model file on the validation pairs, by name.
        seconds: training time of all starts together.
    """

    folder: Path
    step: int
    steps: int
    stopped_by: int
    model: Path | None
    model_id: str
    checkpoint: str
    results: dict[str, float]
    seconds: float


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
        check_method(config, method)
        if config.data.align:
            config = with_crops(
                config, run, processes,
                try_out=partial(check_photos, config, contract, method, processes),
                show_progress=show_progress, say=say,
            )  # fmt: skip
        views = configured(method.views, config.views)
        if method.needs_labels:
            data = open_training_set(
                config, contract, processes, views=views, show_progress=show_progress, warn=say,
                say=say_of_images,
            )  # fmt: skip
        else:
            data = open_unnamed(
                config, contract, processes, views=views, needs_colour=method.needs_colour,
                show_progress=show_progress, warn=say, say=say_of_images,
            )  # fmt: skip
        for note in data.notes:
            say(note)
        config, source = data.config, data.source
        if config.joined.name and method.compares_images:
            check_fills(config.data.source, source.images, config.batches.size)
        validation_set, looked_at = None, None
        if processes.first and config.validation.times != 0:
            validation_set = _validation_set(
                config.validation, data.held_out if method.needs_labels else None, contract,
                alignment=config.data.alignment, seed=config.seed, show_progress=show_progress,
            )  # fmt: skip
            if not method.needs_labels and data.held_out is not None:
                looked_at = prepared(data.held_out, contract, config, say)

        def build() -> TrainState:
            return build_train_state(
                config,
                contract=contract,
                classes=source.num_identities,
                images=source.images,
                processes=processes,
            )

        held.enter_context(tuned_process(processes.device))
        state = build()  # wrong options are reported before the slow work
        check_small_views(state.backbone, views, contract.width)
        check_statistics(
            state.backbone, state.frozen, config, contract,
            world=processes.world, views=1 if method.embeds_one_view else views.number,
        )  # fmt: skip
        source.prepare(training_cache(), show_progress)
        state.method.prepare(source.stills, training_cache(), show_progress)
        embed = _embedding(contract, state.executor)
        validate = _validation(validation_set, embed, looked_at, state.executor)
        say(
            f"{described(source, named=method.needs_labels)}; "
            f"{config.backbone.name} and {names_of(learned_by(config))} "
            f"on {device_name(processes.device)}"
            + (f", {processes.world} processes" if processes.world > 1 else "")
        )
        if looked_at is not None and validation_set is None:
            say(
                "the checkpoint of the highest effective rank in the second half is kept, which "
                "says less than people do: --probe FOLDER chooses by those"
            )
        if state.executor.precision == "bfloat16" and emulates_bfloat16(processes.device):
            say("bfloat16 is emulated: this device has no instructions for it, float32 is faster")
        checkpoint = latest(run.checkpoints) if resume else None
        first_weights = bool(state.origin)
        imprints = first_weights and source.stills is not None and has_directions(state.method)
        if config.budget.minutes is not None:
            say(f"rehearsing, to see how many steps {config.budget.minutes:g} minutes hold")
            plan = measured_plan(
                60 * config.budget.minutes - (time.monotonic() - began), state, config, source,
                people=source.num_identities if imprints else 0, processes=processes,
                embed=embed, crops=_timed(validation_set, looked_at),
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

        def save(reached: Progress, results: Results | None) -> None:
            place = save_checkpoint(run.checkpoints, reached, state.tensors())
            if processes.first:
                known, figure = best(run.checkpoints), deciding(results or {}, reached)
                if figure is not None and (known is None or figure >= known[1]):
                    mark_best(run.checkpoints, place, figure)
                remove_old(run.checkpoints, config.checkpoints.keep)

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
                    processes=processes, log=log, save=save, validate=validate, stop=stop,
                )  # fmt: skip
        if line is not None:
            line.finish()
    if progress.step < progress.steps or not processes.first:
        return Trained(
            run.path, progress.step, progress.steps, stop.signal, None, "", "", {},
            progress.seconds,
        )  # fmt: skip
    return _finished(config, run, state, data, contract, validation_set, progress, say)


def contract_of(backbone: Backbone, data: Data) -> Contract:
    """Preprocessing contract: of the initial weights, or else of the backbone's architecture.

    Args:
        backbone: its name, size and initial weights.
        data: size and alignment of its crops.

    Raises:
        TrainingError: no such backbone, or weights that cannot be read.
        ModelError: there is no such model to start from.
    """
    if backbone.init:
        contract = read_weights(backbone.init).contract
        if contract is not None:
            return contract
    return contract_for(
        backbone.name,
        embedding_size=backbone.embedding_size,
        size=data.size,
        alignment=data.alignment,
        flip_average=backbone.flip_average,
    )


def check_photos(
    config: Config,
    contract: Contract,
    method: type[Method],
    processes: Processes,
    photos: int,
) -> None:
    """Refuse settings that cannot be for so many photos, before these are cut out.

    Args:
        config: of the run.
        contract: of the backbone.
        method: its class.
        processes: this one and the others.
        photos: number of them; there will be no more crops.

    Raises:
        TrainingError: as :func:`build_train_state`; or too few photos for a batch.
    """
    if method.compares_images or not method.needs_labels:
        check_fills(config.data.source, photos, config.batches.size)
    people = max(2, processes.world)
    build_train_state(config, contract=contract, classes=people, images=photos, processes=processes)


def training_cache() -> Path:
    """Folder of decoded crops, shared by all runs."""
    with suppress(UsageError):  # no home folder
        return cache_folder() / "training"
    raise config_error("no folder for decoded crops", "set FACEVERIFY_CACHE")


def deciding(results: Results, reached: Progress) -> float | None:
    """The result that chooses the best checkpoint: accuracy where people are known, else rank.

    The rank counts in the second half of a run alone: that of random weights is the highest.

    Args:
        results: of a validation.
        reached: where the run is.
    """
    late = 2 * reached.step >= reached.steps
    return results.get("accuracy", results.get(RANKED_BY) if late else None)


def _timed(
    validation_set: ValidationSet | None, looked_at: HeldOutPhotos | None
) -> NDArray[np.uint8] | None:
    """Crops as many as a validation embeds, to time it by; None where nothing is validated."""
    crops = [] if validation_set is None else [validation_set.crops]
    if looked_at is not None:
        crops.append(as_many_crops(looked_at))
    return np.concatenate(crops) if crops else None


def _validation_set(
    chosen: Validation,
    aside: FaceSet | None,
    contract: Contract,
    *,
    alignment: str,
    seed: int,
    show_progress: ShowProgress,
) -> ValidationSet | None:
    """Validation photos and pairs: of a list, a probe, or the people held out; None without any.

    Args:
        chosen: a list of pairs, a folder of people, or neither.
        aside: images of the people held out, if any.
        contract: of the backbone.
        alignment: alignment of their crops.
        seed: of the pairs drawn among them.
        show_progress: shown the photos as they are read.
    """
    if chosen.pairs:
        return set_of_list(
            Path(chosen.pairs),
            contract,
            images=Path(chosen.images) if chosen.images else None,
            pattern=chosen.pattern,
            aligned=chosen.aligned,
            cache=training_cache(),
            show_progress=show_progress,
        )
    title = "" if aside is None else f"{aside.source}, people held out"
    if chosen.probe:
        aside, title = open_face_set(chosen.probe), chosen.probe
    if aside is None:
        return None
    return set_of_people(
        title,
        [_read_or_empty(aside, index) for index in range(len(aside))],
        [aside.identities[label] for label in aside.labels],
        contract,
        alignment=alignment,
        seed=seed,
    )


def _read_or_empty(face_set: FaceSet, index: int) -> bytes:
    """An encoded image; empty where it cannot be read: then it is one that fails to enroll."""
    try:
        return face_set.read(index)
    except BAD_IMAGE:
        return b""


def _embedding(contract: Contract, executor: Executor) -> Embed:
    """Function that embeds crops with a backbone in training, in its precision, not flip-averaged.

    That takes a fourth of the time and ranks checkpoints as well; the results of the model file
    itself are measured with its flip averaging.
    """
    plain = replace(contract, flip_average=False)

    def embed(backbone: Any, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with executor.autocast():
            return embed_crops(backbone, crops, plain)

    return embed


def _validation(
    validation_set: ValidationSet | None,
    embed: Embed,
    looked_at: HeldOutPhotos | None,
    executor: Executor,
) -> Callable[[Any], Results] | None:
    """Function that validates a backbone during training; None where there is nothing to see.

    Args:
        validation_set: photos of people, and their pairs.
        embed: from a backbone and crops to embeddings.
        looked_at: photos without names.
        executor: has the precision of the run.
    """
    if validation_set is None and looked_at is None:
        return None

    def validate(backbone: Any) -> Results:
        results: dict[str, float] = {}
        if looked_at is not None:
            results |= representation_of(looked_at, backbone, executor)
        if validation_set is not None:
            rows = embed(backbone, validation_set.crops)
            results |= pair_results(validation_set, rows).as_dict()
            if looked_at is not None:
                results |= nearest_results(validation_set, rows)
        return results

    return validate


def _finished(
    config: Config,
    run: RunFolder,
    state: TrainState,
    data: TrainingSet,
    contract: Contract,
    validation_set: ValidationSet | None,
    progress: Progress,
    say: Say,
) -> Trained:
    """Export the best weights as a model file, and write the report."""
    method = method_class(config)
    checkpoint = best_weights(run.checkpoints, state)
    made = make_model(
        run, state, data, contract, validation_set, checkpoint, progress,
        architecture=config.backbone.name, learned_by=learned_by(config), licence=config.licence,
        seed=config.seed,
    )  # fmt: skip
    say(f"exported; its embeddings are within {made.difference:.1g} of torch's")
    metrics = read_metrics(run.metrics)
    for note in (
        *data.source.left_out.notes,
        *made.notes,
        *nothing_gained(metrics, best(run.checkpoints)),
    ):
        say(note)
    facts = {
        "model": f"{run.model.name} ({made.model_id})",
        "checkpoint": checkpoint,
        "images learned": described(data.source, named=method.needs_labels),
        "backbone": config.backbone.name,
        "loss" if method.learns_by_loss else "method": names_of(learned_by(config)),
        "steps": f"{progress.step:,}, {progress.images:,} images in {progress.seconds:,.0f} s",
        **{name: f"{100 * value:.2f} %" for name, value in made.results.items()},
    }
    write_run_report(
        run.report, f"Run {run.path.name}", facts, metrics,
        to_toml(as_dict(config)),
    )  # fmt: skip
    return Trained(
        run.path, progress.step, progress.steps, 0, run.model, made.model_id, checkpoint,
        made.results, progress.seconds,
    )  # fmt: skip


def nothing_gained(
    metrics: Sequence[Mapping[str, Any]], found: tuple[Path, float] | None
) -> list[str]:
    """A note where no checkpoint validated better than the weights that the run began with."""
    began = next((line.get("accuracy") for line in metrics if line["step"] == 0), None)
    if began is None or found is None or found[1] >= began:
        return []
    return [
        f"the weights it began with verified {100 * began:.2f} %, its best ones "
        f"{100 * found[1]:.2f} %: on these pairs nothing was gained"
    ]


def learned_by(config: Config) -> list[LearnedBy]:
    """The sections of a configuration that say what is learned."""
    if not method_class(config).learns_by_loss:
        return [config.method]
    beside = [config.method] if config.method.name != "supervised" else []
    return [config.loss, *beside, *([config.joined] if config.joined.name else [])]


def described(source: Source, *, named: bool) -> str:
    """Number of images of a source, and of people where they have names."""
    people = f" of {source.num_identities:,} people" if named else ""
    return f"{source.images:,} {'images' if named else 'photos'}{people}"


def _silent(_: str) -> None:
    """Print nothing, as all processes but the first do."""
