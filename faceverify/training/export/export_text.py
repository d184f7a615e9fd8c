"""Export of a text encoder to a text model, checked before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from faceverify.errors import TrainingError
from faceverify.models.install.outputs import cosines
from faceverify.models.text_model import TextEmbedder, TextModel
from faceverify.models.tokenizer import Tokenizer
from faceverify.training.export.export import PARITY
from faceverify.training.export.onnx_graph import text_graph_of
from faceverify.training.optim.freezing import eval_mode


def export_text(
    encoder: nn.Module,
    path: Path,
    *,
    tokenizer: str,
    context: int,
    model_id: str,
    sentences: Sequence[str],
) -> float:
    """Write a text encoder as a text model, after checking that both give the same embeddings.

    Args:
        encoder: from tokens (N, L) to embeddings (N, D), on any device; not changed.
        path: of the file; written completely or not at all.
        tokenizer: its JSON document.
        context: most tokens of a sentence.
        model_id: of the model that it was trained with.
        sentences: to compare on, one or more.

    Returns:
        The largest cosine distance between torch's embedding of a sentence and the file's.

    Raises:
        TrainingError: the embeddings are NaN, or the file gives others.
        ModelError: torch or ONNX Runtime cannot handle it.
        OutputError: the file cannot be written.
    """
    model = TextModel(text_graph_of(encoder, context=context), tokenizer, context, model_id)
    tokens = torch.from_numpy(Tokenizer(tokenizer).encode(sentences, most=context))
    device = next(encoder.parameters()).device
    with torch.no_grad(), eval_mode(encoder):
        expected = encoder(tokens.to(device)).float().cpu().numpy()
    embedder = TextEmbedder(model, str(path))
    found = embedder.embed(sentences)
    alone = embedder.embed(sentences[:1])  # of its own length
    apart = 1 - min(cosines(found, expected).min(), cosines(alone, expected[:1]).min())
    if not apart <= PARITY:
        raise TrainingError(
            f"exported, the embeddings of sentences are {apart:.2g} from torch's, more than "
            f"{PARITY:g}",
            cure="please report it, with the versions of torch and onnxruntime",
        )
    model.save(path)
    return float(apart)
