"""Alignment, uniformity and spreads of people, one pair of photos at a time."""

import numpy as np
import pytest

from faceverify.evaluation.metrics import representation
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.representation import sums_of_people
from faceverify.matching.sphere import spread_and_rank, uniformity


def cloud(photos=40, people=6, size=5, seed=0):
    draws = np.random.default_rng(seed)
    code = np.concatenate([np.arange(people), draws.integers(people, size=photos - people)])
    rows = draws.standard_normal((people, size))[code] + draws.standard_normal((photos, size))
    return unit_rows(rows), code


def repeated(rows, code, times):
    """The photos of each person as often as it is drawn; copies are other people of that kind."""
    parts = [
        (rows[code == one], one, copy) for one, count in enumerate(times) for copy in range(count)
    ]
    return parts


def test_of_everybody_written_out():
    rows, code = cloud()
    sums, all_of_them = sums_of_people(rows, code), np.ones((1, 6))
    exact = rows.astype(float)
    pairs = [(i, j) for i in range(40) for j in range(i)]
    own = [((exact[i] - exact[j]) ** 2).sum() for i, j in pairs if code[i] == code[j]]
    assert sums.alignment(all_of_them)[0] == pytest.approx(np.mean(own))
    assert sums.uniformity(all_of_them)[0] == pytest.approx(uniformity(exact))
    means = np.stack([exact[code == one].mean(axis=0) for one in range(6)])
    within, between = sums.spreads(all_of_them)
    assert within[0] ** 2 == pytest.approx(np.mean(((exact - means[code]) ** 2).sum(axis=1)))
    apart = ((means[code] - exact.mean(axis=0)) ** 2).sum(axis=1)
    assert between[0] ** 2 == pytest.approx(apart.mean())
    spread = spread_and_rank(exact)["spread"]
    assert within[0] ** 2 + between[0] ** 2 == pytest.approx(spread**2)


def test_of_drawn_people_written_out():
    """A replicate weighs sums; here the photos are repeated as often as their person is drawn."""
    rows, code = cloud()
    sums, times = sums_of_people(rows, code), np.array([2, 0, 1, 3, 0, 1])
    drawn = times[None].astype(float)
    parts = repeated(rows.astype(float), code, times)
    own = [
        ((a - b) ** 2).sum()
        for photos, _, _ in parts
        for i, a in enumerate(photos)
        for b in photos[:i]
    ]
    assert sums.alignment(drawn)[0] == pytest.approx(np.mean(own))
    stacked = np.concatenate([photos for photos, _, _ in parts])
    means = np.concatenate(
        [np.tile(photos.mean(axis=0), (len(photos), 1)) for photos, _, _ in parts]
    )
    within, between = sums.spreads(drawn)
    assert within[0] ** 2 == pytest.approx(((stacked - means) ** 2).sum(axis=1).mean())
    middle = ((means - stacked.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert between[0] ** 2 == pytest.approx(middle)
    # copies of a person are not compared with each other: they would be the same photos
    potential = [
        np.exp(-2 * ((a - b) ** 2).sum())
        for p, (photos, who, _) in enumerate(parts)
        for q, (others, whose, _) in enumerate(parts)
        for i, a in enumerate(photos)
        for j, b in enumerate(others)
        if (who != whose) or (p == q and i != j)
    ]
    assert sums.uniformity(drawn)[0] == pytest.approx(np.log(np.mean(potential)))


def test_people_with_one_photo_have_no_spread():
    rows, code = cloud(8, 4)
    more, codes = np.concatenate([rows, cloud(seed=3)[0][:1]]), np.append(code, 4)
    one = np.ones((1, 5))
    alone = sums_of_people(more, codes).spreads(one)
    assert alone == sums_of_people(rows, code).spreads(one[:, :4])


def test_too_many_people_have_no_matrix(monkeypatch):
    monkeypatch.setattr(representation, "MOST_PEOPLE", 5)
    rows, code = cloud()
    assert sums_of_people(rows, code).uniformity(np.ones((1, 6))) is None
