"""Vision transformer: patches and their places, tokens that are kept, crops of any size."""

import numpy as np
import pytest
import torch

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone
from faceverify.training.backbones.vit import Block, patches_of, positions


def net(**options):
    torch.manual_seed(0)
    given = {"embedding_size": 6, "size": 24, "patch": 4, "width": 16, "depth": 2, "heads": 2}
    return build_backbone("vit", **{**given, **options}).eval()


def test_patches_are_read_row_by_row():
    images = torch.arange(2 * 3 * 8 * 12.0).view(2, 3, 8, 12)
    found = patches_of(images, 4)
    assert found.shape == (2, 6, 48)
    for place in range(6):
        top, left = 4 * (place // 3), 4 * (place % 3)
        part = images[:, :, top : top + 4, left : left + 4].reshape(2, 48)
        assert torch.equal(found[:, place], part)


def test_places_written_out():
    found = positions(2, 3, 8).numpy()
    for place in range(6):
        row, column = divmod(place, 3)
        wanted = []
        for at in (row, column):
            angles = [at / 10000 ** (k / 2) for k in range(2)]
            wanted += [*np.sin(angles), *np.cos(angles)]
        np.testing.assert_allclose(found[place], wanted, atol=1e-6)


def test_a_small_crop_covers_the_same_range_of_places():
    found = positions(3, 3, 8, 6)[::3, 0]  # in the middle between two of six
    np.testing.assert_allclose(found, np.sin([0.5, 2.5, 4.5]), atol=1e-6)
    assert net()(torch.randn(2, 3, 12, 12)).shape == (2, 6)


def test_attention_written_out():
    torch.manual_seed(0)
    block = Block(8, 2, 0.0).double()
    tokens = torch.randn(1, 5, 8, dtype=torch.float64)
    rows = block.queries_keys_values(block.before_attention(tokens))[0]
    mixed = torch.zeros(5, 8, dtype=torch.float64)
    for head in range(2):
        own = slice(4 * head, 4 * head + 4)
        query, key, value = (rows[:, 8 * part : 8 * part + 8][:, own] for part in range(3))
        for one in range(5):
            weights = torch.softmax((query[one] @ key.T) / 2, dim=0)  # sqrt(4)
            mixed[one, own] = weights @ value
    between = tokens[0] + block.attended(mixed)
    wanted = between + block.perceptron(block.before_perceptron(between))
    torch.testing.assert_close(block(tokens)[0], wanted)


def test_an_embedding_is_the_mean_of_the_tokens_and_keep_chooses_patches():
    model, images = net(), torch.randn(3, 3, 24, 24)
    torch.testing.assert_close(model(images), model.tokens(images).mean(dim=1))
    order = torch.stack([torch.randperm(36) for _ in range(3)])
    shuffled = model.tokens(images, order)
    torch.testing.assert_close(shuffled, model.tokens(images).gather(
        1, order[:, :, None].expand(-1, -1, 6)), rtol=1e-4, atol=1e-5)  # fmt: skip
    assert model.tokens(images, order[:, :9]).shape == (3, 9, 6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patch": 5}, "backbone.patch is 5, not a divisor of 24 pixels"),
        ({"patch": 0}, "backbone.patch is 0"),
        ({"width": 12}, "backbone.width is 12, not a multiple of 4 heads"),
        ({"heads": 0}, "backbone.heads is 0"),
        ({"depth": 0}, "backbone.depth is 0"),
        ({"neck": "fc"}, "unknown key backbone.neck: vit has no such option"),
    ],
)
def test_options_out_of_range_are_one_line(options, words):
    with pytest.raises(TrainingError, match=words):
        net(**options)
