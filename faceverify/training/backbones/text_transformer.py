"""Text encoder of CLIP, a small transformer: https://arxiv.org/abs/2103.00020, section 2.4."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from faceverify.models.tokenizer import PAD
from faceverify.training.backbones.vit import blocks


class TextTransformer(nn.Module):
    """Tokens to an embedding: what the end token knows, which alone has seen the whole sentence.

    Args:
        vocabulary: number of different tokens.
        context: most tokens of a sentence.
        width: numbers in a token.
        depth: blocks, whose attention looks back alone.
        heads: of the attention.
        embedding_size: D.
    """

    def __init__(
        self, *, vocabulary: int, context: int, width: int, depth: int, heads: int,
        embedding_size: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(0.01 * torch.randn(context, width))
        self.blocks = blocks(depth, width=width, heads=heads, causal=True)
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, embedding_size, bias=False)
        nn.init.normal_(self.words.weight, std=0.02)
        nn.init.normal_(self.projection.weight, std=width**-0.5)

    @property
    def context(self) -> int:
        """Most tokens of a sentence."""
        return len(self.places)

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings of N sentences, (N, D), not normalised.

        Args:
            tokens: as of :class:`~faceverify.models.tokenizer.Tokenizer`, int64, (N, L).
        """
        rows = self.blocks(self.words(tokens) + self.places[: tokens.shape[1]])  # (N, L, width)
        end = (tokens != PAD).sum(dim=1) - 1  # (N,)
        last = rows.gather(1, end[:, None, None].expand(-1, 1, rows.shape[2]))[:, 0]
        embeddings: Tensor = self.projection(self.norm(last))
        return embeddings
