"""The bundled nets are read and loaded once a process of tests, and shared by what runs in it.

To read a model file of 37 MB, hash it and make a session of it takes a fifth of a second; the tests
run hundreds of commands. A session keeps nothing of what it computed.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

from faceverify.models import registry
from faceverify.models.model_file import ModelFile, load_model_file
from faceverify.runtime.onnx_session import import_engine

LARGE = 100_000  # bytes; the nets that tests make are smaller


def load_bundled_nets_once() -> None:
    """Let the registry and the engine return what they made of the same file before."""
    bundled = registry.bundled_folder()
    read_once = lru_cache(load_model_file)

    def read(path: Path, name: str | None = None) -> ModelFile:
        return (read_once if path.parent == bundled else load_model_file)(path, name)

    engine = import_engine()
    make = engine.InferenceSession
    sessions: dict[bytes, Any] = {}

    def session(model: Any, *options: Any, **named: Any) -> Any:
        if not isinstance(model, bytes) or len(model) < LARGE:
            return make(model, *options, **named)
        if model not in sessions:
            if len(sessions) == 6:
                del sessions[next(iter(sessions))]
            sessions[model] = make(model, *options, **named)
        return sessions[model]

    registry.load_model_file = read
    engine.InferenceSession = session
