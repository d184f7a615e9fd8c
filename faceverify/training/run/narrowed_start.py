"""A backbone that begins as a wider one of its architecture, fitted on photos of the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from torch import Tensor, nn

from faceverify.training.backbones.mobilenet import MobileNet
from faceverify.training.backbones.narrowing import narrow
from faceverify.training.backbones.of_weights import built, wider_backbone
from faceverify.training.backbones.pretrained import fill, read_weights
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Backbone
from faceverify.training.data.loading.source import Stills
from faceverify.training.distributed.collectives import tensors_of_first_process
from faceverify.training.distributed.wrappers import plain_module

PHOTOS = 512  # of the run, evenly spread


def narrowing_of(
    backbone: Backbone, stills: Stills | None
) -> Callable[[nn.Module], dict[str, Tensor]] | None:
    """How a backbone gets its first weights where they are of a wider one; None where not.

    Args:
        backbone: its name and options, and the source of its initial weights.
        stills: the photos of the run; None for a stream.

    Returns:
        From the backbone, which it changes, to its weights, the same in every process.

    Raises:
        TrainingError, ModelError: there are no such weights, they are unreadable, or there is
            nothing to fit them on.
    """
    if not backbone.init:
        return None
    weights = read_weights(backbone.init)
    theirs = wider_backbone(backbone, weights)
    if theirs is None:
        return None
    if stills is None:
        raise config_error(
            f"{backbone.name} is to begin as {backbone.init} with fewer channels, fitted on "
            "photos, and a stream has none at hand",
            "learn from a folder first, and --init that run on the stream; or leave out --init",
        )
    wider = built(theirs, weights)
    fill(wider, backbone.init, weights)
    assert isinstance(wider, MobileNet)
    return partial(narrowed, wider=wider, stills=stills)


def narrowed(backbone: nn.Module, *, wider: MobileNet, stills: Stills) -> dict[str, Tensor]:
    """Weights of a backbone, which is changed, that begins as a wider one."""
    net, count = plain_module(backbone), len(stills.labels)
    assert isinstance(net, MobileNet)
    positions = np.linspace(0, count - 1, min(count, PHOTOS)).round().astype(np.int64)
    photos = [images for images, _ in stills.at(positions)]
    narrow(net, wider.to(photos[0].device), photos)
    start = {name: value.detach().clone() for name, value in net.state_dict().items()}
    tensors_of_first_process(start.values())  # another processor may choose other channels
    return start
