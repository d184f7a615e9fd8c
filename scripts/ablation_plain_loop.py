"""The loop that pytorch-metric-learning's documentation would have one write, for the ablation.

The same backbone, data, batch size and minutes as ours; torchvision's ImageFolder, flips, Adam, the
library's loss with its published margin. It validates as often as ours, and keeps the best. As with
ours, its first steps and a validation are timed, and minutes become steps.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from pytorch_metric_learning import losses, miners, samplers
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from faceverify.embeddings.cache import cache_folder
from faceverify.models.model_file import Provenance
from faceverify.training.backbones import build_backbone, contract_for
from faceverify.training.config.checked import config_from_dict
from faceverify.training.config.files import read_recipe
from faceverify.training.export.embed_crops import embed_crops
from faceverify.training.export.export import export_model
from faceverify.training.loop import evenly_spaced
from faceverify.training.run.validation import PairResults, pair_results, set_of_list

TIMES = 8
FIRST, TIMED = 2, 12  # steps: the first ones find memory
LAST_TENTH = 0.8  # of the steps, after which the learning rate is a tenth


class CenterLoss(nn.Module):
    """The library has none: the usual one, whose centres the optimiser moves."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.softmax = nn.Linear(size, classes)
        self.centres = nn.Parameter(torch.randn(classes, size))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy and 0.003 / 2 times the squared distance to the centre."""
        apart = (embeddings - self.centres[labels]).square().sum(dim=1).mean()
        return nn.functional.cross_entropy(self.softmax(embeddings), labels) + 0.0015 * apart


class Softmax(nn.Module):
    """Cross-entropy of a dense layer."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(size, classes)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The mean over the batch."""
        return nn.functional.cross_entropy(self.dense(embeddings), labels)


def loss_of(name: str, classes: int, size: int) -> nn.Module:
    """The library's loss, as it comes."""
    if name == "softmax":
        return Softmax(classes, size)
    if name == "center":
        return CenterLoss(classes, size)
    made: nn.Module = {
        "sphereface": lambda: losses.SphereFaceLoss(classes, size),
        "cosface": lambda: losses.CosFaceLoss(classes, size),
        "arcface": lambda: losses.ArcFaceLoss(classes, size),
        "triplet": lambda: losses.TripletMarginLoss(margin=0.2),
    }[name]()
    return made


def main() -> None:
    """Train for some minutes and write the model file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("loss")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--validate", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    torch.set_num_threads(asked.threads)
    recipe = config_from_dict(read_recipe(f"small-{asked.loss}"))
    size = recipe.backbone.embedding_size
    contract = contract_for(recipe.backbone.name, embedding_size=size, size=recipe.data.size)
    judged = set_of_list(
        asked.validate, contract, images=asked.images, cache=cache_folder() / "training"
    )
    plain = replace(contract, flip_average=False)  # as ours does it between steps
    began = time.monotonic()  # what follows is the budget
    data = datasets.ImageFolder(
        asked.data,
        transforms.Compose(
            [
                transforms.Resize(recipe.data.size),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        ),
    )
    triplet = asked.loss == "triplet"
    sampler = samplers.MPerClassSampler(data.targets, 4, 128, len(data)) if triplet else None
    loader = DataLoader(data, 128, shuffle=not triplet, sampler=sampler, drop_last=True)
    miner = miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard") if triplet else None
    backbone = build_backbone(
        recipe.backbone.name,
        embedding_size=size,
        size=recipe.data.size,
        **recipe.backbone.options,
    )
    criterion = loss_of(asked.loss, len(data.classes), size)
    optimiser = torch.optim.Adam([*backbone.parameters(), *criterion.parameters()], lr=1e-3)

    def validated() -> PairResults:
        return pair_results(judged, embed_crops(backbone, judged.crops, plain))

    best, kept, step, steps = -1.0, None, 0, FIRST + TIMED + 1
    while step < steps:
        for images, labels in loader:
            if step == FIRST:
                timed = time.monotonic()
            if step == FIRST + TIMED:
                seconds = (time.monotonic() - timed) / TIMED
                validated()
                validation = time.monotonic() - timed - TIMED * seconds
                left = 60 * asked.minutes - (time.monotonic() - began) - TIMES * validation
                steps = step + round(left / seconds)
                print(f"{steps} steps of {seconds:.2f} s fit", flush=True)
            step += 1
            for group in optimiser.param_groups:
                group["lr"] = 1e-3 if step < LAST_TENTH * steps else 1e-4
            embeddings = backbone(images)
            mined = (miner(embeddings, labels),) if miner else ()
            loss = criterion(embeddings, labels, *mined)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step in evenly_spaced(steps, TIMES) and step > FIRST + TIMED:
                results = validated()
                print(f"{step}  loss {loss.item():.3f}  {results.as_dict()}", flush=True)
                if (results.accuracy or 0) >= best:
                    best = results.accuracy or 0
                    kept = {key: value.clone() for key, value in backbone.state_dict().items()}
            if step == steps:
                break
    assert kept is not None
    backbone.load_state_dict(kept)
    asked.out.mkdir(parents=True, exist_ok=True)
    export_model(
        backbone,
        asked.out / "model.onnx",
        contract=contract,
        provenance=Provenance(f"plain-{asked.loss}", recipe.backbone.name, asked.loss),
    )


if __name__ == "__main__":
    main()
