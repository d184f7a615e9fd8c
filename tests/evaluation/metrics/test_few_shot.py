"""Few-shot episodes, one photo at a time."""

import numpy as np

from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.few_shot import episodes


def people(count=7, photos=9, size=8, seed=0, noise=1.3):
    draws = np.random.default_rng(seed)
    code = np.repeat(np.arange(count), photos)
    rows = draws.standard_normal((count, size))[code]
    rows = unit_rows(rows + noise * draws.standard_normal(rows.shape))
    return rows, [np.flatnonzero(code == one) for one in range(count)]


def answered(rows, enrolled, photos_of, ways, shots, queries, count, seed):
    """The same draws, and prototypes written out."""
    draws = np.random.default_rng([seed, ways, shots, queries])
    for _ in range(count):
        chosen = draws.permutation(len(photos_of))[:ways]
        drawn = [draws.permutation(photos_of[one])[: shots + queries] for one in chosen]
        means = [sum(rows[i] * enrolled[i] for i in one[:shots]) for one in drawn]
        right = []
        for place, one in enumerate(drawn):
            hits = 0
            for i in one[shots:]:
                near = [
                    rows[i] @ mean / np.linalg.norm(mean) if np.linalg.norm(mean) else -9
                    for mean in means
                ]
                others = max(near[:place] + near[place + 1 :])
                hits += bool(enrolled[i] and near[place] > -9 and near[place] > others + 1e-6)
            right.append(hits)
        yield chosen.tolist(), right


def test_each_episode_written_out():
    rows, photos_of = people()
    enrolled = np.random.default_rng(1).random(len(rows)) > 0.3
    enrolled[photos_of[2]] = False  # nothing is known of this person
    for shots in (1, 4):
        found = episodes(
            rows, enrolled, photos_of, ways=4, shots=shots, queries=3, count=25, seed=5
        )
        expected = list(answered(rows, enrolled, photos_of, 4, shots, 3, 25, 5))
        assert found.people.tolist() == [who for who, _ in expected]
        assert found.right.tolist() == [right for _, right in expected]
        assert 0 < found.accuracy.mean() < 1


def test_episodes_follow_from_the_seed():
    rows, photos_of = people()
    one, again, other = (
        episodes(rows, np.ones(63, bool), photos_of, ways=5, shots=1, queries=2, count=9, seed=seed)
        for seed in (0, 0, 1)
    )
    assert one.people.tolist() == again.people.tolist() != other.people.tolist()


def test_the_same_photos_everywhere_are_ties_and_lost():
    rows = np.ones((20, 4), np.float32)
    photos_of = [np.arange(10), np.arange(10, 20)]
    found = episodes(
        rows, np.ones(20, bool), photos_of, ways=2, shots=2, queries=3, count=4, seed=0
    )
    assert found.accuracy.tolist() == [0] * 4
