"""Face checks of ``data check``: alignment, near duplicates, leaks of evaluation data.

It connects training data with detector, model and evaluation lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceverify.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from faceverify.embeddings.cache import EmbeddingCache
    from faceverify.faces.options import FaceOptions
    from faceverify.models.model_file import ModelFile
    from faceverify.runtime.progress import ShowProgress
    from faceverify.training.check.near_duplicates import LabelledEmbeddings
    from faceverify.training.check.problems import Problem
    from faceverify.training.data.sets.face_set import FaceSet

AT_ONCE = 2048  # encoded images in memory
ALTERED = 100  # images to compare with altered copies of themselves
MOST_COMPARED = 300_000  # images to compare pairwise: 45 billion distances


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Photos of an evaluation, with labels.

    Args:
        source: the list, pack or folder.
        names: of the photos, N.
        photos: files or encoded images, N.
        labels: the person on each, (N,).
        people: names of the people, those of missing photos included.
        named: whether the names are of people; else each is that of a photo.
    """

    source: str
    names: list[str]
    photos: list[Path | bytes]
    labels: NDArray[np.int64]
    people: list[str]
    named: bool = True


def read_evaluated(path: Path, images: Path | None) -> Evaluated:
    """Read an evaluation: a folder of people, a pack, or a pair list.

    Args:
        images: folder of the photos of a list; None for that of the list.

    Raises:
        ImageError, PairListError: it is unreadable.
    """
    from faceverify.evaluation.lists.cfp import is_cfp
    from faceverify.evaluation.lists.identity_photos import read_identity_folder
    from faceverify.evaluation.lists.insightface_bin import read_pack

    if path.is_dir() and not is_cfp(path):
        found = read_identity_folder(path)
        who = dict(zip(found.photos, found.identities, strict=True))
        return _evaluated(path, who, found.identities, named=True)
    if path.suffix == ".bin":
        pack = read_pack(path)
        names = [f"image {index}" for index in range(len(pack.images))]
        numbers = np.arange(len(names))
        return Evaluated(path.name, names, list(pack.images), numbers, names, named=False)
    return _read_pairs(path, images)


def _read_pairs(path: Path, images: Path | None) -> Evaluated:
    from faceverify.evaluation.lists.image_roots import map_images
    from faceverify.evaluation.lists.pair_identities import identities_of_pairs
    from faceverify.evaluation.lists.reading import read_pairs

    pairs = read_pairs(path)
    files, people = map_images(pairs, images or path.parent), identities_of_pairs(pairs)
    who: dict[Path, str] = {}
    for photos, names in ((files.first, people.first), (files.second, people.second)):
        who.update(zip(photos, names, strict=True))
    present = {file: name for file, name in who.items() if file.is_file()}
    named = pairs.first_identity is not None and pairs.second_identity is not None
    return _evaluated(path, present, who.values(), named=named)


def _evaluated(
    path: Path, who: dict[Path, str], everyone: Iterable[str], *, named: bool
) -> Evaluated:
    people = sorted(set(everyone))
    place = {name: index for index, name in enumerate(people)}
    labels = np.array([place[name] for name in who.values()], np.int64)
    return Evaluated(path.name, [str(file) for file in who], list(who), labels, people, named)


def misaligned(
    face_set: FaceSet, readable: Sequence[int], alignment: str, sample: int, workers: int | None
) -> Iterator[Problem]:
    """Check the positions of the faces in a sample of crops.

    Raises:
        UsageError: no such alignment.
    """
    from faceverify.faces.alignment import reference_points
    from faceverify.faces.detection import Detector
    from faceverify.images.photo import open_photo
    from faceverify.models.registry import bundled_folder
    from faceverify.runtime.parallel import map_ordered
    from faceverify.training.check.alignment import alignment_problems, offsets

    crop = reference_points(alignment)
    detector = Detector(bundled_folder())
    places = np.linspace(0, len(readable) - 1, min(sample, len(readable))).astype(int).tolist()
    if not readable:
        return

    def look(place: int) -> tuple[NDArray[np.float32] | None, tuple[float, float]]:
        image = open_photo(face_set.read(readable[place])).decode()
        stretch = (image.width / crop.side, image.height / crop.side)
        faces = detector.detect(image, min_face=0.4 * min(image.size))
        face = detector.locate(image, faces[0]) if faces else None
        return (None if face is None else face.points), stretch

    looked = list(map_ordered(look, places, workers=workers))
    off = offsets([points for points, _ in looked], crop.points, [share for _, share in looked])
    yield from alignment_problems(off, len(looked), source=face_set.source, alignment=alignment)


def face_problems(
    face_set: FaceSet,
    readable: Sequence[int],
    evaluated: Sequence[Evaluated],
    *,
    alignment: str | None,
    model: str,
    workers: int | None,
    say: Callable[[str], None],
    show_progress: ShowProgress,
) -> Iterator[Problem]:
    """Embed a set and evaluations, and yield the problems found by similarity.

    Args:
        say: called with messages of one line.
        show_progress: gets the photos as they are embedded.

    Raises:
        ModelError: the model cannot be run.
    """
    from faceverify.embeddings.cache import EmbeddingCache, cache_folder
    from faceverify.faces.options import FaceOptions
    from faceverify.models.registry import load_model
    from faceverify.training.check import near_duplicates

    file = load_model(model)
    with EmbeddingCache(cache_folder(), say) as cache:
        faces = Faces(model, file, cache, workers, show_progress)
        crops = FaceOptions(aligned=alignment)
        seen = faces.of_set(face_set, readable, crops)
        try:
            altered = faces.altered(face_set, readable, crops)
            limits = near_duplicates.measured_limits(seen, altered)
        except TrainingError as error:
            say(str(error))
            return
        say(f"one photo within {limits.photo:.3f}, one person within {limits.person:.3f}")
        if len(seen.names) <= MOST_COMPARED:
            yield from near_duplicates.conflict_problems(seen, limits)
        else:
            say(f"over {MOST_COMPARED:,} images: not compared each with each")
        yield from near_duplicates.twin_problems(seen, limits)
        yield from near_duplicates.outlier_problems(seen, limits)
        for one in evaluated:
            if one.photos:
                # of a pack, the crops; of a list, the photos as they came from the camera
                theirs = faces.of_evaluation(one, crops if one.source.endswith(".bin") else None)
                yield from near_duplicates.evaluation_problems(seen, theirs, limits, one.source)
            else:
                say(f"{one.source}: none of its photos is there: only names compared")


class Faces:
    """Embeds photos with one model, through the cache."""

    def __init__(
        self,
        model: str,
        file: ModelFile,
        cache: EmbeddingCache,
        workers: int | None,
        show_progress: ShowProgress,
    ) -> None:
        self._model = model
        self._file = file
        self._cache = cache
        self._workers = workers
        self._show_progress = show_progress

    def of_set(
        self, face_set: FaceSet, readable: Sequence[int], options: FaceOptions
    ) -> LabelledEmbeddings:
        """Embed a set."""
        from faceverify.training.check.near_duplicates import LabelledEmbeddings

        rows = []
        for start in range(0, len(readable), AT_ONCE):
            part = readable[start : start + AT_ONCE]
            rows.append(self._embed([face_set.read(index) for index in part], options))
        return LabelledEmbeddings(
            [face_set.name(index) for index in readable],
            face_set.identities,
            face_set.labels[list(readable)],
            np.concatenate(rows),
        )

    def of_evaluation(
        self, evaluated: Evaluated, options: FaceOptions | None
    ) -> LabelledEmbeddings:
        """Embed an evaluation."""
        from faceverify.faces.options import FaceOptions
        from faceverify.training.check.near_duplicates import LabelledEmbeddings

        return LabelledEmbeddings(
            evaluated.names,
            evaluated.people,
            evaluated.labels,
            self._embed(evaluated.photos, options or FaceOptions()),
        )

    def altered(
        self, face_set: FaceSet, readable: Sequence[int], options: FaceOptions
    ) -> NDArray[np.float32]:
        """Distances between some images and copies of half the width, strongly compressed, (M,)."""
        from PIL import Image

        from faceverify.images.photo import open_photo

        places = np.linspace(0, len(readable) - 1, min(ALTERED, len(readable))).astype(int)
        originals, copies = [], []
        for place in places.tolist():
            data = face_set.read(readable[place])
            image = open_photo(data).decode()
            half = image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)
            stream = BytesIO()
            half.resize(image.size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=60)
            originals.append(data)
            copies.append(stream.getvalue())
        one, other = self._embed(originals, options), self._embed(copies, options)
        both = (one != 0).any(axis=1) & (other != 0).any(axis=1)
        if not both.any():
            raise TrainingError("no face is found in the images", code="training-data")
        distance: NDArray[np.float32] = 1 - (one[both] * other[both]).sum(axis=1)
        return distance

    def _embed(self, photos: Sequence[Path | bytes], options: FaceOptions) -> NDArray[np.float32]:
        from faceverify.embeddings.compute import embed_photos

        return embed_photos(
            photos,
            self._model,
            self._file,
            options,
            self._cache,
            workers=self._workers,
            progress=self._show_progress,
        ).embeddings
