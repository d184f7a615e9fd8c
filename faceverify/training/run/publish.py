"""The end of a training run: its best weights as a model file with thresholds and a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from faceverify.embeddings.compute import PhotoEmbeddings
from faceverify.embeddings.source import EmbeddingSource, ListedPhotos
from faceverify.errors import UsageError
from faceverify.evaluation.calibration.calibrate import calibrate_model
from faceverify.evaluation.metrics.error_rates import MIN_EXPECTED_ERRORS, allowed_errors
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.protocols.score_sections import alike_notes
from faceverify.models.contract import Contract
from faceverify.models.embedder import Embedder
from faceverify.models.model_file import ModelFile, Provenance, load_model_file
from faceverify.runtime.text import printable
from faceverify.training.checkpoint.checkpoint import Progress, best, latest, read_part
from faceverify.training.config.schema import Joined, Loss
from faceverify.training.export.export import export_model
from faceverify.training.export.export_text import export_text
from faceverify.training.methods.clip import CLIP
from faceverify.training.run.description import LearnedBy, names_of
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.training_set import TrainingSet
from faceverify.training.run.validation import ValidationSet, pair_results
from faceverify.training.train_state import TrainState

RATES = (1e-2, 1e-3, 1e-4, 1e-5)  # false match rates that thresholds are set for
PARITY_CROPS = 16  # of real faces (and captions), compared between torch and the file


@dataclass(frozen=True)
class Made:
    """A model file that was written.

    Args:
        model_id: its id.
        difference: largest cosine distance between its embeddings and torch's.
        results: on the validation pairs, by name.
        notes: what a user should know, one line each.
    """

    model_id: str
    difference: float
    results: dict[str, float]
    notes: tuple[str, ...]


def best_weights(checkpoints: Path, state: TrainState) -> str:
    """Load the weights that validated best, or else the last ones, into the final backbone.

    Returns:
        The name of their checkpoint.
    """
    found = best(checkpoints)
    checkpoint = latest(checkpoints) if found is None else found[0]
    assert checkpoint is not None  # the loop saves its last step
    weights = read_part(checkpoint, "backbone" if state.average is None else "average")
    weights.pop("updates", None)
    state.final_backbone.load_state_dict(weights)
    return checkpoint.name


def make_model(
    run: RunFolder,
    state: TrainState,
    data: TrainingSet,
    contract: Contract,
    validation_set: ValidationSet | None,
    checkpoint: str,
    progress: Progress,
    *,
    architecture: str,
    learned_by: Sequence[LearnedBy],
    licence: str,
    seed: int,
) -> Made:
    """Export the final backbone and set thresholds on the validation photos.

    Args:
        run: takes the model file; its name is the model's.
        state: has the weights to export.
        data: the training set.
        contract: of the backbone.
        validation_set: photos that thresholds are set on; None to set none.
        checkpoint: name of the one that the weights come from.
        progress: where the run ended.
        architecture: of the backbone.
        learned_by: the loss and what was joined with it, or the method of pre-training.
        licence: of the data.
        seed: of the run.

    Raises:
        TrainingError: the ONNX graph gives other embeddings than the backbone.
        OutputError: it cannot be written.
    """
    source, named = data.source, data.named
    command = "train" if isinstance(learned_by[0], Loss) else "pretrain"
    provenance = Provenance(
        name=printable(run.path.name),
        architecture=architecture,
        head=names_of(learned_by),
        dataset=printable(
            f"{source.title}: {source.images:,} "
            + (f"images of {source.num_identities:,} people" if named else "photos, without names")
        ),
        licence=printable(licence),
        source=printable(f"faceverify {command}, {checkpoint} of {progress.steps:,} steps")
        + (f", from {printable(state.origin)}" if state.origin else ""),
    )
    crops = None
    if validation_set is not None:
        crops = validation_set.crops[np.flatnonzero(validation_set.enrolled)[:PARITY_CROPS]]
    exported = export_model(
        state.final_backbone, run.model, contract=contract, provenance=provenance, crops=crops
    )
    model, results, notes = load_model_file(run.model), {}, []
    if validation_set is not None:
        photos = embedded(model, validation_set)
        results = pair_results(validation_set, photos.embeddings).as_dict()
        model, note = _with_thresholds(model, validation_set, photos)
        notes = [*([note] if note else []), *alike_notes(results.get("auc"))]
    model = replace(model, card=_card(model, learned_by, seed, results, validation_set))
    model.save(run.model)
    return Made(exported.model_id, exported.largest_cosine_difference, results, tuple(notes))


def make_text_model(
    run: RunFolder, method: CLIP, data: TrainingSet, checkpoint: str, model_id: str
) -> float:
    """Export the text encoder beside the model, with the weights of the same checkpoint.

    Returns:
        The largest cosine distance between its embeddings and torch's.

    Raises:
        TrainingError: the ONNX graph gives other embeddings than the encoder.
        OutputError: it cannot be written.
    """
    weights = read_part(run.checkpoints / checkpoint, "method.text")
    method.text.load_state_dict(weights)
    return export_text(
        method.text,
        run.text_model,
        tokenizer=method.document,
        context=method.text.context,
        model_id=model_id,
        sentences=sorted({own[0] for own in data.captions})[:PARITY_CROPS],
    )


def embedded(model: ModelFile, validation_set: ValidationSet) -> PhotoEmbeddings:
    """Embeddings of the validation photos by the model file itself, as its users get them."""
    rows = np.zeros((len(validation_set.crops), model.contract.embedding_size), np.float32)
    enrolled = np.flatnonzero(validation_set.enrolled)
    rows[enrolled] = Embedder(model).embed(validation_set.crops[enrolled])
    return PhotoEmbeddings(rows, validation_set.failure, [None] * len(rows))


def _with_thresholds(
    model: ModelFile, validation_set: ValidationSet, photos: PhotoEmbeddings
) -> tuple[ModelFile, str]:
    """The model with a threshold for each false match rate that its photos support, or a note."""
    task = calibration_task(validation_set.task)
    rates = supported_rates(task)

    def embed(_: ListedPhotos) -> PhotoEmbeddings:
        return photos

    source = EmbeddingSource(model.provenance.name, model.id, model, embed)
    if rates:
        try:
            found = calibrate_model(source, task, rates, replicates=200)
            return found.model, "; ".join(map(str, found.unreachable))
        except UsageError as error:  # failures to enroll left too few comparisons
            return model, f"no threshold set: {error}"
    return model, "no threshold set: too few comparisons; run `faceverify calibrate`"


def calibration_task(task: Benchmark) -> Benchmark:
    """Every photo against every other where the people are known, else the pairs."""
    identities = list(task.identities)
    pairs = task.pairs
    if not identities and pairs is not None and pairs.first_identity and pairs.second_identity:
        names = [""] * len(task.photos)
        for places, people in (
            (task.first, pairs.first_identity),
            (task.second, pairs.second_identity),
        ):
            for place, person in zip(places.tolist(), people, strict=True):
                if names[place] not in ("", person):
                    return task  # one photo, two names: only the pairs can be relied on
                names[place] = person
        identities = names
    return replace(task, protocol="all", pairs=None, identities=identities) if identities else task


def supported_rates(task: Benchmark) -> list[float]:
    """The rates that a task's comparisons allow ten false matches at."""
    if task.pairs is not None:
        impostors = int((~task.pairs.same).sum())
    else:
        _, counts = np.unique(task.identities, return_counts=True)
        total = len(task.identities)
        impostors = (total * (total - 1) - int((counts * (counts - 1)).sum())) // 2
    return [rate for rate in RATES if allowed_errors(rate, impostors) >= MIN_EXPECTED_ERRORS]


def _card(
    model: ModelFile,
    learned_by: Sequence[LearnedBy],
    seed: int,
    results: dict[str, float],
    validation_set: ValidationSet | None,
) -> str:
    """The model card: architecture, loss, data, licence, accuracy, thresholds, intended use."""
    about = model.provenance
    lines = [
        f"Model: {about.name} ({model.id})",
        f"Architecture: {about.architecture}, {model.contract.embedding_size} numbers",
        *(f"{type(one).__name__}: {one.name} {_options(one)}".rstrip() for one in learned_by),
        f"Data: {about.dataset}",
        f"Licence of the data: {about.licence}",
        f"Made by: {about.source}, seed {seed}",
    ]
    if validation_set is not None and results:
        shown = ", ".join(f"{name} {100 * value:.2f} %" for name, value in results.items())
        lines.append(
            f"On {printable(validation_set.task.source)}: {shown}. These pairs chose the "
            "checkpoint: measure on others before you rely on it."
        )
    lines += [
        f"Threshold for FMR {one.fmr:g}: distance {one.distance:.6f}, FNMR {one.fnmr:.4f}"
        for one in model.thresholds
    ]
    lines.append(
        "Not for decisions about people without their consent, nor where a false match does harm "
        "and nobody looks: error rates differ between groups of people. Measure them on yours."
    )
    return "\n".join(lines)


def _options(learned_by: LearnedBy) -> str:
    values = {"weight": learned_by.weight} if isinstance(learned_by, Joined) else {}
    chosen = ", ".join(f"{key} {value}" for key, value in {**values, **learned_by.options}.items())
    return f"({chosen})" if chosen else ""
