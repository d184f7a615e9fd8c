"""Mining counts triplets without listing them: here they are listed, N^3 of them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pair_losses import face_batch

from faceverify.training.losses import mining
from faceverify.training.losses.distances import squared_distances
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.mining import MINING, mine, sorted_rows


def listed(squared, labels, rule, margin, farthest=False):
    """The triplets of a rule, (T, 3), from a tensor of all N^3."""
    size = len(labels)
    same = labels[:, None] == labels
    genuine = same & ~torch.eye(size, dtype=torch.bool)
    pulled, pushed = squared[:, :, None], squared[:, None, :]
    possible = genuine[:, :, None] & ~same[:, None, :]  # (anchor, partner, impostor)
    violated = possible & (pulled - pushed + margin > 0)
    if rule == "all":
        taken = violated
    elif rule == "hard":
        taken = possible & (pushed < pulled)
    elif rule == "semi-hard":
        beyond = possible & (pushed > pulled)
        nearest = torch.where(beyond, pushed, torch.inf).argmin(dim=2)
        taken = torch.zeros_like(possible)
        taken.scatter_(2, nearest[:, :, None], beyond.any(dim=2, keepdim=True))
        if farthest:
            last = torch.where(possible, pushed, -torch.inf).argmax(dim=2)
            none = possible.any(dim=2) & ~beyond.any(dim=2)
            taken.scatter_(2, last[:, :, None], taken.gather(2, last[:, :, None]) | none[..., None])
        taken &= violated
    else:
        far = torch.where(genuine, squared, -torch.inf).argmax(dim=1)
        near = torch.where(same, torch.inf, squared).argmin(dim=1)
        taken = torch.zeros_like(possible)
        taken[torch.arange(size), far, near] = True
        taken &= violated
    return taken.nonzero()


def counted(triplets, size):
    counts = torch.zeros(size, size, dtype=torch.float64)
    for a, p, n in triplets.tolist():
        counts[a, p] += 1
        counts[a, n] -= 1
    return counts


CASES = [(rule, False) for rule in MINING] + [("semi-hard", True)]


@pytest.mark.parametrize(("rule", "farthest"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_counts_are_those_of_the_listed_triplets(rule, farthest, dtype, margin):
    _, labels, squared = face_batch(dtype=dtype)
    triplets = listed(squared, labels, rule, margin, farthest)
    assert len(triplets) > 20
    mined = mine(
        squared,
        labels,
        rule,
        margin=margin,
        without_semi_hard="farthest" if farthest else "skip",
    )
    assert mined.counts.dtype == dtype
    assert mined.triplets == len(triplets)
    assert torch.equal(mined.counts.double(), counted(triplets, len(labels)))


@pytest.mark.parametrize("rule", MINING)
def test_blocks_of_anchors_make_no_difference(rule, monkeypatch):
    _, labels, squared = face_batch(dtype=torch.float32)
    whole = mine(squared, labels, rule, margin=0.2)
    monkeypatch.setitem(mining.BLOCK, "cpu", 7 * len(labels))
    parts = mine(squared, labels, rule, margin=0.2)
    assert whole.triplets == parts.triplets
    assert torch.equal(whole.counts, parts.counts)


def test_the_farthest_impostor_stands_in_only_where_none_is_semi_hard():
    # on a line: the partner lies beyond both impostors
    labels = torch.tensor([0, 0, 1, 2])
    places = torch.tensor([0.0, 1.0, 0.3, 0.6])
    squared = (places[:, None] - places).square()
    assert mine(squared, labels, "semi-hard", margin=0.2).triplets == 0
    mined = mine(squared, labels, "semi-hard", margin=0.2, without_semi_hard="farthest")
    assert mined.counts.tolist() == [[0, 1, 0, -1], [1, 0, -1, 0], [0] * 4, [0] * 4]


def test_a_semi_hard_impostor_is_strictly_beyond_the_partner():
    labels = torch.tensor([0, 0, 1, 2])
    squared = torch.tensor([[0, 0.5, 0.5, 0.6], [0.5, 0, 2, 2], [0.5, 2, 0, 2], [0.6, 2, 2, 0]])
    mined = mine(squared, labels, "semi-hard", margin=0.2)
    assert mined.counts[0].tolist() == [0, 1, 0, -1]


@settings(deadline=None)
@given(
    arrays.arrays("float32", (4, 9), elements=st.sampled_from([0, 1e-30, 0.5, 1, 1.0000001, 4])),
    st.integers(0, 35),
)
def test_rows_sort_as_torch_sorts_them(values, place):
    values.flat[place] = float("inf")
    found, columns = sorted_rows(torch.from_numpy(values))
    expected, expected_columns = torch.sort(torch.from_numpy(values), dim=1, stable=True)
    finite = expected.isfinite()
    assert torch.equal(found[finite], expected[finite])
    assert (found[~finite] > 1e38).all()
    assert torch.equal(columns, expected_columns)  # ties in the order of columns


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=24), st.integers(0, 2**16))
def test_each_anchor_pulls_as_often_as_it_pushes(labels, seed):
    labels = torch.tensor(labels)
    rows = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(seed))
    squared = squared_distances(l2_normalize(rows))
    same = labels[:, None] == labels
    for rule in MINING:
        mined = mine(squared, labels, rule, margin=0.3, without_semi_hard="farthest")
        assert not mined.counts.sum(dim=1).any()
        assert (mined.counts[same] >= 0).all()
        assert (mined.counts[~same] <= 0).all()
        assert mined.counts.clamp(min=0).sum() == mined.triplets
        assert not mined.counts.diagonal().any()
