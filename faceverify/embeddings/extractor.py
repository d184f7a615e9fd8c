"""From a photo to templates: its faces found, cut out as the model wants them, and embedded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError
from faceverify.faces.detection import Detector, Face
from faceverify.faces.finder import FaceFinder, FoundFace
from faceverify.faces.options import FaceOptions
from faceverify.faces.quality import Quality
from faceverify.images.photo import Source
from faceverify.models.embedder import Embedder
from faceverify.models.registry import bundled_folder, load_model


@dataclass(frozen=True)
class Template:
    """An embedded face.

    Attributes:
        photo: what the user called the photo.
        embedding: of length 1, (embedding size,).
        face: where it is, in pixels of the upright photo.
        quality: what was measured on it.
    """

    photo: str
    embedding: NDArray[np.float32]
    face: Face
    quality: Quality


class TemplateExtractor:
    """From a photo to templates; safe to use from several threads.

    Args:
        finder: how faces are found and chosen.
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
    def load(
        cls, model: str = "default", options: FaceOptions = FaceOptions()
    ) -> TemplateExtractor:
        """Load the bundled detector and a model, side by side.

        Args:
            model: a model file, or the name of an installed one.
            options: how faces are found, chosen and cut out.

        Raises:
            ModelError: a model that cannot be loaded.
        """
        with ThreadPoolExecutor(1) as pool:
            detector = pool.submit(Detector, bundled_folder())
            embedder = Embedder(load_model(model))
        return cls(FaceFinder(detector.result(), options), embedder)

    def extract(self, source: Source) -> list[Template]:
        """The templates of the faces meant, at least one.

        Raises:
            ImageError, NoDecisionError: as :meth:`FaceFinder.find`.
            ModelError: the model returned something that is no embedding.
        """
        return [self._template(found) for found in self._finder.find(source)]

    def _template(self, found: FoundFace) -> Template:
        crops = np.stack([np.asarray(found.crop(one, self._size)) for one in self._alignments])
        mean = self._embedder.embed(crops).mean(axis=0, keepdims=True)
        (embedding,) = self._embedder.normalised(mean)
        return Template(found.photo, embedding, found.face, found.quality)


def same_model(extractor: TemplateExtractor, model_id: str) -> TemplateExtractor:
    """Pass on an extractor that was loaded on another machine, if it is of the model meant.

    Raises:
        ModelError: the model of that name is another one there.
    """
    model = extractor.model
    if model.id != model_id:
        raise ModelError(
            f"{model.name}: {model.id} on a worker, where {model_id} is meant",
            cure="install the same model on every machine",
        )
    return extractor
