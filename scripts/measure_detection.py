"""Compare face detectors on LFW View 1 and on sets derived from it.

The detectors: MTCNN as facenet-pytorch has it; the same on photos with a border (what it stretches
is then padded); YuNet alone; and the own one, YuNet's faces with O-Net's points. For each set:
faces found; error of the points against those that the same detector finds in the whole photo, in
shares of the distance from eyes to mouth; how alike the face is to itself in the whole photo (mean
cosine similarity of the default model's embeddings); milliseconds a photo, one thread.

Usage: ``python scripts/measure_detection.py --data ../shared/data``, with facenet-pytorch; some
fifteen minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from faceverify.evaluation.degradation import degrade
from faceverify.evaluation.lists.reading import read_pairs
from faceverify.faces.detection import Detector, Face
from faceverify.models.embedder import Embedder
from faceverify.models.registry import bundled_folder, load_model

Points = NDArray[np.float32]
Find = Callable[[Image.Image], Face | None]
Box = tuple[int, int, int, int]

SMALL = (15, 20, 40)  # pixels of the longer side of a face
BORDER = 0.5  # of the longer side, around photos for the cascade


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds lfw/ and protocols/")
    parser.add_argument("--photos", type=int, default=200, help="how many of View 1")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")

    ours = Detector(bundled_folder())
    detectors: dict[str, Find] = {
        "MTCNN": cascade(border=0),
        "MTCNN, padded": cascade(border=BORDER),
        "YuNet": lambda image: central(ours.detect(image, min_face=12), image),
        "YuNet + O-Net": lambda image: placed(ours, image),
    }
    embedder = Embedder(load_model("default"))
    lists = [options.data / "protocols" / f"pairsDev{part}.txt" for part in ("Train", "Test")]
    photos = sorted({photo for path in lists for photo in read_pairs(path).images})
    photos = photos[:: max(1, len(photos) // options.photos)][: options.photos]
    images = [Image.open(options.data / "lfw" / photo).convert("RGB") for photo in photos]
    truths = [placed(ours, image) for image in images]
    if any(face is None for face in truths):
        raise SystemExit("a photo without a face")
    print(f"{len(images)} photos; found / error in % (median, 95th percentile) / alike / ms")
    print("| set | " + " | ".join(detectors) + " |")
    print("|---|" + "---|" * len(detectors))
    whole: dict[str, list[Face | None]] = {}
    for name, derive in SETS.items():
        cells = []
        for title, find in detectors.items():
            if title not in whole:
                whole[title] = [find(image) for image in images]
            results = []
            spent = 0.0
            for index, (image, truth) in enumerate(zip(images, truths, strict=True)):
                assert truth is not None
                derived, carry = derive(image, truth, index)
                start = time.perf_counter()
                face = find(derived)
                spent += time.perf_counter() - start
                results.append((derived, face, carry))
            cells.append(figures(embedder, images, whole[title], results, spent))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


Carry = Callable[[Face], Face]  # from the whole photo to the derived one
Derived = tuple[Image.Image, Carry]


def figures(
    embedder: Embedder,
    images: list[Image.Image],
    whole: list[Face | None],
    results: list[tuple[Image.Image, Face | None, Carry]],
    seconds: float,
) -> str:
    """A cell of the table."""
    errors, pairs = [], []
    for image, seen, (derived, face, carry) in zip(images, whole, results, strict=True):
        if seen is None or face is None:
            continue
        expected = carry(seen)
        height = math.dist(expected.points[:2].mean(axis=0), expected.points[3:].mean(axis=0))
        off = np.linalg.norm(face.points - expected.points, axis=1).mean() / height
        if off < 1:  # else another face, or one upside down
            errors.append(off)
            pairs.append((crop(embedder, image, seen), crop(embedder, derived, face)))
    if not pairs:
        return f"0 / {len(images)}"
    first, second = (embedder.embed(np.stack(crops)) for crops in zip(*pairs, strict=True))
    alike = (first * second).sum(axis=1).mean()
    middle, high = (100 * np.percentile(errors, share) for share in (50, 95))
    milliseconds = 1e3 * seconds / len(images)
    return f"{len(pairs)} / {middle:.1f}, {high:.1f} / {alike:.3f} / {milliseconds:.1f}"


def crop(embedder: Embedder, image: Image.Image, face: Face) -> NDArray[np.uint8]:
    """The aligned crop that the model takes."""
    contract = embedder.model.contract
    return np.asarray(contract.alignment.crop(image, face, (contract.width, contract.height)))


# The detectors


def cascade(*, border: float) -> Find:
    """MTCNN of facenet-pytorch, on photos with a border of a share of their longer side."""
    import torch
    from facenet_pytorch import MTCNN

    torch.set_num_threads(1)
    net = MTCNN(keep_all=True, min_face_size=12)

    def find(image: Image.Image) -> Face | None:
        edge = round(border * max(image.size))
        padded = ImageOps.expand(image, edge, fill=(128, 128, 128))
        boxes, scores, points = net.detect(padded, landmarks=True)
        if boxes is None:
            return None
        faces = [
            Face(tuple(box.tolist()), float(score), place.astype(np.float32)).moved(-edge, -edge)
            for box, score, place in zip(boxes, scores, points, strict=True)
        ]
        return central(faces, image)

    return find


def placed(detector: Detector, image: Image.Image) -> Face | None:
    """The project's own: the central face with exact points."""
    face = central(detector.detect(image, min_face=12), image)
    return face and detector.locate(image, face)


def central(faces: list[Face], image: Image.Image) -> Face | None:
    """The face nearest the middle of the photo, where the derived sets have theirs."""
    middle = (image.width / 2, image.height / 2)
    return min(faces, key=lambda face: math.dist(face.middle, middle), default=None)


# The sets


def cut(margin: Callable[[Face], tuple[float, float, float, float]]) -> Callable[..., Derived]:
    """Photos cut about the face, by shares of its box: left, top, right, bottom of the box."""

    def derive(image: Image.Image, face: Face, _: int) -> Derived:
        left, top, right, bottom = face.box
        wide, high = right - left, bottom - top
        shares = margin(face)
        box = [left - shares[0] * wide, top - shares[1] * high]
        box += [right + shares[2] * wide, bottom + shares[3] * high]
        edges = np.clip(np.round(box), 0, [*image.size, *image.size]).astype(int).tolist()
        corner = (-edges[0], -edges[1])
        return image.crop(tuple(edges)), lambda seen: seen.moved(*corner)

    return derive


def smaller(side: int) -> Callable[..., Derived]:
    """Photos made smaller until the face has a side of so many pixels."""

    def derive(image: Image.Image, face: Face, _: int) -> Derived:
        scale = side / face.size
        size = round(image.width * scale), round(image.height * scale)
        small = image.resize(size, Image.Resampling.HAMMING)
        return small, lambda seen: seen.moved(0, 0, size[0] / image.width)

    return derive


def degraded(kind: str, strength: float) -> Callable[..., Derived]:
    """Photos degraded, the face in its place."""

    def derive(image: Image.Image, face: Face, index: int) -> Derived:
        pixels = degrade(kind, strength, np.asarray(image), face.points, key=str(index).encode())
        return Image.fromarray(pixels), lambda seen: seen

    return derive


def quarter(turn: Image.Transpose, matrix: list[list[int]], corner: Box) -> Callable[..., Derived]:
    """Photos turned; a point (x, y) comes to matrix (x, y) + corner (width, height)."""

    def derive(image: Image.Image, face: Face, _: int) -> Derived:
        rotation = np.array(matrix, np.float32)
        shift = np.array(corner).reshape(2, 2) @ image.size
        return image.transpose(turn), lambda seen: replace(
            seen, points=(seen.points @ rotation.T + shift).astype(np.float32)
        )

    return derive


def beside_another(image: Image.Image, face: Face, index: int) -> Derived:
    """Photos with another, smaller face beside: the photo mirrored, at 0.6 of its size."""
    other = ImageOps.mirror(image).resize((round(0.6 * image.width), round(0.6 * image.height)))
    width = image.width + 2 * other.width
    pair = Image.new("RGB", (width, image.height), (90, 90, 90))
    pair.paste(image, (other.width, 0))
    pair.paste(other, (0 if index % 2 else other.width + image.width, 0))
    return pair, lambda seen: seen.moved(other.width, 0)


SETS: dict[str, Callable[..., Derived]] = {
    "whole photos": lambda image, face, index: (image, lambda seen: seen),
    "cut to the box": cut(lambda face: (0, 0, 0, 0)),
    "cut inside the box, 5 %": cut(lambda face: (-0.05, -0.05, -0.05, -0.05)),
    "left fifth cut off": cut(lambda face: (-0.2, 0.3, 0.3, 0.3)),
    "right fifth cut off": cut(lambda face: (0.3, 0.3, -0.2, 0.3)),
    "top fifth cut off": cut(lambda face: (0.3, -0.2, 0.3, 0.3)),
    "bottom fifth cut off": cut(lambda face: (0.3, 0.3, 0.3, -0.2)),
    "masked": degraded("mask", 0.5),
    "darkened": degraded("dark", 4),
    **{f"faces of {side} pixels": smaller(side) for side in SMALL},
    "turned by 90 degrees": quarter(Image.Transpose.ROTATE_90, [[0, 1], [-1, 0]], (0, 0, 1, 0)),
    "turned by 180 degrees": quarter(Image.Transpose.ROTATE_180, [[-1, 0], [0, -1]], (1, 0, 0, 1)),
    "with another face": beside_another,
}


if __name__ == "__main__":
    main()
