"""The two sources of a run's batches: stored images, and a stream of shards.

Images that lie at known places can be drawn in any order, and are decoded once where they fit. A
stream of shards has its own order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceverify.faces.alignment import FivePoints, known_crop, named_alignment, similarity
from faceverify.models.contract import Contract
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Config
from faceverify.training.data.decoding import decode
from faceverify.training.data.loading.loader import batches, stored_size
from faceverify.training.data.loading.packed_cache import PackedFaces, Progress, fits, packed
from faceverify.training.data.loading.source import Stills
from faceverify.training.data.loading.stream_loader import stream_batches
from faceverify.training.data.samplers import build_sampler, rank_part
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.shard_stream import ShardStream, check_shards, first_image
from faceverify.training.data.transforms import Transform
from faceverify.training.data.views import Batch, Views
from faceverify.training.distributed.processes import Processes

Frame = tuple[tuple[float, float, float], tuple[float, float, float]]


class StoredSource:
    """Images that lie at known places, in the order of any sampler; see :class:`~.source.Source`.

    Args:
        learned: the images.
        contract: what the backbone sees.
        config: of the run.
        processes: this one and the others.
        views: of each image.
        warn: called once, when images had to be resized.

    Raises:
        ImageError, TrainingError: the first image cannot be read; batches that these images cannot
            fill; a column that the data do not have.
    """

    def __init__(
        self,
        learned: FaceSet,
        contract: Contract,
        config: Config,
        processes: Processes,
        views: Views,
        warn: Callable[[str], None],
    ) -> None:
        self.title = Path(learned.source).name
        self.images, self.people = len(learned), learned.people
        self.stills = Stills(learned.labels, self._unvaried)
        self._learned, self._config = learned, config
        self._processes, self._views, self._warn = processes, views, warn
        self._sampler = build_sampler(
            config.batches.sampler,
            learned.labels,
            seed=config.seed,
            size=config.batches.size,
            images_per_identity=config.batches.images_per_identity,
            processes=processes.world,
        )
        self.steps = len(self._sampler)
        self._values = labels_of(learned, config.data.column)
        self._transform, self._size = transform_of(contract, config, stored_size(learned))
        self._packed: PackedFaces | None = None

    def prepare(self, cache: Path, progress: Progress) -> None:
        """Decode all images once, where they fit.

        Raises:
            ImageError, TrainingError: an image that cannot be read.
            OutputError: no room for the decoded crops.
        """
        wanted, workers = self._config.data.cache, workers_of(self._config)
        if wanted == "memory" or (wanted == "auto" and fits(self._learned, self._size, cache)):
            self._packed = packed(
                self._learned, self._size, cache, progress=progress, workers=workers or None
            )

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """This process's part of an epoch's batches, from one of them on."""
        made = self._batches(
            self._sampler.batches(epoch, start=start),
            epoch=epoch,
            start=start,
            rank=self._processes.rank,
            world=self._processes.world,
        )
        for batch in made:
            if self._config.data.column:
                values = torch.from_numpy(self._values[batch.indices]).to(batch.labels.device)
                batch = replace(batch, labels=values)
            yield batch

    def _unvaried(self, positions: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images at some positions as they are, and who is on them, in batches."""
        size = self._config.batches.size
        parts = (positions[start : start + size] for start in range(0, len(positions), size))
        for batch in self._batches(parts, vary=False):
            yield batch.views[0], batch.labels

    def _batches(self, parts: Iterable[NDArray[np.int64]], **options: Any) -> Iterator[Batch]:
        return batches(
            self._learned,
            parts,
            transform=self._transform,
            views=self._views,
            seed=self._config.seed,
            packed=self._packed,
            crop_size=self._size,
            workers=workers_of(self._config),
            device=self._processes.device,
            warn=self._warn,
            **options,
        )


class StreamedSource:
    """A stream of shards, in its own order: each process reads shards of its own.

    Args: as of :class:`StoredSource`.

    Raises:
        ImageError, TrainingError: the first image cannot be read; fewer shards than processes.
    """

    stills = None

    def __init__(
        self,
        learned: ShardStream,
        contract: Contract,
        config: Config,
        processes: Processes,
        views: Views,
        warn: Callable[[str], None],
    ) -> None:
        check_shards(learned.urls, processes.world)
        size = config.batches.size
        self._share = len(rank_part(np.arange(size), processes.rank, processes.world))
        self.title = f"{len(learned.urls):,} shards"
        self.images, self.people = len(learned), learned.people
        self.steps = -(-len(learned) // size)
        first = first_image(learned.urls)
        height, width = decode(first.image, first.name).shape[-2:]
        self._transform, self._size = transform_of(contract, config, (int(height), int(width)))
        self._learned, self._config = learned, config
        self._processes, self._views, self._warn = processes, views, warn

    def prepare(self, cache: Path, progress: Progress) -> None:
        """Nothing: a stream is decoded as it passes."""

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """This process's part of an epoch's batches, from one of them on."""
        return stream_batches(
            self._learned,
            size=self._share,
            steps=self.steps,
            transform=self._transform,
            views=self._views,
            seed=self._config.seed,
            epoch=epoch,
            start=start,
            crop_size=self._size,
            workers=workers_of(self._config),
            device=self._processes.device,
            rank=self._processes.rank,
            world=self._processes.world,
            warn=self._warn,
        )


def workers_of(config: Config) -> int | None:
    """Threads that make batches; None to go by the machine."""
    return None if config.data.workers < 0 else config.data.workers


def transform_of(
    contract: Contract, config: Config, stored: tuple[int, int]
) -> tuple[Transform, tuple[int, int]]:
    """From crops to what the backbone sees, and the size that crops are brought to before.

    Args:
        contract: of the backbone.
        config: of the run.
        stored: (height, width) of the first crop.

    Raises:
        TrainingError: crops of this template cannot be carried into the backbone's frame.
    """
    frame = frame_of(contract, config.data.template, stored)
    transform = Transform(
        (contract.height, contract.width),
        contract.mean,
        contract.scale,
        contract.colour_order,
        config.augmentation,
        frame,
    )
    return transform, (config.data.size, config.data.size) if frame is None else stored


def labels_of(learned: FaceSet, column: str) -> NDArray[np.int64] | NDArray[np.float32]:
    """What is learned of each image, (N,): the person, or a column of values.

    Raises:
        TrainingError: there is no such column.
    """
    if not column:
        return learned.labels
    if column not in learned.columns:
        known = ", ".join(learned.columns) or "none"
        raise config_error(
            f"data.column is {column!r}, which the data do not have", f"known: {known}"
        )
    return learned.columns[column].astype(np.float32)


def frame_of(contract: Contract, template: str, size: tuple[int, int]) -> Frame | None:
    """Where a point of what the backbone sees lies in a stored crop, in pixels from the edge.

    Args:
        contract: of the backbone.
        template: what the crops were cut to.
        size: of the crops, (height, width).

    Returns:
        2 x 3, of (x, y, 1); None where both show the same part of a face, at whatever size.

    Raises:
        TrainingError: crops of this template cannot be carried into the backbone's frame.
    """
    alignment, _ = named_alignment(template, contract.width)
    if contract.alignment.as_dict() == alignment.as_dict():
        return None
    if not isinstance(contract.alignment, FivePoints) or not isinstance(alignment, FivePoints):
        raise data_error(
            f"crops of {template} cannot be carried into the frame of this backbone",
            "cut the crops anew, `faceverify align --template`",
        )
    face = known_crop(template).face((size[1], size[0]))
    to_frame = similarity(face.points, contract.alignment.points, contract.alignment.weights)
    turn = np.linalg.inv(to_frame[:, :2])
    # the similarity counts from the centre of the first pixel, half a pixel from the edge
    shift = 0.5 - turn @ (0.5 + to_frame[:, 2])
    rows = [(*turn[axis].tolist(), float(shift[axis])) for axis in (0, 1)]
    return rows[0], rows[1]
