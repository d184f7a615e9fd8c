"""How a model is evaluated: what is compared with what, and which figures come of it.

A new protocol is a file with a ``Protocol``, a line here, and a test; its name is added to those
that ``faceverify evaluate --protocol`` takes (``cli/evaluate.py``).
"""

from __future__ import annotations

from faceverify.evaluation.protocols import all_pairs, pairs, retrieval, templates
from faceverify.evaluation.protocols.protocol import Protocol

PROTOCOLS: dict[str, Protocol] = {
    "10fold": pairs.TEN_FOLD,
    "fixed": pairs.FIXED,
    "all": all_pairs.PROTOCOL,
    "retrieval": retrieval.PROTOCOL,
    "templates": templates.PROTOCOL,
}
