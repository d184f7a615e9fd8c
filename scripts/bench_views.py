"""SimCLR's two views of aligned crops, beside lightly's ``SimCLRTransform`` in a DataLoader.

From encoded JPEGs to two float tensors of each image, 112 x 112, in batches. The peer is what
lightly's documentation has one write: a Dataset that decodes with Pillow, ``SimCLRTransform``, and
a DataLoader with as many worker processes as ours has threads. Kinds, chances and amounts of the
augmentation are the same on both sides: random resized crop, flip, colour, grey, Gaussian blur.

Both sides take the same batches in turn, round after round; the least of their times counts, as
other work on the machine can only add to it. On a busy one the processors' time tells more than the
clock's. "decoding" reads and decodes each file in every epoch, as the peer does; "packed" has the
crops decoded once, as ``faceverify pretrain`` has them after its first minute.

Usage: ``python scripts/bench_views.py ../shared/data/train112`` (needs ``pip install lightly``).
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from processor_name import processor
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from faceverify.training.config.augmentation import Augmentation
from faceverify.training.data.loading.loader import batches
from faceverify.training.data.loading.packed_cache import PackedFaces, packed
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.transforms import Transform
from faceverify.training.data.views import Views

SIDE, BATCH = 112, 128
PEER = "lightly, DataLoader"
SETTINGS = {
    "of the paper": Augmentation(
        crop=0.0, least_area=0.08, colour=0.8, brightness=0.8, contrast=0.8, saturation=0.8,
        hue=0.2, grey=0.2, blur=0.5, radius=2 / SIDE,
    ),
    "for faces": Augmentation(
        crop=0.0, least_area=0.4, colour=0.8, brightness=0.4, contrast=0.4, saturation=0.2,
        hue=0.1, grey=0.2, blur=0.5, radius=0.01,
    ),
}  # fmt: skip


class Photos(Dataset[list[Tensor]]):
    """Decode a file, make lightly's two views."""

    def __init__(self, files: list[Path], how: Augmentation) -> None:
        os.environ["LIGHTLY_DID_VERSION_CHECK"] = "True"  # older ones ask a server
        from lightly.transforms import SimCLRTransform

        self.files = files
        self.transform = SimCLRTransform(
            input_size=SIDE,
            cj_prob=how.colour,
            cj_bright=how.brightness,
            cj_contrast=how.contrast,
            cj_sat=how.saturation,
            cj_hue=how.hue,
            min_scale=how.least_area,
            random_gray_scale=how.grey,
            gaussian_blur=how.blur,
            sigmas=(0.1, how.radius * SIDE),
            hf_prob=how.flip,
            normalize={"mean": [0.5] * 3, "std": [0.5] * 3},
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> list[Tensor]:
        with Image.open(self.files[index]) as image:
            return list(self.transform(image.convert("RGB")))


def ours(
    faces: FaceSet,
    how: Augmentation,
    steps: list[np.ndarray],
    workers: int,
    kept: PackedFaces | None,
) -> Iterator[list[Tensor]]:
    transform = Transform((SIDE, SIDE), augmentation=how)
    for batch in batches(
        faces, steps, transform=transform, views=Views(2), packed=kept, workers=workers
    ):
        yield batch.views


def theirs(
    files: list[Path], how: Augmentation, steps: list[np.ndarray], workers: int
) -> Iterator[list[Tensor]]:
    yield from DataLoader(
        Photos(files, how), batch_sampler=[step.tolist() for step in steps], num_workers=workers
    )


def processor_seconds() -> float:
    """Of this process and of those it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def taken(run: Callable[[], Iterator[list[Tensor]]]) -> tuple[float, float]:
    """Seconds of the clock and of processors for each image, two views of it."""
    clock, used, images = time.perf_counter(), processor_seconds(), 0
    for first, second in run():
        assert first.shape == second.shape == (len(first), 3, SIDE, SIDE)
        images += len(first)
    return (time.perf_counter() - clock) / images, (processor_seconds() - used) / images


def main() -> None:
    """Print a table for each kind of augmentation."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("faces", type=Path, help="a folder of 112 x 112 crops")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    faces = open_face_set(given.faces)
    files = [Path(faces.source, faces.name(index)) for index in range(len(faces))]
    order = np.random.default_rng(0).permutation(len(faces))[: given.batches * BATCH]
    steps = list(order[: len(order) // BATCH * BATCH].reshape(-1, BATCH))
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        kept = packed(faces, (SIDE, SIDE), Path(folder))
        for name, how in SETTINGS.items():
            ways: dict[str, Callable[[], Iterator[list[Tensor]]]] = {
                PEER: lambda how=how: theirs(files, how, steps, given.workers),
                "faceverify, decoding": lambda how=how: ours(
                    faces, how, steps, given.workers, None
                ),
                "faceverify, packed": lambda how=how: ours(faces, how, steps, given.workers, kept),
            }
            best: dict[str, tuple[float, float]] = {}
            for _ in range(given.rounds):
                for way, run in ways.items():
                    found = taken(run)
                    best[way] = tuple(map(min, found, best.get(way, found)))  # type: ignore[assignment]
            table = Table(
                "", "images/s", "of lightly", "CPU ms an image", "of lightly",
                title=f"two views, augmentation {name}: {processor()}, {given.workers} workers, "
                f"batches of {BATCH}, torch {torch.__version__}",
            )  # fmt: skip
            for way, (clock, used) in best.items():
                table.add_row(
                    way,
                    f"{1 / clock:.0f}",
                    f"{best[PEER][0] / clock:.2f}",
                    f"{1000 * used:.2f}",
                    f"{best[PEER][1] / used:.2f}",
                )
            console.print(table)


if __name__ == "__main__":
    main()
