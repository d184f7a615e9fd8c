"""Learning methods, by the ``name`` in the section ``[method]`` of the configuration."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

from torch import nn

from faceverify.errors import TrainingError
from faceverify.models.contract import Contract
from faceverify.training.config.data import VIEWMAKER
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Config
from faceverify.training.losses import check_kind
from faceverify.training.losses.loss import Loss
from faceverify.training.methods.autoencoder import Autoencoder
from faceverify.training.methods.barlow import BarlowTwins
from faceverify.training.methods.bigan import BiGAN
from faceverify.training.methods.byol import BYOL
from faceverify.training.methods.clip import CLIP
from faceverify.training.methods.cmc import CMC
from faceverify.training.methods.context import Context
from faceverify.training.methods.cpc import CPC
from faceverify.training.methods.densecl import DenseCL
from faceverify.training.methods.dino import DINO
from faceverify.training.methods.distil import Distillation
from faceverify.training.methods.inpaint import Inpaint
from faceverify.training.methods.instdisc import InstanceDiscrimination
from faceverify.training.methods.jigsaw import Jigsaw
from faceverify.training.methods.joined import joined_class
from faceverify.training.methods.mae import MAE
from faceverify.training.methods.method import Method
from faceverify.training.methods.moco import MoCo
from faceverify.training.methods.parts.viewmaker import Viewmaker
from faceverify.training.methods.rotation import Rotation
from faceverify.training.methods.simclr import SimCLR
from faceverify.training.methods.simsiam import SimSiam
from faceverify.training.methods.soft_targets import SoftTargets
from faceverify.training.methods.supcon import SupConViews
from faceverify.training.methods.supervised import Supervised
from faceverify.training.methods.swav import SwAV
from faceverify.training.methods.vae import VAE
from faceverify.training.methods.vicreg import VICReg

METHODS: dict[str, type[Method]] = {
    "supervised": Supervised,
    "soft-targets": SoftTargets,
    # without names: contrastive
    "simclr": SimCLR,
    "moco": MoCo,
    "cmc": CMC,
    "cpc": CPC,
    "densecl": DenseCL,
    "instdisc": InstanceDiscrimination,
    "swav": SwAV,
    # ... without negatives
    "byol": BYOL,
    "simsiam": SimSiam,
    "dino": DINO,
    "barlow": BarlowTwins,
    "vicreg": VICReg,
    # ... predictive
    "rotation": Rotation,
    "jigsaw": Jigsaw,
    "context": Context,
    "inpaint": Inpaint,
    # ... generative
    "mae": MAE,
    "autoencoder": Autoencoder,
    "vae": VAE,
    "bigan": BiGAN,
    # ... from another model
    "distil": Distillation,
    # with captions
    "clip": CLIP,
    # with names as well
    "supcon": SupConViews,
}
# what a constructor may ask for of the run; all its other arguments are options
OF_THE_RUN = (
    "embedding_size", "backbone", "images", "input_size", "contract", "loss", "captions",
)  # fmt: skip


def configured_method(
    config: Config,
    *,
    contract: Contract,
    backbone: nn.Module,
    images: int,
    loss: Callable[[], Loss],
    captions: Sequence[Sequence[str]] = (),
) -> Method:
    """Build the method of a configuration, or its two methods together.

    Arguments and errors as of :func:`build_method`.
    """

    def built(name: str, options: dict[str, Any]) -> Method:
        return build_method(
            name, contract=contract, backbone=backbone, images=images, loss=loss,
            captions=captions, **options,
        )  # fmt: skip

    def joined_with(method: Method) -> Method:
        joined = joined_class(config.joined.name, type(method), find_method(config.joined.name))
        try:
            other = built(config.joined.name, config.joined.options)
        except TrainingError as error:  # its options are keys of another section here
            raise config_error(str(error).replace("method.", "joined.")) from error
        return joined(method, other, weight=config.joined.weight)

    method = built(config.method.name, config.method.options)
    if config.joined.name:
        method = joined_with(method)
    if config.views.learned == VIEWMAKER:
        method.viewmaker = Viewmaker(
            budget=config.views.budget, mean=contract.mean, scale=contract.scale
        )
    return method


def build_method(
    name: str,
    *,
    contract: Contract,
    backbone: nn.Module,
    images: int,
    loss: Callable[[], Loss],
    captions: Sequence[Sequence[str]] = (),
    **options: Any,
) -> Method:
    """Build a method by its name.

    Args:
        name: a key of ``METHODS``.
        contract: preprocessing contract of the backbone, with the size of its embeddings.
        backbone: on its device; a method with a teacher copies it.
        images: number of images of the training set.
        loss: builds the configured loss, for a method that learns by one.
        captions: of each image, for a method that learns by them.
        options: keyword arguments of the method.

    Raises:
        TrainingError: unknown method or option, a value out of range, or a loss that cannot be
            built.
    """
    method = find_method(name)
    known, kinds = method_options(name), get_type_hints(method.__init__)
    for option, value in options.items():
        if option not in known:
            raise config_error(
                f"method {name} has no option {option!r}", f"known: {', '.join(known) or 'none'}"
            )
        check_kind("method", name, option, value, kinds[option])
    asked = inspect.signature(method).parameters
    of_the_run: dict[str, Callable[[], Any]] = {
        "embedding_size": lambda: contract.embedding_size,
        "backbone": lambda: backbone,
        "images": lambda: images,
        "input_size": lambda: contract.width,
        "contract": lambda: contract,
        "loss": loss,
        "captions": lambda: captions,
    }
    build: Callable[..., Method] = method
    return build(**{key: of_the_run[key]() for key in OF_THE_RUN if key in asked}, **options)


def method_options(name: str) -> dict[str, Any]:
    """Options of a method and their default values."""
    parameters = inspect.signature(find_method(name)).parameters
    return {key: one.default for key, one in parameters.items() if key not in OF_THE_RUN}


def method_class(config: Config) -> type[Method]:
    """Class of the method of a configuration: what it needs of data and batches.

    Raises:
        TrainingError: unknown method, or two that cannot be joined.
    """
    method, joined = find_method(config.method.name), config.joined.name
    return joined_class(joined, method, find_method(joined)) if joined else method


def find_method(name: str) -> type[Method]:
    """Class of a method, by its name.

    Raises:
        TrainingError: unknown method.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        cure = f"did you mean {near[0]}?" if near else f"known: {', '.join(METHODS)}"
        raise config_error(f"unknown method {name!r}", cure)
    return METHODS[name]
