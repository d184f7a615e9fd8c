"""Choice of the output that is the embedding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError, UsageError

# numbers in an embedding; networks with fewer outputs are classifiers, as of age and sex
FEWEST = 32


def choose_output(
    outputs: Mapping[str, NDArray[np.float32]], crops: int, *, name: str, wanted: str = ""
) -> str:
    """The output that is the embedding: the only one that can be.

    Others may be lengths, quality, or the same direction at another length.

    Args:
        outputs: what the net returns for some crops, by name.
        crops: how many there were.
        name: of the net, for messages.
        wanted: as the user says; "" if not said.

    Raises:
        ModelError: there is none.
        UsageError: there are several, or the wanted one is none of them.
    """
    shapes = {output: rows.shape for output, rows in outputs.items()}
    fit = [o for o, shape in shapes.items() if len(shape) == 2 and is_embedding(shape, crops)]
    described = ", ".join(f"{output} {shape}" for output, shape in shapes.items())
    if wanted and wanted not in fit:
        raise UsageError(
            f"{name}: --output {wanted}: it returns {described} for {crops} crops",
            cure=f"give --output {' or '.join(fit)}" if fit else "import another net",
        )
    if wanted:
        return wanted
    if not fit:
        raise ModelError(
            f"{name}: returns {described} for {crops} crops, which are no embeddings",
            cure="import the net that recognises, such as w600k_r50.onnx of an InsightFace pack",
        )
    if any(not parallel(outputs[fit[0]], outputs[other]) for other in fit[1:]):
        sizes = " and ".join(f"{output} ({shapes[output][1]} numbers)" for output in fit)
        raise UsageError(
            f"{name}: {sizes} may each be the embedding, or logits of a classifier",
            cure=f"say which is: --output {' or '.join(fit)}",
        )
    return fit[0]


def is_embedding(shape: tuple[int, ...], crops: int) -> bool:
    """Whether an output's shape is that of an embedding for each crop."""
    return shape[0] == crops and shape[1] >= FEWEST


def parallel(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    """Whether rows have the same directions, so that they are the same embedding."""
    return first.shape == second.shape and bool(np.min(cosines(first, second)) > 0.99999)


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row of a matrix and the same row of another, (N,)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.maximum(lengths, 1e-30))
