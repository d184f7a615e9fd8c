"""Calibrate a bundled model's thresholds on LFW View 1.

Every photo that the View 1 lists name is compared with every other; View 2 is kept for the report.
Writes ``scripts/NAME_thresholds.json``, and ``NAME_length.json`` (the length that 95 % of the
embeddings exceed before they are scaled to 1); ``build_weights.py`` makes the model file of them.
Photos without a face count as failed comparisons.

Usage: ``python scripts/calibrate_default.py --data ../shared/data`` (a folder with ``lfw/`` and
``protocols/``); two to three minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from faceverify.embeddings.extractor import FaceEmbedder, FaceEmbedding
from faceverify.errors import FaceverifyError, NoDecisionError
from faceverify.evaluation.calibration.thresholds import supported_targets, thresholds_from_scores
from faceverify.evaluation.intervals.identity_bootstrap import IdentityBootstrap
from faceverify.evaluation.lists.reading import read_pairs
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.error_rates import auc, eer
from faceverify.models.model_file import threshold_from_dict
from faceverify.runtime.files import atomic_write
from faceverify.runtime.parallel import map_ordered

LISTS = ("pairsDevTrain.txt", "pairsDevTest.txt")
TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # those with 10 expected errors are kept


def main() -> None:
    """Embed, compare, and write the thresholds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--limit", type=int, help="only so many people: to try it")
    parser.add_argument("--output", type=Path, help="instead of scripts/NAME_thresholds.json")
    options = parser.parse_args()

    identity_of = view1_photos(options.data / "protocols")
    people = sorted(set(identity_of.values()))[: options.limit]
    photos = [photo for photo, identity in identity_of.items() if identity in set(people)]
    extractor = FaceEmbedder.load(options.model)

    def embed(photo: str) -> FaceEmbedding | None:
        try:
            return extractor.extract(options.data / "lfw" / photo)[0]
        except NoDecisionError:
            return None

    started = time.monotonic()
    embeddings = list(map_ordered(embed, photos))
    print(f"{len(photos)} photos in {time.monotonic() - started:.0f} s", file=sys.stderr)
    found = [row is not None for row in embeddings]
    rows = np.stack([row.embedding for row in embeddings if row is not None])
    length = np.percentile([row.length for row in embeddings if row is not None], 5)
    identities = [identity_of[p] for p, ok in zip(photos, found, strict=True) if ok]
    failed = [identity_of[p] for p, ok in zip(photos, found, strict=True) if not ok]

    counts = all_against_all(rows, identities, failed_identities=failed)
    resampled = IdentityBootstrap(rows, identities)  # of the comparisons made

    dataset = (
        f"LFW View 1, all against all: {len(photos):,} photos of {len(people):,} people, "
        f"{len(failed)} without a face; interval: bootstrap over people"
    )
    calibrated = thresholds_from_scores(
        counts, supported_targets(counts, TARGETS), dataset, interval_at=resampled.fmr_interval
    )
    for one in calibrated.unreachable:
        print(one, file=sys.stderr)
    documents = [asdict(threshold) for threshold in calibrated.thresholds]
    for document in json.loads(json.dumps(documents)):  # as it will be read
        threshold_from_dict(document)
    name = extractor.model.provenance.name
    output = options.output or Path(__file__).with_name(f"{name}_thresholds.json")
    atomic_write(output, (json.dumps(documents, indent=2) + "\n").encode())
    atomic_write(output.with_name(f"{name}_length.json"), f"{length:.2f}\n".encode())
    equal = eer(counts)
    print(f"model {name} {extractor.model.id}")
    print(f"{dataset}; AUC {auc(counts):.6f}, EER {equal.rate if equal else float('nan'):.6f}")
    for one in calibrated.thresholds:
        low, high = one.interval
        print(
            f"FMR {one.fmr:g}: distance {one.distance:.6f}, FNMR {one.fnmr:.5f}, "
            f"FMR interval [{low:.3g}, {high:.3g}]"
        )


def view1_photos(protocols: Path) -> dict[str, str]:
    """Every photo that View 1 names, and who is on it."""
    identity_of: dict[str, str] = {}
    for name in LISTS:
        pairs = read_pairs(protocols / name)
        assert pairs.first_identity is not None
        assert pairs.second_identity is not None
        identity_of |= dict(zip(pairs.first, pairs.first_identity, strict=True))
        identity_of |= dict(zip(pairs.second, pairs.second_identity, strict=True))
    return identity_of


if __name__ == "__main__":
    try:
        main()
    except FaceverifyError as error:
        sys.exit(f"calibrate_default: {error}")
