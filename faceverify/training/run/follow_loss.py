"""What follows from the loss where nothing else is said: recipe, batches, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.training.config.data import BY_THE_LOSS, PAIR_SAMPLERS, Batches
from faceverify.training.config.fields import config_error
from faceverify.training.config.files import recipe_names
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.losses import LOSSES, loss_options
from faceverify.training.losses.loss import Loss

OF_THE_LOSS = ("sampler", "images_per_identity")  # in [batches]
OF_FEW_PEOPLE = ("scale", "warm_up")  # options that a recipe chose for the size of its data


def recipe_of(loss: str | None, default: str) -> str:
    """The shipped recipe to begin with for a loss.

    >>> recipe_of("cosface", "small-arcface"), recipe_of("supcon", "small-arcface")
    ('small-cosface', 'small-triplet')

    Args:
        loss: its name; None where none was named.
        default: the recipe of all others.
    """
    if f"small-{loss}" in recipe_names():
        return f"small-{loss}"
    return "small-triplet" if compares_pairs(loss or "") else default


def compares_pairs(loss: str) -> bool:
    """Whether a loss compares images of one person with each other."""
    known: type[Loss] | None = LOSSES.get(loss)
    return known is not None and known.batches == "identities"


def following_loss(
    values: Mapping[str, Any], recipe: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of a run whose loss is not that of its recipe.

    The recipe's way to fill batches is that of its own loss: it is left out where it was not given.
    The scale of margins and its warm-up, chosen for the number of people, are kept.

    Args:
        values: of the recipe, with what was given.
        recipe: its values.
        given: values of the command line.
    """
    name = values.get("loss", {}).get("name")
    old = recipe.get("loss", {})
    if name == old.get("name") or name not in LOSSES:
        return dict(values)
    batches, said = dict(values.get("batches", {})), given.get("batches", {})
    for key in OF_THE_LOSS:
        if said.get(key) is None:
            batches.pop(key, None)
    kept = {}
    if set(OF_FEW_PEOPLE) <= set(loss_options(name)):
        kept = {key: old[key] for key in OF_FEW_PEOPLE if key in old}
    return {**values, "batches": batches, "loss": {**kept, **values["loss"]}}


def settled_batches(
    batches: Batches, loss: str, labels: NDArray[np.int64], processes: int
) -> Batches:
    """The settings of the batches, with what follows from the loss and the people.

    Args:
        batches: as configured.
        loss: its name.
        labels: the person on each image, (N,).
        processes: number of processes, which a batch is shared by.

    Raises:
        TrainingError: a loss of pairs with shuffled batches.
    """
    pairs = compares_pairs(loss)
    sampler = batches.sampler
    if sampler == BY_THE_LOSS:
        sampler = "identities" if pairs else "shuffled"
    if pairs and sampler not in PAIR_SAMPLERS:
        raise config_error(
            f"loss {loss} compares images of one person, which {sampler} batches rarely hold",
            "leave batches.sampler out, or use --set batches.sampler=identities",
        )
    each = batches.images_per_identity or LOSSES.get(loss, Loss).images_per_identity
    size = batches.size
    if sampler == "identities":
        people = int(np.count_nonzero(np.bincount(labels) > 1))
        fitting = [
            number
            for number in range(min(size // each, people), 1, -1)
            if number * each % processes == 0
        ]
        size = fitting[0] * each if fitting else size
    return replace(batches, sampler=sampler, images_per_identity=each, size=size)


def settled_column(column: str, loss: str, face_set: FaceSet) -> str:
    """The column of values that is learned; empty where the people are.

    Raises:
        TrainingError: a loss of values without one, or a loss of people with one.
    """
    values = loss in LOSSES and LOSSES[loss].of_values
    known = list(face_set.columns)
    if values and not column and len(known) == 1:
        return known[0]
    if values and not column:
        raise config_error(
            f"loss {loss} learns a value of each image, and {face_set.source} has "
            f"{len(known) or 'none'}",
            f"use --set data.column={known[0]}" if known else "give the set a labels.csv",
        )
    if column and loss in LOSSES and not values:
        raise config_error(
            f"data.column is {column!r}, and loss {loss} learns people, no values",
            "leave it out, or use --loss log-ratio",
        )
    return column
