"""ONNX Runtime sessions: the settings that every net of the using half is run with.

One thread a session call: photos are processed side by side in worker threads, which scales
better over small nets than threads inside them, and leaves no spinning pool behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(model: bytes) -> InferenceSession:
    """Load a serialised ONNX model onto the CPU; errors are the engine's own."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # its warnings would land on the user's stderr
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # no fallback: the engine announces it on stdout
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
