"""Time the evaluation engine against its targets, with scikit-learn in the same run.

Embeddings are synthetic unit vectors of 512 floats; the share of the peak memory that NumPy and the
interpreter take is in it. Exactness is measured too: the largest difference of any rate from a full
sort of 10^7 comparisons.

Usage: ``python scripts/bench_evaluate.py`` (about a minute), ``--small`` leaves the billion out.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score, roc_curve

from faceverify.evaluation.intervals.bootstrap import bootstrap
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.error_rates import FMR_TARGETS, auc, eer, rates_at_fmr, roc
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.scores import ScoreCounts, count_scores

T = TypeVar("T")
PER_PERSON = 10


def main() -> None:
    """Print one row a target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="leave the billion comparisons out")
    small = parser.parse_args().small
    table = Table("what", "seconds", "target", "peak MB", "target", "beside it", "ratio")

    distances, same, first, second = pairs(6_000)
    seconds, _ = timed(lambda: bootstrap(distances, same, first, second, threshold=0.7))
    table.add_row("bootstrap, 1,000 replicates x 6,000 pairs", f"{seconds:.2f}", "1", peak(), "")

    counts, seconds = add_stream(table, 7_701, "5", "500")
    if not small:
        counts, seconds = add_stream(table, 45_000, "60", "2000")
        rate = (counts.genuines + counts.impostors) / seconds
        table.add_row("comparisons a second, streamed", f"{rate:.3g}")
    exactness = add_scikit_learn(table)  # last: its list of scores sets the peak memory
    Console().print(table)
    Console().print(f"largest difference of a rate from a full sort: {exactness:.1e} (target 1e-6)")


def add_stream(table: Table, photos: int, target: str, memory: str) -> tuple[ScoreCounts, float]:
    """All-against-all, and every figure of it."""
    embeddings, identities = faces(photos)
    seconds, counts = timed(lambda: all_against_all(embeddings, identities))
    figures, _ = timed(lambda: every_figure(counts))
    name = f"{counts.genuines + counts.impostors:,} comparisons of {photos:,} photos, all figures"
    table.add_row(name, f"{seconds + figures:.2f}", target, peak(), memory)
    return counts, seconds + figures


def add_scikit_learn(table: Table) -> float:
    """Both on 10^7 comparisons of which the full list is held; returns the largest difference."""
    embeddings, identities = faces(4_473)
    rows, names = unit_rows(embeddings), np.array(identities)
    first, second = np.triu_indices(len(rows), 1)
    distances = np.clip(1 - (rows @ rows.T)[first, second], 0, 2)
    same = names[first] == names[second]
    theirs, curve = timed(lambda: (roc_curve(same, -distances), roc_auc_score(same, -distances)))
    listed, exact = timed(lambda: count_scores(distances, same))
    figures, _ = timed(lambda: (roc(exact), auc(exact)))
    streamed, counts = timed(lambda: all_against_all(embeddings, identities))
    ours = f"scikit-learn roc_curve + auc: {theirs:.2f} s"
    for name, seconds in (
        (f"ROC and AUC of {len(distances):,} listed scores", listed + figures),
        ("the same streamed from embeddings", streamed + figures),
    ):
        table.add_row(name, f"{seconds:.2f}", "", peak(), "", ours, f"{theirs / seconds:.1f} x")
    differences = [abs(auc(exact) - curve[1])] + [
        abs(one - other)
        for one, other in zip(every_figure(exact), every_figure(counts), strict=True)
    ]
    return float(max(differences))


def every_figure(counts: ScoreCounts) -> list[float]:
    """AUC, EER, and FMR and TAR at each supported target."""
    rates = [rate for target in FMR_TARGETS if (rate := rates_at_fmr(counts, target))]
    area, equal = auc(counts), eer(counts)
    assert area is not None
    assert equal is not None
    return [area, equal.rate, *(x for rate in rates for x in (rate.fmr or 0.0, rate.tmr or 0.0))]


def faces(photos: int) -> tuple[NDArray[np.float32], list[str]]:
    """Draw unit vectors around as many centres as there are people."""
    draws = np.random.default_rng(0)
    code = np.arange(photos) % max(photos // PER_PERSON, 1)
    centres = draws.standard_normal((code.max() + 1, 512), dtype=np.float32)
    rows = centres[code] + 1.5 * draws.standard_normal((photos, 512), dtype=np.float32)
    return unit_rows(rows), [str(name) for name in code]


def pairs(count: int) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str], list[str]]:
    """Scores of pairs as many and as spread over people as those of LFW View 2."""
    draws = np.random.default_rng(0)
    same = np.arange(count) % 2 == 0
    distances = np.where(same, 0.5, 1.0) + 0.15 * draws.standard_normal(count)
    first = draws.integers(4_281, size=count)
    second = np.where(same, first, (first + 1) % 4_281)
    return distances, same, [str(i) for i in first], [str(i) for i in second]


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds and result of one call."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def peak() -> str:
    """Peak memory of this process so far, in MB."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"


if __name__ == "__main__":
    main()
