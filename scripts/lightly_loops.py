"""Learning without names as lightly's documentation has one write it: the peer of benchmarks.

One class a method: its heads, its loss, and what a step does, in the order of the library's own
examples (``examples/pytorch/NAME.py``): each view goes through the backbone by itself, teachers
follow before the step. Backbone and widths of the heads are given, so that only the loop differs.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any

os.environ["LIGHTLY_DID_VERSION_CHECK"] = "True"  # older ones ask a server as they are imported

import torch
from lightly import loss as losses
from lightly import transforms
from lightly.models.modules import MaskedVisionTransformerDecoderTIMM, heads
from lightly.models.utils import (
    deactivate_requires_grad,
    get_at_index,
    patchify,
    random_token_mask,
    set_at_index,
    update_momentum,
)
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn

SIDE, SMALL = 112, 56


class Plain(nn.Module):
    """A method: heads beside the backbone, and :meth:`loss` of the views of a batch."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def begin(self, share: float) -> None:
        """What comes before the forward pass, at a share of the run."""

    def loss(self, views: list[Tensor]) -> Tensor:
        """Of one batch, ()."""
        raise NotImplementedError

    def after_backward(self, share: float) -> None:
        """What comes between backward pass and step."""

    def optimiser(self) -> torch.optim.Optimizer:
        """As in the example of the method."""
        return torch.optim.SGD(self.parameters(), lr=0.06)


class Followed(Plain):
    """A method with a momentum encoder."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__(backbone)
        self.head = head
        self.teacher, self.teacher_head = copy.deepcopy(backbone), copy.deepcopy(head)
        deactivate_requires_grad(self.teacher)
        deactivate_requires_grad(self.teacher_head)

    def begin(self, share: float) -> None:
        momentum = cosine_schedule(round(1000 * share), 1001, 0.996, 1)
        update_momentum(self.backbone, self.teacher, m=momentum)
        update_momentum(self.head, self.teacher_head, m=momentum)

    def taught(self, view: Tensor) -> Tensor:
        with torch.no_grad():
            rows: Tensor = self.teacher_head(self.teacher(view))
        return rows.detach()


class SimCLR(Plain):
    def __init__(self, backbone: nn.Module, size: int) -> None:
        super().__init__(backbone)
        self.head = heads.SimCLRProjectionHead(size, size, 128)
        self.criterion = losses.NTXentLoss(temperature=0.2)

    def loss(self, views: list[Tensor]) -> Tensor:
        first, second = (self.head(self.backbone(view)) for view in views)
        return self.criterion(first, second)


class MoCo(Followed):
    def __init__(self, backbone: nn.Module, size: int) -> None:
        super().__init__(backbone, heads.MoCoProjectionHead(size, size, 128))
        self.criterion = losses.NTXentLoss(temperature=0.2, memory_bank_size=(4096, 128))

    def loss(self, views: list[Tensor]) -> Tensor:
        query = self.head(self.backbone(views[0]))
        return self.criterion(query, self.taught(views[1]))


class BYOL(Followed):
    def __init__(self, backbone: nn.Module, size: int) -> None:
        super().__init__(backbone, heads.BYOLProjectionHead(size, 1024, 256))
        self.predictor = heads.BYOLPredictionHead(256, 1024, 256)
        self.criterion = losses.NegativeCosineSimilarity()

    def loss(self, views: list[Tensor]) -> Tensor:
        first, second = (self.predictor(self.head(self.backbone(view))) for view in views)
        wanted = [self.taught(view) for view in views]
        return 0.5 * (self.criterion(first, wanted[1]) + self.criterion(second, wanted[0]))


class SimSiam(Plain):
    def __init__(self, backbone: nn.Module, size: int) -> None:
        super().__init__(backbone)
        self.head = heads.SimSiamProjectionHead(size, 512, 512)
        self.predictor = heads.SimSiamPredictionHead(512, 128, 512)
        self.criterion = losses.NegativeCosineSimilarity()

    def loss(self, views: list[Tensor]) -> Tensor:
        rows = [self.head(self.backbone(view)) for view in views]
        first, second = (self.predictor(row) for row in rows)
        rows = [row.detach() for row in rows]
        return 0.5 * (self.criterion(first, rows[1]) + self.criterion(second, rows[0]))


class SwAV(Plain):
    def __init__(self, backbone: nn.Module, size: int) -> None:
        super().__init__(backbone)
        self.head = heads.SwaVProjectionHead(size, size, 128)
        self.prototypes = heads.SwaVPrototypes(128, 300)
        self.criterion = losses.SwaVLoss()

    def begin(self, share: float) -> None:
        self.prototypes.normalize()

    def loss(self, views: list[Tensor]) -> Tensor:
        rows = [nn.functional.normalize(self.head(self.backbone(view)), dim=1) for view in views]
        compared = [self.prototypes(row) for row in rows]
        return self.criterion(compared[:2], compared[2:])

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.001)


class DINO(Followed):
    FIXED = 0.02  # share of the run in which the last layer stays

    def __init__(self, backbone: nn.Module, size: int) -> None:
        head = heads.DINOProjectionHead(size, 512, 256, 1024, freeze_last_layer=1)
        plain = heads.DINOProjectionHead(size, 512, 256, 1024)
        super().__init__(backbone, nn.Identity())
        self.head, self.teacher_head = head, plain
        deactivate_requires_grad(self.teacher_head)
        self.criterion = losses.DINOLoss(output_dim=1024)

    def loss(self, views: list[Tensor]) -> Tensor:
        wanted = [self.taught(view) for view in views[:2]]
        return self.criterion(wanted, [self.head(self.backbone(view)) for view in views], epoch=0)

    def after_backward(self, share: float) -> None:
        self.head.cancel_last_layer_gradients(current_epoch=0 if share < self.FIXED else 1)

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.001)


class BarlowTwins(Plain):
    def __init__(self, backbone: nn.Module, size: int) -> None:
        super().__init__(backbone)
        self.head = heads.BarlowTwinsProjectionHead(size, 512, 512)
        self.criterion = losses.BarlowTwinsLoss()

    def loss(self, views: list[Tensor]) -> Tensor:
        first, second = (self.head(self.backbone(view)) for view in views)
        return self.criterion(first, second)


class VICReg(Plain):
    def __init__(self, backbone: nn.Module, size: int) -> None:
        super().__init__(backbone)
        self.head = heads.VICRegProjectionHead(size, 512, 512, num_layers=2)
        self.criterion = losses.VICRegLoss()

    def loss(self, views: list[Tensor]) -> Tensor:
        first, second = (self.head(self.backbone(view)) for view in views)
        return self.criterion(first, second)


class MAE(Plain):
    MASKED = 0.75

    def __init__(self, backbone: Any, size: int) -> None:
        super().__init__(backbone)
        self.patch, self.length = backbone.patch, backbone.side**2
        self.enter = nn.Linear(size, 128)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            num_patches=self.length, embed_dim=128, depth=2, num_heads=4, num_prefix_tokens=0
        )
        self.paint = nn.Linear(128, 3 * self.patch**2)
        self.criterion = nn.MSELoss()

    def loss(self, views: list[Tensor]) -> Tensor:
        (images,) = views
        size = (len(images), self.length)
        keep, gone = random_token_mask(size, self.MASKED, mask_class_token=True)  # it has none
        seen = self.enter(self.backbone.tokens(images, keep=keep))
        tokens = set_at_index(seen.new_zeros(*size, seen.shape[2]), keep, seen)
        decoded = self.decoder(tokens, idx_mask=gone)
        painted = self.paint(get_at_index(decoded, gone))
        loss: Tensor = self.criterion(painted, get_at_index(patchify(images, self.patch), gone))
        return loss

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1.5e-4)


PLAIN: dict[str, Callable[[nn.Module, int], Plain]] = {
    "simclr": SimCLR,
    "moco": MoCo,
    "byol": BYOL,
    "simsiam": SimSiam,
    "swav": SwAV,
    "dino": DINO,
    "barlow": BarlowTwins,
    "vicreg": VICReg,
    "mae": MAE,
}


def transform_of(method: str) -> Callable[[Any], list[Tensor]]:
    """The library's views of a photo, as they come, for crops of 112 x 112."""
    if method == "swav":
        made: Any = transforms.SwaVTransform(crop_sizes=(SIDE, SMALL), crop_counts=(2, 4))
    elif method == "dino":
        made = transforms.DINOTransform(
            global_crop_size=SIDE, local_crop_size=SMALL, n_local_views=4
        )
    elif method == "byol":
        made = transforms.BYOLTransform(
            transforms.BYOLView1Transform(input_size=SIDE),
            transforms.BYOLView2Transform(input_size=SIDE),
        )
    elif method == "moco":
        made = transforms.MoCoV2Transform(input_size=SIDE)
    elif method == "simsiam":
        made = transforms.SimSiamTransform(input_size=SIDE)
    elif method == "vicreg":
        made = transforms.VICRegTransform(input_size=SIDE)
    elif method == "mae":
        made = transforms.MAETransform(input_size=SIDE)
    elif method == "barlow":
        made = transforms.BYOLTransform(
            transforms.BYOLView1Transform(input_size=SIDE),
            transforms.BYOLView2Transform(input_size=SIDE),
        )
    else:
        made = transforms.SimCLRTransform(input_size=SIDE)
    return made


def step(
    model: Plain, optimiser: torch.optim.Optimizer, views: list[Tensor], share: float
) -> Tensor:
    """One step of the loop, at a share of the run in [0, 1); the loss, ()."""
    model.begin(share)
    loss = model.loss(views)
    loss.backward()  # type: ignore[no-untyped-call]
    model.after_backward(share)
    optimiser.step()
    optimiser.zero_grad()
    return loss.detach()
