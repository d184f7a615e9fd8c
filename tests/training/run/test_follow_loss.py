"""What follows from the loss: each is learned by its name alone; what was said stays."""

import numpy as np
import pytest
from generated_people import tiny_config, write_people

from faceverify.errors import TrainingError
from faceverify.training.config.checked import config_from_dict
from faceverify.training.config.data import Batches
from faceverify.training.config.files import overridden, read_recipe, recipe_names
from faceverify.training.losses import LOSSES
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.follow_loss import following_loss, recipe_of, settled_batches
from faceverify.training.run.train import train_model

PAIRS = [name for name, loss in LOSSES.items() if loss.batches == "identities"]
LABELS = np.repeat(np.arange(10), 5)


@pytest.mark.parametrize("name", LOSSES)
def test_the_name_of_a_loss_is_enough(name):
    """What `train people --loss NAME` makes of it."""
    began = read_recipe(recipe_of(name, "small-arcface"))
    given = {"loss": {"name": name}}
    config = config_from_dict(following_loss(overridden(began, given), began, given))
    settled = settled_batches(config.batches, name, LABELS, 1)
    assert settled.sampler == ("identities" if name in PAIRS else "shuffled")
    if name in PAIRS:
        people, rest = divmod(settled.size, settled.images_per_identity)
        assert (people, rest) == (10, 0)
        assert config.optimiser.name == "adamw"
    else:
        assert settled.size == 128


@pytest.mark.thorough(but=("triplet",))
@pytest.mark.parametrize("name", PAIRS)
def test_every_loss_of_pairs_learns_a_step(tmp_path, name):
    people = write_people(tmp_path / "people")
    config = tiny_config(people, loss={"name": name}, budget={"steps": 1})
    said = []
    train_model(config, run := RunFolder(tmp_path / "run"), say=said.append)
    each = 2 if name == "npair" else 4
    kept = run.read_config().batches
    assert (kept.sampler, kept.images_per_identity) == ("identities", each)
    assert kept.size == min(16 // each, 6) * each


@pytest.mark.parametrize("recipe", [one for one in recipe_names() if "loss" in read_recipe(one)])
@pytest.mark.parametrize("name", ["npair", "arcface", "magface"])
def test_a_recipe_of_another_loss_keeps_nothing_that_is_of_its_own(recipe, name):
    began = read_recipe(recipe)
    given = {"loss": {"name": name}}
    values = following_loss(overridden(began, given), began, given)
    if began.get("loss", {}).get("name") == name:  # pre-training has none
        assert values == began
        return
    config = config_from_dict(values)
    settled = settled_batches(config.batches, name, LABELS, 1)
    assert settled.sampler == ("identities" if name == "npair" else "shuffled")
    assert settled.images_per_identity == (2 if name == "npair" else 4)


def test_a_margin_keeps_the_scale_that_few_people_want():
    began = read_recipe("small-arcface")
    for given, kept in (
        ({"loss": {"name": "adaface"}}, {"name": "adaface", "scale": 16.0, "warm_up": 0.5}),
        ({"loss": {"name": "adaface", "scale": 30.0}},
         {"name": "adaface", "scale": 30.0, "warm_up": 0.5}),
        ({"loss": {"name": "proxy-anchor"}}, {"name": "proxy-anchor"}),
    ):  # fmt: skip
        assert following_loss(overridden(began, given), began, given)["loss"] == kept


def test_what_was_said_stays():
    began = read_recipe("small-arcface")
    given = {"loss": {"name": "triplet"}, "batches": {"sampler": "facenet", "size": 40}}
    values = following_loss(overridden(began, given), began, given)
    assert values["batches"] == {"sampler": "facenet", "size": 40}
    settled = settled_batches(Batches(sampler="facenet", size=40), "triplet", LABELS, 1)
    assert (settled.sampler, settled.size) == ("facenet", 40)
    with pytest.raises(TrainingError, match="rarely hold; leave batches"):
        settled_batches(Batches(sampler="balanced"), "triplet", LABELS, 1)


def test_processes_share_the_batch():
    for processes in (1, 2, 4, 8):
        settled = settled_batches(Batches(), "triplet", LABELS, processes)
        assert settled.size == {1: 40, 2: 40, 4: 40, 8: 40}[processes]
    assert settled_batches(Batches(), "npair", LABELS, 8).size == 16  # 8 people, two images each


def test_values_are_learned_from_the_only_column(tmp_path):
    people = write_people(tmp_path / "people", people=4, images=4)
    photos = [f"{path.parent.name}/{path.name}" for path in sorted(people.glob("*/*.png"))]
    rows = [f"{photo},{index % 7}" for index, photo in enumerate(photos)]
    (people / "labels.csv").write_text("\n".join(["path,age", *rows]))
    config = tiny_config(people, loss={"name": "log-ratio"}, budget={"steps": 1})
    train_model(config, run := RunFolder(tmp_path / "run"))
    assert run.read_config().data.column == "age"
    with pytest.raises(TrainingError, match="learns people, no values"):
        train_model(tiny_config(people, data={"column": "age"}), RunFolder(tmp_path / "other"))
    (people / "labels.csv").write_text(
        "\n".join(["path,age,pose", *(f"{row},{index}" for index, row in enumerate(rows))])
    )
    with pytest.raises(TrainingError, match=r"has 2; use --set data\.column=age"):
        train_model(config, RunFolder(tmp_path / "two"))
