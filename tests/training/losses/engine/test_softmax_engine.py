"""Every margin on every engine: the same loss, the same gradients."""

from itertools import pairwise

import pytest
import torch
from centre_losses import CLASSES, SIZE, batch_of, gradients
from every_case import CASES, build_case
from refused_options import check_refused

from faceverify.errors import TrainingError
from faceverify.training.losses import build_head
from faceverify.training.losses.engine import chunked_scores
from faceverify.training.losses.engine.class_scores import HardNegatives, Scoring, add_rows
from faceverify.training.losses.engine.negative_sampling import (
    pick_rows,
    position_in,
    sample_classes,
    scrambled,
)
from faceverify.training.losses.engine.softmax_engine import DRAWN, ENGINES, new_centres

BLOCKS = {
    "one block": (10**6, 10**6),
    "small, all kept": (32, 10**6),
    "small, some kept": (32, 150),
}
BLOCKS |= {"small, none kept": (32, 0)}


def compare(ours, theirs, tolerance=1e-10):
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of four classes of a batch of eight; three of them kept."""
    cut(monkeypatch, "small, some kept")


def cut(monkeypatch, blocks):
    monkeypatch.setattr(chunked_scores, "ON_CPU", chunked_scores.Room(*BLOCKS[blocks]))
    monkeypatch.setattr(chunked_scores, "NARROWEST", 1)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("case", CASES)
def test_chunked_is_dense(case, blocks, monkeypatch):
    cut(monkeypatch, blocks)
    dense, chunked = build_case(case, engine="dense"), build_case(case, engine="chunked")
    rows, labels = batch_of(dense)
    compare(gradients(chunked, rows, labels), gradients(dense, rows, labels))


@pytest.mark.parametrize("engine", ["dense", "chunked"])
@pytest.mark.parametrize("case", CASES)
def test_a_sample_of_all_classes_is_dense(case, engine, small_blocks):
    dense = build_case(case, engine="dense")
    sampled = build_case(case, engine=engine, sample=0.999)  # rounds up to all of them
    rows, labels = batch_of(dense)
    compare(gradients(sampled, rows, labels), gradients(dense, rows, labels))


@pytest.mark.parametrize("engine", ["dense", "chunked"])
@pytest.mark.parametrize("case", CASES)
def test_a_sample_of_some_is_dense_over_those(case, engine, small_blocks):
    classes, images = 60, 8
    sampled = build_case(case, classes=classes, engine=engine, sample=0.3)
    rows, labels = batch_of(sampled, images)
    ours = gradients(sampled, rows, labels)
    drawn = sample_classes(labels, classes, 0.3, sampled.softmax.draw)
    assert len(drawn) == 18
    dense = build_case(case, classes=len(drawn), engine="dense")
    for mine, whole in zip(dense.parameters(), sampled.parameters(), strict=True):
        mine.data = whole.data[drawn]
    if case == "center":
        dense.centres = sampled.centres[drawn]
    theirs = gradients(dense, rows, position_in(drawn, labels))
    compare(ours[:2], theirs[:2])
    for mine, whole in zip(theirs[2:], ours[2:], strict=True):
        torch.testing.assert_close(whole[drawn], mine, rtol=1e-10, atol=1e-10)
        whole[drawn] = 0
        assert not whole.any()


def test_float32_is_as_near_as_its_rounding(small_blocks):
    dense = build_case("arcface", classes=400, engine="dense", dtype=torch.float32)
    chunked = build_case("arcface", classes=400, engine="chunked", dtype=torch.float32)
    rows, labels = batch_of(dense, dtype=torch.float32)
    compare(gradients(chunked, rows, labels), gradients(dense, rows, labels), 1e-5)


def test_no_more_is_kept_than_the_budget(monkeypatch):
    cut(monkeypatch, "small, some kept")
    kept = []
    blocks = chunked_scores._products

    def counted(*arguments):
        products = blocks(*arguments)
        kept.append(products.numel())
        return products

    monkeypatch.setattr(chunked_scores, "_products", counted)
    head = build_case("arcface", classes=40)
    rows, labels = batch_of(head)
    loss = head(rows.requires_grad_(), labels)
    assert kept == [32] * 10  # 8 images, 4 classes
    loss.backward()
    assert kept == [32] * 10 + [32] * 6  # 4 of 32 fit into 150


@pytest.mark.parametrize("engine", ENGINES)
def test_a_process_with_one_class_has_no_others_for_its_own_images(engine):
    rows = torch.randn(3, SIZE, dtype=torch.float64, requires_grad=True)
    centres = torch.randn(1, 1, SIZE, dtype=torch.float64, requires_grad=True)
    own = torch.tensor([0, -1, 0])
    others, own_centres, _ = ENGINES[engine](rows, centres, None, own, Scoring(unit=True))
    assert others[0] == others[2] == -torch.inf
    (others.exp().sum() + own_centres.sum()).backward()
    assert rows.grad.isfinite().all()
    assert not rows.grad[[0, 2]].any()
    assert rows.grad[1].any()
    assert centres.grad.isfinite().all()


def test_a_graph_may_be_used_twice(small_blocks):
    head = build_case("arcface")
    rows, labels = batch_of(head)
    loss = head(rows.requires_grad_(), labels)
    (first,) = torch.autograd.grad(loss, rows, retain_graph=True)
    (again,) = torch.autograd.grad(loss, rows)
    torch.testing.assert_close(first, again)


def test_large_logits_do_not_overflow(small_blocks):
    for engine in ("dense", "chunked"):
        head = build_head("softmax", embedding_size=SIZE, classes=CLASSES, engine=engine)
        rows = torch.full((4, SIZE), 1e4)
        torch.nn.init.constant_(head.softmax.centres, 1.0)
        head.softmax.centres.data[3] = -1.0
        loss, *slopes = gradients(head, rows, torch.tensor([0, 3, 3, 0]))
        assert loss.item() == pytest.approx(6e4, rel=1e-3)
        assert all(one.isfinite().all() for one in slopes)


def test_the_slope_of_hard_negatives_is_that_of_their_change():
    hard = HardNegatives(torch.tensor([0.3, -2.0]).double(), torch.tensor(0.2).double(), 7.0)
    logits = torch.linspace(-7, 7, 30, dtype=torch.float64).expand(2, -1).clone().requires_grad_()
    (slope,) = torch.autograd.grad(hard.changed(logits).sum(), logits)
    torch.testing.assert_close(hard.slope(logits.detach()), slope)


def test_the_same_run_twice_gives_the_same_bits(small_blocks):
    def run():
        head = build_case("center", dtype=torch.float32, sample=0.5)
        for seed in range(3):
            torch.manual_seed(seed)
            rows, labels = torch.randn(32, SIZE), torch.randint(3, (32,))
            loss, *slopes = gradients(head, rows, labels)
            head.finish_step()
        return [loss, *slopes, head.centres]

    assert all(torch.equal(one, other) for one, other in zip(run(), run(), strict=True))


class TestSampling:
    def test_own_classes_are_always_drawn_once_and_in_order(self):
        own = torch.tensor([7, 3, -1, 99, 3])
        for draw in range(20):
            drawn = sample_classes(own, 100, 0.1, torch.tensor(draw))
            assert {3, 7, 99} <= set(drawn.tolist())
            assert drawn.tolist() == sorted(set(drawn.tolist()))
            assert len(drawn) == 10
            places = position_in(drawn, own)
            assert places[2] == -1
            assert torch.equal(drawn[places[[0, 1, 3, 4]]], own[[0, 1, 3, 4]])

    def test_others_are_drawn_evenly_and_anew(self):
        own = torch.tensor([0])
        counts = torch.zeros(200)
        for draw in range(500):
            counts[sample_classes(own, 200, 0.25, torch.tensor(draw))] += 1
        assert counts[0] == 500
        others = counts[1:] / 500  # 49 of 199
        assert others.mean().item() == pytest.approx(49 / 199)
        assert (others - 49 / 199).abs().max() < 5 * (0.25 * 0.75 / 500) ** 0.5

    def test_there_is_room_for_an_impostor(self):
        assert len(sample_classes(torch.tensor([1]), 10, 0.01, torch.tensor(1))) == 2
        assert len(sample_classes(torch.arange(10), 10, 0.01, torch.tensor(1))) == 10

    def test_a_run_that_goes_on_draws_what_it_would_have_drawn(self):
        head, other = (build_case("arcface", sample=0.3, classes=50) for _ in range(2))
        rows, labels = batch_of(head)
        head(rows, labels)
        other.load_state_dict(head.state_dict())
        assert head(rows, labels) == other(rows, labels)
        assert head(rows, labels) != head(rows, labels)

    def test_all_classes_take_part_outside_training(self):
        sampled, whole = build_case("arcface", sample=0.3).eval(), build_case("arcface").eval()
        rows, labels = batch_of(whole)
        assert sampled(rows, labels) == whole(rows, labels)

    def test_scrambling_is_one_to_one(self):
        assert len(set(scrambled(torch.arange(10_000)).tolist())) == 10_000

    def test_gradients_of_picked_rows(self):
        matrix = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda m: pick_rows(m, torch.tensor([0, 3])), (matrix,))


def test_added_rows_add_up():
    index = torch.tensor([4, 0, 4, 4])
    for shape in ((), (3,), (2, 3)):
        matrix, rows = torch.randn(6, *shape).double(), torch.randn(4, *shape).double()
        wanted = matrix.index_add(0, index, rows)
        add_rows(matrix, index, rows)
        torch.testing.assert_close(matrix, wanted)


def test_new_centres_do_not_depend_on_who_holds_them():
    classes = 2 * DRAWN + 100
    whole = new_centres(0, classes, (3,), 9)
    cuts = [0, 5, DRAWN - 1, DRAWN + 7, classes]
    parts = [new_centres(a, b, (3,), 9) for a, b in pairwise(cuts)]
    assert torch.equal(torch.cat(parts), whole)
    assert whole.std().item() == pytest.approx(0.01, rel=0.02)
    assert len({tuple(row) for row in whole.tolist()}) == classes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sub_centres": 0}, "at least 1"),
        ({"engine": "sharded"}, "one of dense, chunked"),
        ({"sample": 0.0}, "in (0, 1]"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("arcface", options, words)


def test_one_identity_is_not_enough():
    with pytest.raises(TrainingError, match="number of identities is 1"):
        build_head("arcface", embedding_size=SIZE, classes=1)


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["dense", "chunked"])
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_gives_what_the_processor_gives(case, engine, monkeypatch):
    monkeypatch.setattr(chunked_scores, "ON_GPU", chunked_scores.Room(32, 150))
    monkeypatch.setattr(chunked_scores, "NARROWEST", 1)
    here, there = build_case(case, engine=engine), build_case(case, engine=engine).cuda()
    rows, labels = batch_of(here)
    found = gradients(there, rows.cuda(), labels.cuda())
    compare([one.cpu() for one in found], gradients(here, rows, labels))
    here, there = (build_case(case, engine=engine, sample=0.5, classes=60) for _ in range(2))
    found = gradients(there.cuda(), rows.cuda(), labels.cuda())
    compare([one.cpu() for one in found], gradients(here, rows, labels))
