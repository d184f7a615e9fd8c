"""VAE: the bound of equation 10, and that the embedding is the mean."""

import math

import numpy as np
import pytest
import torch
from slow_pictures import CONTRACT, pictures
from tiny_runs import SIDE, SIZE, tiny

from faceverify.errors import TrainingError
from faceverify.training.data.loading.counter_rng import draws_of, normal_draws
from faceverify.training.methods.vae import VAE
from faceverify.training.optim.view_encoder import ViewEncoder
from faceverify.training.stopping import CollapseWatch


def learner(beta=1.0):
    torch.manual_seed(0)
    net = tiny(embedding_size=SIZE)
    return VAE(embedding_size=SIZE, contract=CONTRACT, beta=beta, channels=4), net


@torch.no_grad()
@pytest.mark.parametrize("beta", [1.0, 0.0, 40.0])
def test_equation_10_written_out(beta):
    method, net = learner(beta)
    batch = pictures()
    bounds, divergences = [], []
    for image, key in zip(batch.views[0], batch.keys, strict=True):
        draws = draws_of(np.array([key]), 2 * SIZE)[0]
        mean = net(image[None])[0]
        variance = method.log_variance(mean).exp()
        sample = torch.zeros(SIZE)
        divergence = 0.0
        for number in range(SIZE):
            m, v = float(mean[number]), float(variance[number])
            radius = math.sqrt(-2 * math.log(1 - draws[number]))
            noise = radius * math.cos(2 * math.pi * draws[SIZE + number])
            sample[number] = m + math.sqrt(v) * noise
            divergence -= (1 + math.log(v) - m**2 - v) / 2
        error = (method.decoder(sample[None])[0] - image).square().sum() / 2
        bounds.append((float(error) + beta * divergence) / (3 * SIDE**2))
        divergences.append(divergence)
    assert method(ViewEncoder(net), batch).item() == pytest.approx(np.mean(bounds), rel=1e-4)
    assert method.signs()["divergence"] == pytest.approx(np.mean(divergences), rel=1e-4)


def test_the_noise_is_normal_and_of_the_key_alone():
    noise = normal_draws(np.arange(2000, dtype=np.uint64), 10)
    assert noise.shape == (2000, 10)
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert (np.abs(noise) < 1.96).mean() == pytest.approx(0.95, abs=0.01)
    assert np.abs(np.corrcoef(noise.T) - np.eye(10)).max() < 0.1
    assert np.array_equal(normal_draws(np.array([7], np.uint64), 10)[0], noise[7])


def test_an_embedding_that_tells_nothing_stops_the_run():
    watch = CollapseWatch(VAE.collapse)
    signs = {"spread": 0.9, "effective_rank": 9.0, "divergence": 0.01}
    for step in range(0, 300, 10):
        watch.check(signs, step)
    with pytest.raises(TrainingError, match=r"divergence is 0\.01 .*method\.beta=0\.1"):
        watch.check(signs, 300)
