"""Losses for supervised training, by the name that ``--loss`` takes."""

from __future__ import annotations

import difflib
import inspect
import math
from typing import Any, get_args, get_type_hints

from faceverify.training.config.fields import config_error
from faceverify.training.losses.adaface import AdaFace
from faceverify.training.losses.arcface import ArcFace
from faceverify.training.losses.center import Center
from faceverify.training.losses.contrastive import Contrastive
from faceverify.training.losses.cosface import CosFace
from faceverify.training.losses.curricularface import CurricularFace
from faceverify.training.losses.lifted import Lifted
from faceverify.training.losses.log_ratio import LogRatio
from faceverify.training.losses.loss import Loss
from faceverify.training.losses.lsoftmax import LSoftmax
from faceverify.training.losses.magface import MagFace
from faceverify.training.losses.magnet import Magnet
from faceverify.training.losses.normface import NormFace
from faceverify.training.losses.npair import NPair
from faceverify.training.losses.proxy_anchor import ProxyAnchor
from faceverify.training.losses.proxy_nca import ProxyNca
from faceverify.training.losses.quadruplet import Quadruplet
from faceverify.training.losses.softmax import Softmax
from faceverify.training.losses.sphereface import SphereFace
from faceverify.training.losses.sphereface_r import SphereFaceR
from faceverify.training.losses.supcon import SupCon
from faceverify.training.losses.triplet import Triplet

LOSSES: dict[str, type[Loss]] = {
    # classification: softmax over class centres
    "softmax": Softmax,
    "normface": NormFace,
    "coco": NormFace,
    "center": Center,
    "lsoftmax": LSoftmax,
    "sphereface": SphereFace,
    "sphereface-r": SphereFaceR,
    "cosface": CosFace,
    "arcface": ArcFace,
    "adaface": AdaFace,
    "curricularface": CurricularFace,
    "magface": MagFace,
    "proxy-nca": ProxyNca,
    # metric learning: pairs and triplets of the batch
    "contrastive": Contrastive,
    "triplet": Triplet,
    "quadruplet": Quadruplet,
    "npair": NPair,
    "lifted": Lifted,
    "proxy-anchor": ProxyAnchor,
    "magnet": Magnet,
    "log-ratio": LogRatio,
    "supcon": SupCon,
}

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def build_loss(name: str, *, embedding_size: int, classes: int, **options: Any) -> Loss:
    """Build a loss from its name and options.

    Args:
        name: a key of ``LOSSES``.
        embedding_size: D, length of an embedding.
        classes: C, number of identities.
        options: keyword arguments of the loss.

    Raises:
        TrainingError: unknown loss or option, or a value out of range.
    """
    if name not in LOSSES:
        near = difflib.get_close_matches(name, LOSSES, n=1)
        cure = f"did you mean {near[0]}?" if near else f"known: {', '.join(LOSSES)}"
        raise config_error(f"unknown loss {name!r}", cure)
    known = loss_options(name)
    kinds = get_type_hints(LOSSES[name].__init__)
    for option, value in options.items():
        if option not in known:
            raise config_error(
                f"loss {name} has no option {option!r}", f"known: {', '.join(known) or 'none'}"
            )
        check_kind("loss", name, option, value, kinds[option])
    return LOSSES[name](embedding_size=embedding_size, classes=classes, **options)


def loss_options(name: str) -> dict[str, Any]:
    """Options of a loss and their default values."""
    parameters = inspect.signature(LOSSES[name]).parameters
    sizes = ("embedding_size", "classes")
    return {key: one.default for key, one in parameters.items() if key not in sizes}


def check_kind(section: str, name: str, option: str, value: Any, kind: Any) -> None:
    """Check the type of an option of a loss or a method.

    Args:
        section: of the configuration.
        name: of the loss or method.
        option: its key.
        value: what was given.
        kind: the annotation of the argument.

    Raises:
        TrainingError: the value is of another type, or not finite.
    """
    kinds = get_args(kind) or (kind,)
    fits = type(value) in kinds or (type(value) is int and float in kinds)
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        words = " or ".join(KINDS[one] for one in kinds if one in KINDS)
        raise config_error(f"{section}.{option} of {name} is {value!r}, not {words}")
