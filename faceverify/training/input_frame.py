"""From stored crops to what a backbone sees: its frame, its range of values."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from faceverify.errors import TrainingError
from faceverify.faces.alignment import FivePoints, known_crop, named_alignment, similarity
from faceverify.models.contract import Contract


class InputFrame(nn.Module):
    """Crops of a tree, as the contract of the model under training wants them.

    Where the contract has the alignment that the crops were cut with, values are shifted and scaled
    and nothing else. Where it has another one of five points, crops are sampled through the
    similarity between the two, bilinearly and black beyond their edge, which is what
    ``faceverify --aligned TEMPLATE`` does with such a crop: learning sees what using sees.

    Args:
        contract: of the model.
        template: what the crops were cut to, such as ``arcface-112``.
        size: side of the crops, in pixels.

    Raises:
        UsageError: no such template.
        TrainingError: crops of this template cannot be carried into the model's frame.
    """

    mean: Tensor
    factor: Tensor
    grid: Tensor | None

    def __init__(self, contract: Contract, *, template: str = "arcface-112", size: int) -> None:
        super().__init__()
        # not in the state dict: the contract says them
        self.register_buffer("mean", per_channel(contract.mean), persistent=False)
        self.register_buffer("factor", 1 / per_channel(contract.scale), persistent=False)
        self.register_buffer("grid", grid(contract, template, size), persistent=False)
        self.swaps_colours = contract.colour_order == "BGR"

    def forward(self, crops: Tensor) -> Tensor:
        """RGB crops of values 0 to 255, (N, 3, size, size), to the backbone's input, float32."""
        x = crops.float()
        if self.grid is not None:
            # bilinear between centres of pixels; between the outer ones and the edge, their value
            x = functional.grid_sample(
                x, self.grid.expand(len(x), -1, -1, -1), padding_mode="border", align_corners=False
            )
            x = x * (self.grid.abs() <= 1).all(dim=-1)
        if self.swaps_colours:
            x = x.flip(1)
        return (x - self.mean) * self.factor


def per_channel(values: tuple[float, float, float]) -> Tensor:
    """Three numbers that broadcast over (N, 3, H, W)."""
    return torch.tensor(values, dtype=torch.float32)[:, None, None]


def grid(contract: Contract, template: str, size: int) -> Tensor | None:
    """Find where each pixel of the model's frame lies in a crop.

    Returns:
        x and y, -1 and 1 the edges of the crop, (1, height, width, 2); None where crops are in the
        model's frame already.

    Raises:
        UsageError: no such template.
        TrainingError: there is no way from the one to the other.
    """
    alignment, _ = named_alignment(template, size)
    same_size = (contract.width, contract.height) == (size, size)
    if same_size and contract.alignment.as_dict() == alignment.as_dict():
        return None
    if not isinstance(contract.alignment, FivePoints) or not isinstance(alignment, FivePoints):
        raise TrainingError(
            f"crops of {template}, {size} pixels, cannot be carried into the frame of a model of "
            f"{contract.width} pixels that is aligned otherwise",
            cure="cut the crops anew, `faceverify align --template`",
            code="training-data",
        )
    face = known_crop(template).face((size, size))
    to_frame = similarity(face.points, contract.alignment.points, contract.alignment.weights)
    back = np.linalg.inv(to_frame[:, :2])
    columns, rows = np.meshgrid(np.arange(contract.width), np.arange(contract.height))
    places = (np.stack([columns, rows], axis=-1) - to_frame[:, 2]) @ back.T  # first centre at 0
    return torch.from_numpy((2 * places + 1) / size - 1).float()[None]
