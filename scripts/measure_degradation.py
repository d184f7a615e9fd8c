"""Measure how a model fails on degraded photos of LFW View 2's people, and whether it says so.

For every kind and strength of ``faceverify.evaluation.degradation``: share of photos decided, FMR
among the decided with its interval, and FNMR, both photos degraded alike and one of them clean. At
the default size (320 photos of 160 people: 50,880 impostor comparisons of each) it takes some ten
minutes on two cores; embeddings are cached. ``faceverify evaluate LIST --robustness`` does the same
for any list.

Usage: ``python scripts/measure_degradation.py --data ../shared/data`` prints the table; ``--json``
one object; ``--write docs/evaluation.md`` puts the table between the markers there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from faceverify.choices import MIN_FACE
from faceverify.cli.console import Console
from faceverify.embeddings.cache import EmbeddingCache, cache_folder
from faceverify.errors import FaceverifyError
from faceverify.evaluation.benchmark import read_benchmark
from faceverify.evaluation.degradation import DEGRADATIONS
from faceverify.evaluation.robustness.evaluate import evaluate_robustness
from faceverify.evaluation.robustness.selection import PEOPLE, PHOTOS_EACH, select_photos
from faceverify.evaluation.robustness.table import robustness_table
from faceverify.faces.options import LEAST_QUALITY, FaceOptions
from faceverify.matching.operating_point import DEFAULT_FMR

BEGIN, END = "<!-- degradation: begin -->", "<!-- degradation: end -->"


def main() -> None:
    """Print the table, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds lfw/ and protocols/")
    parser.add_argument("--list", default="protocols/pairs.txt", help="whose people, in --data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--kinds", default=",".join(DEGRADATIONS), help="separated by commas")
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--photos", type=int, default=PHOTOS_EACH, help="of each person")
    parser.add_argument("--fmr", type=float, default=DEFAULT_FMR)
    parser.add_argument("--threshold", type=float, help="instead of --fmr")
    parser.add_argument("--face", default="center")
    parser.add_argument("--min-face", type=float, default=MIN_FACE)
    parser.add_argument("--min-quality", type=float, default=LEAST_QUALITY)
    parser.add_argument("--no-cache", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help="a page with the two markers")
    options = parser.parse_args()

    faces = FaceOptions(
        face=options.face, min_face=options.min_face, min_quality=options.min_quality
    )
    benchmark = select_photos(
        read_benchmark(options.data / options.list, images=options.data / "lfw", protocol="all"),
        people=options.people,
        photos_each=options.photos,
    )
    console = Console(options.json)
    with EmbeddingCache(None if options.no_cache else cache_folder(), console.message) as cache:
        found, evaluation = evaluate_robustness(
            benchmark, options.model, faces, cache, kinds=options.kinds.split(","),
            fmr=options.fmr, threshold=options.threshold, progress=console.progress,
        )  # fmt: skip
    if options.json:
        print(json.dumps(evaluation.as_dict(), indent=2))
        return
    point = found.point
    text = "\n".join(
        [
            f"Model `{point.model}` (`{point.model_id}`), threshold {point.threshold:.6f} "
            f"({point.origin}), {found.photos} photos of {found.people} people:",
            "",
            *robustness_table(found),
            *([""] * bool(found.notes)),
            *found.notes,
        ]
    )
    if options.write is None:
        print(text)
        return
    page = options.write.read_text()
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        sys.exit(f"{options.write}: no {BEGIN} ... {END}")
    options.write.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


if __name__ == "__main__":
    try:
        main()
    except FaceverifyError as error:
        sys.exit(f"measure_degradation: {error}")
