"""Evaluation protocols: which comparisons are made, and which estimates are reported.

To add a protocol: a file with a ``Protocol``, a line here, a test, and its name in
``faceverify evaluate --protocol`` (``cli/evaluation_options.py``).
"""

from __future__ import annotations

from faceverify.evaluation.protocols import (
    all_pairs,
    few_shot,
    knn,
    linear,
    pairs,
    representation,
    retrieval,
    templates,
    zero_shot,
)
from faceverify.evaluation.protocols.protocol import Protocol

PROTOCOLS: dict[str, Protocol] = {
    "10fold": pairs.TEN_FOLD,
    "fixed": pairs.FIXED,
    "all": all_pairs.PROTOCOL,
    "retrieval": retrieval.PROTOCOL,
    "knn": knn.PROTOCOL,
    "linear": linear.PROTOCOL,
    "few-shot": few_shot.PROTOCOL,
    "representation": representation.PROTOCOL,
    "templates": templates.PROTOCOL,
    "zero-shot": zero_shot.PROTOCOL,
}
