"""ONNX Runtime, which runs every net of the using half: how it is imported, and its sessions.

It is imported here alone, with its telemetry off: on Linux it would write an identifier of the
device and a store of events into the user's cache folder, and send events to its maker. A program
that imports it before faceverify does has to set ``ORT_DISABLE_TELEMETRY=1`` itself: later is too
late, also for ``disable_telemetry_events``.

One thread a call: photos are processed in parallel by worker threads, which scales better for small
networks than threads inside them, and leaves no spinning thread pool.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"


def import_engine() -> Any:
    """The module ``onnxruntime``, with its telemetry off.

    Raises:
        ImportError: it is not installed, or broken.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is imported, not later
    import onnxruntime

    return onnxruntime


def open_session(model: bytes) -> InferenceSession:
    """Load a serialised ONNX model onto the CPU; errors are the engine's own."""
    engine = import_engine()
    engine.set_default_logger_severity(4)  # its warnings would land on the user's stderr
    options = engine.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # weights in a second file: it would take whatever lies in the folder of the process
    options.add_session_config_entry(EXTERNAL_FOLDER, os.devnull)
    # no fallback: the engine announces it on stdout
    return engine.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
