"""A network of the face detector, loaded from its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from faceverify.errors import ModelError
from faceverify.runtime.onnx_session import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_net(path: Path) -> InferenceSession:
    """Load one of the detector's ONNX files.

    Raises:
        ModelError: the file is missing or damaged.
    """
    try:
        return open_session(path.read_bytes())
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise ModelError(f"{path}: the face detector cannot be loaded: {error}") from error
