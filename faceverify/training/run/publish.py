"""The end of a training run: its best weights as a model file with thresholds and a card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from faceverify.embeddings.compute import PhotoEmbeddings
from faceverify.embeddings.source import EmbeddingSource, ListedPhotos
from faceverify.errors import UsageError
from faceverify.evaluation.calibration.calibrate import calibrated
from faceverify.evaluation.metrics.error_rates import FEWEST_EXPECTED_ERRORS, allowed_errors
from faceverify.evaluation.protocols.task import Task
from faceverify.models.contract import Contract
from faceverify.models.embedder import Embedder
from faceverify.models.model_file import ModelFile, Provenance, load_model_file
from faceverify.runtime.text import printable
from faceverify.training.checkpoint.checkpoint import Position, best, latest, read_part
from faceverify.training.config.schema import Head
from faceverify.training.export.export import export_model
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.training_set import LearningSet
from faceverify.training.run.validation import ValidationSet, pair_figures
from faceverify.training.train_state import Parts

RATES = (1e-2, 1e-3, 1e-4, 1e-5)  # false match rates that thresholds are set for
PARITY_CROPS = 16  # of real faces, compared between torch and the file


@dataclass(frozen=True)
class Made:
    """A model file that was written.

    Args:
        model_id: its id.
        difference: largest cosine distance between its embeddings and torch's.
        figures: on the validation pairs, by name.
        notes: what a user should know, one line each.
    """

    model_id: str
    difference: float
    figures: dict[str, float]
    notes: tuple[str, ...]


def best_weights(checkpoints: Path, parts: Parts) -> str:
    """Load the weights that verified best, or else the last ones, into the verified backbone.

    Returns:
        The name of their checkpoint.
    """
    found = best(checkpoints)
    checkpoint = latest(checkpoints) if found is None else found[0]
    assert checkpoint is not None  # the loop saves its last step
    state = read_part(checkpoint, "backbone" if parts.average is None else "average")
    state.pop("updates", None)
    parts.verified.load_state_dict(state)
    return checkpoint.name


def make_model(
    run: RunFolder,
    parts: Parts,
    data: LearningSet,
    contract: Contract,
    judged: ValidationSet | None,
    checkpoint: str,
    position: Position,
    *,
    architecture: str,
    loss: Head,
    licence: str,
    seed: int,
) -> Made:
    """Export the verified backbone and set thresholds on the photos that judged it.

    Args:
        run: takes the model file; its name is the model's.
        parts: have the weights to export.
        data: that was learned from.
        contract: of the backbone.
        judged: photos that thresholds are set on; None to set none.
        checkpoint: whose weights these are.
        position: where the run ended.
        architecture: of the backbone.
        loss: its name and options.
        licence: of the data.
        seed: of the run.

    Raises:
        TrainingError: its ONNX is not the backbone.
        OutputError: it cannot be written.
    """
    learned = data.learned
    provenance = Provenance(
        name=printable(run.path.name),
        architecture=architecture,
        head=loss.name,
        dataset=printable(
            f"{learned.title}: {learned.images:,} images of {learned.people:,} people"
        ),
        licence=printable(licence),
        source=printable(f"faceverify train, {checkpoint} of {position.steps:,} steps")
        + (f", from {printable(parts.origin)}" if parts.origin else ""),
    )
    crops = None
    if judged is not None:
        crops = judged.crops[np.flatnonzero(judged.enrolled)[:PARITY_CROPS]]
    exported = export_model(
        parts.verified, run.model, contract=contract, provenance=provenance, crops=crops
    )
    model, figures, notes = load_model_file(run.model), {}, []
    if judged is not None:
        photos = embedded(model, judged)
        figures = pair_figures(judged, photos.embeddings).as_dict()
        model, note = _with_thresholds(model, judged, photos)
        notes = [note] if note else []
    model = replace(model, card=_card(model, loss, seed, figures, judged))
    model.save(run.model)
    return Made(exported.model_id, exported.largest_cosine_difference, figures, tuple(notes))


def embedded(model: ModelFile, judged: ValidationSet) -> PhotoEmbeddings:
    """Embeddings by the model file itself, as whoever uses it will get them."""
    rows = np.zeros((len(judged.crops), model.contract.embedding_size), np.float32)
    enrolled = np.flatnonzero(judged.enrolled)
    rows[enrolled] = Embedder(model).embed(judged.crops[enrolled])
    return PhotoEmbeddings(rows, judged.failure, [None] * len(rows))


def _with_thresholds(
    model: ModelFile, judged: ValidationSet, photos: PhotoEmbeddings
) -> tuple[ModelFile, str]:
    """The model with a threshold for each rate that the photos support, and a note if none."""
    task = calibration_task(judged.task)
    rates = supported_rates(task)

    def embed(_: ListedPhotos) -> PhotoEmbeddings:
        return photos

    source = EmbeddingSource(model.provenance.name, model.id, model, embed)
    if rates:
        try:
            return calibrated(source, task, rates, replicates=200).model, ""
        except UsageError as error:  # failures to enrol left too few comparisons
            return model, f"no threshold set: {error}"
    return model, "no threshold set: too few comparisons; run `faceverify calibrate`"


def calibration_task(task: Task) -> Task:
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
                    return task  # one photo, two names: only the pairs are to be trusted
                names[place] = person
        identities = names
    return replace(task, protocol="all", pairs=None, identities=identities) if identities else task


def supported_rates(task: Task) -> list[float]:
    """The rates that a task's comparisons allow ten false matches at."""
    if task.pairs is not None:
        impostors = int((~task.pairs.same).sum())
    else:
        _, counts = np.unique(task.identities, return_counts=True)
        total = len(task.identities)
        impostors = (total * (total - 1) - int((counts * (counts - 1)).sum())) // 2
    return [rate for rate in RATES if allowed_errors(rate, impostors) >= FEWEST_EXPECTED_ERRORS]


def _card(
    model: ModelFile,
    loss: Head,
    seed: int,
    figures: dict[str, float],
    judged: ValidationSet | None,
) -> str:
    """The model card: what it is, what it learned from, how good it is, what it must not do."""
    about = model.provenance
    lines = [
        f"Model: {about.name} ({model.id})",
        f"Architecture: {about.architecture}, {model.contract.embedding_size} numbers",
        f"Loss: {about.head} {_options(loss)}".rstrip(),
        f"Data: {about.dataset}",
        f"Licence of the data: {about.licence}",
        f"Made by: {about.source}, seed {seed}",
    ]
    if judged is not None and figures:
        shown = ", ".join(f"{name} {100 * value:.2f} %" for name, value in figures.items())
        lines.append(
            f"On {printable(judged.task.source)}: {shown}. These pairs chose the checkpoint: "
            "measure on others before you rely on it."
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


def _options(loss: Head) -> str:
    chosen = ", ".join(f"{key} {value}" for key, value in loss.options.items())
    return f"({chosen})" if chosen else ""
