"""CLIP: the paper's loss, one pair at a time; what the text encoder sees; what is kept."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_views import cosine, passed, rows
from tiny_runs import CAPTIONS, config_of, learn, state_of

from faceverify.errors import TrainingError
from faceverify.training.backbones.text_transformer import TextTransformer
from faceverify.training.data.loading.counter_rng import sample_keys
from faceverify.training.data.views import Batch
from faceverify.training.methods.clip import CLIP, cosines, symmetric_cross_entropy

SENTENCES = [["a red square"], ["a green square"], ["a red circle"], ["a blue circle, large"]]


def written_out(images, texts, temperature):
    """Figure 3: cross-entropy of each photo over the captions, and of each caption over photos."""
    images, texts = images.numpy(), texts.numpy()
    losses = []
    for own, others in ((images, texts), (texts, images)):
        for i, one in enumerate(own):
            over = sum(math.exp(cosine(one, other) / temperature) for other in others)
            losses.append(-math.log(math.exp(cosine(one, others[i]) / temperature) / over))
    return sum(losses) / len(losses)


def method_of(captions=SENTENCES, **options):
    torch.manual_seed(0)
    options = {"embedding_size": 5, "width": 8, "depth": 2, "heads": 2, **options}
    return CLIP(captions=captions, **options)


def batch_of(views, indices, seed=0):
    indices = np.asarray(indices)
    keys = sample_keys(seed, 0, 0, indices)
    return Batch([views], torch.zeros(len(views), dtype=torch.int64), indices, keys)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_the_equation_written_out(temperature):
    images, texts = rows(seed=1), rows(seed=2)
    found = symmetric_cross_entropy(cosines(images, texts) / temperature)
    assert found.item() == pytest.approx(written_out(images, texts, temperature))


def test_the_loss_is_of_each_photo_and_its_own_caption():
    method = method_of(temperature=0.2).double()
    images = rows(count=4)
    order = [2, 0, 3, 1]
    texts = method.text(method.tokens[order].long()).detach()
    wanted = written_out(images, texts, 0.2)
    assert method(passed, batch_of(images, order)).item() == pytest.approx(wanted)
    assert method(passed, batch_of(images, [0, 1, 2, 3])).item() != pytest.approx(wanted)


def test_a_token_sees_those_before_it_alone_and_padding_changes_nothing():
    torch.manual_seed(0)
    net = TextTransformer(
        vocabulary=9, context=6, width=8, depth=2, heads=2, embedding_size=5
    ).double()
    tokens = torch.tensor([[1, 5, 7, 2]])
    alone = net(tokens)
    torch.testing.assert_close(
        net(torch.tensor([[1, 5, 7, 2, 0, 0], [1, 2, 0, 0, 0, 0]]))[:1], alone
    )
    assert not torch.allclose(net(torch.tensor([[1, 7, 5, 2]])), alone)  # their order counts
    inner = net.blocks(net.words(tokens) + net.places[:4])
    cut = net.blocks(net.words(tokens[:, :2]) + net.places[:2])
    torch.testing.assert_close(inner[:, :2], cut)


def test_each_step_draws_one_of_the_captions_of_a_photo():
    method = method_of([["one", "two", "three"], ["four"], ["five", "six"]])
    indices = np.arange(3)
    drawn = {
        tuple(method.chosen(indices, sample_keys(seed, 0, 0, indices)).tolist())
        for seed in range(60)
    }
    assert drawn == {(first, 3, last) for first in (0, 1, 2) for last in (4, 5)}


def test_the_temperature_is_learned_and_stays_in_its_range():
    method = method_of()
    assert method.signs()["temperature"] == pytest.approx(0.07)
    method(passed, batch_of(rows(count=4).float(), range(4))).backward()
    assert method.log_scale.grad.abs() > 0
    for value, kept in ((9.0, math.log(100)), (-1.0, 0.0), (2.5, 2.5)):
        method.log_scale.data.fill_(value)
        method.finish_step(torch.nn.Identity())
        assert method.log_scale.item() == pytest.approx(kept)


def test_the_log_says_how_many_photos_find_their_caption():
    method = method_of().double()
    texts = method.text(method.tokens.long()).detach()
    nearest = torch.stack([texts[0], texts[2], texts[2], texts[0]])
    method(passed, batch_of(nearest, range(4)))
    assert method.signs()["matched"] == 0.5


def test_captions_in_any_order_give_the_same_tokenizer():
    again = method_of(SENTENCES[::-1])
    assert again.document == method_of().document
    torch.testing.assert_close(again.tokens, method_of().tokens.flip(0))


def test_a_caption_that_is_too_long_is_one_line():
    with pytest.raises(TrainingError, match=r"a caption has \d+ tokens, more than 4: .*context"):
        method_of(context=4)


@pytest.mark.parametrize(("was", "now"), [("m", "k"), ("pattern", "a very different sort")])
def test_other_captions_than_the_run_began_with_are_refused(was, now, tmp_path, monkeypatch):
    config = config_of("clip")
    learn(state_of(config), config, 2, folder=tmp_path)
    others = [[one.replace(was, now) for one in own] for own in CAPTIONS]
    monkeypatch.setattr("tiny_runs.CAPTIONS", others)

    def go_on():
        again = state_of(replace(config, seed=1))
        again.restore(tmp_path / "step-00000002")
        learn(again, config, 3)

    with pytest.raises(TrainingError, match=r"began with") as refused:
        go_on()
    assert refused.value.code == "training-checkpoint"
