"""Vision Transformer: https://arxiv.org/abs/2010.11929; without a class token, as MAE trains it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.backbones.necks import check_dropout
from faceverify.training.config.fields import config_error


class Block(nn.Module):
    """Self-attention and a perceptron, each after a layer norm and around a shortcut."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.before_perceptron = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, width) to the same."""
        count, length, width = tokens.shape
        rows = self.queries_keys_values(self.before_attention(tokens))
        parts = rows.view(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])  # (N, heads, L, W/h)
        mixed = mixed.transpose(1, 2).reshape(count, length, width)
        tokens = tokens + self.dropout(self.attended(mixed))
        return tokens + self.dropout(self.perceptron(self.before_perceptron(tokens)))


def blocks(depth: int, *, width: int, heads: int, dropout: float = 0.0) -> nn.Sequential:
    """Blocks of one width, one after the other."""
    return nn.Sequential(*(Block(width, heads, dropout) for _ in range(depth)))


class Neck(nn.Sequential):
    """Norm and projection of each token; an embedding is their mean."""


class ViT(nn.Module):
    """Patches, blocks, neck; see :func:`vit`."""

    def __init__(
        self, *, patch: int, side: int, width: int, depth: int, heads: int, dropout: float,
        embedding_size: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.patch, self.side = patch, side
        self.stem = nn.Linear(3 * patch**2, width)
        self.blocks = blocks(depth, width=width, heads=heads, dropout=dropout)
        self.neck = Neck(nn.LayerNorm(width), nn.Linear(width, embedding_size))

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 3, height, width), normalised, to (N, embedding size); sides as multiples of patch.

        A crop smaller than the backbone's input is one of a part of the face, enlarged to its own
        size: its patches lie at even distances over the same range of positions.
        """
        return self.tokens(crops).mean(dim=1)

    def maps(self, crops: Tensor) -> Tensor:
        """Embeddings of the patches in their places, (N, embedding size, rows, columns)."""
        rows, columns = crops.shape[-2] // self.patch, crops.shape[-1] // self.patch
        return self.tokens(crops).transpose(1, 2).reshape(len(crops), -1, rows, columns)

    def from_maps(self, features: Tensor) -> Tensor:
        """Embeddings of whole crops from those of their patches, (N, embedding size)."""
        return features.mean((2, 3))

    def tokens(self, crops: Tensor, keep: Tensor | None = None) -> Tensor:
        """Embeddings of the patches, (N, L, embedding size).

        Args:
            crops: (N, 3, height, width).
            keep: patches to look at, (N, L), row by row; None for all.
        """
        rows, columns = crops.shape[-2] // self.patch, crops.shape[-1] // self.patch
        places = positions(rows, columns, self.stem.out_features, self.side).to(crops)
        tokens = self.stem(patches_of(crops, self.patch)) + places  # (N, L, width)
        if keep is not None:
            tokens = tokens.gather(1, keep[:, :, None].expand(-1, -1, tokens.shape[2]))
        result: Tensor = self.neck(self.blocks(tokens))
        return result


def vit(
    *,
    embedding_size: int,
    size: int = 112,
    patch: int = 8,
    width: int = 192,
    depth: int = 6,
    heads: int = 3,
    dropout: float = 0.0,
) -> ViT:
    """Build a Vision Transformer.

    Args:
        embedding_size: numbers in an embedding.
        size: side of a crop, in pixels.
        patch: side of a patch, in pixels; a divisor of size.
        width: numbers in a token.
        depth: blocks.
        heads: of the attention; a divisor of width.
        dropout: probability, in [0, 1).

    Raises:
        TrainingError: an option out of range.
    """
    check_dropout(dropout)
    for name, value, good, words in (
        ("patch", patch, patch > 0 and size % max(patch, 1) == 0, f"a divisor of {size} pixels"),
        ("depth", depth, depth > 0, "at least 1"),
        ("heads", heads, heads > 0, "at least 1"),
        ("width", width, width > 0 and width % (4 * max(heads, 1)) == 0, "a multiple of 4 heads"),
    ):
        if not good:
            raise config_error(f"backbone.{name} is {value!r}, not {words}")
    net = ViT(
        patch=patch, side=size // patch, width=width, depth=depth, heads=heads, dropout=dropout,
        embedding_size=embedding_size,
    )  # fmt: skip
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return net


def patches_of(images: Tensor, patch: int) -> Tensor:
    """Patches of images, row by row: (N, 3, H, W) to (N, L, 3 patch^2)."""
    return F.unfold(images, patch, stride=patch).transpose(1, 2)


def positions(rows: int, columns: int, width: int, side: int = 0) -> Tensor:
    """Sines and cosines of the places of patches, (rows columns, width).

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5, in two dimensions (MAE,
    appendix A).

    Args:
        rows, columns: of patches.
        width: a multiple of 4.
        side: patches at a side of the whole input, whose range the places cover; 0 for rows.
    """
    rates = 10000.0 ** -(torch.arange(width // 4) / (width // 4))

    def along(count: int) -> Tensor:
        places = (torch.arange(count) + 0.5) * ((side or count) / count) - 0.5
        angles = places[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)  # (count, width / 2)

    down, across = along(rows), along(columns)
    return torch.cat([down.repeat_interleave(columns, dim=0), across.repeat(rows, 1)], dim=1)
