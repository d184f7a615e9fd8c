"""An LFW-like pair list with made-up scores, evaluated."""

from scored_pairs import lfw_like

from faceverify.evaluation.intervals.bands import BAND_TARGETS
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.protocols.pairs import PairScores, evaluate_pairs


def evaluated_pairs(seed=0, spread=0.15, replicates=200, name="m"):
    """An LFW-like list evaluated: the evaluation, its replicates, and the distances."""
    distances, same, fold, first, second = lfw_like(seed, pairs=2000, people=900, spread=spread)
    count = len(same)
    pairs = PairList(
        "list", "csv", [f"{i}a" for i in range(count)], [f"{i}b" for i in range(count)], same,
        fold, None, list(first), list(second),
    )  # fmt: skip
    scores = PairScores(pairs, distances, 2 * count, 0)
    found, resampled = evaluate_pairs(
        scores, name, name * 16, protocol="10fold", replicates=replicates, fmr_targets=BAND_TARGETS
    )
    return found, resampled, (distances, same)
