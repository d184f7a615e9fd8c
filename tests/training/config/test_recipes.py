"""Every recipe that ships: it loads, fits its backbone and its loss, and takes a step."""

import math
from pathlib import Path

import pytest
import torch
from generated_people import TINY, write_people

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone
from faceverify.training.config.files import as_dict, overridden, read_recipe, recipe_names
from faceverify.training.config.schema import config_from_dict
from faceverify.training.losses import LOSSES, build_loss
from faceverify.training.metrics_log import read_metrics
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import contract_of, train_model

SIX = ("softmax", "center", "sphereface", "cosface", "arcface", "triplet")
ONE_STEP = {
    "compute": {"device": "cpu", "threads": 1},
    "data": {"workers": 0, "cache": "none"},
    "validation": {"times": 0},
    "budget": {"steps": 1},
}


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"), people=6, images=4, size=112)


def small_batch(values: dict) -> dict:
    """A batch that six people of four images can fill."""
    sizes = {"shuffled": {"size": 4}, "identities": {"size": 8, "images_per_identity": 4}}
    sizes["facenet"] = {"size": 12, "images_per_identity": 3}
    return {"batches": sizes[values.get("batches", {}).get("sampler", "shuffled")]}


def test_each_loss_of_the_lectures_has_a_small_one():
    assert {f"small-{name}" for name in SIX} | {"finetune-default"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_whole(name):
    values = read_recipe(name)
    config = config_from_dict(values)
    assert config_from_dict(as_dict(config)) == config
    pair_loss = LOSSES[config.loss.name].batches == "identities"
    assert pair_loss == (config.batches.sampler in ("identities", "facenet"))
    contract = contract_of(config.backbone, config.data)
    with torch.device("meta"):
        build_backbone(
            config.backbone.name,
            embedding_size=contract.embedding_size,
            size=contract.width,
            **config.backbone.options,
        )
    build_loss(config.loss.name, embedding_size=8, classes=12, **config.loss.options)
    assert name == f"pretrain-{config.method.name}" or config.method.name == "supervised"


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_takes_a_step(name, people, tmp_path):
    values = read_recipe(name)
    if name == "pretrain-mae":
        values = overridden(values, {"data": {"size": 32}})
    elif name != "finetune-default":  # the rest of it, on a net of a second
        neck = {"neck": values["backbone"].get("neck", "fc")}
        tiny = {"backbone": TINY["backbone"] | neck, "data": {"size": 32}}
        values = overridden(values, tiny)
    one_step(values, people, RunFolder(tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_takes_a_step_with_its_own_backbone(name, people, tmp_path):
    run = RunFolder(tmp_path / "run")
    if name.endswith("r100"):  # a hundred layers, whose norms have seen a single batch
        with pytest.raises(TrainingError, match="nothing to export"):
            one_step(read_recipe(name), people, run)
        assert read_metrics(run.metrics)[0]["loss"] > 0
    else:
        one_step(read_recipe(name), people, run)


def captions_of(people: Path) -> Path:
    """A table with a caption for each photo of a folder of people."""
    photos = [path.relative_to(people) for path in sorted(people.rglob("*.png"))]
    table = people / "captions.csv"
    table.write_text("photo,caption\n" + "\n".join(f"{one},{one.parent} once" for one in photos))
    return table


def one_step(values: dict, people: Path, run: RunFolder) -> None:
    changes = overridden(ONE_STEP, {**small_batch(values), "data": {"source": str(people)}})
    if values.get("method", {}).get("name") == "clip":
        changes = overridden(changes, {"data": {"source": str(captions_of(people))}})
    if "method" in values:  # no more than there are photos
        few = {"queue": 8, "prototypes": 8}
        given = {key: few[key] for key in few if key in values["method"]}
        changes = overridden(changes, {"method": given})
    cache = values.get("compute", {}).get("gradient_cache")
    if cache:
        changes = overridden(changes, {"compute": {"gradient_cache": 5}})
    train_model(config_from_dict(overridden(values, changes)), run)
    (line,) = read_metrics(run.metrics)
    assert math.isfinite(line["loss"])
    assert line["loss"] != 0
    assert run.model.is_file()
