"""The end of a run: its best weights exported, what a user should know of them, and the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceverify.models.contract import Contract
from faceverify.training.checkpoint.checkpoint import Progress, best
from faceverify.training.config.files import as_dict, to_toml
from faceverify.training.config.schema import Config
from faceverify.training.methods import method_class
from faceverify.training.methods.clip import CLIP
from faceverify.training.metrics_log import read_metrics
from faceverify.training.run.description import described, learned_by, names_of
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.publish import best_weights, make_model, make_text_model
from faceverify.training.run.report import write_run_report
from faceverify.training.run.training_set import TrainingSet
from faceverify.training.run.validation import ValidationSet
from faceverify.training.train_state import TrainState


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


def finished(
    config: Config,
    run: RunFolder,
    state: TrainState,
    data: TrainingSet,
    contract: Contract,
    validation_set: ValidationSet | None,
    progress: Progress,
    say: Callable[[str], None],
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
    if isinstance(state.method, CLIP):
        apart = make_text_model(run, state.method, data, checkpoint, made.model_id)
        say(f"exported its text encoder; embeddings of captions are within {apart:.1g} of torch's")
    metrics = read_metrics(run.metrics)
    for note in (
        *data.source.left_out.notes,
        *made.notes,
        *nothing_gained(metrics, best(run.checkpoints), named=method.needs_labels),
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
    metrics: Sequence[Mapping[str, Any]], found: tuple[Path, float] | None, *, named: bool
) -> list[str]:
    """A note where no checkpoint validated better than the weights that the run began with.

    Args:
        metrics: lines of the run, the first weights' with step 0.
        found: the best checkpoint and its accuracy; None without one.
        named: whether the run learned people.
    """
    began = next((line.get("accuracy") for line in metrics if line["step"] == 0), None)
    if began is None or found is None or found[1] >= began:
        return []
    return [
        f"the weights it began with verified {100 * began:.2f} %, its best ones "
        f"{100 * found[1]:.2f} %: on these pairs nothing was gained"
        + ("" if named else "; without names some methods need many more steps than others")
    ]
