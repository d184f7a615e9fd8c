"""The backbone of a run follows from the weights that it begins with."""

import pytest
import torch

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone
from faceverify.training.run.follow_weights import following_weights

RECIPE = {"backbone": {"name": "resnet18", "stem": "original", "width": 32, "embedding_size": 128}}


def begun(init, **own):
    backbone = RECIPE["backbone"] | {"init": str(init), "imprint": 3} | own
    return following_weights({"seed": 1, "backbone": backbone}, {"backbone": {"init": str(init)}})


@pytest.mark.thorough
def test_the_bundled_model():
    assert begun("dlib-resnet29") == {
        "seed": 1,
        "backbone": {
            "name": "resnet29", "embedding_size": 128, "init": "dlib-resnet29", "imprint": 3,
        },
    }  # fmt: skip


@pytest.mark.thorough(but=("mobilefacenet",))
@pytest.mark.parametrize("name", ["mobilefacenet", "iresnet18"])
def test_weights_alone(tmp_path, name):
    net = build_backbone(name, embedding_size=512)
    torch.save({"state_dict": net.state_dict()}, tmp_path / "weights.pth")
    assert begun(tmp_path / "weights.pth")["backbone"]["name"] == name


@pytest.mark.parametrize("part", ["", "model.pth", "checkpoints/step.pth"])
def test_a_run_knows_the_options_of_its_backbone(tmp_path, part):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    options = {"name": "resnet18", "stem": "original", "width": 4, "embedding_size": 16}
    (run / "config.toml").write_text(
        '[backbone]\nname = "resnet18"\nstem = "original"\nwidth = 4\nembedding_size = 16\n'
        'init = "other"\nimprint = 0\n'
    )
    place = run / (part or "weights.pth")
    torch.save(build_backbone(**options).state_dict(), place)
    assert begun(place)["backbone"] == options | {"init": str(place), "imprint": 3}


def test_a_backbone_that_was_named_or_fits_stays():
    values = {"backbone": RECIPE["backbone"] | {"init": "dlib-resnet29"}}
    assert following_weights(values, {"backbone": {"name": "resnet18"}}) == values
    own = {"backbone": {"name": "resnet29", "embedding_size": 128, "init": "dlib-resnet29"}}
    assert following_weights(own, {}) == own
    assert following_weights(RECIPE, {}) == RECIPE


@pytest.mark.thorough
def test_weights_of_no_backbone_are_left_to_be_refused(tmp_path):
    torch.save({"state_dict": {"x": torch.zeros(2)}}, tmp_path / "weights.pth")
    assert begun(tmp_path / "weights.pth")["backbone"]["name"] == "resnet18"
    with pytest.raises(TrainingError):
        begun(tmp_path / "missing.pth")
