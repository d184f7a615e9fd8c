"""Text model: the text encoder that was trained with a model, as a second ONNX file beside it.

Its metadata has two entries of faceverify: ``faceverify.text``, which names the model whose
embeddings its own are compared with, and ``faceverify.tokenizer``, the tokenizer's JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError, UsageError
from faceverify.models.model_file import as_json, document, metadata_entry, split_metadata
from faceverify.models.tokenizer import SHORTEST, Tokenizer
from faceverify.runtime.files import atomic_write
from faceverify.runtime.onnx_session import open_session
from faceverify.runtime.text import shown

FILE_NAME = "text.onnx"  # beside the model
TEXT, TOKENIZER = "faceverify.text", "faceverify.tokenizer"


@dataclass(frozen=True)
class TextModel:
    """A text model; the graph stays serialised.

    Attributes:
        graph: ONNX, from ``tokens`` (N, L) to ``embeddings`` (N, D), without our metadata.
        tokenizer: its JSON document.
        context: most tokens of a sentence.
        model_id: of the model that it was trained with.
    """

    graph: bytes = field(repr=False)
    tokenizer: str = field(repr=False)
    context: int
    model_id: str

    def save(self, path: Path) -> None:
        """Write the file atomically; equal models give equal bytes."""
        about = as_json({"context": self.context, "model_id": self.model_id})
        entries = {TEXT: about, TOKENIZER: as_json(json.loads(self.tokenizer))}
        tail = b"".join(metadata_entry(key, value) for key, value in entries.items())
        atomic_write(path, self.graph + tail)


def load_text_model(path: Path) -> TextModel:
    """The text model at a path, validated but for its graph.

    Raises:
        ModelError: it is missing, or none.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such text model, which prompts are compared by",
            cure="name a model that `faceverify pretrain --method clip` made, beside its text.onnx",
            code="model-missing",
        ) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    graph, entries = split_metadata(data, str(path))
    try:
        about, tokenizer = document(entries, TEXT), document(entries, TOKENIZER)
        match about:
            case {"context": int(context), "model_id": str(model_id)} if context >= SHORTEST:
                return TextModel(graph, as_json(tokenizer), context, model_id)
        raise ValueError(f"{TEXT} is {shown(about)}")
    except ValueError as error:
        raise ModelError(f"{path}: is no text model: {error}") from error


class TextEmbedder:
    """Sentences to unit embeddings, of the kind that the model's are.

    Args:
        model: the text model.
        name: for messages.

    Raises:
        UsageError: the library of the tokenizer is not installed.
        ModelError: its tokenizer or graph cannot be used.
    """

    def __init__(self, model: TextModel, name: str) -> None:
        self._name, self._context = name, model.context
        try:
            self._tokenizer = Tokenizer(model.tokenizer)
            self._session = open_session(model.graph)
        except (UsageError, ModelError):
            raise
        except Exception as error:  # the engine raises exceptions of many classes
            raise ModelError(f"{name}: cannot be run: {error}") from error

    def embed(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings of N sentences, (N, D).

        Raises:
            ValueError: a sentence has too many tokens.
            ModelError: the graph fails, or returns no embeddings.
        """
        tokens = self._tokenizer.encode(sentences, most=self._context)
        try:
            (rows,) = self._session.run(["embeddings"], {"tokens": tokens})
        except Exception as error:
            raise ModelError(f"{self._name}: cannot be run: {error}") from error
        lengths = np.linalg.norm(np.asarray(rows, np.float64), axis=-1, keepdims=True)
        usable = np.ndim(rows) == 2 and len(rows) == len(sentences) and np.isfinite(lengths).all()
        if not usable or not lengths.all():
            raise ModelError(
                f"{self._name}: returns no embeddings of sentences", code="model-output"
            )
        unit: NDArray[np.float32] = (rows / lengths).astype(np.float32)
        return unit
