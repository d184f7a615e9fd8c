"""Networks of timm, ``timm:NAME``, with random weights; timm is installed separately."""

from __future__ import annotations

import difflib
import os
import warnings
from typing import TYPE_CHECKING, Any

from faceverify.errors import TrainingError
from faceverify.training.backbones.necks import check_dropout
from faceverify.training.config.fields import config_error

if TYPE_CHECKING:
    from torch import nn


def timm_backbone(
    name: str, *, embedding_size: int, size: int = 112, dropout: float = 0.0, **options: Any
) -> nn.Module:
    """Build a network; its classifier gives the embedding.

    Args:
        name: timm's, without ``timm:``.
        embedding_size: numbers in an embedding.
        size: side of a crop, in pixels.
        dropout: timm's ``drop_rate``, in [0, 1).
        options: other options of the network, such as ``drop_path_rate``.

    Raises:
        TrainingError: timm is not installed or has no such network, or the network cannot be built
            for this size or with these options.
    """
    check_dropout(dropout)
    if options.get("pretrained"):
        raise config_error("backbone.pretrained: nothing is downloaded", "start from --init MODEL")
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # of huggingface_hub, which timm imports
    try:
        import timm
    except ImportError:
        raise TrainingError(
            f"the backbone timm:{name} needs timm", cure="pip install timm", code="training-config"
        ) from None
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        cure = f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists them"
        raise config_error(f"timm {timm.__version__} has no network {name!r}", cure)
    arguments = {"num_classes": embedding_size, "drop_rate": dropout, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            try:
                net: nn.Module = timm.create_model(name, img_size=size, **arguments)
            except TypeError:  # networks for any image size have no such option
                net = timm.create_model(name, **arguments)
        except Exception as error:  # timm's checks are assertions and any error of torch
            raise config_error(
                f"timm:{name} cannot be built for {size} pixels"
                f"{f' with {options}' if options else ''}: {error}"
            ) from error
    return net
