"""Differentiable collective operations of a step; with one process they do nothing.

A loss sees the batch of all processes: :func:`gather_batch` collects it, and from there every
process computes the same numbers. Class centres are sharded by rows over processes; where a number
depends on centres of other processes, ``..._over_processes`` reduces the parts. So every process
gets the loss of the whole batch and its whole gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist
from torch.autograd.function import once_differentiable

LOG_ZERO = -1e30  # instead of -inf, as -inf - -inf is NaN


class Shard(NamedTuple):
    """Rows of a sharded tensor that this process holds: start <= row < stop, of ``total``."""

    start: int
    stop: int
    total: int


def shards_of(module: torch.nn.Module) -> dict[str, Shard]:
    """Sharded entries of a state_dict, as its modules name them in ``sharded``."""
    return {
        f"{prefix}.{name}".lstrip("."): shard
        for prefix, part in module.named_modules()
        for name, shard in getattr(part, "sharded", {}).items()
    }


def process_count() -> int:
    """Number of processes of the run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def process_index() -> int:
    """Rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def own_shard(total: int) -> Shard:
    """This process's share of ``total`` rows; shares differ by one row at most."""
    count, index = process_count(), process_index()
    return Shard(total * index // count, total * (index + 1) // count, total)


def from_first_process(value: int) -> int:
    """An integer of the first process, in all processes (broadcast)."""
    if process_count() == 1:
        return value
    box = torch.tensor([value], device=_device())
    dist.broadcast(box, src=0)
    return int(box.item())


def tensors_of_first_process(tensors: Iterable[Tensor]) -> None:
    """Give tensors the values that the first process has (broadcast), in place."""
    if process_count() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def gather_batch(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The batch of all processes, in the order of their ranks (all-gather).

    Backward multiplies the gradient of this process's embeddings by the number of processes,
    because DistributedDataParallel then averages the backbone's gradients over them.

    Args:
        embeddings: of this process, (N, D); N must be the same in all.
        labels: their classes, (N,).
    """
    if process_count() == 1:
        return embeddings, labels
    return _GatherRows.apply(embeddings), _gathered(labels)


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all processes, in the order of their ranks; backward as :func:`gather_batch`."""
    return rows if process_count() == 1 else _GatherRows.apply(rows)


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum over processes; the gradient of each addend is that of the sum."""
    return values if process_count() == 1 else _Sum.apply(values)


def log_sum_exp_over_processes(values: Tensor) -> Tensor:
    """log(sum(exp(values))) over processes, elementwise."""
    return values if process_count() == 1 else _LogSumExp.apply(values)


def sum_gradient_over_processes(values: Tensor) -> Tensor:
    """The values unchanged; backward sums their gradients over processes."""
    return values if process_count() == 1 else _SumGradient.apply(values)


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Average the gradients of unsharded parameters over processes.

    Losses compute the same gradient in every process, so this only removes rounding differences,
    which would let copies drift apart over a long run. Sharded parameters (:func:`shards_of`) must
    not be given.
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
        top = values.clamp(min=LOG_ZERO)
        dist.all_reduce(top, op=dist.ReduceOp.MAX)
        total = (values - top).exp()
        dist.all_reduce(total)
        whole = top + total.log()
        ctx.save_for_backward((values - whole.clamp(min=LOG_ZERO)).exp())
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        share: Tensor
        (share,) = ctx.saved_tensors
        return gradient * share
