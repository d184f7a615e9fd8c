"""Instance discrimination: the noise-contrastive loss, its bank, and Z of the first batches."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from slow_views import batch_of, cosine, passed, rows

from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch
from faceverify.training.methods.instdisc import FIRST_BATCHES, InstanceDiscrimination
from faceverify.training.methods.parts.memory_bank import MemoryBank

IMAGES, NOISE, HEAT = 20, 7, 0.3


def learner(**options):
    torch.manual_seed(0)
    given = {"noise": NOISE, "temperature": HEAT, "proximal": 2.0, **options}
    return InstanceDiscrimination(embedding_size=5, images=IMAGES, **given).double()


def batch(first, *, start=3):
    made = batch_of(first)
    return Batch(made.views, made.labels, np.arange(start, start + len(first)),
                 np.arange(len(first), dtype=np.uint64) + np.uint64(start))  # fmt: skip


def drawn(of):
    """Rows that the keys of a batch draw: each image gives as many, the last too many."""
    each = draws_of(of.keys, math.ceil(NOISE / len(of)))
    return [int(one * IMAGES) for one in each.reshape(-1)][:NOISE]


def written_out(views, bank, places, noise, z, proximal):
    """Equations 4 to 7, 9 and 10, one image and one draw of the noise at a time."""
    m, n = len(noise), len(bank)

    def posterior(row, view):
        probability = math.exp(cosine(bank[row], view) / HEAT) / z
        return probability / (probability + m / n)

    losses = []
    for view, place in zip(views, places, strict=True):
        unit = np.asarray(view) / np.linalg.norm(view)
        loss = -math.log(posterior(place, view))
        loss -= sum(math.log(1 - posterior(other, view)) for other in noise)
        losses.append(loss + proximal * float(((unit - np.asarray(bank[place])) ** 2).sum()))
    return sum(losses) / len(losses)


def partition(views, bank, noise):
    """Equation 8, over a batch."""
    each = [math.exp(cosine(bank[other], view) / HEAT) for view in views for other in noise]
    return len(bank) * sum(each) / len(each)


def test_the_equation_written_out():
    method, views = learner(), rows(6, 5, seed=1)
    of = batch(views)
    z = partition(views, method.bank.rows, drawn(of))
    wanted = written_out(views, method.bank.rows, of.indices, drawn(of), z, 2.0)
    assert method(passed, of).item() == pytest.approx(wanted)


def test_the_partition_is_of_the_first_batches_and_constant_from_then_on():
    method, found = learner(), []
    for step in range(FIRST_BATCHES + 2):
        views = rows(6, 5, seed=step)
        of = batch(views, start=step)
        method.begin_step(step, 99)
        if step < FIRST_BATCHES:
            found.append(partition(views, method.bank.rows, drawn(of)))
        bank = method.bank.rows.clone()
        z = sum(found) / len(found)
        wanted = written_out(views, bank, of.indices, drawn(of), z, 2.0)
        assert method(passed, of).item() == pytest.approx(wanted)
        method.finish_step(torch.nn.Identity())
    assert "log_partition" in method.state_dict()


def test_the_bank_takes_in_what_was_seen():
    method, views = learner(bank_momentum=0.25), rows(6, 5, seed=1)
    before = method.bank.rows.clone()
    method(passed, batch(views))
    assert torch.equal(method.bank.rows, before)
    method.finish_step(torch.nn.Identity())
    for place in range(IMAGES):
        wanted = before[place]
        if 3 <= place < 9:
            wanted = 0.25 * wanted + 0.75 * F.normalize(views[place - 3], dim=0)
            wanted = wanted / wanted.norm()
        torch.testing.assert_close(method.bank.rows[place], wanted)


def test_an_image_that_is_twice_in_a_batch_counts_once():
    bank = MemoryBank(4, 3).double()
    new = F.normalize(rows(3, 3), dim=1)
    bank.update(torch.tensor([2, 0, 2]), new, momentum=0.0)
    torch.testing.assert_close(bank.rows[[2, 0]], new[:2])


def test_extreme_temperatures_stay_finite():
    method = learner(temperature=1e-3)
    views = rows(6, 5, seed=1).requires_grad_()
    loss = method(passed, batch(views))
    loss.backward()
    assert loss.isfinite()
    assert views.grad.isfinite().all()
