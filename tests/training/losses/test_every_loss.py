"""Laws of all losses: of those with class centres, of those over pairs, and of both."""

import inspect
import subprocess
import sys

import pair_losses
import pytest
import torch
from centre_losses import BATCH, CLASSES, ENGINES, SIZE, batch_of, gradients
from every_case import CASES, PAIR_LOSSES, build_case, module_of_test
from pair_losses import LABELS, batch
from refused_options import check_refused

from faceverify.training.losses import LOSSES, build_loss, loss_options
from faceverify.training.losses.mining import MINING

# Of all


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_documented_and_has_a_test(name):
    assert inspect.getdoc(LOSSES[name])
    assert "equation_written_out" in inspect.getsource(module_of_test(name))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("arcfase", {}, "did you mean arcface"),
        ("arcface", {"margni": 1}, "known: margin, scale, sub_centres"),
        ("arcface", {"margin": "wide"}, "loss.margin of arcface is 'wide', not a number"),
        ("arcface", {"sub_centres": 2.0}, "a whole number"),
        ("arcface", {"scale": float("inf")}, "not a number"),
        ("arcface", {"scale": True}, "not a number"),
    ],
)
def test_an_option_of_another_name_or_kind_is_one_line(name, options, words):
    check_refused(name, options, words)


@pytest.mark.thorough
def test_another_library_is_imported_only_by_the_losses_that_are_its():
    code = (
        "import sys; from faceverify.training.losses import build_loss;"
        "build_loss('triplet', embedding_size=2, classes=2);"
        "assert 'pytorch_metric_learning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [one for one in LOSSES if "warm_up" in loss_options(one)])
def test_a_margin_grows_over_the_warm_up(name):
    loss = build_loss(name, embedding_size=SIZE, classes=CLASSES, warm_up=0.5)
    rows, labels = torch.randn(BATCH, SIZE), torch.randint(CLASSES, (BATCH,))
    loss.eval()
    shares, losses = [], []
    for step in range(11):
        loss.begin_step(step, 10)
        shares.append(loss.margin_share)
        losses.append(loss(rows, labels).item())
    assert shares == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])
    assert losses[0] < losses[2] < losses[5] == losses[10]


# Of those with class centres


@pytest.mark.parametrize("case", CASES)
def test_the_batch_meets_both_sides_of_every_margin(case):
    """Or the equations would say little: margins have branches."""
    loss = build_case(case)
    rows, labels = batch_of(loss)
    cosines = torch.nn.functional.cosine_similarity(
        rows.unsqueeze(1), loss.softmax._centres()[labels], dim=2
    ).amax(dim=1)
    assert cosines.max() > 0.9
    assert cosines.min() < (-0.9 if case != "sub-centres" else 0)


@pytest.mark.thorough(but=("arcface", "sphereface", "center", "softmax"))
@pytest.mark.parametrize("case", CASES)
def test_gradcheck(case):
    loss = build_case(case).eval()
    rows, labels = batch_of(loss, 4)
    parameters = dict(loss.named_parameters())

    def value(rows, *values):
        given = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(loss, given, (rows, labels))

    rows.requires_grad_(case != "adaface")  # whose margin counts as fixed
    inputs = (rows, *(one.detach().requires_grad_() for one in parameters.values()))
    assert torch.autograd.gradcheck(value, inputs)


@pytest.mark.parametrize(
    "case", ["normface", "sphereface-r", "cosface", "arcface", "sub-centres", "curricularface"]
)
def test_lengths_of_embeddings_and_centres_do_not_count(case):
    loss = build_case(case).eval()
    rows, labels = batch_of(loss)
    before = loss(rows, labels)
    with torch.no_grad():
        loss.softmax._centres().mul_(torch.linspace(0.2, 5, CLASSES).view(-1, 1, 1))
    torch.testing.assert_close(loss(rows * torch.rand(BATCH, 1).double().add(0.1), labels), before)


@pytest.mark.parametrize("case", CASES)
def test_order_of_images_and_names_of_classes_do_not_count(case):
    loss = build_case(case).eval()
    rows, labels = batch_of(loss)
    before = loss(rows, labels)
    order, names = torch.randperm(BATCH), torch.randperm(CLASSES)
    torch.testing.assert_close(loss(rows[order], labels[order]), before)
    with torch.no_grad():
        for tensor in [*loss.parameters(), *(one for one in loss.buffers() if one.dim() > 1)]:
            tensor[names] = tensor.clone()
    torch.testing.assert_close(loss(rows, names[labels]), before)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_poles_and_zeros_have_finite_gradients(case, engine, dtype):
    loss = build_case(case, engine=engine, dtype=dtype)
    rows, labels = batch_of(loss, dtype=dtype)
    with torch.no_grad():
        centres = loss.softmax._centres()[:, 0]
        rows[0] = 2 * centres[labels[0]]
        rows[1] = -2 * centres[labels[1]]
        rows[2] = 0
        centres[labels[3]] = 0
        rows[4] = centres[(labels[4] + 1) % CLASSES]
        rows[5] *= 1e-25
        rows[6] *= 1e15
    for one in gradients(loss, rows, labels):
        assert one.isfinite().all()


@pytest.mark.parametrize("case", ["cosface", "arcface", "adaface", "magface", "sphereface-r"])
def test_a_margin_never_helps(case):
    loss = build_case(case).eval()
    rows, labels = batch_of(loss)
    loss.weight = 0.0  # of MagFace's pull on the length
    plain = build_loss("normface", embedding_size=SIZE, classes=CLASSES, scale=loss.scale).double()
    plain.softmax.load_state_dict(loss.softmax.state_dict())
    assert loss(rows, labels) > plain(rows, labels)
    loss.margin_share = 0.0
    torch.testing.assert_close(loss(rows, labels), plain(rows, labels))


@pytest.mark.parametrize("case", ["lsoftmax", "sphereface"])
def test_a_multiplied_angle_never_helps(case):
    loss = build_case(case)
    rows, labels = batch_of(loss)
    with_margin = loss(rows, labels)
    loss.margin = 1
    assert with_margin > loss(rows, labels)


@pytest.mark.parametrize("case", CASES)
def test_logits_are_float32_under_autocast(case):
    loss = build_case(case, dtype=torch.float32).eval()
    rows, labels = batch_of(loss, dtype=torch.float32)
    rows = rows.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(rows, labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(rows.float(), labels), rtol=0, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_a_few_steps_learn_the_batch(case):
    loss = build_case(case, dtype=torch.float32)
    rows = torch.nn.Parameter(torch.randn(BATCH, SIZE))
    labels = torch.arange(BATCH)
    optimiser = torch.optim.Adam([rows, *loss.parameters()], lr=0.1)
    losses = []
    for step in range(60):
        loss.begin_step(step, 60)
        optimiser.zero_grad()
        value = loss(rows, labels)
        value.backward()
        optimiser.step()
        loss.finish_step()
        losses.append(value.item())
    assert losses[-1] < 0.3 * losses[0] or losses[-1] < losses[0] - 5


# Of those over pairs


def labels_for(name, labels):
    """Log-ratio's labels are numbers: distinct ones."""
    return torch.arange(len(labels)).double() ** 1.3 if name == "log-ratio" else labels


def evaluate(name, embeddings, labels):
    return pair_losses.build(name)(embeddings, labels_for(name, labels))


@pytest.mark.thorough(but=("0.3-triplet", "1.5-contrastive", "0.3-npair", "0.3-log-ratio"))
@pytest.mark.parametrize("name", PAIR_LOSSES)
@pytest.mark.parametrize("spread", [0.3, 1.5])
def test_gradients_are_those_of_the_loss(name, spread):
    embeddings, labels = batch(spread=spread)
    torch.autograd.gradcheck(
        lambda rows: evaluate(name, rows, labels), embeddings.requires_grad_(), atol=1e-6
    )


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_identical_embeddings_have_finite_gradients(name):
    exact = 2 * torch.eye(pair_losses.SIZE)[1]  # its distance to itself is 0, without rounding
    for value in (exact, torch.tensor([0.3, -0.1, 0.7, 0.2, 0.9])):
        embeddings = value.expand(len(LABELS), pair_losses.SIZE).clone().requires_grad_()
        loss = evaluate(name, embeddings, torch.tensor(LABELS))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(embeddings.grad).all()
        assert embeddings.grad.abs().max() < 1e3


@pytest.mark.parametrize("name", PAIR_LOSSES)
@pytest.mark.parametrize(
    "labels", [[0, 0, 0, 0], [0, 1, 2, 3], [0], [0, 0]], ids=["one", "apart", "single", "pair"]
)
def test_a_batch_without_pairs_of_a_kind_is_no_accident(name, labels):
    embeddings, labels = batch(labels=labels)
    embeddings.requires_grad_()
    loss = evaluate(name, embeddings, labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all()


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_the_order_of_the_batch_does_not_matter(name):
    embeddings, labels = batch()
    labels = labels_for(name, labels)
    loss = pair_losses.build(name)
    # N-pair pairs an identity's images in their order: identities move, their images stay in order
    order = torch.tensor([8, 5, 3, 0, 6, 1, 7, 4, 2])
    moved = loss(embeddings[order], labels[order])
    assert moved.item() == pytest.approx(loss(embeddings, labels).item(), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [("contrastive", {}), ("quadruplet", {}), ("lifted", {"margin": 0.5, "form": "max"})]
    + [("triplet", {"mining": rule}) for rule in MINING],
)
def test_identities_apart_by_the_margin_have_no_loss(name, options):
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    embeddings = (10 * torch.eye(pair_losses.SIZE, dtype=torch.float64)[labels]).requires_grad_()
    loss = pair_losses.build(name, **options)(embeddings, labels)
    loss.backward()
    assert loss.item() == 0
    assert not embeddings.grad.any()


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_a_step_downhill_lowers_the_loss(name):
    embeddings, labels = batch(spread=1.0)
    embeddings.requires_grad_()
    loss = evaluate(name, embeddings, labels)
    (slope,) = torch.autograd.grad(loss, embeddings)
    assert slope.abs().max() > 0
    assert evaluate(name, embeddings.detach() - 1e-3 * slope / slope.norm(), labels) < loss


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_what_is_no_number_is_not_hidden(name):
    embeddings, labels = batch()
    embeddings[4, 2] = torch.nan
    assert torch.isnan(evaluate(name, embeddings, labels))


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_float32_agrees_with_float64_under_autocast_too(name):
    embeddings, labels = batch(spread=0.7)
    labels = labels_for(name, labels)
    exact = pair_losses.build(name)(embeddings, labels).item()
    with torch.autocast("cpu", torch.bfloat16):
        found = pair_losses.build(name).float()(embeddings.float(), labels)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact, rel=2e-4, abs=1e-6)
