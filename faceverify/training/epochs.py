"""The epochs of a run: this process's part of every batch, as the backbone sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceverify.errors import TrainingError
from faceverify.faces.alignment import FivePoints, known_crop, named_alignment, similarity
from faceverify.models.contract import Contract
from faceverify.training.config import Config
from faceverify.training.data.face_set import FaceSet
from faceverify.training.data.loader import batches, stored_size
from faceverify.training.data.packed_cache import PackedFaces, Progress, fits, packed
from faceverify.training.data.transforms import Transform
from faceverify.training.distributed import Processes
from faceverify.training.loop import Epoch
from faceverify.training.samplers import Sampler, rank_part
from faceverify.training.settings import config_error

Frame = tuple[tuple[float, float, float], tuple[float, float, float]]


def epochs_of(
    learned: FaceSet,
    sampler: Sampler,
    contract: Contract,
    config: Config,
    processes: Processes,
    *,
    cache: Path,
    progress: Progress,
    warn: Callable[[str], None],
) -> Epoch:
    """Prepare what gives the batches of any epoch, from any of them on.

    Args:
        learned: the images.
        sampler: which make each batch.
        contract: what the backbone sees.
        config: of the run.
        processes: this one and the others.
        cache: folder of decoded crops.
        progress: shown the images as they are decoded once.
        warn: told of images that had to be resized.

    Raises:
        ImageError, TrainingError: an image that cannot be read, or has another shape; a column
            that the data do not have.
        OutputError: no room for the decoded crops.
    """
    frame = frame_of(contract, config.data.template, stored_size(learned))
    size = (config.data.size, config.data.size) if frame is None else stored_size(learned)
    transform = Transform(
        (contract.height, contract.width),
        contract.mean,
        contract.scale,
        contract.colour_order,
        config.augmentation,
        frame,
    )
    workers = None if config.data.workers < 0 else config.data.workers
    kept: PackedFaces | None = None
    wanted = config.data.cache
    if wanted == "memory" or (wanted == "auto" and fits(learned, size, cache)):
        kept = packed(learned, size, cache, progress=progress, workers=workers or None)
    values = labels_of(learned, config.data.column)

    def epoch(number: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        own = (
            rank_part(batch, processes.rank, processes.world)
            for batch in sampler.batches(number, start=start)
        )
        made = batches(
            learned,
            own,
            transform=transform,
            seed=config.seed,
            epoch=number,
            start=start,
            packed=kept,
            crop_size=size,
            workers=workers,
            device=processes.device,
            warn=warn,
        )
        for batch in made:
            labels = batch.labels
            if config.data.column:
                labels = torch.from_numpy(values[batch.indices]).to(processes.device)
            yield batch.images, labels

    return epoch


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
        raise TrainingError(
            f"crops of {template} cannot be carried into the frame of this backbone",
            cure="cut the crops anew, `faceverify align --template`",
            code="training-data",
        )
    face = known_crop(template).face((size[1], size[0]))
    to_frame = similarity(face.points, contract.alignment.points, contract.alignment.weights)
    turn = np.linalg.inv(to_frame[:, :2])
    # the similarity counts from the centre of the first pixel, half a pixel from the edge
    shift = 0.5 - turn @ (0.5 + to_frame[:, 2])
    rows = [(*turn[axis].tolist(), float(shift[axis])) for axis in (0, 1)]
    return rows[0], rows[1]
