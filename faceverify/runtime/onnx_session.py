"""ONNX Runtime sessions, with the settings of all networks of the using half.

One thread a call: photos are processed in parallel by worker threads, which scales better for small
networks than threads inside them, and leaves no spinning thread pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(model: bytes) -> InferenceSession:
    """A serialised ONNX model loaded onto the CPU; errors are those of ONNX Runtime."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # its warnings would be printed on stderr
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # no fallback: ONNX Runtime announces it on stdout
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
