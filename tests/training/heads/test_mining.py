"""Mining counts triplets without listing them: here they are listed, N^3 of them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytorch_metric_learning import distances as pml_distances
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning import miners as pml_miners

from faceverify.training.heads import build_head, mining
from faceverify.training.heads.distances import squared_distances
from faceverify.training.heads.l2_normalize import l2_normalize
from faceverify.training.heads.mining import MINING, mine, sorted_rows
from faceverify.training.heads.quadruplet import count_quadruplets


def face_batch(size=60, identities=9, seed=0, dtype=torch.float64):
    """Squared distances of a batch in which some identities are alone."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(identities, (size,), generator=generator)
    labels[:3] = torch.tensor([100, 101, 102])
    centres = torch.randn(103, 8, generator=generator, dtype=dtype)
    rows = centres[labels] + 1.5 * torch.randn(size, 8, generator=generator, dtype=dtype)
    return rows, labels, squared_distances(l2_normalize(rows))


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


def test_quadruplets_are_those_listed():
    _, labels, squared = face_batch(size=24, identities=4)
    same = labels[:, None] == labels
    genuine = (same & ~torch.eye(24, dtype=torch.bool)).nonzero().tolist()
    impostor = (~same).nonzero().tolist()
    expected, total = torch.zeros_like(squared), 0
    for a, p in genuine:
        for k, n in impostor:
            apart = labels[a] not in (labels[k], labels[n])
            if apart and squared[a, p] - squared[k, n] + 0.3 > 0:
                expected[a, p] += 1
                expected[k, n] -= 1
                total += 1
    mined = count_quadruplets(squared, labels, 0.3)
    assert mined.triplets == total > 100
    assert torch.equal(mined.counts, expected)


# Another library


def their_triplet(rows, labels, miner):
    squared = pml_distances.LpDistance(power=2)
    theirs = pml_losses.TripletMarginLoss(margin=0.2, distance=squared)
    return theirs(rows, labels, miner(distance=squared)(rows, labels) if miner else None)


@pytest.mark.parametrize(
    ("rule", "miner"),
    [
        ("all", None),
        ("hard", lambda **of: pml_miners.TripletMarginMiner(0.2, "hard", **of)),
        ("batch-hard", lambda **of: pml_miners.BatchHardMiner(**of)),
    ],
)
def test_agrees_with_pytorch_metric_learning(rule, miner):
    rows, labels, _ = face_batch()
    head = build_head("triplet", embedding_size=8, classes=103, mining=rule)
    assert head(rows, labels).item() == pytest.approx(
        their_triplet(rows, labels, miner).item(), rel=1e-9
    )


def test_npair_of_two_images_and_lifted_agree_with_pytorch_metric_learning():
    rows, _, _ = face_batch(size=20)
    labels = torch.arange(20) % 10
    products = pml_distances.DotProductSimilarity(normalize_embeddings=False)
    theirs = pml_losses.NPairsLoss(distance=products)
    ours = build_head("npair", embedding_size=8, classes=10)
    assert ours(rows, labels).item() == pytest.approx(theirs(rows, labels).item(), rel=1e-9)
    ours = build_head("lifted", embedding_size=8, classes=10)
    theirs = pml_losses.LiftedStructureLoss()
    assert ours(rows, labels).item() == pytest.approx(theirs(rows, labels).item(), rel=1e-9)
