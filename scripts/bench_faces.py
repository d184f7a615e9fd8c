"""Detection, alignment and embedding, beside facenet-pytorch and torch in the same run.

Needs the ``train`` extra (torch, facenet-pytorch) and a folder of photos:
``python scripts/bench_faces.py ../shared/data/lfw``. Peers run as their documentation recommends:
MTCNN on batches of photos, torch on all processors.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.faces.detection import Detector
from faceverify.faces.finder import FaceFinder
from faceverify.faces.options import FaceOptions
from faceverify.images.discovery import find_photos
from faceverify.models.embedder import Embedder
from faceverify.models.registry import bundled_folder, load_model
from faceverify.runtime.parallel import default_workers, map_ordered

MIN_FACE = 20
PEER_BATCH = 32


def seconds(function: Callable[[], object], runs: int = 3) -> float:
    """Median of several runs, after one to warm up."""
    function()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return median(times)


def bench_detection(images: list[Image.Image], table: Table) -> None:
    import torch
    from facenet_pytorch import MTCNN

    torch.set_num_threads(default_workers())
    peer = MTCNN(keep_all=True, min_face_size=MIN_FACE)
    ours = Detector(bundled_folder())

    def run_ours() -> list[int]:
        found = map_ordered(
            lambda image: ours.detect(image, min_face=MIN_FACE), images, workers=default_workers()
        )
        return [len(faces) for faces in found]

    def run_prominent() -> list[int]:
        finder = FaceFinder(ours, FaceOptions(min_face=MIN_FACE))
        return [len(faces) for faces in map_ordered(finder.find, images, workers=default_workers())]

    def run_peer(batch: int = PEER_BATCH) -> list[int]:
        counts = []
        for start in range(0, len(images), batch):
            boxes, *_ = peer.detect(images[start : start + batch], landmarks=True)
            counts += [0 if found is None else len(found) for found in boxes]
        return counts

    theirs = seconds(run_peer)
    peer_name = f"MTCNN, batches of {PEER_BATCH}"
    add_row(table, "detection, all faces", peer_name, len(images), seconds(run_ours), theirs)
    what = "detection, the prominent face, exact points"
    add_row(table, what, peer_name, len(images), seconds(run_prominent), theirs)
    missed = [counts.count(0) for counts in (run_ours(), run_peer())]
    faces = [sum(counts) for counts in (run_ours(), run_peer())]
    table.caption = (
        f"faces found: {faces[0]} and {faces[1]}; photos without one: {missed[0]} and {missed[1]}"
    )


def bench_embedding(crops: np.ndarray, table: Table) -> None:
    import torch

    from faceverify.training.backbones import build_backbone
    from faceverify.training.backbones.pretrained import initialise

    embedder = Embedder(load_model("dlib-resnet29"))
    net = build_backbone("resnet29", embedding_size=128, size=150).eval()
    initialise(net, "dlib-resnet29")
    contract = embedder.model.contract
    mean = np.array(contract.mean, np.float32)[:, None, None]
    batches = np.array_split(crops, max(1, len(crops) // 16))

    def run_ours() -> np.ndarray:
        return np.vstack(list(map_ordered(embedder.embed, batches, workers=default_workers())))

    @torch.inference_mode()
    def run_peer() -> np.ndarray:
        rows = []
        for batch in batches:
            planes = (batch.transpose(0, 3, 1, 2) - mean) / np.float32(contract.scale[0])
            tensor = torch.from_numpy(planes)
            rows.append((net(tensor) + net(tensor.flip(3))).numpy())
        rows = np.vstack(rows)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    difference = np.abs(run_ours() - run_peer()).max()
    add_row(
        table,
        f"embedding with flip (largest difference {difference:.0e})",
        "torch eager, same net",
        len(crops),
        seconds(run_ours),
        seconds(run_peer),
    )


def bench_pipeline(folder: Path, limit: int | None, table: Table) -> None:
    """Everything, from files on disk to embeddings, in a process of its own for its memory."""
    code = (
        ""
        "from pathlib import Path\n"
        "from scripts.bench_faces import run_pipeline\n"
        f"run_pipeline(Path({str(folder)!r}), {limit})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    count, wall, memory = done.stdout.split()
    add_row(
        table, f"photos to embeddings (peak memory {memory} MB)", "", int(count), float(wall), None
    )


def run_pipeline(folder: Path, limit: int | None) -> None:
    photos = list(find_photos(folder))[:limit]
    start = time.perf_counter()
    extractor = FaceEmbedder.load()
    for _ in map_ordered(extractor.extract, photos, workers=default_workers()):
        pass
    wall = time.perf_counter() - start
    # not getrusage: what that gives a new process begins with the size of the process it came from
    status = Path("/proc/self/status").read_text()
    memory = int(status.split("VmHWM:")[1].split()[0]) // 1024
    print(len(photos), wall, memory)


def add_row(
    table: Table, what: str, peer: str, count: int, ours: float, theirs: float | None
) -> None:
    cells = [what, f"{1000 * ours / count:.2f}", f"{ours:.1f}"]
    if theirs is None:
        cells += ["", "", ""]
    else:
        cells += [peer, f"{1000 * theirs / count:.2f}", f"{theirs / ours:.1f} x"]
    table.add_row(*cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--sample", type=int, default=192, help="photos for the comparisons")
    parser.add_argument("--all", action="store_true", help="all photos through the whole pipeline")
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    photos = list(find_photos(options.photos))
    sample = photos[:: max(1, len(photos) // options.sample)][: options.sample]
    images = [Image.open(path).convert("RGB") for path in sample]
    crops = np.stack([np.asarray(image.resize((150, 150))) for image in images])
    table = Table(
        title=f"{len(images)} photos of {images[0].width} x {images[0].height}, "
        f"{default_workers()} processors, smallest face {MIN_FACE} px"
    )
    for column in ("what", "ms a photo", "s", "peer", "peer's ms", "ratio"):
        table.add_column(column, justify="left" if column in ("what", "peer") else "right")
    bench_detection(images, table)
    bench_embedding(crops, table)
    bench_pipeline(options.photos, None if options.all else 1000, table)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
