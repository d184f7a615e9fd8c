"""Face embedder: the faces of a photo detected, cropped as the model requires, and embedded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import FaceverifyError, ImageError, ModelError, NoDecisionError
from faceverify.faces.detection import Detector, Face
from faceverify.faces.finder import FaceFinder, FoundFace, good_enough
from faceverify.faces.options import FaceOptions
from faceverify.faces.quality import Quality
from faceverify.images.photo import Source
from faceverify.models.embedder import Embedder
from faceverify.models.registry import bundled_folder, load_model

Seen = TypeVar("Seen")


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
        rows, lengths = self._embed([self._crops(face) for face in found])
        faces = list(map(self._measured, found, rows, lengths.tolist()))
        return good_enough(found[0].photo, faces, self.options.min_quality)

    def embeddings(self, sources: Sequence[Source]) -> list[NDArray[np.float32] | FaceverifyError]:
        """Embedding of the one selected face of each photo, (D,), or why it has none.

        The network sees all faces at once, and reads its weights from memory once for all of them.
        Quality is measured only if the options ask for some.

        Raises:
            ModelError: the model returned something that is no embedding.
        """
        if self.options.min_quality:
            return [unless_refused(self._extract_one, source) for source in sources]
        seen = [
            unless_refused(self._crops_of_one, source) for source in sources
        ]  # no photo is kept
        crops = [one for one in seen if not isinstance(one, FaceverifyError)]
        embedded = iter(self._embed(crops)[0] if crops else ())
        return [one if isinstance(one, FaceverifyError) else next(embedded) for one in seen]

    def _extract_one(self, source: Source) -> NDArray[np.float32]:
        (face,) = self.extract(source)
        return face.embedding

    def _crops_of_one(self, source: Source) -> NDArray[np.uint8]:
        (face,) = self._finder.find(source)
        return self._crops(face)

    def _crops(self, face: FoundFace) -> NDArray[np.uint8]:
        """Crops of a face, one for each alignment, (A, height, width, 3)."""
        return np.stack([np.asarray(face.crop(one, self._size)) for one in self._alignments])

    def _embed(
        self, faces: Sequence[NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embeddings of N faces, (N, D), and their lengths before they were scaled to 1, (N,).

        Args:
            faces: crops of each, (A, height, width, 3).
        """
        responses = self._embedder.responses(np.concatenate(faces))  # (N A, D)
        unit = self._embedder.normalised(responses).reshape(len(faces), len(self._alignments), -1)
        lengths = np.linalg.norm(responses[:: len(self._alignments)], axis=1)
        return self._embedder.normalised(unit.mean(axis=1)), lengths

    def _measured(
        self, found: FoundFace, embedding: NDArray[np.float32], length: float
    ) -> FaceEmbedding:
        """A face with its embedding and quality."""
        quality, usual = found.quality, self.model.usual_length
        if usual is not None:
            quality = quality.with_response(length / usual)
        return FaceEmbedding(found.photo, embedding, found.face, quality, length)


def unless_refused(look: Callable[[Source], Seen], source: Source) -> Seen | FaceverifyError:
    """What is seen in a photo, or why it is refused, without the pixels in the error's frames."""
    try:
        return look(source)
    except (ImageError, NoDecisionError) as error:
        return error.with_traceback(None)


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
