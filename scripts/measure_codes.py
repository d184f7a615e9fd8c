"""What binary templates save and cost: bytes a template, and accuracy on LFW View 2, by bits.

Usage: ``python scripts/measure_codes.py ../shared/data``. Centre and rotation are fitted to people
who are not in LFW (the folder ``train112``). Every figure is over the ten official folds, the
threshold of each chosen on the other nine; failed photos count as errors.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.embeddings.cache import EmbeddingCache, cache_folder
from faceverify.embeddings.compute import PhotoEmbeddings, embed_photos
from faceverify.evaluation.lists.image_roots import map_images
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.lists.reading import read_pairs
from faceverify.evaluation.metrics.error_rates import auc, rates_at_fmr
from faceverify.evaluation.metrics.fold_accuracy import folded_accuracy
from faceverify.evaluation.metrics.scores import count_scores
from faceverify.faces.options import FaceOptions
from faceverify.matching.binary_templates import (
    CodeDirections,
    centred_directions,
    hamming_distance,
    itq_directions,
    random_directions,
)
from faceverify.matching.distance import cosine_distance
from faceverify.models.registry import load_model

BITS = (128, 256, 512, 1024)
FMR = 1e-2


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="holds lfw/, protocols/ and train112/")
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    pairs = read_pairs(options.data / "protocols" / "pairs.txt")
    images = map_images(pairs, options.data / "lfw")
    images.require_all()
    files = images.files
    photos = embedded(files, options.model, FaceOptions())
    row = {file: number for number, file in enumerate(files)}
    sides = [[row[file] for file in side] for side in (images.first, images.second)]
    others = embedded(
        sorted((options.data / "train112").rglob("*.jpg")),
        options.model,
        FaceOptions(aligned="arcface-112"),
    )
    sample = others.embeddings[others.enrolled]
    size = photos.embeddings.shape[1]
    print("| template | bytes | accuracy % | SE | AUC | TAR % at FMR 1e-2 |")
    print("|---|---|---|---|---|---|")
    report(f"float32, {size} numbers", 4 * size, cosine(photos, sides), pairs)
    for bits in BITS:
        for name, directions in (
            ("random", random_directions(size, bits)),
            ("centred", centred_directions(sample, bits)),
            ("ITQ", itq_directions(sample, bits)),
        ):
            distances = hamming(photos, sides, directions)
            report(f"{bits} bits, {name}", bits // 8, distances, pairs)


def embedded(files: Sequence[Path], model: str, options: FaceOptions) -> PhotoEmbeddings:
    """Embeddings of photos, out of the cache where they are known."""
    with EmbeddingCache(cache_folder(), lambda text: print(text, file=sys.stderr)) as cache:
        return embed_photos(files, model, load_model(model), options, cache, workers=os.cpu_count())


def cosine(photos: PhotoEmbeddings, sides: list[list[int]]) -> NDArray[np.float64]:
    """Distances of the pairs, inf where one photo failed."""
    first, second = sides
    distances = cosine_distance(photos.embeddings[first], photos.embeddings[second])
    return failing(distances, photos, sides)


def hamming(
    photos: PhotoEmbeddings, sides: list[list[int]], directions: CodeDirections
) -> NDArray[np.float64]:
    """Bits in which the pairs' codes differ, inf where one photo failed."""
    codes = directions.encode(photos.embeddings)
    first, second = sides
    return failing(hamming_distance(codes[first], codes[second]).astype(np.float64), photos, sides)


def failing(
    distances: NDArray[np.float64], photos: PhotoEmbeddings, sides: list[list[int]]
) -> NDArray[np.float64]:
    """Put inf where a photo has no embedding."""
    first, second = sides
    return np.where(photos.enrolled[first] & photos.enrolled[second], distances, np.inf)


def report(name: str, size: int, distances: NDArray[np.float64], pairs: PairList) -> None:
    """Print a line of the table."""
    if pairs.fold is None:
        sys.exit(f"{pairs.source}: has no folds")
    accuracy = folded_accuracy(distances, pairs.same, pairs.fold)
    counts = count_scores(distances, pairs.same)
    rates, area = rates_at_fmr(counts, FMR), auc(counts)
    if accuracy is None or rates is None or rates.tmr is None or area is None:
        sys.exit(f"{pairs.source}: has pairs of one kind only")
    print(
        f"| {name} | {size} | {100 * accuracy.accuracy:.2f} | {100 * accuracy.standard_error:.2f} "
        f"| {area:.5f} | {100 * rates.tmr:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
