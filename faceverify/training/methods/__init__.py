"""Methods: how a backbone learns from a batch, by the name in the configuration."""

from __future__ import annotations

import difflib

from faceverify.training.config.fields import config_error
from faceverify.training.methods.method import Method
from faceverify.training.methods.supervised import Supervised

METHODS: dict[str, type[Method]] = {
    "supervised": Supervised,
}


def find_method(name: str) -> type[Method]:
    """Find a method by its name.

    Raises:
        TrainingError: there is none.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        cure = f"did you mean {near[0]}?" if near else f"known: {', '.join(METHODS)}"
        raise config_error(f"unknown method {name!r}", cure)
    return METHODS[name]
