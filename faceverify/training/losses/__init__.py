"""Heads: the losses, by the name on the command line."""

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
from faceverify.training.losses.loss import Head
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

HEADS: dict[str, type[Head]] = {
    # softmax over class centres
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
    # pairs of the batch
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


def build_head(name: str, *, embedding_size: int, classes: int, **options: Any) -> Head:
    """Build a head by its name.

    Args:
        name: a key of ``HEADS``.
        embedding_size: D.
        classes: how many identities there are.
        options: keyword arguments of that head's class.

    Raises:
        TrainingError: no such head or option, or an impossible value.
    """
    if name not in HEADS:
        near = difflib.get_close_matches(name, HEADS, n=1)
        cure = f"did you mean {near[0]}?" if near else f"known: {', '.join(HEADS)}"
        raise config_error(f"unknown head {name!r}", cure)
    known = head_options(name)
    kinds = get_type_hints(HEADS[name].__init__)
    for option, value in options.items():
        if option not in known:
            raise config_error(
                f"head {name} has no option {option!r}", f"known: {', '.join(known) or 'none'}"
            )
        _check_kind(name, option, value, kinds[option])
    return HEADS[name](embedding_size=embedding_size, classes=classes, **options)


def head_options(name: str) -> dict[str, Any]:
    """The options of a head, with their defaults."""
    parameters = inspect.signature(HEADS[name]).parameters
    sizes = ("embedding_size", "classes")
    return {key: one.default for key, one in parameters.items() if key not in sizes}


def _check_kind(head: str, option: str, value: Any, kind: Any) -> None:
    kinds = get_args(kind) or (kind,)
    fits = type(value) in kinds or (type(value) is int and float in kinds)
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        words = " or ".join(KINDS[one] for one in kinds if one in KINDS)
        raise config_error(f"head.{option} of {head} is {value!r}, not {words}")
