"""Configurations as TOML: recipes, files, ``--set``; values come back exactly."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.errors import TrainingError
from faceverify.training.config.checked import config_from_dict
from faceverify.training.config.files import (
    as_dict,
    changes_of,
    overridden,
    read_recipe,
    read_toml,
    to_toml,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_a_configuration_written_and_read_is_the_same():
    made = config_from_dict(
        {
            "budget": {"steps": 1},
            "loss": {"name": "arcface", "margin": 0.1, "easy": True, "words": ["a", 'b"\\\n']},
            "data": {"source": "C:\\people\x7f é"},
            "optimiser": {"learning_rate": 0.1 + 0.2},
            "schedule": {"milestones": [1 / 3, 0.5]},
        }
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


def test_changes_lie_over_a_recipe():
    values = {"loss": {"name": "arcface", "margin": 0.5}, "budget": {"epochs": 3.0}}
    changed = overridden(values, changes_of(["budget.steps=7", "loss.margin=0.4", "seed=3"]))
    assert changed == {
        "loss": {"name": "arcface", "margin": 0.4},
        "budget": {"steps": 7},
        "seed": 3,
    }
    other_loss = overridden(values, {"loss": {"name": "softmax"}})
    assert other_loss["loss"] == {"name": "softmax"}


def test_a_word_needs_no_quotes_and_a_missing_sign_is_said():
    assert changes_of(["loss.name=softmax"]) == {"loss": {"name": "softmax"}}
    assert changes_of(["data.source=/a b/c"]) == {"data": {"source": "/a b/c"}}
    with pytest.raises(TrainingError, match="no key=value"):
        changes_of(["loss.name"])
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
