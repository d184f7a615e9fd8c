"""What processes tell each other in a step, with its gradient; nothing at all where there is one.

A head sees the batch of all processes: :func:`gather_batch` brings it together, and from there
every process computes the same numbers. Only of the class centres each holds a share of the rows;
where a number depends on centres of other processes, ``..._over_processes`` joins the parts. So
every process ends up with the loss of the whole batch and with its whole gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist
from torch.autograd.function import once_differentiable

NOTHING = -1e30  # stands for the logarithm of 0 where -inf - -inf would be met


class Shard(NamedTuple):
    """The rows of a tensor that this process holds: start <= row < stop, of ``total``."""

    start: int
    stop: int
    total: int


def shards_of(module: torch.nn.Module) -> dict[str, Shard]:
    """The entries of a state_dict that are cut by rows over processes: ``sharded`` of its parts."""
    return {
        f"{prefix}.{name}".lstrip("."): shard
        for prefix, part in module.named_modules()
        for name, shard in getattr(part, "sharded", {}).items()
    }


def process_count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def process_index() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def own_shard(total: int) -> Shard:
    """This process's share of ``total`` rows; shares differ by one row at most."""
    count, index = process_count(), process_index()
    return Shard(total * index // count, total * (index + 1) // count, total)


def from_first_process(value: int) -> int:
    """A number that all processes take from the first one."""
    if process_count() == 1:
        return value
    told = torch.tensor([value], device=_device())
    dist.broadcast(told, src=0)
    return int(told.item())


def gather_batch(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The batch of all processes, in the order of their ranks.

    The gradient of this process's embeddings comes back times the number of processes, because
    DistributedDataParallel then averages the backbone's gradients over them.

    Args:
        embeddings: of this process, (N, D); N must be the same in all.
        labels: their classes, (N,).
    """
    if process_count() == 1:
        return embeddings, labels
    return _GatherRows.apply(embeddings), _gathered(labels)


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum of what each process has; the gradient of each part is that of the sum."""
    return values if process_count() == 1 else _Sum.apply(values)


def log_sum_exp_over_processes(values: Tensor) -> Tensor:
    """The logarithm of the sum of exp(values) of all processes, elementwise."""
    return values if process_count() == 1 else _LogSumExp.apply(values)


def sum_gradient_over_processes(values: Tensor) -> Tensor:
    """The values as they are; their gradient is the sum of what each process computed of it."""
    return values if process_count() == 1 else _SumGradient.apply(values)


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Give all processes the mean gradient of parameters that they all hold.

    Heads compute the same gradient in every process, so this only removes rounding: copies that
    drift apart over a long run on unlike machines. Parameters that are cut over processes
    (:func:`shards_of`) must not be given.
    """
    if process_count() == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= process_count()


def _gathered(rows: Tensor) -> Tensor:
    parts = [torch.empty_like(rows) for _ in range(process_count())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def _device() -> torch.device:
    on_gpu = dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.count = len(rows)
        return _gathered(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        start = process_index() * ctx.count
        return gradient[start : start + ctx.count] * process_count()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _SumGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        top = values.clamp(min=NOTHING)
        dist.all_reduce(top, op=dist.ReduceOp.MAX)
        total = (values - top).exp()
        dist.all_reduce(total)
        whole = top + total.log()
        ctx.save_for_backward((values - whole.clamp(min=NOTHING)).exp())
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        share: Tensor
        (share,) = ctx.saved_tensors
        return gradient * share
