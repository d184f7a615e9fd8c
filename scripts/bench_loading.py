"""Loading and varying crops, beside torchvision's transforms in a DataLoader, in the same run.

``python scripts/bench_loading.py ../shared/data/train112``. The peer is the plain way: a Dataset
that decodes a file and applies v2 transforms with the same chances and amounts, in as many worker
processes as ours has threads. Milliseconds of the clock, and of processors, for each image.
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
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from faceverify.training.config.augmentation import NONE, Augmentation
from faceverify.training.data.loading.loader import batches
from faceverify.training.data.loading.packed_cache import PackedFaces, packed
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.transforms import Transform

SIZE = (112, 112)
BATCH = 128
SETTINGS = {
    "as they are": NONE,
    "default": Augmentation(),
    "everything, often": Augmentation(
        crop=0.8, colour=0.8, grey=0.1, low_resolution=0.2, blur=0.2, jpeg=0.2, occlusion=0.2
    ),
}


def peer_transform(how: Augmentation) -> Callable[[Tensor], Tensor]:
    """The same variations in torchvision's words."""
    zoom = (1 / (1 + how.zoom), 1 + how.zoom)
    affine = v2.RandomAffine(how.turn, (how.shift, how.shift), zoom, interpolation=2)
    jitter = v2.ColorJitter(how.brightness, how.contrast, how.saturation)
    steps: list[Callable[..., Tensor]] = [
        v2.RandomHorizontalFlip(how.flip),
        v2.RandomApply([affine], how.crop),
        v2.RandomApply([jitter], how.colour),
        v2.RandomGrayscale(how.grey),
        v2.RandomApply([Smaller(how.resolution)], how.low_resolution),
        v2.RandomApply([v2.GaussianBlur(15, (0.1, how.radius * SIZE[0]))], how.blur),
        v2.RandomApply([v2.JPEG((how.quality, 75))], how.jpeg),
        v2.RandomErasing(how.occlusion, (0.02 * how.area, how.area), (0.5, 2.0)),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.5] * 3),
    ]
    return v2.Compose(steps)


class Smaller(torch.nn.Module):
    """Shrink and enlarge again, by a random amount."""

    def __init__(self, least: float) -> None:
        super().__init__()
        self.least = least

    def forward(self, image: Tensor) -> Tensor:
        side = round(SIZE[0] * float(torch.empty(()).uniform_(self.least, 1)))
        return v2.functional.resize(v2.functional.resize(image, [side, side]), list(SIZE))


class Peer(Dataset[tuple[Tensor, int]]):
    """Decode a file, transform it."""

    def __init__(self, faces: FaceSet, how: Augmentation) -> None:
        self.faces = faces
        self.transform = peer_transform(how)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision's decoders announce their end
            encoded = torch.frombuffer(bytearray(self.faces.read(index)), dtype=torch.uint8)
            image = decode_image(encoded, ImageReadMode.RGB)
        return self.transform(image), int(self.faces.labels[index])


def ours(
    faces: FaceSet,
    how: Augmentation,
    steps: list[np.ndarray],
    workers: int,
    kept: PackedFaces | None,
) -> Iterator[Tensor]:
    transform = Transform(SIZE, augmentation=how)
    for batch in batches(faces, steps, transform=transform, packed=kept, workers=workers):
        yield batch.views[0]


def theirs(
    faces: FaceSet, how: Augmentation, steps: list[np.ndarray], workers: int
) -> Iterator[Tensor]:
    loader = DataLoader(
        Peer(faces, how), batch_sampler=[step.tolist() for step in steps], num_workers=workers
    )
    for images, _ in loader:
        yield images


def processor_seconds() -> float:
    """Of this process and of those it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measured(run: Callable[[], Iterator[Tensor]], runs: int) -> tuple[float, float]:
    """Least milliseconds of the clock and of processors for each image, over several runs."""
    best = (float("inf"), float("inf"))
    for _ in range(runs):
        clock, used, images = time.perf_counter(), processor_seconds(), 0
        for batch in run():
            images += len(batch)
        found = (time.perf_counter() - clock, processor_seconds() - used)
        best = (min(best[0], found[0] / images * 1e3), min(best[1], found[1] / images * 1e3))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", type=Path, help="a training set of 112 x 112 crops")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batches", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    faces = open_face_set(given.faces)
    order = np.random.default_rng(0).permutation(len(faces))[: given.batches * BATCH]
    steps = list(order[: len(order) // BATCH * BATCH].reshape(-1, BATCH))
    table = Table(title=f"{len(steps)} batches of {BATCH}, {given.workers} workers, ms an image")
    for column in ("augmentation", "who", "clock", "processors"):
        table.add_column(column, justify="left" if column in ("augmentation", "who") else "right")
    with tempfile.TemporaryDirectory() as folder:
        kept = packed(faces, SIZE, Path(folder))
        for name, how in SETTINGS.items():
            rows: dict[str, Callable[[], Iterator[Tensor]]] = {
                "ours, packed": lambda how=how: ours(faces, how, steps, given.workers, kept),
                "ours, decoding": lambda how=how: ours(faces, how, steps, given.workers, None),
                "DataLoader, v2": lambda how=how: theirs(faces, how, steps, given.workers),
            }
            for who, run in rows.items():
                clock, used = measured(run, given.runs)
                table.add_row(name, who, f"{clock:.3f}", f"{used:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
