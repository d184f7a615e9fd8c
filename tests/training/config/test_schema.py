"""The configuration: limits, nearest keys, TOML that comes back exactly."""

import dataclasses
import math
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.errors import TrainingError
from faceverify.training.config.files import (
    as_dict,
    changes_of,
    overridden,
    read_recipe,
    read_toml,
    recipe_names,
    to_toml,
)
from faceverify.training.config.schema import Config, config_from_dict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ONE_STEP = {"budget": {"steps": 1}}


def config(**changes) -> Config:
    return config_from_dict(overridden(ONE_STEP, changes))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hed": {"name": "arcface"}}, "unknown key hed; did you mean head?"),
        ({"optimiser": {"learning_rat": 1}}, "did you mean optimiser.learning_rate?"),
        (
            {"data": {"learning_rate": 1}},
            "unknown key data.learning_rate; did you mean optimiser.learning_rate?",
        ),
        ({"optimiser": {"learning_rate": 0}}, "optimiser.learning_rate is 0, not above 0"),
        ({"optimiser": {"learning_rate": "fast"}}, "is 'fast', not a number"),
        ({"optimiser": {"learning_rate": math.nan}}, "not a number"),
        ({"optimiser": {"name": "sdg"}}, "not one of sgd, adamw; did you mean sgd?"),
        ({"batches": {"size": 12.5}}, "batches.size is 12.5, not a whole number"),
        ({"batches": {"size": True}}, "batches.size is True, not a whole number"),
        ({"augmentation": {"flip": 1.5}}, "augmentation.flip is 1.5, not at most 1"),
        ({"compute": {"channels_last": 1}}, "compute.channels_last is 1, not true or false"),
        ({"schedule": {"milestones": [0.5, 2]}}, "schedule.milestones is 2, not at most 1"),
        ({"schedule": {"milestones": [0.9, 0.5]}}, "do not rise"),
        ({"average": {"initial": 0.5}}, "no weights are given to begin with"),
        ({"head": 3}, "head is 3, not a section of keys"),
        ({"head": {"margin": math.inf}}, "head.margin is inf, not a finite number"),
        ({"budget": {"epochs": 3}}, "found budget.epochs and budget.steps, expected one"),
        (
            {"batches": {"sampler": "identities", "size": 130}},
            "no multiple of batches.images_per_identity, 4",
        ),
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


def test_a_configuration_written_and_read_is_the_same():
    made = config(
        head={"name": "arcface", "margin": 0.1, "easy": True, "words": ["a", 'b"\\\n']},
        data={"source": "C:\\people\x7f é"},
        optimiser={"learning_rate": 0.1 + 0.2},
        schedule={"milestones": [1 / 3, 0.5]},
    )
    assert config_from_dict(tomllib.loads(to_toml(as_dict(made)))) == made


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=("Cs",))),
    st.integers(-(2**63), 2**63 - 1),
)
def test_values_come_back_exactly(number, text, count):
    values = {"a": {"number": number, "text": text, "count": count, "list": [number, text]}}
    assert tomllib.loads(to_toml(values)) == values


def test_every_setting_says_what_it_decides():
    for section in dataclasses.fields(Config):
        if dataclasses.is_dataclass(section.default_factory):
            for field in dataclasses.fields(section.default_factory):
                assert "text" in field.metadata, f"{section.name}.{field.name}"


def test_changes_lie_over_a_recipe():
    values = {"head": {"name": "arcface", "margin": 0.5}, "budget": {"epochs": 3.0}}
    changed = overridden(values, changes_of(["budget.steps=7", "head.margin=0.4", "seed=3"]))
    assert changed == {
        "head": {"name": "arcface", "margin": 0.4},
        "budget": {"steps": 7},
        "seed": 3,
    }
    other_head = overridden(values, {"head": {"name": "softmax"}})
    assert other_head["head"] == {"name": "softmax"}


def test_a_word_needs_no_quotes_and_a_missing_sign_is_said():
    assert changes_of(["head.name=softmax"]) == {"head": {"name": "softmax"}}
    assert changes_of(["data.source=/a b/c"]) == {"data": {"source": "/a b/c"}}
    with pytest.raises(TrainingError, match="no key=value"):
        changes_of(["head.name"])
    with pytest.raises(TrainingError, match="seed is a value and no section"):
        changes_of(["seed=3", "seed.x=4"])


def test_files_that_are_no_recipe(tmp_path):
    (tmp_path / "torn.toml").write_text("seed = ")
    with pytest.raises(TrainingError, match=r"torn.toml: no TOML"):
        read_toml(tmp_path / "torn.toml")
    with pytest.raises(TrainingError, match="No such file"):
        read_recipe(str(tmp_path / "none.toml"))
    with pytest.raises(TrainingError, match="no recipe 'no-such'"):
        read_recipe("no-such")


def test_every_setting_that_the_guide_names_exists():
    from faceverify.training.config.schema import known_keys
    from faceverify.training.losses import HEADS, head_options

    guide = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    known = {*known_keys(), *(f"head.{one}" for name in HEADS for one in head_options(name))}
    sections = "|".join(sorted({key.partition(".")[0] for key in known_keys() if "." in key}))
    named = set(re.findall(rf"(?:`|--set )((?:{sections})\.[a-z_]+)", guide))
    assert len(named) > 15
    assert named <= known
    recipes = set(re.findall(r"--recipe ([a-z0-9-]+)[\s`]", guide))
    assert recipes <= set(recipe_names())
