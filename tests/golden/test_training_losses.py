"""Losses of 20 steps of a margin, a pair-based, a center loss and a fine-tuning recipe."""

import json

import pytest
from generated_people import write_people

pytest.importorskip("torch", reason="needs the train extra")

# A small net on generated people, in float32. The steps are small, too: at the recipes' own rates a
# difference in the last bit of a float has grown to 20 % of the loss after 20 steps.
SMALL = (
    "data.size=32", "data.workers=0", "data.cache=none", "batches.size=16", "validation.times=0",
    "backbone.name=resnet18", "backbone.stem=original", "backbone.width=8",
    "backbone.embedding_size=16", "compute.device=cpu", "compute.precision=float32",
    "compute.threads=1", "log.steps=1",
)  # fmt: skip
RECIPES = {
    "small-arcface": 3e-3,
    "small-triplet": 1e-4,
    "small-center": 3e-3,
    "finetune-default": 1e-5,  # goes on from the model of the first
}
# With AVX-512 and with AVX2 they differ by up to 1e-4; a margin off by 0.01 moves them by 2e-3.
TOLERANCES = {"": 1e-3}


@pytest.mark.thorough
def test_losses_are_those_that_were_written_down(run, place, golden):
    write_people(place / "faces", people=12, images=8)
    found = {}
    for recipe, rate in RECIPES.items():
        settings = [word for one in SMALL for word in ("--set", one)]
        if recipe.startswith("finetune"):
            settings += ["--init", "runs/small-arcface/model.onnx"]
        ran = run(
            "train", "faces", "--recipe", recipe, *settings,
            "--steps", 20, "--learning-rate", rate, "--json", "--quiet",
        )  # fmt: skip
        assert ran.status == 0, ran.err
        log = (place / "runs" / recipe / "metrics.jsonl").read_text()
        steps = [one["loss"] for one in map(json.loads, log.splitlines()) if "loss" in one]
        found[recipe] = [float(f"{loss:.7g}") for loss in steps]
    golden("training_losses", found, TOLERANCES)
