"""The loop that lightly's documentation would have one write, for the ablation without names.

The same backbone, photos, batch size and minutes as ours; the library's views, heads and losses
(``lightly_loops.py``), a DataLoader, its optimiser. It validates as often as ours, and keeps the
best. As with ours, its first steps and a validation are timed, and minutes become steps.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightly_loops
import torch
from torch.utils.data import DataLoader
from torchvision import datasets

from faceverify.embeddings.cache import cache_folder
from faceverify.models.model_file import Provenance
from faceverify.training.backbones import build_backbone, contract_for
from faceverify.training.export.embed_crops import embed_crops
from faceverify.training.export.export import export_model
from faceverify.training.loop import evenly_spaced
from faceverify.training.run.validation import pair_results, set_of_list

TIMES, BATCH = 5, 128
FIRST, TIMED = 1, 4  # steps: the first one finds memory


def learned(asked: argparse.Namespace, method: str, recipe: dict[str, Any], path: Path) -> None:
    """Learn for some minutes and write the model file."""
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    options = recipe["backbone"]
    size = options["embedding_size"]
    contract = contract_for(options["name"], embedding_size=size)
    pairs = set_of_list(
        asked.protocols / "pairsDevTrain.txt",
        contract,
        images=asked.lfw,
        cache=cache_folder() / "training",
    )
    plain = replace(contract, flip_average=False)  # as ours does it between steps
    began = time.monotonic()  # what follows is the budget
    data = datasets.ImageFolder(asked.out / "learned", lightly_loops.transform_of(method))
    loader = DataLoader(data, BATCH, shuffle=True, drop_last=True)  # one core: no workers
    backbone = build_backbone(**options)
    model = lightly_loops.PLAIN[method](backbone, size).train()
    optimiser = model.optimiser()

    def validated() -> float:
        rows = embed_crops(backbone, pairs.crops, plain)
        model.train()
        return pair_results(pairs, rows).accuracy or 0.0

    best, kept, step, steps = -1.0, None, 0, FIRST + TIMED + 1
    while step < steps:
        for views, _ in loader:
            if step == FIRST:
                timed = time.monotonic()
            if step == FIRST + TIMED:
                seconds = (time.monotonic() - timed) / TIMED
                start = time.monotonic()
                validated()
                left = 60 * asked.minutes - (time.monotonic() - began)
                left -= TIMES * (time.monotonic() - start)
                steps = step + max(1, round(left / seconds))
                print(f"{steps} steps of {seconds:.2f} s fit", file=sys.stderr, flush=True)
            loss = lightly_loops.step(model, optimiser, views, step / steps)
            step += 1
            if step == steps or (step > FIRST + TIMED and step in evenly_spaced(steps, TIMES)):
                accuracy = validated()
                text = f"{step}  loss {float(loss):.3f}  accuracy {accuracy:.4f}"
                print(text, file=sys.stderr, flush=True)
                if accuracy >= best:
                    best = accuracy
                    kept = {key: value.clone() for key, value in backbone.state_dict().items()}
            if step == steps:
                break
    assert kept is not None
    backbone.load_state_dict(kept)
    export_model(
        backbone,
        path,
        contract=contract,
        provenance=Provenance(f"lightly-{method}", options["name"], method),
    )
