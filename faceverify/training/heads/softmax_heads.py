"""The heads with class centres, by the name on the command line."""

from __future__ import annotations

from faceverify.training.heads.adaface import AdaFace
from faceverify.training.heads.arcface import ArcFace
from faceverify.training.heads.center import Center
from faceverify.training.heads.cosface import CosFace
from faceverify.training.heads.curricularface import CurricularFace
from faceverify.training.heads.head import Head
from faceverify.training.heads.lsoftmax import LSoftmax
from faceverify.training.heads.magface import MagFace
from faceverify.training.heads.normface import NormFace
from faceverify.training.heads.proxy_nca import ProxyNca
from faceverify.training.heads.softmax import Softmax
from faceverify.training.heads.sphereface import SphereFace
from faceverify.training.heads.sphereface_r import SphereFaceR

SOFTMAX_HEADS: dict[str, type[Head]] = {
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
}
