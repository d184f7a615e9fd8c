"""MoCo: a key among those of a queue; what the queue holds; a teacher that follows."""

import math

import pytest
import torch
import torch.nn.functional as F
from slow_views import Scaled, batch_of, cosine, rows

from faceverify.errors import TrainingError
from faceverify.training.methods.moco import MoCo, among_queue


def written_out(queries, keys, queue, temperature):
    """Equation 1, one query at a time."""
    total = 0.0
    for query, key in zip(queries, keys, strict=True):
        own = math.exp(cosine(query, key) / temperature)
        over = own + sum(math.exp(cosine(query, other) / temperature) for other in queue)
        total -= math.log(own / over)
    return total / len(queries)


def test_the_equation_written_out():
    queries, keys, queue = (F.normalize(rows(n, seed=n), dim=1) for n in (4, 4, 7))
    found = among_queue(queries, keys, queue, 0.2)
    assert found.item() == pytest.approx(written_out(queries, keys, queue, 0.2))


def learner(**options):
    torch.manual_seed(0)
    backbone = Scaled()
    given = {"queue": 8, "projection": 4, "momentum": 0.9, **options}
    return MoCo(embedding_size=5, backbone=backbone, images=20, **given).double(), backbone


def test_a_step_is_a_query_of_the_student_and_a_key_of_the_teacher():
    method, backbone = learner()
    with torch.no_grad():
        for weight in method.projector.parameters():
            weight.add_(0.1)
    first, second = rows(seed=1), rows(seed=2)
    queries = method.projector(backbone(first)).detach()
    keys = method.teacher.heads(method.teacher.backbone(second)).detach()
    wanted = written_out(queries, keys, method.queue.rows, 0.2)
    found = method(lambda views: [backbone(view) for view in views], batch_of(first, second))
    assert found.item() == pytest.approx(wanted)
    with torch.no_grad():
        backbone.weight.fill_(3.0)
    method.finish_step(backbone)
    assert float(method.teacher.backbone.weight) == pytest.approx(0.9 * 2 + 0.1 * 3)
    torch.testing.assert_close(method.queue.rows[:6], F.normalize(keys, dim=1))


def test_the_queue_keeps_the_last_keys():
    queue = learner()[0].queue
    pushed = rows(20, 4)
    for start in (0, 5, 10, 15):
        queue.push(pushed[start : start + 5])
    kept = sorted(map(tuple, queue.rows.tolist()))
    assert kept == sorted(map(tuple, pushed[12:].tolist()))
    queue.push(pushed)  # more than it holds
    assert sorted(map(tuple, queue.rows.tolist())) == kept


def test_a_queue_longer_than_the_data_is_refused():
    with pytest.raises(TrainingError, match="queue is 21, not in 1 to the number of photos"):
        learner(queue=21)


def test_lightly_gives_the_same():
    loss = pytest.importorskip("lightly.loss", reason="lightly is not installed")
    contrast = loss.NTXentLoss(temperature=0.2, memory_bank_size=(7, 5)).double()
    first, second = rows(seed=1), rows(seed=2)
    queries, keys = F.normalize(first, dim=1), F.normalize(second, dim=1)
    contrast(queries, keys)  # makes its bank
    bank = contrast.memory_bank.bank.clone()
    theirs = contrast(queries, keys)
    torch.testing.assert_close(among_queue(queries, keys, bank, 0.2), theirs)
