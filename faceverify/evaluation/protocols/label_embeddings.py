"""Embeddings of labels: of each the mean of its sentences' (prompt ensembling).

Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 3.1.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError
from faceverify.evaluation.lists.prompts import Prompts, prompt_error
from faceverify.models.text_model import TextEmbedder, load_text_model
from faceverify.runtime.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, eq=False)
class LabelEmbeddings:
    """Embeddings of M labels by one text model.

    Args:
        labels: M.
        rows: unit embeddings, (M, D).
    """

    labels: tuple[str, ...]
    rows: NDArray[np.float32]


def embedded_labels(prompts: Prompts, path: Path, *, model_id: str) -> LabelEmbeddings:
    """Embed labels by a text model.

    Args:
        prompts: their sentences.
        path: of the text model.
        model_id: of the model that embeds the photos.

    Raises:
        ModelError: the text model is missing or damaged, belongs to another model, or cannot be
            run.
        PairListError: a sentence is too long for it.
        UsageError: the library that reads sentences is not installed.
    """
    model = load_text_model(path)
    if model.model_id != model_id:
        raise ModelError(
            f"{path}: the text model of {model.model_id}, but the photos are embedded by "
            f"{model_id}",
            cure="keep a model and its text.onnx in one folder",
            code="model-mismatch",
        )
    embedder = TextEmbedder(model, str(path))
    flat = [sentence for own in prompts.sentences.values() for sentence in own]
    try:
        sentences = embedder.embed(flat).astype(np.float64)
    except ValueError as error:
        raise prompt_error(f"{prompts.source}: a sentence has {error}", "shorten it") from error
    ends = np.cumsum([len(own) for own in prompts.sentences.values()])
    means = np.stack([rows.mean(axis=0) for rows in np.split(sentences, ends[:-1])])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    if not lengths.all():
        raise prompt_error(
            f"{prompts.source}: the sentences of a label cancel each other out", "leave one out"
        )
    rows = (means / lengths).astype(np.float32)
    return LabelEmbeddings(tuple(prompts.sentences), rows)


def check_covered(prompts: Prompts, labels: Sequence[str]) -> None:
    """Refuse photos with a label that has no sentence.

    Raises:
        PairListError: there are some.
    """
    missing = sorted(set(labels) - set(prompts.sentences))
    if missing:
        count = sum(label in missing for label in labels)
        more = f" and {len(missing) - 3} more labels" if len(missing) > 3 else ""
        raise prompt_error(
            f"{prompts.source}: has no sentence for {', '.join(map(shown, missing[:3]))}{more}, "
            f"which {count:,} of {len(labels):,} photos have",
            "add it, as the folder or the table writes it",
        )
