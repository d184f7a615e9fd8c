"""Backbones: networks that turn crops into raw embeddings, (N, 3, size, size) to (N, D).

Their top-level modules are their stages, from input to output: freezing (``optim/freezing.py``) and
layer decay (``optim/optimisers.py``) use their names.

A backbone with feature maps has two methods beside: ``maps``, crops to features, (N, C, h, w), and
``from_maps``, those to embeddings; the one after the other is the backbone.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

from torch import nn

from faceverify.faces.alignment import FACENET_160, BoxCrop, FivePoints, named_alignment
from faceverify.models.contract import Contract
from faceverify.training.backbones import resnet29 as bundled
from faceverify.training.backbones.facenet import inception_resnet_v1
from faceverify.training.backbones.iresnet import iresnet
from faceverify.training.backbones.lab import lab
from faceverify.training.backbones.mobilefacenet import mobilefacenet
from faceverify.training.backbones.mobilenet import mobilenet
from faceverify.training.backbones.resnet import resnet
from faceverify.training.backbones.resnet29 import resnet29
from faceverify.training.backbones.timm import timm_backbone
from faceverify.training.backbones.vit import vit
from faceverify.training.config.fields import config_error

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "resnet18": partial(resnet, 18),
    "resnet34": partial(resnet, 34),
    "resnet50": partial(resnet, 50),
    "iresnet18": partial(iresnet, 18),
    "iresnet34": partial(iresnet, 34),
    "iresnet50": partial(iresnet, 50),
    "iresnet100": partial(iresnet, 100),
    "iresnet200": partial(iresnet, 200),
    "mobilefacenet": mobilefacenet,
    "mobilenet": mobilenet,
    "resnet29": resnet29,
    "vit": vit,
    "facenet:inception-resnet-v1": inception_resnet_v1,
}
TIMM = "timm:"
LAB = "lab:"  # two encoders of the backbone named after it


def build_backbone(name: str, *, embedding_size: int, size: int = 112, **options: Any) -> nn.Module:
    """Build a backbone with random weights.

    Args:
        name: a key of ``BACKBONES``, or ``timm:NAME``, or ``lab:`` before either.
        embedding_size: numbers in an embedding.
        size: side of a crop, in pixels.
        options: of that backbone, such as ``stem``, ``neck``, ``dropout``.

    Returns:
        A module from (N, 3, size, size), normalised, to (N, embedding size), not normalised.

    Raises:
        TrainingError: there is no such backbone, option or value.
    """
    build = builder(name)
    accepted = signature(build).parameters.values()
    known = [item.name for item in accepted if item.kind is item.KEYWORD_ONLY][2:]
    if not any(item.kind is item.VAR_KEYWORD for item in accepted):
        for option in options:
            if option not in known:
                raise config_error(
                    f"unknown key backbone.{option}: {name} has no such option",
                    f"known: {', '.join(known) or 'none'}",
                )
    return build(embedding_size=embedding_size, size=size, **options)


def builder(name: str) -> Callable[..., nn.Module]:
    """Find the function that builds a backbone.

    Raises:
        TrainingError: there is no such backbone.
    """
    if name.startswith(TIMM):
        return partial(timm_backbone, name.removeprefix(TIMM))
    if name.startswith(LAB):
        encoder = name.removeprefix(LAB)
        builder(encoder)
        return partial(lab, partial(build_backbone, encoder))
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=2)
        cure = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(BACKBONES)}"
        raise config_error(f"no backbone {name!r}", f"{cure} (or timm:NAME)")
    return BACKBONES[name]


def contract_for(
    name: str,
    *,
    embedding_size: int | None = None,
    size: int = 112,
    alignment: str = "arcface-112",
    flip_average: bool = True,
) -> Contract:
    """Preprocessing contract of a backbone trained on a set of crops.

    The contract has the alignment of the crops. Only ``resnet29`` keeps the alignment of its
    weights: crops of another alignment are warped to it (``epochs.frame_of``).

    Args:
        name: of the backbone.
        embedding_size: numbers in an embedding; None for the backbone's own.
        size: side of the crops, in pixels.
        alignment: alignment of the crops: one of ``faceverify align --alignment``.
        flip_average: whether a model adds the embedding of the mirrored crop.

    Raises:
        TrainingError: no such backbone.
        UsageError: no such alignment.
    """
    builder(name)
    if name == "resnet29":
        return bundled.CONTRACT
    cut: FivePoints | BoxCrop = FACENET_160
    if alignment != "facenet-160":
        cut, size = named_alignment(alignment, size)
    return Contract(
        width=size,
        height=size,
        colour_order="RGB",
        mean=(127.5,) * 3,
        scale=(128.0 if name.startswith("facenet:") else 127.5,) * 3,
        alignment=cut,
        embedding_size=embedding_size or 512,
        flip_average=flip_average,
    )
