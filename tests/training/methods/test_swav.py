"""SwAV: codes by Sinkhorn and Knopp, and predictions from other views."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from slow_views import batch_of, passed, rows

from faceverify.errors import TrainingError
from faceverify.training.methods.swav import SwAV, sinkhorn


def slow_sinkhorn(scores, epsilon, iterations):
    """Equation 3: Q in the polytope, by rounds over its rows and columns."""
    q = np.exp(np.asarray(scores) / epsilon).T  # (K, N), as the paper has it
    q /= q.sum()
    prototypes, images = q.shape
    for _ in range(iterations):
        for k in range(prototypes):
            q[k] /= q[k].sum() * prototypes
        for n in range(images):
            q[:, n] /= q[:, n].sum() * images
    return (q * images).T


def written_out(method, views, codes):
    """Equations 1 and 2, one image at a time."""
    prototypes = F.normalize(method.prototypes.weight, dim=1).detach().numpy()
    losses = []
    for i in range(2):
        for v in range(len(views)):
            if v == i:
                continue
            z = F.normalize(method.projector(views[v]), dim=1).detach().numpy()
            for n in range(len(z)):
                logits = [z[n] @ c / method.temperature for c in prototypes]
                over = sum(math.exp(one) for one in logits)
                losses.append(
                    -sum(
                        code * math.log(math.exp(logit) / over)
                        for code, logit in zip(codes[i][n], logits, strict=True)
                    )
                )
    return sum(losses) / len(losses)


def learner(**options):
    torch.manual_seed(0)
    given = {"prototypes": 5, "projection": 4, "hidden": 6, **options}
    return SwAV(embedding_size=5, images=30, **given).double()


def scores_of(method, view):
    z = F.normalize(method.projector(view), dim=1)
    return (z @ F.normalize(method.prototypes.weight, dim=1).T).detach().numpy()


def test_the_equation_written_out():
    method = learner()
    views = [rows(8, seed=seed) for seed in range(4)]
    codes = [slow_sinkhorn(scores_of(method, view), 0.05, 3) for view in views[:2]]
    assert method(passed, batch_of(*views)).item() == pytest.approx(
        written_out(method, views, codes)
    )


@pytest.mark.parametrize("epsilon", [0.01, 0.05, 1.0])
def test_codes_share_the_images_evenly(epsilon):
    scores = 0.3 * rows(40, 5)
    codes = sinkhorn(scores, epsilon, 200)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(40, dtype=torch.float64))
    torch.testing.assert_close(codes.sum(dim=0), torch.full((5,), 8.0).double(), rtol=0.02, atol=0)
    np.testing.assert_allclose(sinkhorn(scores, epsilon, 3), slow_sinkhorn(scores, epsilon, 3))


def test_a_queue_counts_from_its_share_of_the_run():
    method = learner(queue=16, queue_from=0.5)
    views = [rows(8, seed=seed) for seed in range(2)]
    method.begin_step(0, 4)
    method(passed, batch_of(*views))
    method.finish_step(torch.nn.Identity())
    earlier = [F.normalize(method.projector(view), dim=1).detach() for view in views]
    torch.testing.assert_close(method.queues[1].filled, earlier[1])
    later = [rows(8, seed=seed) for seed in (5, 6)]
    for step, queued in ((1, False), (2, True)):
        method.begin_step(step, 4)
        method(passed, batch_of(*later))
        for view in range(2):
            scores = scores_of(method, later[view])
            if queued:
                scores = np.concatenate([scores, scores_of(method, views[view])])
            wanted = slow_sinkhorn(scores, 0.05, 3)[:8]
            np.testing.assert_allclose(method.codes(view), wanted)


def test_more_prototypes_than_photos_are_refused():
    with pytest.raises(TrainingError, match=r"method\.prototypes is 31, not at most the number"):
        learner(prototypes=31)


def test_lightly_gives_the_same():
    loss = pytest.importorskip("lightly.loss", reason="lightly is not installed")
    method = learner()
    views = [rows(8, seed=seed) for seed in range(4)]
    scores = [torch.from_numpy(scores_of(method, view)) for view in views]
    theirs = loss.SwaVLoss(temperature=0.1, sinkhorn_epsilon=0.05)(scores[:2], scores[2:])
    torch.testing.assert_close(method(passed, batch_of(*views)).detach(), theirs.squeeze())
