"""Heads: the losses, by the name on the command line."""

from __future__ import annotations

import difflib
import inspect
import math
from typing import Any, get_args, get_type_hints

from faceverify.training.heads.head import Head
from faceverify.training.heads.pair_heads import PAIR_HEADS
from faceverify.training.heads.softmax_heads import SOFTMAX_HEADS
from faceverify.training.settings import config_error

HEADS: dict[str, type[Head]] = SOFTMAX_HEADS | PAIR_HEADS

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
    own = {key: one.default for key, one in parameters.items()}
    return {key: own[key] for key in own if key not in ("embedding_size", "classes")}


def _check_kind(head: str, option: str, value: Any, kind: Any) -> None:
    kinds = get_args(kind) or (kind,)
    fits = type(value) in kinds or (type(value) is int and float in kinds)
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        words = " or ".join(KINDS[one] for one in kinds if one in KINDS)
        raise config_error(f"head.{option} of {head} is {value!r}, not {words}")
