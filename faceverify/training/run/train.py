"""The whole of a training run in one function: data and configuration in, a model file out.

people -> held out | learned -> loop (validated on pairs) -> best weights -> model file

The loop knows no photo and no protocol, the using half no torch: here they meet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.embeddings.cache import cache_folder
from faceverify.errors import UsageError
from faceverify.models.contract import Contract
from faceverify.training.backbones import contract_for
from faceverify.training.backbones.pretrained import read_weights
from faceverify.training.checkpoint.checkpoint import (
    Position,
    best,
    latest,
    load_position,
    mark_best,
    remove_old,
    save_checkpoint,
)
from faceverify.training.config.fields import config_error
from faceverify.training.config.files import as_dict, to_toml
from faceverify.training.config.schema import Backbone, Config, Data, Validation
from faceverify.training.data.loading.packed_cache import Progress
from faceverify.training.distributed.processes import device_name, joined
from faceverify.training.export.embed_crops import embed_crops
from faceverify.training.loop import Figures, train
from faceverify.training.methods import find_method
from faceverify.training.metrics_log import MetricsLog, ProgressLine, read_metrics
from faceverify.training.optim.cpu import tuned_process
from faceverify.training.optim.precision import Running, emulates_bfloat16
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.imprinting import has_directions, imprint
from faceverify.training.run.publish import best_weights, make_model
from faceverify.training.run.report import write_run_report
from faceverify.training.run.step_budget import rehearsed_plan
from faceverify.training.run.training_set import LearningSet, learning_set_of
from faceverify.training.run.validation import (
    ValidationSet,
    pair_figures,
    set_of_list,
    set_of_people,
)
from faceverify.training.stopping import stop_on_signals
from faceverify.training.train_state import Parts, build_parts

Say = Callable[[str], None]
Embed = Callable[[Any, NDArray[np.uint8]], NDArray[np.float32]]  # a backbone, crops


@dataclass(frozen=True)
class Trained:
    """What became of a run.

    Args:
        folder: of the run.
        step: steps done.
        steps: of the whole run.
        stopped_by: number of the signal that stopped it before its end; 0 for none.
        model: the model file; None before the end of a run.
        model_id: its id.
        checkpoint: whose weights it has.
        figures: of the model file on the validation pairs, by name.
        seconds: of training, all starts together.
    """

    folder: Path
    step: int
    steps: int
    stopped_by: int
    model: Path | None
    model_id: str
    checkpoint: str
    figures: dict[str, float]
    seconds: float


def train_model(
    config: Config,
    run: RunFolder,
    *,
    resume: bool = False,
    say: Say = lambda _: None,
    progress: Progress = lambda items, _label, _total: iter(items),
    live: bool = False,
) -> Trained:
    """Train a model, or go on training it, and make a model file of its best weights.

    Every process of a run calls it; the first one speaks and writes.

    Args:
        config: of the run; when it goes on, what its folder holds and perhaps changes of it.
        run: its folder.
        resume: whether to go on from its last checkpoint.
        say: told what is done, in lines.
        progress: wraps what takes long before the first step.
        live: whether to show progress on stderr while it learns.

    Raises:
        TrainingError: the run cannot start, or cannot go on; the last checkpoint stays.
        ImageError, PairListError: photos or pairs that cannot be read.
        OutputError: the run's folder cannot be written.
    """
    began = time.monotonic()
    with (
        joined(config.compute.device, threads=config.compute.threads) as processes,
        ExitStack() as held,
    ):
        if not processes.first:
            say, progress, live = _silent, _unwrapped, False
        elif not resume:
            run.refuse_if_begun()
        contract = contract_of(config.backbone, config.data)
        views = find_method(config.method.name).views
        data = learning_set_of(
            config, contract, processes, views=views, progress=progress, warn=say
        )
        for note in data.notes:
            say(note)
        config, source = replace(config, data=data.settings), data.learned
        judged = None
        if processes.first and config.validation.times != 0:
            judged = _judged(
                config.validation, data, contract,
                template=config.data.template, seed=config.seed, progress=progress,
            )  # fmt: skip

        def build() -> Parts:
            return build_parts(
                config,
                embedding_size=contract.embedding_size,
                input_size=contract.width,
                classes=source.people,
                processes=processes,
            )

        held.enter_context(tuned_process(processes.device))
        parts = build()  # whatever an option has against it comes before the long work
        source.prepare(training_cache(), progress)
        embed = _embedding(contract, parts.running)
        validate = None if judged is None else _validation(judged, embed)
        say(
            f"{source.images:,} images of {source.people:,} people; "
            f"{config.backbone.name} and {config.head.name} on {device_name(processes.device)}"
            + (f", {processes.world} processes" if processes.world > 1 else "")
        )
        if parts.running.precision == "bfloat16" and emulates_bfloat16(processes.device):
            say("bfloat16 is emulated: this device has no instructions for it, float32 is faster")
        first_weights = bool(parts.origin)
        imprints = first_weights and source.stills is not None and has_directions(parts.method)
        if config.budget.minutes is not None:
            say(f"rehearsing, to see how many steps {config.budget.minutes:g} minutes hold")
            plan = rehearsed_plan(
                60 * config.budget.minutes - (time.monotonic() - began), parts, config, source,
                people=source.people if imprints else 0, processes=processes,
                embed=embed, crops=None if judged is None else judged.crops,
            )  # fmt: skip
            say(plan.in_words(config.validation))
            config, first_weights = plan.written_into(config), plan.first_weights
            parts = build()
        steps = config.budget.steps or round((config.budget.epochs or 0) * source.steps) or 1
        position = Position(steps=steps)
        if processes.first:
            held.enter_context(run.locked())
            run.write_config(config)
        if resume and (checkpoint := latest(run.checkpoints)) is not None:
            parts.restore(checkpoint)
            position = replace(load_position(checkpoint), steps=steps)
            say(f"going on from {checkpoint.name}")

        if imprints and config.backbone.imprint and position.step == 0:
            assert source.stills is not None
            with parts.running.autocast():
                imprint(
                    parts.backbone, parts.method, source.stills.labels, source.stills.at,
                    of_a_person=config.backbone.imprint,
                )  # fmt: skip
            say("class centres begin at the means of the people's embeddings")

        def save(reached: Position, figures: Figures | None) -> None:
            place = save_checkpoint(run.checkpoints, reached, parts.tensors())
            if processes.first:
                known, figure = best(run.checkpoints), (figures or {}).get("accuracy")
                if figure is not None and (known is None or figure >= known[1]):
                    mark_best(run.checkpoints, place, figure)
                remove_old(run.checkpoints, config.checkpoints.keep)

        line = ProgressLine(position.steps, position.step) if live else None
        events = run.events if config.log.tensorboard else None
        with (
            stop_on_signals() as stop,
            MetricsLog(
                run.metrics if processes.first else None,
                step=position.step,
                events=events if processes.first else None,
                show=line,
            ) as log,
        ):
            if first_weights and validate is not None and position.step == 0:
                log.add({"step": 0, **validate(parts.verified)})  # what is to be surpassed
            if position.step < position.steps:
                position = train(
                    parts, config, position, source,
                    processes=processes, log=log, save=save, validate=validate, stop=stop,
                )  # fmt: skip
        if line is not None:
            line.finish()
    if position.step < position.steps or not processes.first:
        return Trained(
            run.path, position.step, position.steps, stop.signal, None, "", "", {},
            position.seconds,
        )  # fmt: skip
    return _finished(config, run, parts, data, contract, judged, position, say)


def contract_of(backbone: Backbone, data: Data) -> Contract:
    """What the backbone sees: as the weights to start from say it, or else as its kind does.

    Args:
        backbone: its name, size and first weights.
        data: how large its crops are, and what they were cut to.

    Raises:
        TrainingError: no such backbone, or weights that cannot be read.
        ModelError: there is no such model to start from.
    """
    if backbone.init:
        told = read_weights(backbone.init).contract
        if told is not None:
            return told
    return contract_for(
        backbone.name,
        embedding_size=backbone.embedding_size,
        size=data.size,
        template=data.template,
    )


def training_cache() -> Path:
    """Where decoded crops are kept from run to run."""
    with suppress(UsageError):  # no home folder
        return cache_folder() / "training"
    raise config_error("no folder for decoded crops", "set FACEVERIFY_CACHE")


def _judged(
    chosen: Validation,
    data: LearningSet,
    contract: Contract,
    *,
    template: str,
    seed: int,
    progress: Progress,
) -> ValidationSet | None:
    """The photos that judge the run; None where there are none.

    Args:
        chosen: a list of pairs, or none.
        data: has the people who were held out.
        contract: of the backbone.
        template: what their crops were cut to.
        seed: of their impostor pairs.
        progress: shown the photos as they are read.
    """
    if chosen.pairs:
        return set_of_list(
            Path(chosen.pairs),
            contract,
            images=Path(chosen.images) if chosen.images else None,
            pattern=chosen.pattern,
            aligned=chosen.aligned,
            cache=training_cache(),
            progress=progress,
        )
    aside = data.held_out
    if aside is None:
        return None
    return set_of_people(
        f"{aside.source}, people held out",
        [aside.read(index) for index in range(len(aside))],
        [aside.identities[label] for label in aside.labels],
        contract,
        template=template,
        seed=seed,
    )


def _embedding(contract: Contract, running: Running) -> Embed:
    """Embeds crops with a backbone that is learning, in its precision, without mirrored crops.

    That is a fourth of the time, and compares checkpoints as well; the model file's own figures are
    measured as whoever uses it will get them.
    """
    plain = replace(contract, flip_average=False)

    def embed(backbone: Any, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with running.autocast():
            return embed_crops(backbone, crops, plain)

    return embed


def _validation(judged: ValidationSet, embed: Embed) -> Callable[[Any], Figures]:
    """Measures a backbone while it learns."""
    return lambda backbone: pair_figures(judged, embed(backbone, judged.crops)).as_dict()


def _finished(
    config: Config,
    run: RunFolder,
    parts: Parts,
    data: LearningSet,
    contract: Contract,
    judged: ValidationSet | None,
    position: Position,
    say: Say,
) -> Trained:
    """Make the model file of the best weights, and the report."""
    checkpoint = best_weights(run.checkpoints, parts)
    made = make_model(
        run, parts, data, contract, judged, checkpoint, position,
        architecture=config.backbone.name, loss=config.head, licence=config.licence,
        seed=config.seed,
    )  # fmt: skip
    say(f"exported; its embeddings are within {made.difference:.1g} of torch's")
    metrics = read_metrics(run.metrics)
    for note in (*made.notes, *nothing_gained(metrics, best(run.checkpoints))):
        say(note)
    facts = {
        "model": f"{run.model.name} ({made.model_id})",
        "checkpoint": checkpoint,
        "images learned": f"{data.learned.images:,} of {data.learned.people:,} people",
        "backbone": config.backbone.name,
        "loss": config.head.name,
        "steps": f"{position.step:,}, {position.images:,} images in {position.seconds:,.0f} s",
        **{name: f"{100 * value:.2f} %" for name, value in made.figures.items()},
    }
    write_run_report(
        run.report, f"Run {run.path.name}", facts, metrics,
        to_toml(as_dict(config)),
    )  # fmt: skip
    return Trained(
        run.path, position.step, position.steps, 0, run.model, made.model_id, checkpoint,
        made.figures, position.seconds,
    )  # fmt: skip


def nothing_gained(
    metrics: Sequence[Mapping[str, Any]], found: tuple[Path, float] | None
) -> list[str]:
    """A note where the weights that a run began with were better than the best that it made."""
    began = next((line.get("accuracy") for line in metrics if line["step"] == 0), None)
    if began is None or found is None or found[1] >= began:
        return []
    return [
        f"the weights it began with verified {100 * began:.2f} %, its best ones "
        f"{100 * found[1]:.2f} %: on these pairs nothing was gained"
    ]


def _silent(_: str) -> None:
    """Only the first process speaks."""


def _unwrapped(items: Iterable[Any], _label: str, _total: int | None) -> Iterator[Any]:
    """Nor does it show progress."""
    return iter(items)
