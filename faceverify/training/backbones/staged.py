"""What backbones of convolutions share: stages one after the other, the last of them the neck."""

from __future__ import annotations

from torch import Tensor, nn


class Staged(nn.Module):
    """A backbone whose top-level modules are its stages, added from input to output.

    Attributes:
        neck: the last one; what is before it gives feature maps.
    """

    neck: nn.Module

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 3, size, size), normalised, to (N, embedding size)."""
        return self.from_maps(self.maps(crops))

    def maps(self, crops: Tensor) -> Tensor:
        """Features before the neck, (N, channels, side, side)."""
        features = crops
        for stage in self.children():
            if stage is not self.neck:
                features = stage(features)
        return features

    def from_maps(self, features: Tensor) -> Tensor:
        """Embeddings of the features, (N, embedding size)."""
        embeddings: Tensor = self.neck(features)
        return embeddings
