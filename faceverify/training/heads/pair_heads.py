"""The heads that compare embeddings with each other, by the name on the command line.

They see the batch of all processes (:class:`~faceverify.training.heads.head.Head` gathers it, with
its gradient), so that pairs are not lost between processes.
"""

from __future__ import annotations

from faceverify.training.heads.contrastive import Contrastive
from faceverify.training.heads.head import Head
from faceverify.training.heads.lifted import Lifted
from faceverify.training.heads.log_ratio import LogRatio
from faceverify.training.heads.magnet import Magnet
from faceverify.training.heads.npair import NPair
from faceverify.training.heads.proxy_anchor import ProxyAnchor
from faceverify.training.heads.quadruplet import Quadruplet
from faceverify.training.heads.supcon import SupCon
from faceverify.training.heads.triplet import Triplet

PAIR_HEADS: dict[str, type[Head]] = {
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
