"""Embedder: aligned crops to embeddings by a model file, as its contract specifies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError
from faceverify.models.model_file import ModelFile
from faceverify.runtime.onnx_session import open_session

BATCH = 16  # crops, where the graph does not fix it


class Embedder:
    """A model loaded for inference; thread-safe.

    Raises:
        ModelError: the graph does not load, or its input does not fit the contract.
    """

    def __init__(self, model: ModelFile) -> None:
        self.model = model
        try:
            self._session = open_session(model.graph)
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
            shape = inputs[0].shape if len(inputs) == 1 else []
        except Exception as error:  # ONNX Runtime's errors have no common base class
            from faceverify.models.foreign import unloadable_error  # no working model needs it

            raise unloadable_error(model.name, error) from error
        contract = model.contract
        expected = [3, contract.height, contract.width]
        fits = len(shape) == 4 and all(
            not isinstance(size, int) or size == side
            for size, side in zip(shape[1:], expected, strict=True)
        )
        if not fits or inputs[0].type != "tensor(float)":
            found = [(item.type, item.shape) for item in inputs]
            raise ModelError(f"{model.name}: its graph takes {found}, its contract (N, {expected})")
        self._input, self._output = inputs[0].name, outputs[0].name
        self._batch = shape[0] if isinstance(shape[0], int) else BATCH
        self._fixed = isinstance(shape[0], int)

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings of aligned crops.

        Args:
            crops: RGB, (N, height, width, 3).

        Returns:
            Rows of length 1, (N, D).

        Raises:
            ModelError: the model returned something that is no embedding.
        """
        return self.normalised(self.responses(crops))

    def responses(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network returns for aligned crops, (N, D), not scaled to length 1.

        Where the contract averages with the mirrored crop, the mean of both.

        Args:
            crops: RGB, (N, height, width, 3).

        Raises:
            ModelError: the model returned something that is no embedding.
        """
        planes = self.model.contract.planes(crops)
        if self.model.contract.flip_average:
            planes = np.concatenate([planes, planes[..., ::-1]])
        rows = self.run(planes)
        if self.model.contract.flip_average:
            rows = (rows[: len(crops)] + rows[len(crops) :]) * np.float32(0.5)
        return rows

    def normalised(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows scaled to length 1; ModelError for NaN, infinity or zero."""
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(length).all() or not (length > 0).all():
            raise ModelError(
                f"{self.model.name}: it returned NaN, infinity or zero for a face",
                cure="the model file is damaged or its contract is wrong",
                code="model-output",
            )
        unit: NDArray[np.float32] = rows / length
        return unit

    def run(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the net returns, (N, D), for its input, (N, 3, height, width)."""
        size = self.model.contract.embedding_size
        rows = np.empty((len(planes), size), np.float32)
        for start in range(0, len(planes), self._batch):
            batch = planes[start : start + self._batch]
            count = len(batch)
            if self._fixed and count < self._batch:
                batch = np.resize(batch, (self._batch, *batch.shape[1:]))
            try:
                output = self._session.run([self._output], {self._input: batch})[0][:count]
            except Exception as error:  # as on loading
                raise ModelError(f"{self.model.name}: the engine cannot run it: {error}") from error
            if output.shape != (count, size):
                raise ModelError(
                    f"{self.model.name}: it returned {output.shape} for {count} faces, where its "
                    f"contract says {size} numbers each",
                    code="model-output",
                )
            rows[start : start + count] = output
        return rows
