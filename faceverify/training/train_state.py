"""Training state: backbone, method, optimiser, moving average; built, saved and restored together.

The names of saved tensors begin with their part: ``backbone.*``, ``method.*`` (of a loss
``method.loss.*``), ``optimiser.PARAMETER.*``, ``average.*``, ``scaler.*``, ``loss_sum``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from faceverify.matching.sphere import spread_and_rank
from faceverify.models.contract import Contract
from faceverify.training.backbones import build_backbone
from faceverify.training.backbones.of_weights import wider_backbone
from faceverify.training.backbones.pretrained import fill, read_weights
from faceverify.training.checkpoint.checkpoint import load_tensors, stored_tensors
from faceverify.training.checkpoint.storage import Rows, Tensors
from faceverify.training.config.schema import Config
from faceverify.training.data.views import Batch
from faceverify.training.distributed.collectives import Shard
from faceverify.training.distributed.processes import Processes
from faceverify.training.losses import build_loss
from faceverify.training.methods import configured_method
from faceverify.training.methods.method import Method, gathered
from faceverify.training.optim.ema import ExponentialMovingAverage
from faceverify.training.optim.freezing import BODY, freeze, last_stage, train_mode
from faceverify.training.optim.optimisers import make_optimiser, parameter_groups
from faceverify.training.optim.precision import Executor, make_executor
from faceverify.training.optim.schedules import Schedule, make_schedule
from faceverify.training.optim.view_encoder import Embed

FEWEST_WATCHED = 8  # embeddings; of fewer, spread and rank say nothing
SCALER = ("scale", "_growth_tracker")  # the state of a GradScaler that changes


@dataclass(eq=False)
class TrainState:
    """All that a run trains, on its device.

    Attributes:
        backbone: the network.
        executor: runs the network in its precision, on one or several processes.
        method: the loss of a batch, with its trainable parameters.
        optimiser: of the parameters of backbone and method.
        schedule: from (step, steps) to a factor of the peak learning rates, in [0, 1].
        peak_learning_rates: highest learning rate of each parameter group.
        average: moving average of the backbone's weights; None without one.
        frozen: stages of the backbone that are not trained.
        origin: source of the initial weights, one line; empty where they are random.
        first_weights: whether all of them are from there, and so worth validating.
        loss_sum: sum of the losses since the last line of the log, float64, ().
        seen: the last embeddings of the first view, (N, D), or of its patches, (N, L, D), without
            gradient; empty where they are not watched.
    """

    backbone: nn.Module
    executor: Executor
    method: Method
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    peak_learning_rates: list[float]
    average: ExponentialMovingAverage | None
    frozen: tuple[str, ...]
    origin: str
    first_weights: bool
    loss_sum: Tensor
    seen: Tensor = field(default_factory=lambda: torch.zeros(0, 1))

    @property
    def final_backbone(self) -> nn.Module:
        """The backbone to validate and export: the moving average, where there is one."""
        return self.backbone if self.average is None else self.average.module

    def loss(self, embed: Embed, batch: Batch) -> Tensor:
        """Mean loss of a batch by the method, (); what it embeds is kept for :meth:`signs`.

        Args:
            embed: as of :meth:`Method.forward`.
            batch: images of this process, or a part of them.
        """

        def kept(views: Sequence[Tensor], **options: Any) -> list[Tensor]:
            rows = embed(views, **options)
            self.seen = rows[0].detach()
            return rows

        if self.method.viewmaker is not None:
            batch = self.method.viewmaker(batch)
        value: Tensor = self.method(kept if self.method.watched else embed, batch)
        return value

    def signs(self) -> dict[str, float]:
        """How the embeddings of the last step spread; empty for a method that is judged by people.

        Called in every process.
        """
        if not self.method.watched:
            return {}
        (rows,) = gathered([self.seen.mean(dim=1) if self.seen.dim() == 3 else self.seen])
        if len(rows) < FEWEST_WATCHED:
            return {}
        return {**spread_and_rank(rows.detach().cpu().double().numpy()), **self.method.signs()}

    @property
    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters of the method that are the same in all processes."""
        cut = self.method.shards()
        return [one for name, one in self.method.named_parameters() if name not in cut]

    def train_mode(self) -> None:
        """Switch to train mode, except for frozen stages."""
        train_mode(self.backbone, self.frozen)
        self.method.train()

    def tensors(self) -> Tensors:
        """The tensors of a checkpoint by name: to save, or to fill in place."""
        shards = self.method.shards()
        tensors: Tensors = dict(prefixed("backbone", self.backbone.state_dict()))
        for name, value in self.method.state_dict().items():
            tensors[f"method.{name}"] = rows_of(value, shards.get(name))
        for name, parameter in self._learning().items():
            part, _, own = name.partition(".")
            shard = shards.get(own) if part == "method" else None
            for key, value in self.optimiser.state.get(parameter, {}).items():
                alike = value.shape == parameter.shape  # a momentum, not a step count
                tensors[f"optimiser.{name}.{key}"] = rows_of(value, shard if alike else None)
        if self.average is not None:
            tensors.update(prefixed("average", self.average.state_dict()))
        if self.executor.scaler.is_enabled():
            state = self.executor.scaler.state_dict()
            tensors.update(prefixed("scaler", {key: torch.tensor(state[key]) for key in SCALER}))
        tensors["loss_sum"] = self.loss_sum
        return tensors

    def restore(self, checkpoint: Path) -> None:
        """Load a checkpoint, in place.

        Raises:
            TrainingError: it is of another backbone or loss, or damaged.
        """
        stored = stored_tensors(checkpoint)
        for name, parameter in self._learning().items():
            for full, (size, dtype) in stored.items():
                key = full.removeprefix(f"optimiser.{name}.")
                if key == full:
                    continue
                # cut over processes or not, a momentum has its parameter's shape
                alike = len(size) == parameter.dim() and size[1:] == parameter.shape[1:]
                self.optimiser.state[parameter][key] = (
                    torch.zeros_like(parameter, dtype=dtype)
                    if alike
                    else torch.zeros(size, dtype=dtype, device=parameter.device)
                )
        tensors = self.tensors()
        load_tensors(checkpoint, tensors)
        if self.executor.scaler.is_enabled():
            values = {key: tensors[f"scaler.{key}"] for key in SCALER}
            read = {key: one.item() for key, one in values.items() if isinstance(one, Tensor)}
            self.executor.scaler.load_state_dict({**self.executor.scaler.state_dict(), **read})

    def _learning(self) -> dict[str, nn.Parameter]:
        named = {f"backbone.{name}": one for name, one in self.backbone.named_parameters()}
        named |= {f"method.{name}": one for name, one in self.method.named_parameters()}
        return {name: one for name, one in named.items() if one.requires_grad}


def prefixed(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with their names in a checkpoint, ``PART.NAME``."""
    return {f"{part}.{name}": value for name, value in tensors.items()}


def rows_of(value: Tensor, shard: Shard | None) -> Tensor | Rows:
    """A sharded tensor with the position of its rows in the whole; any other as it is."""
    return value if shard is None else Rows(value, shard.start, shard.total)


def build_train_state(
    config: Config,
    *,
    contract: Contract,
    classes: int,
    images: int,
    processes: Processes,
    captions: Sequence[Sequence[str]] = (),
    start: Mapping[str, Tensor] | None = None,
) -> TrainState:
    """Build the training state of a configuration, with the same weights in every process.

    A backbone that is to begin as a wider one has random weights without ``start``.

    Args:
        config: of the run.
        contract: preprocessing contract of the backbone.
        classes: number of people in the training set.
        images: number of its images.
        processes: this process and the others.
        captions: of each image, one or more; empty where there are none.
        start: weights of the backbone to begin with, instead of reading ``backbone.init``.

    Raises:
        TrainingError: unknown method, or unknown option of backbone or loss; initial weights that
            do not fit.
        ModelError: there are no such initial weights.
    """
    torch.manual_seed(config.seed)
    backbone = build_backbone(
        config.backbone.name,
        embedding_size=contract.embedding_size,
        size=contract.width,
        **config.backbone.options,
    )
    init, origin = config.backbone.init, ""
    random = last_stage(backbone) if config.backbone.kept == BODY else ()
    if init:
        weights = read_weights(init)
        origin = weights.origin
        if start is not None:
            weights = replace(weights, state=dict(start))
        if start is not None or wider_backbone(config.backbone, weights) is None:
            fill(backbone, init, weights, left_out=random)
    frozen = freeze(backbone, config.backbone.freeze)
    backbone = backbone.to(processes.device)
    executor = make_executor(backbone, config.compute, processes)
    torch.manual_seed(config.seed)  # the method's initial weights do not depend on the backbone
    method = configured_method(
        config,
        contract=contract,
        backbone=backbone,
        images=images,
        captions=captions,
        loss=lambda: build_loss(
            config.loss.name,
            embedding_size=contract.embedding_size,
            classes=classes,
            **config.loss.options,
        ),
    ).to(processes.device)
    optimiser = make_optimiser(
        config.optimiser.name,
        parameter_groups(
            backbone,
            method,
            learning_rate=config.optimiser.learning_rate,
            weight_decay=config.optimiser.weight_decay,
            loss_factor=config.optimiser.loss_factor,
            layer_decay=config.optimiser.layer_decay,
        ),
        momentum=config.optimiser.momentum,
        sharded=[one for name, one in method.named_parameters() if name in method.shards()],
    )
    chosen = config.average
    averaged = chosen.decay > 0 or chosen.initial > 0
    return TrainState(
        backbone=backbone,
        executor=executor,
        method=method,
        optimiser=optimiser,
        schedule=make_schedule(
            config.schedule.name,
            warm_up=config.schedule.warm_up,
            floor=config.schedule.floor,
            power=config.schedule.power,
            milestones=config.schedule.milestones,
            factor=config.schedule.factor,
        ),
        peak_learning_rates=[float(group["lr"]) for group in optimiser.param_groups],
        average=(
            ExponentialMovingAverage(backbone, decay=chosen.decay, initial=chosen.initial)
            if averaged
            else None
        ),
        frozen=frozen,
        origin=origin,
        first_weights=bool(origin) and not random,
        loss_sum=torch.zeros((), dtype=torch.float64, device=processes.device),
    )
