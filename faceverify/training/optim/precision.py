"""Execution of a backbone in a step: memory layout, precision, compilation, data parallelism."""

from __future__ import annotations

import inspect
import platform
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from faceverify.training.config.fields import config_error
from faceverify.training.config.optimisation import Compute
from faceverify.training.distributed.processes import Processes
from faceverify.training.optim.cpu import use_cpu_layers
from faceverify.training.optim.view_encoder import ViewEncoder

# the newer name where torch has it, as the older one warns there
KEEP_BUFFERS: Any = next(
    {name: False}
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, eq=False)
class Executor:
    """A backbone compiled, wrapped for several processes, with its precision.

    Attributes:
        embed: images of each view, (N, 3, H, W), to raw embeddings of each, (N, D); backward
            averages its gradient over processes. Call it inside :meth:`autocast`.
        device: that it runs on.
        precision: of its arithmetic: "float32", "bfloat16" or "float16".
        scaler: loss scaling against float16 underflow; disabled in other precisions.
    """

    embed: nn.Module
    device: torch.device
    precision: str
    scaler: torch.amp.GradScaler

    def autocast(self) -> torch.autocast:
        """Inside, the backbone computes in its precision."""
        dtype = PRECISIONS[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    def no_sync(self) -> AbstractContextManager[None]:
        """Inside, gradients are accumulated in this process and not averaged over processes."""
        if isinstance(self.embed, DistributedDataParallel):
            return self.embed.no_sync()
        return nullcontext()


def make_executor(backbone: nn.Module, compute: Compute, processes: Processes) -> Executor:
    """Prepare a backbone, already on its device, for the steps of a run.

    Args:
        backbone: its memory layout and norms may be changed.
        compute: precision, compilation, memory layout.
        processes: this process and the others.

    Raises:
        TrainingError: the device does not support the settings.
    """
    device = processes.device
    precision = chosen_precision(compute.precision, device)
    use_cpu_layers(backbone, device)
    if compute.channels_last:
        backbone.to(memory_format=torch.channels_last)
    if compute.sync_batch_norm and processes.world > 1:
        if device.type != "cuda":
            raise config_error("compute.sync_batch_norm needs GPUs", "set it to false")
        nn.SyncBatchNorm.convert_sync_batchnorm(backbone)  # type: ignore[no-untyped-call]
    module = backbone
    if compute.compile == "on" or (compute.compile == "auto" and device.type == "cuda"):
        module = torch.compile(module)  # type: ignore[assignment]
    module = ViewEncoder(module)
    if processes.world > 1:
        module = DistributedDataParallel(
            module,
            device_ids=[device.index] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
            **KEEP_BUFFERS,  # running statistics are each process's own
        )
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
    return Executor(module, device, precision, scaler)


def chosen_precision(setting: str, device: torch.device) -> str:
    """Precision of a setting; for "auto" bfloat16 where the device multiplies it in hardware.

    Raises:
        TrainingError: float16 on a CPU, which computes it slowly and overflows.
    """
    if setting == "float16" and device.type == "cpu":
        raise config_error("--precision float16 needs a GPU", "use bfloat16 or float32")
    if setting != "auto":
        return setting
    if device.type == "cuda":
        return "float16" if emulates_bfloat16(device) else "bfloat16"
    if device.type == "cpu" and multiplies_bfloat16_by("amx_tile"):
        return "bfloat16"
    return "float32"


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 by float32 instructions, which is slow."""
    if device.type == "cuda":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and platform.machine() in ("x86_64", "AMD64"):
        return not multiplies_bfloat16_by("amx_tile", "avx512_bf16")
    return False


def multiplies_bfloat16_by(*instructions: str) -> bool:
    """Whether the CPU has one of these instruction sets and ONEDNN_MAX_CPU_ISA permits it.

    Args:
        instructions: as torch names them, ``torch.cpu._is_NAME_supported``.
    """
    allowed = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", bool)  # not in every torch
    known = [getattr(torch.cpu, f"_is_{name}_supported", bool) for name in instructions]
    return bool(allowed()) and any(supported() for supported in known)
