"""Every pair loss against its equation, written out one pair or triplet at a time in float64."""

import itertools
import math
import subprocess
import sys

import pytest
import torch

from faceverify.errors import TrainingError
from faceverify.training.heads import HEADS, build_head, head_options

PAIR_HEADS = [name for name in HEADS if "engine" not in head_options(name)]
SIZE = 5
LABELS = [0, 0, 0, 1, 1, 2, 2, 2, 3]  # the last one has no partner


def build(name, **options):
    torch.manual_seed(0)
    return build_head(name, embedding_size=SIZE, classes=4, **options).double()


def batch(seed=0, labels=LABELS, spread=1.0):
    """Embeddings scattered around their identity's centre; smaller spread: further learned."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(10, SIZE, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(labels), SIZE, generator=generator, dtype=torch.float64)
    labels = torch.tensor(labels)
    return centres[labels] + spread * noise, labels


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def units(embeddings):
    return [row / row.norm() for row in embeddings]


def distance(one, other):
    return float((one - other).norm())


def pairs_of(labels):
    pairs = list(itertools.permutations(range(len(labels)), 2))
    return (
        [(i, j) for i, j in pairs if labels[i] == labels[j]],
        [(i, j) for i, j in pairs if labels[i] != labels[j]],
    )


# The equations


def contrastive(embeddings, labels, margin=1.0):
    rows = units(embeddings)
    genuine, impostor = pairs_of(labels)
    short = [margin - distance(rows[i], rows[j]) for i, j in impostor]
    return mean(distance(rows[i], rows[j]) ** 2 / 2 for i, j in genuine) + mean(
        gap**2 / 2 for gap in short if gap > 0
    )


def triplets_of(rows, labels, rule, margin, farthest=False):
    """Losses of the triplets a rule takes, before the hinge."""
    genuine, impostor = pairs_of(labels)
    losses = []
    for a in range(len(labels)):
        pulled = [distance(rows[i], rows[j]) ** 2 for i, j in genuine if i == a]
        pushed = [distance(rows[i], rows[j]) ** 2 for i, j in impostor if i == a]
        if not pulled or not pushed:
            continue
        if rule == "batch-hard":
            losses.append(max(pulled) - min(pushed) + margin)
        for p in pulled:
            if rule == "all":
                losses += [p - n + margin for n in pushed]
            if rule == "hard":
                losses += [p - n + margin for n in pushed if n < p]
            if rule == "semi-hard":
                beyond = [n for n in pushed if n > p]
                if beyond:
                    losses.append(p - min(beyond) + margin)
                elif farthest:
                    losses.append(p - max(pushed) + margin)
    return losses


def triplet(embeddings, labels, mining="semi-hard", margin=0.2, without_semi_hard="skip"):
    farthest = without_semi_hard == "farthest"
    losses = triplets_of(units(embeddings), labels, mining, margin, farthest)
    return mean(loss for loss in losses if loss > 0)


def quadruplet(embeddings, labels, margin=0.2, second_margin=0.1):
    rows = units(embeddings)
    genuine, impostor = pairs_of(labels)
    second = [
        distance(rows[x], rows[p]) ** 2 - distance(rows[n1], rows[n2]) ** 2 + second_margin
        for x, p in genuine
        for n1, n2 in impostor
        if labels[x] not in (labels[n1], labels[n2])
    ]
    return triplet(embeddings, labels, "all", margin) + mean(one for one in second if one > 0)


def npair(embeddings, labels, form="multi-class", norm_weight=0.0):
    anchors, partners = [], []
    for identity in sorted(set(labels.tolist())):
        members = (labels == identity).nonzero()[:, 0].tolist()
        anchors += members[: len(members) // 2 * 2 : 2]
        partners += members[1::2]
    losses = []
    for i, own in zip(anchors, partners, strict=True):
        rises = [
            float(embeddings[i] @ embeddings[j] - embeddings[i] @ embeddings[own])
            for j in partners
            if labels[j] != labels[i]
        ]
        if form == "multi-class":
            losses.append(math.log(1 + sum(map(math.exp, rises))))
        else:
            losses.append(sum(math.log(1 + math.exp(rise)) for rise in rises))
    return mean(losses) + norm_weight * mean(float(row @ row) for row in embeddings)


def lifted(embeddings, labels, margin=1.0, form="smooth"):
    rows = units(embeddings)
    genuine, impostor = pairs_of(labels)
    total = 0.0
    unordered = [(i, j) for i, j in genuine if i < j]
    for i, j in unordered:
        of_i = [margin - distance(rows[i], rows[k]) for a, k in impostor if a == i]
        of_j = [margin - distance(rows[j], rows[k]) for a, k in impostor if a == j]
        if form == "max":
            joint = max(max(of_i), max(of_j))
        else:
            joint = math.log(sum(map(math.exp, of_i)) + sum(map(math.exp, of_j)))
        total += max(0.0, joint + distance(rows[i], rows[j])) ** 2
    return total / (2 * len(unordered))


def proxy_anchor(embeddings, labels, proxies, margin=0.1, scale=32.0):
    rows, proxies = units(embeddings), units(proxies)
    pulled, pushed = [], []
    for identity, proxy in enumerate(proxies):
        cosines = [float(row @ proxy) for row in rows]
        own = [c for c, label in zip(cosines, labels, strict=True) if label == identity]
        other = [c for c, label in zip(cosines, labels, strict=True) if label != identity]
        if own:
            pulled.append(math.log(1 + sum(math.exp(-scale * (c - margin)) for c in own)))
        pushed.append(math.log(1 + sum(math.exp(scale * (c + margin)) for c in other)))
    return mean(pulled) + mean(pushed)


def supcon(embeddings, labels, temperature=0.1):
    rows = units(embeddings)
    losses = []
    for i in range(len(rows)):
        similar = {j: float(rows[i] @ rows[j]) / temperature for j in range(len(rows)) if j != i}
        whole = math.log(sum(math.exp(one) for one in similar.values()))
        partners = [similar[j] - whole for j in similar if labels[j] == labels[i]]
        if partners:
            losses.append(-mean(partners))
    return mean(losses)


def log_ratio(embeddings, labels, resolution=0.0):
    labels = labels.double().reshape(len(labels), -1)

    def apart(i, j):
        return max(float((labels[i] - labels[j]).square().sum()), resolution**2)

    losses = []
    for a, i, j in itertools.permutations(range(len(labels)), 3):
        if apart(a, i) and apart(a, j):
            near = distance(embeddings[a], embeddings[i]) ** 2 + 1e-6
            far = distance(embeddings[a], embeddings[j]) ** 2 + 1e-6
            losses.append((math.log(near / far) - math.log(apart(a, i) / apart(a, j))) ** 2)
    return mean(losses)


def magnet(embeddings, labels, clusters, margin=1.0):
    """``clusters``: which cluster of its identity each image is in."""
    members = {}
    for n, key in enumerate(zip(labels.tolist(), clusters, strict=True)):
        members.setdefault(key, []).append(n)
    means = {key: embeddings[rows].mean(dim=0) for key, rows in members.items()}
    keys = list(zip(labels.tolist(), clusters, strict=True))
    within = [distance(row, means[key]) ** 2 for row, key in zip(embeddings, keys, strict=True)]
    width = 2 * sum(within) / (len(embeddings) - 1)
    losses = []
    for row, key, own in zip(embeddings, keys, within, strict=True):
        rivals = sum(
            math.exp(-(distance(row, mu) ** 2) / width)
            for other, mu in means.items()
            if other[0] != key[0]
        )
        losses.append(max(0.0, -math.log(math.exp(-own / width - margin) / rivals)))
    return mean(losses)


EQUATIONS = {
    "contrastive": (contrastive, [{}, {"margin": 1.7}]),
    "triplet": (
        triplet,
        [
            *({"mining": rule} for rule in ("all", "hard", "semi-hard", "batch-hard")),
            {"without_semi_hard": "farthest"},
            {"mining": "all", "margin": 1.0},
        ],
    ),
    "quadruplet": (quadruplet, [{}, {"margin": 1.0, "second_margin": 0.7}, {"second_margin": 0.0}]),
    "npair": (npair, [{}, {"form": "one-against-one"}, {"norm_weight": 0.02}]),
    "lifted": (lifted, [{}, {"form": "max"}, {"margin": 0.5}]),
    "supcon": (supcon, [{}, {"temperature": 0.5}]),
    "log-ratio": (log_ratio, [{}, {"resolution": 0.5}]),
}
CASES = [(name, options) for name, (_, cases) in EQUATIONS.items() for options in cases]


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("spread", [2.0, 0.7, 0.2])
def test_each_loss_is_its_equation(name, options, spread):
    embeddings, labels = batch(spread=spread)
    expected = EQUATIONS[name][0](embeddings, labels, **options)
    assert expected > 0 or spread < 1
    found = build(name, **options)(embeddings, labels)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_log_ratio_takes_several_values_a_label():
    embeddings, _ = batch()
    poses = torch.randn(len(embeddings), 3, dtype=torch.float64)
    found = build("log-ratio")(embeddings, poses)
    assert float(found) == pytest.approx(log_ratio(embeddings, poses), rel=1e-9)


def test_log_ratio_knows_no_scale():
    embeddings, _ = batch()
    ages = torch.rand(len(embeddings), dtype=torch.float64)
    head = build("log-ratio")
    assert float(head(100 * embeddings, 7 * ages)) == pytest.approx(
        float(head(embeddings, ages)), rel=1e-4
    )


def test_proxy_anchor_is_its_equation():
    head = build("proxy-anchor")
    embeddings, labels = batch(spread=0.7)
    (proxies,) = (parameter.detach() for parameter in head.parameters())
    assert proxies.shape == (4, SIZE)
    assert head(embeddings, labels).item() == pytest.approx(
        proxy_anchor(embeddings, labels, proxies), rel=1e-9
    )


def test_magnet_before_its_first_index_has_one_cluster_an_identity():
    embeddings, labels = batch(spread=2.0)
    expected = magnet(embeddings, labels, [0] * len(labels))
    assert expected > 0.1
    assert float(build("magnet")(embeddings, labels)) == pytest.approx(expected, rel=1e-9)


def test_magnet_indexes_what_it_remembers():
    head = build("magnet", clusters=2, memory=4, refresh=2, margin=8.0)
    # identity 0 looks two ways, along the first axis
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    embeddings = torch.randn(6, SIZE, dtype=torch.float64)
    embeddings[:, 0] += torch.tensor([5.0, 5, -5, -5, 0, 0])
    for step in range(2):
        head.begin_step(step, 2)
        assert not head.centres.any()
        head(embeddings, labels)
        head.finish_step()
    sides = head.centres[0, :, 0].sort().values
    assert sides.tolist() == pytest.approx([-5, 5], abs=2)
    clusters = [int(head.centres[0, 0, 0] * row[0] < 0) for row in embeddings[:4]]
    ends = head.centres[1]
    clusters += [int((ends - row).norm(dim=1).argmin()) for row in embeddings[4:]]
    expected = magnet(embeddings, labels, clusters, margin=8.0)
    assert expected > 0.1
    assert float(head(embeddings, labels)) == pytest.approx(expected, rel=1e-9)


def test_magnet_keeps_the_latest_of_each_identity():
    head = build("magnet", memory=3, refresh=1000)
    for value in range(5):
        head(torch.full((2, SIZE), float(value), dtype=torch.float64), torch.tensor([1, 3]))
        head.finish_step()
    assert head.remembered.tolist() == [0, 5, 0, 5]
    assert head.memory[1, :, 0].tolist() == [3, 4, 2]
    head.eval()
    head(torch.zeros(2, SIZE, dtype=torch.float64), torch.tensor([1, 3]))
    head.finish_step()
    assert head.remembered.tolist() == [0, 5, 0, 5]  # validation is not learned from


def test_magnet_goes_on_from_its_state():
    first, second = build("magnet", refresh=2), build("magnet", refresh=2)
    for step in range(3):
        first.begin_step(step, 6)
        first(*batch(seed=step))
        first.finish_step()
    second.load_state_dict(first.state_dict())
    for step in range(3, 6):
        losses = []
        for head in (first, second):
            head.begin_step(step, 6)
            losses.append(float(head(*batch(seed=step))))
            head.finish_step()
        assert losses[0] == losses[1]


# Laws


def labels_for(name, labels=LABELS):
    """Log-ratio's labels are numbers: distinct ones."""
    return torch.arange(len(labels)).double() ** 1.3 if name == "log-ratio" else None


def evaluate(name, embeddings, labels, **options):
    own = labels_for(name, labels)
    return build(name, **options)(embeddings, labels if own is None else own)


@pytest.mark.parametrize("name", PAIR_HEADS)
@pytest.mark.parametrize("spread", [0.3, 1.5])
def test_gradients_are_those_of_the_loss(name, spread):
    embeddings, labels = batch(spread=spread)
    torch.autograd.gradcheck(
        lambda rows: evaluate(name, rows, labels), embeddings.requires_grad_(), atol=1e-6
    )


@pytest.mark.parametrize("rule", ["all", "hard", "semi-hard", "batch-hard"])
def test_gradients_of_each_rule_are_those_of_the_loss(rule):
    embeddings, labels = batch(spread=1.0)
    head = build("triplet", mining=rule)
    assert torch.autograd.gradcheck(lambda rows: head(rows, labels), embeddings.requires_grad_())


@pytest.mark.parametrize("name", PAIR_HEADS)
def test_identical_embeddings_have_finite_gradients(name):
    exact = 2 * torch.eye(SIZE)[1]  # its distance to itself is 0, without rounding
    for value in (exact, torch.tensor([0.3, -0.1, 0.7, 0.2, 0.9])):
        embeddings = value.expand(len(LABELS), SIZE).clone().requires_grad_()
        loss = evaluate(name, embeddings, torch.tensor(LABELS))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(embeddings.grad).all()
        assert embeddings.grad.abs().max() < 1e3


@pytest.mark.parametrize("name", PAIR_HEADS)
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


@pytest.mark.parametrize("name", PAIR_HEADS)
def test_the_order_of_the_batch_does_not_matter(name):
    embeddings, labels = batch()
    own = labels_for(name)
    labels = labels if own is None else own
    head = build(name)
    # N-pair pairs an identity's images in their order: identities move, their images stay in order
    order = torch.tensor([8, 5, 3, 0, 6, 1, 7, 4, 2])
    moved = head(embeddings[order], labels[order])
    assert moved.item() == pytest.approx(head(embeddings, labels).item(), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [("contrastive", {}), ("quadruplet", {}), ("lifted", {"margin": 0.5, "form": "max"})]
    + [("triplet", {"mining": rule}) for rule in ("all", "hard", "semi-hard", "batch-hard")],
)
def test_identities_apart_by_the_margin_have_no_loss(name, options):
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    embeddings = (10 * torch.eye(SIZE, dtype=torch.float64)[labels]).requires_grad_()
    loss = build(name, **options)(embeddings, labels)
    loss.backward()
    assert loss.item() == 0
    assert not embeddings.grad.any()


@pytest.mark.parametrize("name", PAIR_HEADS)
def test_a_step_downhill_lowers_the_loss(name):
    embeddings, labels = batch(spread=1.0)
    embeddings.requires_grad_()
    loss = evaluate(name, embeddings, labels)
    (slope,) = torch.autograd.grad(loss, embeddings)
    assert slope.abs().max() > 0
    assert evaluate(name, embeddings.detach() - 1e-3 * slope / slope.norm(), labels) < loss


@pytest.mark.parametrize("name", PAIR_HEADS)
def test_what_is_no_number_is_not_hidden(name):
    embeddings, labels = batch()
    embeddings[4, 2] = torch.nan
    assert torch.isnan(evaluate(name, embeddings, labels))


@pytest.mark.parametrize("name", PAIR_HEADS)
def test_float32_agrees_with_float64_under_autocast_too(name):
    embeddings, labels = batch(spread=0.7)
    own = labels_for(name)
    labels = labels if own is None else own
    exact = build(name)(embeddings, labels).item()
    with torch.autocast("cpu", torch.bfloat16):
        found = build(name).float()(embeddings.float(), labels)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact, rel=2e-4, abs=1e-6)


IMPOSSIBLE = [
    ("triplet", {"margin": 0.0}, "margin is 0.0"),
    ("triplet", {"mining": "hardest"}, "semi-hard, batch-hard, hard, all"),
    ("triplet", {"without_semi_hard": "stop"}, "skip, farthest"),
    ("contrastive", {"margin": 3.0}, r"\(0, 2\]"),
    ("quadruplet", {"second_margin": 0.3}, "second_margin"),
    ("npair", {"form": "n"}, "multi-class"),
    ("npair", {"norm_weight": -1.0}, "at least 0"),
    ("lifted", {"form": "min"}, "smooth, max"),
    ("proxy-anchor", {"scale": 0.0}, "above 0"),
    ("supcon", {"temperature": 0.0}, "above 0"),
    ("magnet", {"memory": 1}, "at least head.clusters, 2"),
    ("log-ratio", {"resolution": -1.0}, "at least 0"),
]


@pytest.mark.parametrize(("name", "options", "words"), IMPOSSIBLE)
def test_an_impossible_option_is_one_clear_line(name, options, words):
    with pytest.raises(TrainingError, match=words):
        build(name, **options)


def test_another_library_is_imported_only_by_the_heads_that_are_its():
    code = (
        "import sys; from faceverify.training.heads import build_head;"
        "build_head('triplet', embedding_size=2, classes=2);"
        "assert 'pytorch_metric_learning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
