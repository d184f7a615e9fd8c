"""Pretrained weights: a model file, a checkpoint, or a state dict of torch or safetensors.

No format is read in a way that could run code: ONNX initializers, safetensors, and torch files with
the weights-only loader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from faceverify.errors import TrainingError
from faceverify.models.contract import Contract
from faceverify.models.install.convert import misfit
from faceverify.models.model_file import load_model_file
from faceverify.models.registry import find_model
from faceverify.training.backbones.mobilenet import sface_names
from faceverify.training.checkpoint.checkpoint import read_part, stored_tensors
from faceverify.training.distributed.wrappers import plain_module

TORCH_FILES = (".pt", ".pth", ".ckpt", ".bin")
RUN_MODEL = "model.onnx"  # in a run's folder
HALF = ".half"  # ends the name of a tensor that a model file keeps in float16
COUNT = "num_batches_tracked"  # of a norm: without effect, and not in a model file
INSIDE = ("backbone", "model", "state_dict", "net")  # usual keys of a state dict in a file
PREFIXES = ("module.", "_orig_mod.", "backbone.", "model.")

# names in InsightFace's arcface_torch, whose IResNet is the same as ours
INSIGHTFACE = (
    (r"^conv1\.", "stem.0."),
    (r"^bn1\.", "stem.1."),
    (r"^prelu\.", "stem.2."),
    (r"^layer(\d)\.(\d+)\.bn1\.", r"stage\1.\2.branch.0."),
    (r"^layer(\d)\.(\d+)\.conv1\.", r"stage\1.\2.branch.1."),
    (r"^layer(\d)\.(\d+)\.bn2\.", r"stage\1.\2.branch.2."),
    (r"^layer(\d)\.(\d+)\.prelu\.", r"stage\1.\2.branch.3."),
    (r"^layer(\d)\.(\d+)\.conv2\.", r"stage\1.\2.branch.4."),
    (r"^layer(\d)\.(\d+)\.bn3\.", r"stage\1.\2.branch.5."),
    (r"^layer(\d)\.(\d+)\.downsample\.", r"stage\1.\2.shortcut."),
    (r"^bn2\.", "neck.norm."),
    (r"^fc\.", "neck.projection."),
    (r"^features\.", "neck.output_norm."),
)


@dataclass(frozen=True)
class Weights:
    """Pretrained weights.

    Attributes:
        state: the state dict.
        origin: their source, one line, for the provenance of a model trained from them.
        contract: preprocessing contract, where the file has one.
    """

    state: dict[str, Tensor]
    origin: str
    contract: Contract | None = None


def initialise(backbone: nn.Module, source: str) -> Weights:
    """Load pretrained weights into a backbone; see :func:`read_weights` and :func:`fill`."""
    weights = read_weights(source)
    fill(backbone, source, weights)
    return weights


def fill(
    backbone: nn.Module, source: str, weights: Weights, *, left_out: tuple[str, ...] = ()
) -> None:
    """Load weights that have been read into a backbone.

    Args:
        backbone: changed in place, completely or not at all.
        source: of the weights, as the user named it.
        weights: that were read from it.
        left_out: beginnings of the names of weights that stay as the backbone has them.

    Raises:
        TrainingError: they are of another architecture.
    """
    net = plain_module(backbone)
    state, problem = fitted(weights, net)
    if problem:
        raise TrainingError(
            f"{source} does not fit this backbone: {problem}",
            cure=f"choose the backbone that they were trained in ({weights.origin})",
            code="training-checkpoint",
        )
    taken = {key: value for key, value in state.items() if not key.startswith(left_out)}
    net.load_state_dict(taken, strict=False)


def fitted(weights: Weights, net: nn.Module) -> tuple[dict[str, Tensor], str]:
    """The tensors of weights that a network has, and why they do not fit it; empty if they do."""
    expected = {key: value for key, value in net.state_dict().items() if not key.endswith(COUNT)}
    state = {
        key: flattened(value, expected[key])
        for key, value in weights.state.items()
        if key in expected
    }
    return state, misfit(state, expected)


def flattened(value: Tensor, expected: Tensor) -> Tensor:
    """Reshape a PReLU slope from a model file, (C, 1, 1, 1), to torch's (C,)."""
    if value.shape == (*expected.shape, 1, 1, 1):
        return value.reshape(expected.shape)
    return value


def read_weights(source: str) -> Weights:
    """Read weights; the format follows from the name.

    Args:
        source: name of an installed model (``default``), a model file, a torch or safetensors file
            with a state dict, a run's folder (its model file) or one of its checkpoints.

    Raises:
        TrainingError: they are unreadable.
        ModelError: there is no such model.
    """
    path = Path(source)
    if path.is_dir():
        model = path / RUN_MODEL
        return from_model_file(model, source) if model.is_file() else from_checkpoint(path)
    if path.suffix.lower() in TORCH_FILES:
        return Weights(renamed(state_in(from_torch_file(path), path)), f"weights of {path.name}")
    if path.suffix.lower() == ".safetensors":
        return Weights(renamed(from_safetensors(path)), f"weights of {path.name}")
    return from_model_file(find_model(source), source)


def from_model_file(path: Path, name: str) -> Weights:
    """Read the initializers of a model file; export keeps their names."""
    import onnx
    from onnx import numpy_helper

    model = load_model_file(path, name)
    state, sface = {}, sface_names()
    for item in onnx.load_from_string(model.graph).graph.initializer:
        if item.data_location == onnx.TensorProto.EXTERNAL:  # it could name any file
            raise unusable(path, f"{item.name} is kept in another file")
        value = torch.from_numpy(numpy_helper.to_array(item).copy())
        key = item.name.removesuffix(HALF)
        state[sface.get(key, key)] = value
    provenance = model.provenance
    origin = f"{provenance.name}, {provenance.architecture}, licence {provenance.licence}"
    return Weights(state, f"{origin}, model {model.id}", model.contract)


def from_checkpoint(folder: Path) -> Weights:
    """Read the backbone of a checkpoint: the averaged weights where it has them."""
    averaged = any(name.startswith("average.") for name in stored_tensors(folder))
    weights = read_part(folder, "average" if averaged else "backbone")
    return Weights(weights, f"checkpoint {folder.name}")


def from_torch_file(path: Path) -> object:
    """Read a torch.save file with the weights-only loader."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from error
    except Exception as error:  # its parsers raise many types
        raise unusable(path, "it does not load without running code") from error


def from_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file."""
    try:
        state: dict[str, Tensor] = load_file(path)
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from error
    except SafetensorError as error:
        raise unusable(path, f"not a safetensors file: {error}") from error
    return state


def state_in(content: object, path: Path) -> dict[str, Tensor]:
    """Find the state dict in the content of a file: the whole, or under a usual key."""
    if isinstance(content, dict):
        for name in INSIDE:
            if isinstance(content.get(name), dict):
                return state_in(content[name], path)
        state = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
        if state:
            return state
    raise unusable(path, f"it holds no state dict but a {type(content).__name__}")


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes of wrappers, and rename InsightFace's layers to ours."""
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    if "layer1.0.prelu.weight" not in state:
        return state
    names = {}
    for key in state:
        name = key
        for pattern, ours in INSIGHTFACE:
            name, count = re.subn(pattern, ours, key)
            if count:
                break
        names[key] = name
    return {names[key]: value for key, value in state.items()}


def unusable(path: Path, reason: str, cure: str = "") -> TrainingError:
    """The error of unreadable weights."""
    return TrainingError(f"{path}: {reason}", cure=cure, code="training-checkpoint")
