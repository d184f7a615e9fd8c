"""CLIP: a photo and its caption among those of the batch: https://arxiv.org/abs/2103.00020, fig. 3.

The photo's embedding is the backbone's, whose last layer stands for the paper's projection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceverify.errors import TrainingError
from faceverify.models.tokenizer import FEWEST_TOKENS, SHORTEST, Tokenizer, learned_tokenizer
from faceverify.training.backbones.text_transformer import TextTransformer
from faceverify.training.config.fields import config_error
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.optim.view_encoder import Embed

SHARPEST = 100.0  # the largest factor of a cosine, section 2.5
AT_ONCE = 256  # captions embedded at once


class CLIP(Method):
    """Cross-entropy of finding the caption of each photo, and the photo of each caption.

    Tokenizer and text encoder are learned from the captions of the run. Of a photo with several
    captions each step takes one.

    Args:
        temperature: 1 over the factor of the cosines, at the beginning.
        vocabulary: most tokens of the tokenizer.
        context: most tokens of a caption, start and end included.
        width: numbers in a token of the text encoder.
        depth: its blocks.
        heads: heads of its attention.

    Attributes:
        document: JSON of the tokenizer.
        text: the text encoder.
    """

    views: ClassVar[Views] = Views(1)
    needs_captions: ClassVar[bool] = True
    tokens: Tensor  # of each caption, (captions, L)
    tokenizer: Tensor  # its document, uint8
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, captions that are nearly all the same; try a "
        "lower --learning-rate, captions that tell more of a photo"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        captions: Sequence[Sequence[str]],
        temperature: float = 0.07,
        vocabulary: int = 4096,
        context: int = 64,
        width: int = 128,
        depth: int = 3,
        heads: int = 4,
    ) -> None:
        super().__init__()
        in_range = 1 / SHARPEST <= temperature <= 1
        require(in_range, "method.temperature", temperature, f"from {1 / SHARPEST:g} to 1")
        for option, value, least in (
            ("vocabulary", vocabulary, FEWEST_TOKENS), ("context", context, SHORTEST),
            ("depth", depth, 1), ("heads", heads, 1), ("width", width, 1),
        ):  # fmt: skip
            require(value >= least, f"method.{option}", value, f"at least {least}")
        require(width % heads == 0, "method.width", width, f"a multiple of {heads} heads")
        flat = [caption for own in captions for caption in own]
        document = learned_tokenizer(set(flat), vocabulary=vocabulary)
        self._tokenizer, self._context = Tokenizer(document), context
        tokens = self.tokens_of(flat)
        self._counts = np.array([len(own) for own in captions], np.int64)  # (images,)
        self._starts = np.cumsum(self._counts) - self._counts
        self.document, self._compared = document, False
        stored = torch.frombuffer(bytearray(document.encode()), dtype=torch.uint8)
        self.register_buffer("tokenizer", stored)
        self.register_buffer("tokens", tokens.int(), persistent=False)
        self.text = TextTransformer(
            vocabulary=len(self._tokenizer), context=context, width=width, depth=depth, heads=heads,
            embedding_size=embedding_size,
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self._found = torch.zeros(())

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        own: Tensor = self.text(self.tokens[self.chosen(batch.indices, batch.keys)].long())
        images, texts = gathered([*embed(batch.views), own])  # (N, D) each
        with exact(images):
            logits = self.log_scale.exp() * cosines(images, texts)
            matching = torch.arange(len(logits), device=logits.device)
            self._found = (logits.detach().argmax(dim=1) == matching).float().mean()
            return symmetric_cross_entropy(logits)

    def chosen(self, indices: NDArray[np.int64], keys: NDArray[np.uint64]) -> Tensor:
        """Rows of ``tokens``: a caption of each image, drawn where it has several, (N,)."""
        rows, counts = self._starts[indices], self._counts[indices]
        if counts.max(initial=1) > 1:
            rows = rows + (draws_of(keys, 1)[:, 0] * counts).astype(np.int64)
        return torch.from_numpy(rows).to(self.tokens.device)

    def tokens_of(self, captions: Sequence[str]) -> Tensor:
        """Tokens of M captions, int64, (M, L).

        Raises:
            TrainingError: a caption has too many.
        """
        try:
            return torch.from_numpy(self._tokenizer.encode(captions, most=self._context))
        except ValueError as error:
            raise config_error(
                f"a caption has {error}", "use a larger --set method.context, or shorten it"
            ) from error

    @torch.no_grad()
    def caption_accuracy(
        self, images: NDArray[np.float64], captions: Sequence[Sequence[str]]
    ) -> float:
        """Share of photos whose nearest caption, of all different ones, is one of their own.

        Args:
            images: embeddings of P photos, (P, D).
            captions: of each photo, P.
        """
        different = sorted({caption for own in captions for caption in own})
        tokens = self.tokens_of(different).to(self.tokens.device)
        texts = torch.cat([self.text(part) for part in torch.split(tokens, AT_ONCE)]).float()
        with exact(texts):
            rows = torch.from_numpy(images).to(texts)
            nearest = cosines(rows, texts).argmax(dim=1).tolist()
        found = [different[at] in own for at, own in zip(nearest, captions, strict=True)]
        return sum(found) / len(found)

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`: a checkpoint must be of the tokens of these captions."""
        if not self._compared and bytes(self.tokenizer.cpu().numpy()) != self.document.encode():
            raise TrainingError(
                "the captions are others than those that the run began with",
                cure="resume with the table of captions that it began with",
                code="training-checkpoint",
            )
        self._compared = True

    @torch.no_grad()
    def finish_step(self, backbone: nn.Module) -> None:
        """See :meth:`Method.finish_step`: the factor of the cosines stays in [1, 100]."""
        self.log_scale.clamp_(0, math.log(SHARPEST))

    def signs(self) -> dict[str, float]:
        """Temperature, and the share of photos whose own caption is the nearest of the batch."""
        temperature = (-self.log_scale.detach()).exp()
        return {"temperature": float(temperature), "matched": float(self._found)}


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of each row with each, (N, D) and (M, D) to (N, M)."""
    return F.normalize(first, dim=1) @ F.normalize(second, dim=1).T


def symmetric_cross_entropy(logits: Tensor) -> Tensor:
    """Mean cross-entropy of N pairs over rows and over columns, ().

    Args:
        logits: of each photo and each caption, (N, N).
    """
    matching = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, matching) + F.cross_entropy(logits.T, matching)) / 2
