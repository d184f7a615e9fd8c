"""Whether a net normalises its input itself: nets whose answer is known."""

import numpy as np
import pytest
from small_nets import small_net

from faceverify.models.install.graph_check import load
from faceverify.models.install.normalisation import (
    ITSELF,
    NOT_ITSELF,
    normalises_itself,
    probe_images,
    spread,
)
from faceverify.models.registry import load_model


@pytest.mark.thorough(but=("dlib-resnet29",))
@pytest.mark.parametrize("name", ["dlib-resnet29", "sface"])
def test_nets_that_were_trained(name):
    """Each as it is, and with its mean and scale in the graph: far from what lies between."""
    model = load_model(name)
    net, contract = load(model.graph, name), model.contract
    mean, scale = (np.array(v, np.float32)[:, None, None] for v in (contract.mean, contract.scale))

    def with_pixels(x):
        return net.embed(((x - mean) / scale).astype(np.float32))

    assert normalises_itself(net.embed, contract.width) is False
    assert normalises_itself(with_pixels, contract.width) is True
    # of two nets alone: the limits keep a factor of 4 from what is seen of either kind
    pixels = probe_images(contract.width).transpose(0, 3, 1, 2).astype(np.float32)
    small = (pixels - 127.5) * np.float32(0.1 / 127.5)
    assert spread(with_pixels(small)) < ITSELF / 4 * spread(with_pixels(pixels))
    assert spread(net.embed(small)) > NOT_ITSELF * 4 * spread(net.embed(pixels))


@pytest.mark.parametrize("seed", range(5))
def test_nets_at_random(seed):
    for before, expected in (
        ([], False),
        ([("Sub", 127.5), ("Div", 128.0)], True),
        ([("Clip", None), ("Mul", 1 / 255), ("Sub", 0.5), ("Mul", 2.0)], True),
    ):
        steps = [("Identity", 0) if step[0] == "Clip" else step for step in before]
        net = load(small_net(side=32, before=steps, seed=seed), "net")
        assert normalises_itself(net.embed, 32) is expected


def test_what_says_nothing():
    def constant(x):
        return np.ones((len(x), 4), np.float32)

    def random(x):
        return np.random.default_rng(0).normal(size=(len(x), 4)).astype(np.float32)

    def between(x):  # a small input spreads sqrt(1 / 40) as far as pixels do
        means = x.mean(axis=(1, 2, 3))
        small = np.abs(x).max() < 1
        angles = 1e-3 * (means * 1275 / 40**0.5 if small else means - 127.5)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    assert normalises_itself(constant, 8) is None
    assert normalises_itself(random, 8) is False
    assert normalises_itself(between, 8) is None


def test_a_net_that_bursts_with_one_of_the_inputs():
    def bursts_with_pixels(x):
        rows = x.mean(axis=(2, 3))
        return np.where(np.abs(rows) > 1, np.inf, rows).astype(np.float32)

    def bursts_near_zero(x):
        return np.where(np.abs(x).max() < 1, np.nan, x.mean(axis=(2, 3))).astype(np.float32)

    assert normalises_itself(bursts_with_pixels, 8) is False
    assert normalises_itself(bursts_near_zero, 8) is True
    assert normalises_itself(lambda x: np.full((len(x), 3), np.nan, np.float32), 8) is None
