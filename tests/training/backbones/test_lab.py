"""Encoders of luminance and chrominance: the colour space, shared stages, what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone, contract_for
from faceverify.training.backbones.lab import lab_views
from faceverify.training.optim.freezing import freeze, stage_names
from faceverify.training.optim.optimisers import parameter_groups

# sRGB, and L*, a*, b* under D65 as published for it
KNOWN = {
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (119, 119, 119): (50.03, 0.0, 0.0),
}


def slow_lab(pixel):
    """CIE 15 and IEC 61966-2-1, one pixel."""
    linear = [
        ((v / 255 + 0.055) / 1.055) ** 2.4 if v / 255 > 0.04045 else v / 255 / 12.92 for v in pixel
    ]
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
              [0.0193339, 0.1191920, 0.9503041]]  # fmt: skip
    xyz = [sum(a * b for a, b in zip(row, linear, strict=True)) for row in matrix]
    x, y, z = (v / white for v, white in zip(xyz, (0.95047, 1.0, 1.08883), strict=True))
    x, y, z = (
        v ** (1 / 3) if v > (6 / 29) ** 3 else v * (29 / 6) ** 2 / 3 + 4 / 29 for v in (x, y, z)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def converted(pixels):
    crops = torch.tensor(pixels, dtype=torch.float32)[:, :, None, None] / 127.5 - 1
    light, colour = lab_views(crops)
    assert torch.equal(light[:, 0], light[:, 1])
    assert torch.equal(light[:, 0], light[:, 2])
    assert not colour[:, 2].any()
    found = torch.cat([light[:, :1] + 1, colour[:, :2]], dim=1)[:, :, 0, 0] * 50
    return found.numpy()


def test_colours_as_published():
    np.testing.assert_allclose(converted(list(KNOWN)), list(KNOWN.values()), atol=0.02)


def test_the_conversion_written_out():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3)).tolist()
    np.testing.assert_allclose(converted(pixels), [slow_lab(one) for one in pixels], atol=1e-3)


def test_a_grey_photo_has_no_chrominance():
    grey = torch.rand(2, 1, 4, 4).expand(-1, 3, -1, -1) * 2 - 1
    assert lab_views(grey)[1].abs().max() < 1e-4


def small(name="lab:mobilefacenet", **options):
    return build_backbone(name, embedding_size=16, size=32, **options)


def test_half_of_the_embedding_is_of_luminance():
    net = small().eval()
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    light, colour = lab_views(images)
    found = net(images)
    torch.testing.assert_close(found[:, :8], net.luminance(light))
    torch.testing.assert_close(found[:, 8:], net.chrominance(colour))
    assert contract_for("lab:mobilefacenet", embedding_size=16, size=32).embedding_size == 16


def test_both_encoders_have_their_stages_in_common():
    net = small()
    assert stage_names(net) == ("stem", "stage1", "stage2", "stage3", "neck")
    groups = parameter_groups(
        net, nn.Linear(2, 2), learning_rate=1.0, weight_decay=0.1, layer_decay=0.5
    )
    rates = {id(one): group["lr"] for group in groups for one in group["params"]}
    for side in (net.luminance, net.chrominance):
        assert rates[id(side.stem[0][0].weight)] == 0.5**4
        assert rates[id(side.neck.projection.weight)] == 1.0


def test_the_body_is_that_of_both():
    net = small()
    assert "chrominance.stage3" in freeze(net, ["body"])
    learning = {name for name, one in net.named_parameters() if one.requires_grad}
    assert {name.rsplit(".", 2)[0].split(".")[1] for name in learning} == {"neck"}
    assert {name.split(".")[0] for name in learning} == {"luminance", "chrominance"}
    net = small()
    freeze(net, ["stem", "luminance"])
    learning = {name.split(".")[0] for name, one in net.named_parameters() if one.requires_grad}
    assert learning == {"chrominance"}
    assert not any(one.requires_grad for one in net.chrominance.stem.parameters())
    with pytest.raises(TrainingError, match="no stage 'stage9' to freeze; did you mean stage"):
        freeze(small(), ["stage9"])


def test_what_is_refused():
    for call, words in (
        (lambda: small("lab:mobilefacent"), "no backbone 'mobilefacent'; did you mean mobileface"),
        (lambda: small(stem="x"), "unknown key backbone.stem: mobilefacenet has no such option"),
        (lambda: build_backbone("lab:vit", embedding_size=15), "embedding_size is 15.*; make it e"),
    ):
        with pytest.raises(TrainingError, match=words):
            call()
