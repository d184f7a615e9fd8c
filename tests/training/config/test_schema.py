"""The configuration: limits, nearest keys, values that exclude each other."""

import dataclasses
import math
import re
from pathlib import Path

import pytest

from faceverify.errors import TrainingError
from faceverify.training.config.checked import config_from_dict
from faceverify.training.config.files import (
    recipe_names,
)
from faceverify.training.config.schema import Config

ONE_STEP = {"budget": {"steps": 1}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"los": {"name": "arcface"}}, "unknown key los; did you mean loss?"),
        ({"optimiser": {"learning_rat": 1}}, "did you mean optimiser.learning_rate?"),
        (
            {"data": {"learning_rate": 1}},
            "unknown key data.learning_rate; did you mean optimiser.learning_rate?",
        ),
        ({"optimiser": {"learning_rate": 0}}, "optimiser.learning_rate is 0, not above 0"),
        ({"optimiser": {"learning_rate": "fast"}}, "is 'fast', not a number"),
        ({"optimiser": {"learning_rate": math.nan}}, "not a number"),
        ({"optimiser": {"name": "sdg"}}, "not one of sgd, adamw, lars, muon; did you mean sgd?"),
        ({"batches": {"size": 12.5}}, "batches.size is 12.5, not a whole number"),
        ({"batches": {"size": True}}, "batches.size is True, not a whole number"),
        ({"augmentation": {"flip": 1.5}}, "augmentation.flip is 1.5, not at most 1"),
        ({"compute": {"channels_last": 1}}, "compute.channels_last is 1, not true or false"),
        ({"schedule": {"milestones": [0.5, 2]}}, "schedule.milestones is 2, not at most 1"),
        ({"schedule": {"milestones": [0.9, 0.5]}}, "do not rise"),
        ({"average": {"initial": 0.5}}, "no weights are given to begin with"),
        ({"loss": 3}, "loss is 3, not a section of keys"),
        ({"loss": {"margin": math.inf}}, "loss.margin is inf, not a finite number"),
        ({"budget": {"epochs": 3}}, "found budget.epochs and budget.steps, expected one"),
        (
            {"batches": {"sampler": "identities", "size": 130, "images_per_identity": 4}},
            "no multiple of batches.images_per_identity, 4",
        ),
        ({"batches": {"images_per_identity": 1}}, "images_per_identity is 1, no pair"),
        ({"compute": {"accumulate": 3}}, "no multiple of compute.accumulate, 3"),
        (
            {"compute": {"accumulate": 2}, "batches": {"sampler": "identities"}},
            "use compute.gradient_cache",
        ),
        ({"compute": {"device": "cpu", "precision": "float16"}}, "float16 needs a GPU"),
        ({"seed": -1}, "seed is -1, not at least 0"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_key(values, said):
    merged = {**ONE_STEP, **values}
    if "budget" in values:
        merged["budget"] = {**ONE_STEP["budget"], **values["budget"]}
    with pytest.raises(TrainingError) as refused:
        config_from_dict(merged)
    assert said in str(refused.value)
    assert refused.value.code == "training-config"


def test_no_budget_is_refused():
    with pytest.raises(TrainingError, match="no budget, expected one of"):
        config_from_dict({})


def test_every_setting_says_what_it_decides():
    for section in dataclasses.fields(Config):
        if dataclasses.is_dataclass(section.default_factory):
            for field in dataclasses.fields(section.default_factory):
                assert "text" in field.metadata, f"{section.name}.{field.name}"


def test_every_setting_that_the_guide_names_exists():
    from faceverify.training.config.schema import known_keys
    from faceverify.training.losses import LOSSES, loss_options

    guide = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    known = {*known_keys(), *(f"loss.{one}" for name in LOSSES for one in loss_options(name))}
    sections = "|".join(sorted({key.partition(".")[0] for key in known_keys() if "." in key}))
    named = set(re.findall(rf"(?:`|--set )((?:{sections})\.[a-z_]+)", guide))
    assert len(named) > 15
    assert named <= known
    recipes = set(re.findall(r"--recipe ([a-z0-9-]+)[\s`]", guide))
    assert recipes <= set(recipe_names())
