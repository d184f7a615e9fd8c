"""Every recipe that ships: it loads, fits its backbone and its loss, and takes a step."""

import math
import re
from pathlib import Path

import pytest
import torch
from generated_people import TINY, write_people

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone
from faceverify.training.config.checked import config_from_dict
from faceverify.training.config.files import (
    RECIPES,
    as_dict,
    overridden,
    read_recipe,
    recipe_names,
)
from faceverify.training.losses import LOSSES, build_loss
from faceverify.training.methods import METHODS
from faceverify.training.metrics_log import read_metrics
from faceverify.training.run.contract import contract_of
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model

SIX = ("softmax", "center", "sphereface", "cosface", "arcface", "triplet")
EIGHT_GPUS = "-8gpu"
OF_A_BUNDLED_MODEL = ("finetune-default", "pretrain-distil-narrow")
DISTILLATION = "pretrain-distil"
PUBLISHED = (
    "simclr", "moco", "densecl", "instdisc", "swav", "byol", "simsiam", "dino", "barlow", "vicreg",
    "mae",
)  # fmt: skip
TINY_VIT = {"width": 16, "depth": 1, "heads": 2, "embedding_size": 16}
SIDES = {"densecl": 64, "cpc": 112}  # pixels that leave a map, or rows of patches
FEW = {  # no more than there are photos, and heads of a second
    "queue": 8, "prototypes": 8, "noise": 64, "hidden": 32, "projection": 32,
    "decoder_width": 32, "decoder_depth": 1, "decoder_heads": 4,
}  # fmt: skip
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
    if config.method.name != "supervised":
        small = f"pretrain-{config.method.name}"
        ending = EIGHT_GPUS if small != DISTILLATION else "-narrow"
        assert name == small or (name.startswith(f"{small}-") and name.endswith(ending))


@pytest.mark.parametrize("method", PUBLISHED)
def test_each_method_has_its_published_settings_for_eight_gpus(method):
    names = [one for one in recipe_names() if one.startswith(f"pretrain-{method}-")]
    assert [one.endswith(EIGHT_GPUS) for one in names] == [True]
    text = (RECIPES / f"{names[0]}.toml").read_text()
    assert "https://arxiv.org/abs/" in text.splitlines()[0]
    assert re.match(r"# (Section|Table) \d", text.splitlines()[1])
    assert config_from_dict(read_recipe(names[0])).batches.size % 8 == 0


@pytest.mark.parametrize(
    "method", [name for name, one in METHODS.items() if not one.learns_by_loss]
)
def test_each_method_has_a_small_one(method):
    assert config_from_dict(read_recipe(f"pretrain-{method}")).method.name == method


def slow_if_costly(name: str) -> object:
    """Those for eight GPUs, as the small recipe of the method takes a step more often; and
    those of a whole bundled model, which other tests train.
    """
    costly = name.endswith(EIGHT_GPUS) or name in OF_A_BUNDLED_MODEL
    return pytest.param(name, marks=pytest.mark.slow) if costly else name


@pytest.mark.thorough(
    but=(
        "small-arcface",
        "small-triplet",
        "small-center",
        "pretrain-simclr",
        "pretrain-dino",
        "pretrain-mae",
        "pretrain-distil",
        "joined-softmax-simclr",
    )
)
@pytest.mark.parametrize("name", [slow_if_costly(name) for name in recipe_names()])
def test_a_recipe_takes_a_step(name, people, tmp_path):
    values = read_recipe(name)
    own, size = values["backbone"], SIDES.get(values.get("method", {}).get("name"), 32)
    if own["name"] == "vit":
        values = overridden(values, {"data": {"size": size}, "backbone": TINY_VIT})
    elif name not in OF_A_BUNDLED_MODEL:  # the rest of it, on a net of a second
        tiny = TINY["backbone"] | {"neck": own.get("neck", "fc")}
        if own["name"].startswith("lab:"):
            tiny["name"] = f"lab:{tiny['name']}"
        values = overridden(values, {"backbone": tiny, "data": {"size": size}})
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
    if "method" in values:
        own = values["method"]  # a count alone: the noise of autoencoder is a share
        given = {key: few for key, few in FEW.items() if isinstance(own.get(key), int)}
        changes = overridden(changes, {"method": given})
    cache = values.get("compute", {}).get("gradient_cache")
    if cache:
        changes = overridden(changes, {"compute": {"gradient_cache": 5}})
    train_model(config_from_dict(overridden(values, changes)), run)
    (line,) = read_metrics(run.metrics)
    assert math.isfinite(line["loss"])
    assert line["loss"] != 0
    assert run.model.is_file()
