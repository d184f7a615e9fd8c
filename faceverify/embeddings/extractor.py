"""Face embedder: the faces of a photo detected, cropped as the model requires, and embedded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError
from faceverify.faces.detection import Detector, Face
from faceverify.faces.finder import FaceFinder, FoundFace, good_enough
from faceverify.faces.options import FaceOptions
from faceverify.faces.quality import Quality
from faceverify.images.photo import Source
from faceverify.models.embedder import Embedder
from faceverify.models.registry import bundled_folder, load_model


@dataclass(frozen=True)
class FaceEmbedding:
    """Embedding of a face, such as a probe.

    Attributes:
        photo: name of the photo, as given by the user.
        embedding: of length 1, (D,).
        face: box and points, in pixels of the upright photo.
        quality: of the face.
        length: of the embedding before it was scaled to 1.
    """

    photo: str
    embedding: NDArray[np.float32]
    face: Face
    quality: Quality
    length: float


class FaceEmbedder:
    """Detector and model together: photo to face embeddings; thread-safe.

    Args:
        finder: detects and selects faces.
        embedder: the model.
    """

    def __init__(self, finder: FaceFinder, embedder: Embedder) -> None:
        self.options = finder.options
        self._finder = finder
        self._embedder = embedder
        self.model = embedder.model
        contract = self.model.contract
        self._size = (contract.width, contract.height)
        self._alignments = contract.alignment.variants(self.options.augment, self._size)

    @classmethod
    def load(cls, model: str = "default", options: FaceOptions = FaceOptions()) -> FaceEmbedder:
        """The bundled detector and a model, loaded in parallel.

        Args:
            model: a model file, or the name of an installed one.
            options: of face detection, selection and cropping.

        Raises:
            ModelError: a model that cannot be loaded.
        """
        with ThreadPoolExecutor(1) as pool:
            detector = pool.submit(Detector, bundled_folder())
            loaded = load_model(model)
            pool.submit(getattr, loaded, "id")  # hashed beside the engine's work, and kept
            embedder = Embedder(loaded)
        return cls(FaceFinder(detector.result(), options), embedder)

    def extract(self, source: Source) -> list[FaceEmbedding]:
        """Embeddings of the selected faces of a photo, at least one.

        Raises:
            ImageError, NoDecisionError: as :meth:`FaceFinder.find`.
            ModelError: the model returned something that is no embedding.
        """
        found = self._finder.find(source)
        faces = [self._measured(face, *self._embed(face)) for face in found]
        return good_enough(found[0].photo, faces, self.options.min_quality)

    def embeddings(self, source: Source) -> NDArray[np.float32]:
        """Embeddings alone of the selected faces, (N, D); quality is measured only if it counts.

        Raises:
            ImageError, NoDecisionError, ModelError: as :meth:`extract`.
        """
        if self.options.min_quality:
            return np.stack([face.embedding for face in self.extract(source)])
        return np.stack([self._embed(face)[0] for face in self._finder.find(source)])

    def _embed(self, found: FoundFace) -> tuple[NDArray[np.float32], float]:
        """Embedding of a face, (D,), and its length before it was scaled to 1."""
        crops = np.stack([np.asarray(found.crop(one, self._size)) for one in self._alignments])
        responses = self._embedder.responses(crops)
        mean = self._embedder.normalised(responses).mean(axis=0, keepdims=True)
        (embedding,) = self._embedder.normalised(mean)
        return embedding, float(np.linalg.norm(responses[0]))

    def _measured(
        self, found: FoundFace, embedding: NDArray[np.float32], length: float
    ) -> FaceEmbedding:
        """A face with its embedding and quality."""
        quality, usual = found.quality, self.model.usual_length
        if usual is not None:
            quality = quality.with_response(length / usual)
        return FaceEmbedding(found.photo, embedding, found.face, quality, length)


def same_model(extractor: FaceEmbedder, model_id: str) -> FaceEmbedder:
    """The extractor, checked to be of a model; for workers that load it by name.

    Args:
        model_id: id of the model that the parent process has.

    Raises:
        ModelError: on this machine, the name is that of another model.
    """
    model = extractor.model
    if model.id != model_id:
        raise ModelError(
            f"{model.name}: {model.id} on a worker, expected {model_id}",
            cure="install the same model on every machine",
        )
    return extractor
