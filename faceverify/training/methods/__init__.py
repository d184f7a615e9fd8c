"""Learning methods, by the ``name`` in the section ``[method]`` of the configuration."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from faceverify.training.config.fields import config_error
from faceverify.training.losses.loss import Loss
from faceverify.training.methods.method import Method
from faceverify.training.methods.supervised import Supervised

METHODS: dict[str, type[Method]] = {
    "supervised": Supervised,
}


def build_method(name: str, *, embedding_size: int, loss: Callable[[], Loss]) -> Method:
    """Build a method by its name.

    Args:
        name: a key of ``METHODS``.
        embedding_size: D of the backbone.
        loss: builds the configured loss, for a method that learns from labels.

    Raises:
        TrainingError: unknown method, or a loss that cannot be built.
    """
    build: Callable[..., Method] = find_method(name)
    labelled = find_method(name).needs_labels
    return build(loss=loss()) if labelled else build(embedding_size=embedding_size)


def find_method(name: str) -> type[Method]:
    """Class of a method, by its name.

    Raises:
        TrainingError: unknown method.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        cure = f"did you mean {near[0]}?" if near else f"known: {', '.join(METHODS)}"
        raise config_error(f"unknown method {name!r}", cure)
    return METHODS[name]
