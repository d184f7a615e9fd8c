"""Validation during a run, which selects its best checkpoint: people, or photos without names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress
from faceverify.training.checkpoint.checkpoint import Progress
from faceverify.training.config.schema import Config, Validation
from faceverify.training.data.loading.left_out import BAD_IMAGE
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.export.embed_crops import embed_crops
from faceverify.training.loop import Results
from faceverify.training.methods.clip import CLIP
from faceverify.training.methods.method import Method
from faceverify.training.optim.precision import Executor
from faceverify.training.run.folder import training_cache
from faceverify.training.run.representation import (
    FOUND,
    RANKED_BY,
    HeldOutPhotos,
    as_many_crops,
    prepared,
    representation_of,
)
from faceverify.training.run.training_set import TrainingSet
from faceverify.training.run.validation import (
    ValidationSet,
    nearest_results,
    pair_results,
    set_of_list,
    set_of_people,
)

Embed = Callable[[Any, NDArray[np.uint8]], NDArray[np.float32]]  # a backbone, crops


@dataclass(frozen=True, eq=False)
class Judged:
    """What a run is validated on; nothing where it never is, and in all processes but the first.

    Args:
        validation_set: photos of people, and their pairs.
        looked_at: photos without names.
    """

    validation_set: ValidationSet | None = None
    looked_at: HeldOutPhotos | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages for the user, one line each: what chooses the checkpoint where no people do."""
        if self.looked_at is None or self.validation_set is not None:
            return ()
        if self.looked_at.captions:
            return ("the checkpoint is kept at which most photos held out find their caption",)
        return (
            "the checkpoint of the highest effective rank in the second half is kept, which says "
            "less than people do: --probe FOLDER chooses by those",
        )

    def timed(self) -> NDArray[np.uint8] | None:
        """Crops as many as a validation embeds, to time it by; None where nothing is validated."""
        crops = [] if self.validation_set is None else [self.validation_set.crops]
        if self.looked_at is not None:
            crops.append(as_many_crops(self.looked_at))
        return np.concatenate(crops) if crops else None


def judged_by(
    config: Config,
    data: TrainingSet,
    contract: Contract,
    *,
    show_progress: ShowProgress,
    warn: Callable[[str], None],
) -> Judged:
    """What a configuration says that a run is validated on.

    Args:
        config: of the run.
        data: its training set, with what is held out of it.
        contract: of the backbone.
        show_progress: shown the photos of a list as they are read.
        warn: called where photos had to be resized, and for each that cannot be read.

    Raises:
        ImageError, PairListError, TrainingError: photos or pairs that cannot be read.
    """
    people = _validation_set(
        config.validation, data.held_out if data.named else None, contract,
        alignment=config.data.alignment, seed=config.seed, show_progress=show_progress,
    )  # fmt: skip
    if data.named or data.held_out is None:
        return Judged(people)
    return Judged(people, prepared(data.held_out, contract, config, warn))


def deciding(results: Results, reached: Progress) -> float | None:
    """The result that chooses the best checkpoint.

    Accuracy where people are known, else the share of photos that find their caption, else the
    rank; that counts in the second half of a run alone, as random weights have the highest.

    Args:
        results: of a validation.
        reached: where the run is.
    """
    late = 2 * reached.step >= reached.steps
    by_rank = results.get(RANKED_BY) if late else None
    return results.get("accuracy", results.get(FOUND, by_rank))


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


def embedding(contract: Contract, executor: Executor) -> Embed:
    """Function that embeds crops with a backbone in training, in its precision, not flip-averaged.

    That takes a fourth of the time and ranks checkpoints as well; the results of the model file
    itself are measured with its flip averaging.
    """
    plain = replace(contract, flip_average=False)

    def embed(backbone: Any, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with executor.autocast():
            return embed_crops(backbone, crops, plain)

    return embed


def validation(
    judged: Judged,
    embed: Embed,
    executor: Executor,
    method_now: Callable[[], Method],
) -> Callable[[Any], Results] | None:
    """Function that validates a backbone during training; None where there is nothing to see.

    Args:
        judged: what it is validated on.
        embed: from a backbone and crops to embeddings.
        executor: has the precision of the run.
        method_now: its method, which a rehearsal builds anew.

    Raises:
        TrainingError: a caption of the photos is too long.
    """
    validation_set, looked_at = judged.validation_set, judged.looked_at
    if validation_set is None and looked_at is None:
        return None
    method = method_now()
    if looked_at is not None and isinstance(method, CLIP):
        method.tokens_of([caption for own in looked_at.captions for caption in own])

    def validate(backbone: Any) -> Results:
        results: dict[str, float] = {}
        if looked_at is not None:
            results |= representation_of(looked_at, backbone, executor, method_now())
        if validation_set is not None:
            rows = embed(backbone, validation_set.crops)
            results |= pair_results(validation_set, rows).as_dict()
            if looked_at is not None:
                results |= nearest_results(validation_set, rows)
        return results

    return validate
