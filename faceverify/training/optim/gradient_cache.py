"""Gradient caching: a loss over a large batch in the memory of a small one.

Gao et al. 2021, https://arxiv.org/abs/2101.06983, section 3. A pair loss needs the embeddings of
the whole batch, but not the activations behind all of them at once: embed without a graph, work
out the loss and its gradient by the embeddings, then embed again, chunk by chunk, and carry each
chunk's gradient on to the weights. It costs one more forward pass; the gradient is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from faceverify.training.optim.view_encoder import Embed

Chunk = tuple[Tensor, ...]  # of each view, some images


def cached_backward(
    encoder: nn.Module,
    loss_of: Callable[[Embed], Tensor],
    *,
    chunk: int,
    scale: float = 1.0,
) -> Tensor:
    """Add the gradient of a loss over the whole batch to the weights, ``chunk`` images at a time.

    Under autocast call it inside the context. Batch normalisation in training takes its statistics
    of each chunk, as gradient accumulation does, and its running statistics move once for each.
    What the backbone draws at random (dropout) is drawn alike in both passes. The gradients of a
    DistributedDataParallel encoder are averaged with the last chunk only; every process must have
    as many images.

    Args:
        encoder: the backbone: images of each view, (n, ...), to embeddings of each, (n, D).
        loss_of: the loss, given what embeds the whole batch, which it calls once; its own weights
            get their gradient too.
        chunk: images of each view whose activations are held at once.
        scale: factor of the gradient: that of a GradScaler, for float16.

    Returns:
        The loss, without a graph and without the factor.
    """
    chunks: list[Chunk] = []
    states: list[list[Tensor]] = []
    embeddings: list[Tensor] = []

    def embed(views: Sequence[Tensor]) -> list[Tensor]:
        if len(views[0]) <= chunk:
            found: list[Tensor] = encoder(views)
            return found
        chunks.extend(_split(views, chunk))
        embeddings.extend(_embed_without_graph(encoder, chunks, states))
        return embeddings

    loss = loss_of(embed)
    torch.autograd.backward(loss * scale)
    if not chunks:
        return loss.detach()
    after = _random_state(encoder)
    slopes = _split([one.grad for one in embeddings if one.grad is not None], chunk)
    for part, slope, state in zip(chunks, slopes, states, strict=True):
        _set_random_state(encoder, state)
        with nullcontext() if part is chunks[-1] else _without_averaging(encoder):
            torch.autograd.backward(encoder(part), slope)
    _set_random_state(encoder, after)
    return loss.detach()


def _split(views: Sequence[Tensor], size: int) -> list[Chunk]:
    """Some rows of every view, then the next ones."""
    return list(zip(*(torch.split(view, size) for view in views), strict=True))


def _without_averaging(encoder: nn.Module) -> AbstractContextManager[None]:
    """Where gradients are added up in this process alone."""
    return encoder.no_sync() if isinstance(encoder, DistributedDataParallel) else nullcontext()


def _embed_without_graph(
    encoder: nn.Module, chunks: list[Chunk], states: list[list[Tensor]]
) -> list[Tensor]:
    """All embeddings of each view, (N, D), ready for a gradient.

    Leaves no other trace than the state of the random numbers before each chunk in ``states``: the
    running statistics are put back.
    """
    kept = [buffer.clone() for buffer in encoder.buffers()]
    parts = []
    with torch.no_grad():
        for part in chunks:
            states.append(_random_state(encoder))
            parts.append(encoder(part))
        for buffer, before in zip(encoder.buffers(), kept, strict=True):
            buffer.copy_(before)
    torch.clear_autocast_cache()  # before torch 2.10 it keeps weights cast without a graph
    return [torch.cat(view).requires_grad_() for view in zip(*parts, strict=True)]


def _random_state(encoder: nn.Module) -> list[Tensor]:
    """The state of the generators that a forward pass may draw from: the CPU's, its device's."""
    return [torch.get_rng_state(), *(device.get_rng_state() for device in _accelerators(encoder))]


def _set_random_state(encoder: nn.Module, states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for device, state in zip(_accelerators(encoder), states[1:], strict=True):
        device.set_rng_state(state)


def _accelerators(encoder: nn.Module) -> list[ModuleType]:
    """torch.cuda or torch.mps, where the weights lie there."""
    device = next(encoder.parameters()).device
    return [] if device.type == "cpu" else [torch.get_device_module(device)]
