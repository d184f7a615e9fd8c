"""Runs of milliseconds: each method on small pictures, by the loop itself and without files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from generated_people import TINY
from torch import nn

from faceverify.models.model_file import Provenance
from faceverify.training.backbones import BACKBONES, contract_for
from faceverify.training.checkpoint.checkpoint import Progress, save_checkpoint
from faceverify.training.config.augmentation import Augmentation
from faceverify.training.config.checked import config_from_dict
from faceverify.training.config.files import overridden
from faceverify.training.config.schema import Config
from faceverify.training.data.loading.counter_rng import OF_A_METHOD, sample_draws, sample_keys
from faceverify.training.data.samplers import rank_part
from faceverify.training.data.transforms import DRAWS, Transform
from faceverify.training.data.views import Batch, configured
from faceverify.training.distributed.processes import Processes
from faceverify.training.export.export import export_model
from faceverify.training.loop import train
from faceverify.training.methods import METHODS, method_class
from faceverify.training.metrics_log import MetricsLog
from faceverify.training.run.contract import contract_of
from faceverify.training.stopping import StopRequest
from faceverify.training.train_state import TrainState, build_train_state

SIDE, SIZE, IMAGES, BATCH = 16, 12, 48, 16
TINY_VIT = {"name": "vit", "patch": 4, "width": 16, "depth": 1, "heads": 2}
UNNAMED = [name for name, method in METHODS.items() if not method.learns_by_loss]
# what a method needs beside the least
CASES: dict[str, dict[str, Any]] = {
    "moco": {"method": {"queue": 24}},
    "instdisc": {"method": {"noise": 64}},
    "swav": {"method": {"prototypes": 12, "queue": 32}, "views": {"local": 2}},
    "dino": {
        "method": {"prototypes": 32},
        "views": {"local": 2},
        "optimiser": {"name": "adamw", "learning_rate": 0.005},
    },
    "clip": {"method": {"width": 16, "depth": 1, "heads": 2, "vocabulary": 300}},
    "jigsaw": {
        "method": {"permutations": 6},
        "optimiser": {"name": "adamw", "learning_rate": 0.01},
    },
    "context": {"optimiser": {"name": "adamw", "learning_rate": 0.01}},
    "autoencoder": {
        "method": {"channels": 4, "noise": 0.2},
        "optimiser": {"name": "adamw", "learning_rate": 0.005},
    },
    "inpaint": {"method": {"channels": 4}, "optimiser": {"name": "adamw", "learning_rate": 0.005}},
    "vae": {"method": {"channels": 4}, "optimiser": {"name": "adamw", "learning_rate": 0.005}},
    "bigan": {
        "method": {"channels": 4, "hidden": 32},
        "optimiser": {"name": "adamw", "learning_rate": 0.002},
    },
    "cmc": {"backbone": {"name": "lab:tiny"}},
    "cpc": {"method": {"patch": 8, "stride": 4, "last": 2, "depth": 1, "width": 16}},
    "densecl": {"method": {"queue": 24}, "backbone": TINY_VIT},
    "mae": {"backbone": TINY_VIT},
}
SMALL: dict[str, Any] = {
    "data": {"size": SIDE},
    "backbone": {"name": "tiny", "stem": None, "width": None, "embedding_size": SIZE},
    "augmentation": {"flip": 0.5, "least_area": 0.5, "colour": 0.5, "crop": 0.0},
    "batches": {"size": BATCH},
    "optimiser": {"learning_rate": 0.05},
    "checkpoints": {"steps": 2},
}
ALONE = Processes(0, 1, torch.device("cpu"))


def tiny(*, embedding_size: int, size: int = SIDE) -> nn.Module:
    """A net without batch norm, so that several processes compute what one does."""
    net = nn.Sequential()
    net.add_module("pool", nn.AdaptiveAvgPool2d(4))
    net.add_module("flatten", nn.Flatten())
    net.add_module("stem", nn.Sequential(nn.Linear(48, 32, bias=False), nn.Tanh()))
    net.add_module("neck", nn.Linear(32, embedding_size, bias=False))
    return net


@cache
def teacher() -> str:
    """A model file to learn from, of a net that was not trained."""
    path = Path(mkdtemp()) / "teacher.onnx"
    contract = contract_for("resnet18", embedding_size=SIZE, size=SIDE)
    torch.manual_seed(7)
    about = Provenance("teacher", "tiny", "none", "none", "none", "a test")
    export_model(tiny(embedding_size=SIZE), path, contract=contract, provenance=about)
    return str(path)


def config_of(name: str, **changes: Any) -> Config:
    """Configuration of a tiny run of a method, changed as wanted."""
    BACKBONES.setdefault("tiny", tiny)
    if name == "distil":
        changes = overridden({"method": {"teacher": teacher()}}, changes)
    values = {key: one for key, one in TINY.items() if key != "backbone"}
    values = overridden(overridden(values, SMALL), {"method": {"name": name}})
    return config_from_dict(overridden(overridden(values, CASES.get(name, {})), changes))


# what is said of each picture: of every third two things
CAPTIONS = [
    [f"pattern {index // 8} of number {index}", f"the {index}th"][: 1 + (index % 3 == 0)]
    for index in range(IMAGES)
]


class Pictures:
    """Source of smooth pictures under noise, eight of each pattern."""

    images, num_identities, steps, stills = IMAGES, IMAGES // 8, IMAGES // BATCH, None

    def __init__(self, config: Config, processes: Processes = ALONE) -> None:
        rng = np.random.default_rng(0)
        coarse = torch.from_numpy(rng.uniform(0, 255, (self.num_identities, 3, 4, 4)))
        smooth = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")
        self.labels = torch.arange(IMAGES) // 8
        noise = torch.from_numpy(rng.normal(0, 25, (IMAGES, 3, SIDE, SIDE)))
        self.pixels = (smooth[self.labels] + noise).clamp(0, 255).to(torch.uint8)
        views = configured(method_class(config).views, config.views)
        transform = Transform((SIDE, SIDE), augmentation=Augmentation(**vars(config.augmentation)))
        self._transforms = [transform.of_view(kind) for kind in views.kinds]
        self._seed, self._processes = config.seed, processes

    def batches(self, epoch: int, start: int):
        order = np.random.default_rng(epoch).permutation(IMAGES).reshape(-1, BATCH)
        for step in range(start, len(order)):
            part = rank_part(np.arange(BATCH), self._processes.rank, self._processes.world)
            indices = order[step]
            views = [
                made(
                    self.pixels[indices[part]],
                    sample_draws(self._seed, epoch, step, indices, DRAWS, view=view)[part],
                )
                for view, made in enumerate(self._transforms)
            ]
            keys = sample_keys(self._seed, epoch, step, indices, view=OF_A_METHOD)[part]
            yield Batch(views, self.labels[indices[part]], indices[part], keys)


def state_of(config: Config, processes: Processes = ALONE) -> TrainState:
    """The state of a tiny run, before its first step."""
    return build_train_state(
        config,
        contract=contract_of(config.backbone, config.data),
        classes=Pictures.num_identities,
        images=IMAGES,
        processes=processes,
        captions=CAPTIONS,
    )


def learn(
    state: TrainState,
    config: Config,
    steps: int,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> list[dict[str, Any]]:
    """Train up to a step; returns the lines of the log. Checkpoints go to the folder."""
    lines: list[dict[str, Any]] = []
    with MetricsLog(None, show=lambda line: lines.append(dict(line))) as log:
        train(
            state,
            config,
            progress or Progress(steps=steps),
            Pictures(config, processes),
            processes=processes,
            log=log,
            save=lambda at, _: folder and save_checkpoint(folder, at, state.tensors()),
            validate=None,
            stop=StopRequest(),
        )
    return lines
