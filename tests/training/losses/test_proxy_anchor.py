"""Proxy-anchor loss."""

import math

import pytest
from pair_losses import SIZE, batch, build, mean, units
from refused_options import check_refused


def test_the_equation_written_out():
    loss = build("proxy-anchor")
    embeddings, labels = batch(spread=0.7)
    (proxies,) = (parameter.detach() for parameter in loss.parameters())
    assert proxies.shape == (4, SIZE)
    assert loss(embeddings, labels).item() == pytest.approx(
        proxy_anchor(embeddings, labels, proxies), rel=1e-9
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 0.0}, "above 0"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("proxy-anchor", options, words)


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
