"""Heads with class centres: the papers' equations, another library, and what must always hold."""

import inspect
import math

import pytest
import torch
from head_cases import BATCH, CASES, CLASSES, SIZE, batch_of, gradients, head_case
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning.distances import CosineSimilarity
from slow_losses import slow_loss

from faceverify.training.heads import HEADS, build_head

COSINE_HEADS = ["normface", "sphereface-r", "cosface", "arcface", "sub-centres", "curricularface"]
ENGINES = ["dense", "chunked"]


def slow(case, head, rows, labels):
    """The oracle's loss and gradients, with the state that the head has after its own loss."""
    options = {key: one for key, one in vars(head).items() if isinstance(one, int | float)}
    options |= {key: one.clone() for key, one in head.named_buffers() if "." not in key}
    options |= {key: float(one) for key, one in options.items() if getattr(one, "ndim", 1) == 0}
    rows = rows.clone().requires_grad_()
    head.zero_grad()
    bias = head.softmax.bias
    loss = slow_loss(case, rows, labels, head.softmax.centres, bias, options)
    loss.backward()
    return [loss.detach(), rows.grad, *(one.grad for one in head.parameters())]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_the_equation_written_out(case, engine):
    head = head_case(case, engine=engine)
    rows, labels = batch_of(head)
    ours = gradients(head, rows, labels)
    ours = [one.clone() for one in ours]
    theirs = slow(case, head, rows, labels)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_the_batch_meets_both_sides_of_every_margin(case):
    """Or the test above would say little: margins have branches."""
    head = head_case(case)
    rows, labels = batch_of(head)
    cosines = torch.nn.functional.cosine_similarity(
        rows.unsqueeze(1), head.softmax._centres()[labels], dim=2
    ).amax(dim=1)
    assert cosines.max() > 0.9
    assert cosines.min() < (-0.9 if case != "sub-centres" else 0)
    if case == "magface":
        lengths = rows.norm(dim=1)
        assert (lengths < head.shortest).any()
        assert (lengths > head.longest).any()
        assert ((lengths > head.shortest) & (lengths < head.longest)).any()


@pytest.mark.parametrize("case", CASES)
def test_gradcheck(case):
    head = head_case(case).eval()
    rows, labels = batch_of(head, 4)
    parameters = dict(head.named_parameters())

    def loss(rows, *values):
        given = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(head, given, (rows, labels))

    rows.requires_grad_(case != "adaface")  # whose margin counts as fixed
    inputs = (rows, *(one.detach().requires_grad_() for one in parameters.values()))
    assert torch.autograd.gradcheck(loss, inputs)


PEERS = {
    "arcface": lambda: pml_losses.ArcFaceLoss(CLASSES, SIZE, margin=math.degrees(0.5), scale=7),
    "cosface": lambda: pml_losses.CosFaceLoss(CLASSES, SIZE, margin=0.35, scale=7),
    "normface": lambda: pml_losses.NormalizedSoftmaxLoss(CLASSES, SIZE, temperature=1 / 7),
    "sub-centres": lambda: pml_losses.SubCenterArcFaceLoss(
        num_classes=CLASSES, embedding_size=SIZE, margin=math.degrees(0.5), scale=7, sub_centers=3
    ),
    "sphereface": lambda: pml_losses.SphereFaceLoss(CLASSES, SIZE, margin=4),
    "lsoftmax": lambda: pml_losses.LargeMarginSoftmaxLoss(CLASSES, SIZE, margin=3),
}


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize("case", PEERS)
def test_pytorch_metric_learning_gives_the_same(case):
    """Past the pole of an added angle too: version 2.9 goes on with cos(t) - m sin(m) as we do."""
    unannealed = {"anneal_to": 0.0} if case in ("sphereface", "lsoftmax") else {}
    head, peer = head_case(case, **unannealed), PEERS[case]().double()
    rows, labels = batch_of(head)
    with torch.no_grad():
        peer.W.copy_(head.softmax.centres.flatten(0, -2).T)
    loss, rows_slope, centres_slope = gradients(head, rows, labels)
    rows.requires_grad_()
    theirs = peer(rows, labels)
    theirs.backward()
    torch.testing.assert_close(loss, theirs.detach(), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(rows_slope, rows.grad, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(centres_slope.flatten(0, -2), peer.W.grad.T, rtol=1e-6, atol=1e-7)


def test_pytorch_metric_learning_s_proxy_nca_counts_the_target_too():
    """It is NormFace in our words; the paper's equation 4 leaves the target out below the bar."""
    head = head_case("normface", scale=7.0)
    rows, labels = batch_of(head)
    peer = pml_losses.ProxyNCALoss(CLASSES, SIZE, softmax_scale=7, distance=CosineSimilarity())
    with torch.no_grad():
        peer.double().proxies.copy_(head.softmax.centres)
    torch.testing.assert_close(head(rows, labels), peer(rows, labels), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("case", COSINE_HEADS)
def test_lengths_of_embeddings_and_centres_do_not_count(case):
    head = head_case(case).eval()
    rows, labels = batch_of(head)
    before = head(rows, labels)
    with torch.no_grad():
        head.softmax._centres().mul_(torch.linspace(0.2, 5, CLASSES).view(-1, 1, 1))
    torch.testing.assert_close(head(rows * torch.rand(BATCH, 1).double().add(0.1), labels), before)


@pytest.mark.parametrize("case", CASES)
def test_order_of_images_and_names_of_classes_do_not_count(case):
    head = head_case(case).eval()
    rows, labels = batch_of(head)
    before = head(rows, labels)
    order, names = torch.randperm(BATCH), torch.randperm(CLASSES)
    torch.testing.assert_close(head(rows[order], labels[order]), before)
    with torch.no_grad():
        for tensor in [*head.parameters(), *(one for one in head.buffers() if one.dim() > 1)]:
            tensor[names] = tensor.clone()
    torch.testing.assert_close(head(rows, names[labels]), before)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_poles_and_zeros_have_finite_gradients(case, engine, dtype):
    head = head_case(case, engine=engine, dtype=dtype)
    rows, labels = batch_of(head, dtype=dtype)
    with torch.no_grad():
        centres = head.softmax._centres()[:, 0]
        rows[0] = 2 * centres[labels[0]]
        rows[1] = -2 * centres[labels[1]]
        rows[2] = 0
        centres[labels[3]] = 0
        rows[4] = centres[(labels[4] + 1) % CLASSES]
        rows[5] *= 1e-25
        rows[6] *= 1e15
    for one in gradients(head, rows, labels):
        assert one.isfinite().all()


@pytest.mark.parametrize("case", ["cosface", "arcface", "adaface", "magface", "sphereface-r"])
def test_a_margin_never_helps(case):
    head = head_case(case).eval()
    rows, labels = batch_of(head)
    head.weight = 0.0  # of MagFace's pull on the length
    plain = build_head("normface", embedding_size=SIZE, classes=CLASSES, scale=head.scale).double()
    plain.softmax.load_state_dict(head.softmax.state_dict())
    assert head(rows, labels) > plain(rows, labels)
    head.margin_share = 0.0
    torch.testing.assert_close(head(rows, labels), plain(rows, labels))


@pytest.mark.parametrize("case", ["lsoftmax", "sphereface"])
def test_a_multiplied_angle_never_helps(case):
    head = head_case(case)
    rows, labels = batch_of(head)
    with_margin = head(rows, labels)
    head.margin = 1
    assert with_margin > head(rows, labels)


@pytest.mark.parametrize("case", CASES)
def test_logits_are_float32_under_autocast(case):
    head = head_case(case, dtype=torch.float32).eval()
    rows, labels = batch_of(head, dtype=torch.float32)
    rows = rows.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = head(rows, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, head(rows.float(), labels), rtol=0, atol=0)


def test_center_moves_its_centres_by_the_rule_of_the_paper():
    head = head_case("center", alpha=0.7)
    rows, labels = batch_of(head)
    before = head.centres.clone()
    head(rows[:5], labels[:5])  # two parts of one step
    head(rows[5:], labels[5:])
    assert torch.equal(head.centres, before)
    head.finish_step()
    for j in range(CLASSES):
        mine = [row for row, label in zip(rows, labels, strict=True) if label == j]
        delta = sum((before[j] - row for row in mine), torch.zeros(SIZE)) / (1 + len(mine))
        torch.testing.assert_close(head.centres[j], before[j] - 0.7 * delta)
    head.finish_step()
    moved = head.centres.clone()
    head.eval()(rows, labels)
    head.finish_step()
    assert torch.equal(head.centres, moved)


def test_adaface_learns_what_is_usual():
    head = head_case("adaface", momentum=0.25)
    rows, labels = batch_of(head)
    lengths = rows.norm(dim=1)
    head(rows, labels)
    torch.testing.assert_close(head.mean, 0.75 * 20 + 0.25 * lengths.mean())
    torch.testing.assert_close(head.deviation, 0.75 * 100 + 0.25 * lengths.std())
    learned = head.state_dict()
    head.eval()(rows, labels)
    assert head.mean == learned["mean"]
    head.train()(rows[:1], labels[:1])  # the deviation of one is none
    assert head.deviation.isfinite()


def test_curricularface_s_weight_follows_the_targets_cosines():
    head = head_case("curricularface", momentum=0.25)
    rows, labels = batch_of(head)
    cosine = torch.nn.functional.cosine_similarity(rows, head.softmax.centres[labels])
    head(rows, labels)
    torch.testing.assert_close(head.weight, 0.25 * cosine.mean().detach())
    assert "weight" in head.state_dict()


def test_annealing_falls_as_published():
    """1000 / (1 + 0.12 step), at least 5, on the published 28,000 steps."""
    head = head_case("sphereface", anneal_to=5.0)
    easings = []
    for step in range(2000):
        head.begin_step(step, 28_000)
        easings.append(head.easing)
        if 20 < step < 200:
            assert 0.8 < head.easing / (1000 / (1 + 0.12 * step)) < 1.25
    assert easings[0] == 1000
    assert easings[-1] == 5
    assert sorted(easings, reverse=True) == easings


@pytest.mark.parametrize(
    "name", ["cosface", "arcface", "sphereface-r", "adaface", "curricularface", "magface"]
)
def test_a_margin_grows_over_the_warm_up(name):
    head = build_head(name, embedding_size=SIZE, classes=CLASSES, warm_up=0.5)
    rows, labels = torch.randn(BATCH, SIZE), torch.randint(CLASSES, (BATCH,))
    head.eval()
    grown = []
    losses = []
    for step in range(11):
        head.begin_step(step, 10)
        grown.append(head.margin_share)
        losses.append(head(rows, labels).item())
    assert grown == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])
    assert losses[0] < losses[2] < losses[5] == losses[10]


@pytest.mark.parametrize("name", HEADS)
def test_every_head_documents_its_options(name):
    assert inspect.getdoc(HEADS[name])


@pytest.mark.parametrize("case", CASES)
def test_a_few_steps_learn_the_batch(case):
    head = head_case(case, dtype=torch.float32)
    rows = torch.nn.Parameter(torch.randn(BATCH, SIZE))
    labels = torch.arange(BATCH)
    optimiser = torch.optim.Adam([rows, *head.parameters()], lr=0.1)
    losses = []
    for step in range(60):
        head.begin_step(step, 60)
        optimiser.zero_grad()
        loss = head(rows, labels)
        loss.backward()
        optimiser.step()
        head.finish_step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0] or losses[-1] < losses[0] - 5
