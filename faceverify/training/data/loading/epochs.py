"""The two sources of batches: stored images, in any order, and a stream of shards, in its own.

Stored images are decoded once where they fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceverify.faces.alignment import FivePoints, named_alignment, reference_points
from faceverify.faces.similarity import similarity
from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.data import TRACKS
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Config
from faceverify.training.data.decoding import decode
from faceverify.training.data.loading.left_out import LOOKED_AT, LeftOut, first_size
from faceverify.training.data.loading.loader import batches, stored_size
from faceverify.training.data.loading.packed_cache import PackedFaces, fits, packed
from faceverify.training.data.loading.source import Stills
from faceverify.training.data.loading.stream_loader import stream_batches
from faceverify.training.data.samplers import build_sampler, rank_part
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.shard_stream import ShardStream, check_shards, first_images
from faceverify.training.data.tracks import tracks_of
from faceverify.training.data.transforms import Transform
from faceverify.training.data.views import Batch, Views
from faceverify.training.distributed.processes import Processes

Frame = tuple[tuple[float, float, float], tuple[float, float, float]]


class StoredSource:
    """Source of stored images, in the order of any sampler; see :class:`~.source.Source`.

    Args:
        face_set: the images.
        contract: preprocessing contract of the backbone.
        config: of the run.
        processes: this process and the others.
        views: of each image.
        warn: called once, when images had to be resized.
        say: called for each image that is left out, in every process.

    Raises:
        ImageError, TrainingError: no image is readable; these images cannot fill a batch; the data
            do not have the column.
    """

    def __init__(
        self,
        face_set: FaceSet,
        contract: Contract,
        config: Config,
        processes: Processes,
        views: Views,
        warn: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self.left_out = LeftOut(len(face_set), config.data.unreadable, say)
        self.title = Path(face_set.source).name
        self.images, self.num_identities = len(face_set), face_set.num_identities
        self._tracks = tracks_of(face_set) if config.views.positives == TRACKS else None
        if self._tracks is not None and self._tracks.alone:
            warn(
                f"{self._tracks.alone:,} of {len(face_set):,} photos have no other frame in their "
                "folder: their views are of themselves"
            )
        self.stills = Stills(face_set.labels, self._unvaried)
        self._face_set, self._config = face_set, config
        self._processes, self._views, self._warn = processes, views, warn
        self._sampler = build_sampler(
            config.batches.sampler,
            face_set.labels,
            seed=config.seed,
            size=config.batches.size,
            images_per_identity=config.batches.images_per_identity,
            processes=processes.world,
        )
        self.steps = len(self._sampler)
        self._values = labels_of(face_set, config.data.column)
        self._transform, self._size = transform_of(contract, config, stored_size(face_set))
        self._packed: PackedFaces | None = None

    def prepare(self, cache: Path, show_progress: ShowProgress) -> None:
        """Decode all images once, where they fit into memory.

        Raises:
            ImageError, TrainingError: an image that cannot be read.
            OutputError: no space for the decoded crops.
        """
        wanted, workers = self._config.data.cache, workers_of(self._config)
        if wanted == "memory" or (wanted == "auto" and fits(self._face_set, self._size, cache)):
            self._packed = packed(
                self._face_set,
                self._size,
                cache,
                show_progress=show_progress,
                workers=workers or None,
                left_out=self.left_out,
            )

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """This process's part of each batch of an epoch, from batch ``start`` on."""
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
        """Images at some positions, not augmented, and their labels, in batches."""
        size = self._config.batches.size
        parts = (positions[start : start + size] for start in range(0, len(positions), size))
        for batch in self._batches(parts, vary=False):
            yield batch.views[0], batch.labels

    def _batches(self, parts: Iterable[NDArray[np.int64]], **options: Any) -> Iterator[Batch]:
        return batches(
            self._face_set,
            parts,
            transform=self._transform,
            views=self._views,
            tracks=self._tracks,
            seed=self._config.seed,
            packed=self._packed,
            crop_size=self._size,
            workers=workers_of(self._config),
            device=self._processes.device,
            warn=self._warn,
            left_out=self.left_out,
            **options,
        )


class StreamedSource:
    """Source of a stream of shards, in its order; the shards are divided among the processes.

    Args: as of :class:`StoredSource`.

    Raises:
        ImageError, TrainingError: no image is readable; fewer shards than processes.
    """

    stills = None

    def __init__(
        self,
        stream: ShardStream,
        contract: Contract,
        config: Config,
        processes: Processes,
        views: Views,
        warn: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self.left_out = LeftOut(len(stream), config.data.unreadable, say)
        check_shards(stream.urls, processes.world)
        size = config.batches.size
        self._share = len(rank_part(np.arange(size), processes.rank, processes.world))
        self.title = f"{len(stream.urls):,} shards"
        self.images, self.num_identities = len(stream), stream.num_identities
        self.steps = -(-len(stream) // size)
        self._transform, self._size = transform_of(
            contract,
            config,
            first_size(
                partial(decode, one.image, one.name) for one in first_images(stream, LOOKED_AT)
            ),
        )
        self._stream, self._config = stream, config
        self._processes, self._views, self._warn = processes, views, warn

    def prepare(self, cache: Path, show_progress: ShowProgress) -> None:
        """Do nothing: a stream is decoded as it is read."""

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """This process's part of each batch of an epoch, from batch ``start`` on."""
        return stream_batches(
            self._stream,
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
            left_out=self.left_out,
        )


def workers_of(config: Config) -> int | None:
    """Number of loader threads; None for one for each CPU."""
    return None if config.data.workers < 0 else config.data.workers


def transform_of(
    contract: Contract, config: Config, stored: tuple[int, int]
) -> tuple[Transform, tuple[int, int]]:
    """Transform from crops to the backbone's input, and the size that crops are resized to first.

    Args:
        contract: of the backbone.
        config: of the run.
        stored: (height, width) of the first crop.

    Raises:
        TrainingError: crops of this alignment cannot be mapped to the backbone's.
    """
    frame = frame_of(contract, config.data.alignment, stored)
    transform = Transform(
        (contract.height, contract.width),
        contract.mean,
        contract.scale,
        contract.colour_order,
        config.augmentation,
        frame,
        config.views.crops,
    )
    return transform, (config.data.size, config.data.size) if frame is None else stored


def labels_of(face_set: FaceSet, column: str) -> NDArray[np.int64] | NDArray[np.float32]:
    """Target of each image, (N,): the person, or a column of values.

    Raises:
        TrainingError: there is no such column.
    """
    if not column:
        return face_set.labels
    if column not in face_set.columns:
        known = ", ".join(face_set.columns) or "none"
        raise config_error(
            f"data.column is {column!r}, which the data do not have", f"known: {known}"
        )
    return face_set.columns[column].astype(np.float32)


def frame_of(contract: Contract, alignment: str, size: tuple[int, int]) -> Frame | None:
    """Affine map from the backbone's input to a stored crop, in pixels from the edge.

    Args:
        contract: of the backbone.
        alignment: alignment of the crops.
        size: of the crops, (height, width).

    Returns:
        2 x 3, of (x, y, 1); None where both have the same alignment, at any size.

    Raises:
        TrainingError: crops of this alignment cannot be mapped to the backbone's.
    """
    cut, _ = named_alignment(alignment, contract.width)
    if contract.alignment.as_dict() == cut.as_dict():
        return None
    if not isinstance(contract.alignment, FivePoints) or not isinstance(cut, FivePoints):
        raise data_error(
            f"crops of {alignment} cannot be carried into the frame of this backbone",
            "cut the crops again, `faceverify align --alignment`",
        )
    face = reference_points(alignment).face((size[1], size[0]))
    to_frame = similarity(face.points, contract.alignment.points, contract.alignment.weights)
    turn = np.linalg.inv(to_frame[:, :2])
    shift = -turn @ to_frame[:, 2]
    rows = [(*turn[axis].tolist(), float(shift[axis])) for axis in (0, 1)]
    return rows[0], rows[1]
