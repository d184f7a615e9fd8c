"""What a run is made of: backbone, method, optimiser, average; built, stored, restored together.

The names of what is stored begin with that of the part: ``backbone.*``, ``method.*`` (of a loss
``method.loss.*``), ``optimiser.PARAMETER.*``, ``average.*``, ``scaler.*``, ``loss_sum``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from faceverify.training.backbones import build_backbone
from faceverify.training.backbones.pretrained import initialise
from faceverify.training.checkpoint.checkpoint import load_tensors, stored_tensors
from faceverify.training.checkpoint.storage import Rows, Tensors
from faceverify.training.config.schema import Config
from faceverify.training.distributed.collectives import Shard
from faceverify.training.distributed.processes import Processes
from faceverify.training.losses import build_head
from faceverify.training.methods import find_method
from faceverify.training.methods.method import Method
from faceverify.training.optim.ema import WeightAverage
from faceverify.training.optim.freezing import freeze, train_mode
from faceverify.training.optim.optimisers import make_optimiser, parameter_groups
from faceverify.training.optim.precision import Running, run_on
from faceverify.training.optim.schedules import Schedule, make_schedule

SCALER = ("scale", "_growth_tracker")  # all of a scaler that changes


@dataclass(eq=False)
class Parts:
    """The parts of a run, on their device.

    Attributes:
        backbone: the network itself.
        running: the network as a step runs it.
        method: the loss of a batch, and what it learns itself.
        optimiser: moves both.
        schedule: from step and steps to a share of the highest learning rates.
        highest_rates: learning rate of each group of the optimiser at its highest.
        average: of the backbone's weights; None where there is none.
        frozen: stages of the backbone that do not learn.
        origin: where the first weights come from, one line; empty where they are random.
        loss_sum: of the steps since the last line of the log, float64, ().
    """

    backbone: nn.Module
    running: Running
    method: Method
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    highest_rates: list[float]
    average: WeightAverage | None
    frozen: tuple[str, ...]
    origin: str
    loss_sum: Tensor

    @property
    def verified(self) -> nn.Module:
        """The backbone that is verified and exported: the average, where there is one."""
        return self.backbone if self.average is None else self.average.module

    @property
    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters of the method that all processes hold alike."""
        cut = self.method.shards()
        return [one for name, one in self.method.named_parameters() if name not in cut]

    def train_mode(self) -> None:
        """Set everything to learning, but for what is frozen."""
        train_mode(self.backbone, self.frozen)
        self.method.train()

    def tensors(self) -> Tensors:
        """All that a checkpoint must hold, by name; to be stored, or to be filled in place."""
        shards = self.method.shards()
        tensors: Tensors = dict(prefixed("backbone", self.backbone.state_dict()))
        for name, value in self.method.state_dict().items():
            tensors[f"method.{name}"] = rows_of(value, shards.get(name))
        for name, parameter in self._learning().items():
            part, _, own = name.partition(".")
            shard = shards.get(own) if part == "method" else None
            for key, value in self.optimiser.state.get(parameter, {}).items():
                alike = value.shape == parameter.shape  # a momentum; not a count of steps
                tensors[f"optimiser.{name}.{key}"] = rows_of(value, shard if alike else None)
        if self.average is not None:
            tensors.update(prefixed("average", self.average.state_dict()))
        if self.running.scaler.is_enabled():
            state = self.running.scaler.state_dict()
            tensors.update(prefixed("scaler", {key: torch.tensor(state[key]) for key in SCALER}))
        tensors["loss_sum"] = self.loss_sum
        return tensors

    def restore(self, checkpoint: Path) -> None:
        """Fill all parts from a checkpoint, in place.

        Raises:
            TrainingError: it is of another backbone or head, or damaged.
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
        if self.running.scaler.is_enabled():
            values = {key: tensors[f"scaler.{key}"] for key in SCALER}
            read = {key: one.item() for key, one in values.items() if isinstance(one, Tensor)}
            self.running.scaler.load_state_dict({**self.running.scaler.state_dict(), **read})

    def _learning(self) -> dict[str, nn.Parameter]:
        named = {f"backbone.{name}": one for name, one in self.backbone.named_parameters()}
        named |= {f"method.{name}": one for name, one in self.method.named_parameters()}
        return {name: one for name, one in named.items() if one.requires_grad}


def prefixed(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a part by their names in a checkpoint."""
    return {f"{part}.{name}": value for name, value in tensors.items()}


def rows_of(value: Tensor, shard: Shard | None) -> Tensor | Rows:
    """A tensor that is cut over processes with where its rows belong; any other as it is."""
    return value if shard is None else Rows(value, shard.start, shard.total)


def build_parts(
    config: Config, *, embedding_size: int, input_size: int, classes: int, processes: Processes
) -> Parts:
    """Build the parts of a run; the same configuration gives the same ones, in every process.

    Args:
        config: of the run.
        embedding_size: D.
        input_size: side of what the backbone sees, in pixels.
        classes: how many people there are to learn.
        processes: this one and the others.

    Raises:
        TrainingError: a method that does not exist, an option that backbone or loss do not have;
            weights that do not fit.
        ModelError: weights to start from that do not exist.
    """
    torch.manual_seed(config.seed)
    backbone = build_backbone(
        config.backbone.name,
        embedding_size=embedding_size,
        size=input_size,
        **config.backbone.options,
    )
    origin = initialise(backbone, config.backbone.init).origin if config.backbone.init else ""
    frozen = freeze(backbone, config.backbone.freeze)
    torch.manual_seed(config.seed)  # the method's first weights are the same from any backbone
    loss = build_head(
        config.head.name, embedding_size=embedding_size, classes=classes, **config.head.options
    )
    method = find_method(config.method.name)(loss)
    backbone, method = backbone.to(processes.device), method.to(processes.device)
    running = run_on(backbone, config.compute, processes)
    optimiser = make_optimiser(
        config.optimiser.name,
        parameter_groups(
            backbone,
            method,
            learning_rate=config.optimiser.learning_rate,
            weight_decay=config.optimiser.weight_decay,
            head_factor=config.optimiser.head_factor,
            layer_decay=config.optimiser.layer_decay,
        ),
        momentum=config.optimiser.momentum,
    )
    chosen = config.average
    averaged = chosen.decay > 0 or chosen.initial > 0
    return Parts(
        backbone=backbone,
        running=running,
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
        highest_rates=[float(group["lr"]) for group in optimiser.param_groups],
        average=(
            WeightAverage(backbone, decay=chosen.decay, initial=chosen.initial)
            if averaged
            else None
        ),
        frozen=frozen,
        origin=origin,
        loss_sum=torch.zeros((), dtype=torch.float64, device=processes.device),
    )
