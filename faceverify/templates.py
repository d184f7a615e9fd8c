"""From a photo to templates: the whole way of a photo through the using half.

photo -> decode -> detect -> choose -> measure -> align -> embed -> template
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceverify.errors import LowQualityError, ModelError
from faceverify.faces.alignment import Alignment, KnownCrop, known_crop
from faceverify.faces.choice import MIN_FACE, FaceChoice
from faceverify.faces.detection import Detector, Face
from faceverify.faces.quality import Quality, measure_quality
from faceverify.faces.selection import CENTRALITY, choose, prominence
from faceverify.images import Photo, Source, open_photo
from faceverify.models.embedder import Embedder
from faceverify.models.model_file import load_model_file
from faceverify.models.registry import bundled_folder, find_model

COARSE_SIDE = 320  # pixels of the short side at which a JPEG is first looked at
COARSE_FACE = 20.0  # the smallest face that is looked for there, in pixels
FULL_DETAIL = 160.0  # a face of this size has all the detail that a crop can hold


@dataclass(frozen=True)
class FoundFace:
    """A face in its photo, ready to be cut out.

    Attributes:
        photo: what the user called the photo.
        face: where it is, in pixels of the upright photo.
        quality: what was measured on it.
        image: the photo's pixels, perhaps at a reduced scale.
        scale: pixels of the photo per pixel of ``image``.
    """

    photo: str
    face: Face
    quality: Quality
    image: Image.Image
    scale: float

    def crop(self, alignment: Alignment, size: tuple[int, int]) -> Image.Image:
        """The aligned face, (width, height) = size."""
        return alignment.crop(self.image, self.face.moved(0, 0, 1 / self.scale), size)


class FaceFinder:
    """Finds the faces of a photo that are meant, and measures them.

    Args:
        detector: the MTCNN cascade.
        choice: which faces, when a photo shows several.
        min_face: side of the smallest face looked for, in pixels.
        min_quality: least quality of a face, in [0, 1].
        aligned: photos are crops already, aligned to this template: nothing is detected.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        choice: FaceChoice = FaceChoice.PROMINENT,
        min_face: float = MIN_FACE,
        min_quality: float = 0.0,
        aligned: KnownCrop | None = None,
    ) -> None:
        self._detector = detector
        self._choice = choice
        self._min_face = min_face
        self._min_quality = min_quality
        self._aligned = aligned

    def find(self, source: Source) -> list[FoundFace]:
        """The faces meant, at least one.

        Raises:
            ImageError: the photo cannot be read.
            NoFaceError, SeveralFacesError, LowQualityError: it shows no face that is meant.
        """
        photo = open_photo(source)
        image, faces = self._look(photo)
        faces = choose(faces, image.size, self._choice, photo.name)
        scale = photo.width / image.width
        found = [
            FoundFace(
                photo.name,
                face.moved(0, 0, scale),
                measure_quality(image, face, scale),
                image,
                scale,
            )
            for face in faces
        ]
        good = [item for item in found if item.quality.score >= self._min_quality]
        if not good:
            best = max(item.quality.score for item in found)
            raise LowQualityError(
                f"{photo.name}: face quality {best:.2f} is under the wanted {self._min_quality:g}",
                cure="use a sharper, larger or more frontal photo, or a lower --min-quality",
            )
        return good

    def _look(self, photo: Photo) -> tuple[Image.Image, list[Face]]:
        """The photo at a scale that shows the faces in full detail, and the faces in it."""
        if self._aligned is not None:
            image = photo.decode()
            return image, [self._aligned.face(image.size)]
        if self._choice in CENTRALITY:
            image = photo.decode(short_side=COARSE_SIDE)
            scale = photo.width / image.width
            smallest = max(self._min_face / scale, COARSE_FACE) if scale > 1 else self._min_face
            faces = self._detect(image, smallest)
            if scale == 1:
                return image, faces
            if faces:
                (face,) = choose(faces, image.size, self._choice, photo.name)
                if face.size >= FULL_DETAIL:
                    return image, faces
                side = min(image.size)
                finer = photo.decode(short_side=math.ceil(side * FULL_DETAIL / face.size))
                ratio = finer.width / image.width
                again = self._detect(finer, face.size * ratio * 0.6)
                return (finer, again) if again else (image, faces)
        image = photo.decode()
        return image, self._detect(image, self._min_face)

    def _detect(self, image: Image.Image, min_face: float) -> list[Face]:
        if self._choice not in CENTRALITY:
            return self._detector.detect(image, min_face=min_face)
        centrality = CENTRALITY[self._choice]

        def found(faces: list[Face], unseen: float) -> bool:
            return max(prominence(face, image.size, centrality) for face in faces) >= unseen

        return self._detector.detect(image, min_face=min_face, found=found)


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
        augment: how many slightly different crops of each face are averaged; 1 is the crop alone.
    """

    def __init__(self, finder: FaceFinder, embedder: Embedder, *, augment: int = 1) -> None:
        self._finder = finder
        self._embedder = embedder
        self._augment = augment
        self.model = embedder.model

    @classmethod
    def load(
        cls,
        model: str = "default",
        *,
        face: FaceChoice | str = FaceChoice.PROMINENT,
        min_face: float = MIN_FACE,
        min_quality: float = 0.0,
        aligned: str | None = None,
        augment: int = 1,
    ) -> TemplateExtractor:
        """Load the bundled detector and a model, side by side.

        Args:
            model: a model file, or the name of an installed one.
            face: which faces, when a photo shows several.
            aligned: name of the template that photos are aligned to already ("arcface-112", ...).

        Raises:
            UsageError: an unknown template.
            ModelError: a model that cannot be loaded.
        """
        crop = None if aligned is None else known_crop(aligned)
        with ThreadPoolExecutor(1) as pool:
            detector = pool.submit(Detector, bundled_folder())
            embedder = Embedder(load_model_file(find_model(model), model))
        finder = FaceFinder(
            detector.result(),
            choice=FaceChoice(face),
            min_face=min_face,
            min_quality=min_quality,
            aligned=crop,
        )
        return cls(finder, embedder, augment=augment)

    def extract(self, source: Source) -> list[Template]:
        """The templates of the faces meant, at least one.

        Raises:
            ImageError, NoDecisionError: as :meth:`FaceFinder.find`.
            ModelError: the model returned something that is no embedding.
        """
        contract = self._embedder.model.contract
        size = (contract.width, contract.height)
        alignments = contract.alignment.variants(self._augment, size)
        templates = []
        for found in self._finder.find(source):
            crops = np.stack([np.asarray(found.crop(item, size)) for item in alignments])
            mean = self._embedder.embed(crops).mean(axis=0, keepdims=True)
            (embedding,) = self._embedder.normalised(mean)
            templates.append(Template(found.photo, embedding, found.face, found.quality))
        return templates


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
