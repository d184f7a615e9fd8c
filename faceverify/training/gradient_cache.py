"""Gradient caching: a loss over a large batch in the memory of a small one.

Gao et al. 2021, https://arxiv.org/abs/2101.06983, section 3. A pair loss needs the embeddings of
the whole batch, but not the activations behind all of them at once: embed without a graph, work
out the loss and its gradient by the embeddings, then embed again, chunk by chunk, and carry each
chunk's gradient on to the weights. It costs one more forward pass; the gradient is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def cached_backward(
    embed: nn.Module,
    images: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    *,
    chunk: int,
    scale: float = 1.0,
) -> Tensor:
    """Add the gradient of a loss over the whole batch to the weights, ``chunk`` images at a time.

    Under autocast call it inside the context. Batch normalisation in training takes its statistics
    of each chunk, as gradient accumulation does, and its running statistics move once for each.
    What the backbone draws at random (dropout) is drawn alike in both passes. The gradients of a
    DistributedDataParallel backbone are averaged with the last chunk only; every process must have
    as many images.

    Args:
        embed: the backbone: images (n, ...) to embeddings (n, D).
        images: the batch of this process, (N, ...).
        loss_of: from its embeddings, (N, D), to the loss; its own weights get their gradient too.
        chunk: images whose activations are held at once.
        scale: factor of the gradient: that of a GradScaler, for float16.

    Returns:
        The loss, without a graph and without the factor.
    """
    if len(images) <= chunk:
        loss = loss_of(embed(images))
        torch.autograd.backward(loss * scale)
        return loss.detach()
    chunks = torch.split(images, chunk)
    embeddings, states = _embed_without_graph(embed, chunks)
    embeddings.requires_grad_()
    loss = loss_of(embeddings)
    torch.autograd.backward(loss * scale)
    assert embeddings.grad is not None
    after = _random_state(embed)
    gradients = torch.split(embeddings.grad, chunk)
    for part, gradient, state in zip(chunks, gradients, states, strict=True):
        _set_random_state(embed, state)
        with nullcontext() if part is chunks[-1] else _without_averaging(embed):
            torch.autograd.backward(embed(part), gradient)
    _set_random_state(embed, after)
    return loss.detach()


def _without_averaging(embed: nn.Module) -> AbstractContextManager[None]:
    """Where gradients are added up in this process alone."""
    return embed.no_sync() if isinstance(embed, DistributedDataParallel) else nullcontext()


def _embed_without_graph(
    embed: nn.Module, chunks: tuple[Tensor, ...]
) -> tuple[Tensor, list[list[Tensor]]]:
    """All embeddings, (N, D), and the state of the random numbers before each chunk.

    Leaves no other trace: the running statistics are put back.
    """
    kept = [buffer.clone() for buffer in embed.buffers()]
    parts, states = [], []
    with torch.no_grad():
        for part in chunks:
            states.append(_random_state(embed))
            parts.append(embed(part))
        for buffer, before in zip(embed.buffers(), kept, strict=True):
            buffer.copy_(before)
    torch.clear_autocast_cache()  # before torch 2.10 it keeps weights cast without a graph
    return torch.cat(parts), states


def _random_state(embed: nn.Module) -> list[Tensor]:
    """The state of the generators that a forward pass may draw from: the CPU's, its device's."""
    return [torch.get_rng_state(), *(device.get_rng_state() for device in _accelerators(embed))]


def _set_random_state(embed: nn.Module, states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for device, state in zip(_accelerators(embed), states[1:], strict=True):
        device.set_rng_state(state)


def _accelerators(embed: nn.Module) -> list[ModuleType]:
    """torch.cuda or torch.mps, where the weights lie there."""
    device = next(embed.parameters()).device
    return [] if device.type == "cpu" else [torch.get_device_module(device)]
