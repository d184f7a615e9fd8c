"""Any network of timm, with random weights: ``timm:NAME``; timm is installed separately."""

from __future__ import annotations

import difflib
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
        options: more of that network, such as ``drop_path_rate``.

    Raises:
        TrainingError: timm is not installed, knows no such network, or the network cannot be built
            for this size or with these options.
    """
    check_dropout(dropout)
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
    wanted = {"num_classes": embedding_size, "drop_rate": dropout, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            try:
                net: nn.Module = timm.create_model(name, img_size=size, **wanted)
            except TypeError:  # a network that takes images of any size knows no such option
                net = timm.create_model(name, **wanted)
        except Exception as error:  # timm's checks are assertions and whatever torch raises
            raise config_error(
                f"timm:{name} cannot be built for {size} pixels"
                f"{f' with {options}' if options else ''}: {error}"
            ) from error
    return net
