"""Time a net as torch exports it against the same net imported, which prepares it for the engine.

Both run in ONNX Runtime, on one thread, in turns: the best of several rounds, in milliseconds of
processor time a crop. Weights are random; time does not depend on them.

Usage: ``python scripts/bench_prepared.py [--backbone iresnet50 ...] [--rounds 10]``, with the train
extra.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from onnxruntime import InferenceSession

from faceverify.models.install.install import import_model
from faceverify.runtime.onnx_session import open_session
from faceverify.training.backbones import build_backbone

SIDE, CROPS = 112, 2  # a face and its mirror image


def exported(backbone: str) -> bytes:
    """A backbone with random weights, as ``torch.onnx.export`` writes it by default."""
    torch.manual_seed(0)
    net = build_backbone(backbone, embedding_size=512, size=SIDE).eval()
    for layer in net.modules():
        if isinstance(layer, torch.nn.PReLU):
            torch.nn.init.uniform_(layer.weight, -0.1, 0.5)
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 1.5)
    stream, axes = io.BytesIO(), {"crops": {0: "N"}, "embeddings": {0: "N"}}
    torch.onnx.export(
        net,
        (torch.zeros(2, 3, SIDE, SIDE),),
        stream,
        input_names=["crops"],
        output_names=["embeddings"],
        dynamic_axes=axes,
        dynamo=False,
    )
    return stream.getvalue()


def best_times(sessions: dict[str, InferenceSession], rounds: int) -> dict[str, float]:
    """Shortest time of each session, in milliseconds a crop, all of them in every round."""
    crops = np.random.default_rng(0).uniform(-1, 1, (CROPS, 3, SIDE, SIDE)).astype(np.float32)
    best = dict.fromkeys(sessions, float("inf"))
    for _ in range(rounds):
        for name, session in sessions.items():
            started = time.thread_time()
            session.run(None, {"crops": crops})
            best[name] = min(best[name], (time.thread_time() - started) * 1e3 / CROPS)
    return best


def main() -> None:
    """Export, import, and time both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--backbone", nargs="+", default=["iresnet50", "iresnet18", "mobilefacenet"]
    )
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    print(f"{'backbone':<16}{'as exported':>12}{'prepared':>10}{'times':>8}  ms a crop")
    for backbone in options.backbone:
        data = exported(backbone)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "net.onnx")
            path.write_bytes(data)
            model = import_model(path)
        assert model.prepared_from, "it was not prepared"
        sessions = {"exported": open_session(data), "prepared": open_session(model.graph)}
        best = best_times(sessions, options.rounds)
        print(
            f"{backbone:<16}{best['exported']:>12.1f}{best['prepared']:>10.1f}"
            f"{best['exported'] / best['prepared']:>8.2f}"
        )


if __name__ == "__main__":
    main()
