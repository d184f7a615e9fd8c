"""Crops of the photos of a run, cut out before it begins, as ``faceverify align`` cuts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from faceverify.errors import CODES, FaceverifyError, OutputError
from faceverify.faces.alignment import named_alignment
from faceverify.faces.crop_tree import open_tree
from faceverify.faces.detection import Detector
from faceverify.faces.finder import FaceFinder
from faceverify.images.inputs import PhotoInput
from faceverify.models.registry import bundled_folder
from faceverify.runtime.parallel import map_ordered
from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import Config
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.photos import open_photos
from faceverify.training.distributed.processes import Processes
from faceverify.training.run.folder import RunFolder

NAMED = 10  # photos without a crop; of more only the number is said


def with_crops(
    config: Config,
    run: RunFolder,
    processes: Processes,
    *,
    try_out: Callable[[int], object],
    show_progress: ShowProgress,
    say: Callable[[str], None],
) -> Config:
    """Cut the face out of each photo, into the run's folder; the configuration that learns these.

    Crops that are there already stay, so that a run that was stopped here goes on where it was when
    it is started once more. The processes share the photos.

    Args:
        config: of the run; its source is a folder of photos.
        run: takes the crops, in a tree like that of the photos.
        processes: this one and the others.
        try_out: refuses settings that do not fit so many photos, before the work.
        show_progress: shown the photos.
        say: called with a line about the photos without a crop.

    Raises:
        TrainingError: no folder of photos, settings that do not fit them, or no face in any.
        UsageError: the run's folder lies among the photos, or has crops that were cut otherwise.
        OutputError: a crop cannot be written.
    """
    source = Path(config.data.source)
    if not source.is_dir():
        raise config_error(
            f"--align cuts faces out of a folder of photos, and {config.data.source} is none",
            "name a folder, or leave --align out",
        )
    destination = run.crops / source.resolve().name
    if source.resolve() == destination.resolve():  # a resumed run
        return replace(config, data=replace(config.data, align=False))
    count = len(open_photos(source))
    try_out(count)
    _, own = named_alignment(config.data.alignment, None)
    tree = open_tree(
        FaceFinder(Detector(bundled_folder())),
        source,
        destination,
        alignment=config.data.alignment,
        side=max(own, config.data.size),
        suffix=".png",
    )

    def cut(photo: PhotoInput) -> tuple[str, FaceverifyError | None]:
        """A photo, and why there is no crop of it; None where there is one."""
        if photo.error is not None:
            return photo.name, photo.error
        try:
            tree.cut(photo)
        except FaceverifyError as error:
            return photo.name, error
        return photo.name, None

    def shares() -> Iterator[PhotoInput]:
        yield from islice(tree.placed(), processes.rank, None, processes.world)

    refused: Counter[str] = Counter()
    total = len(range(processes.rank, count, processes.world))
    for name, error in show_progress(map_ordered(cut, shares()), "photos cut out", total):
        if error is None:
            continue
        if error.code == OutputError.code:  # no room: it would be the same for the next one
            raise error
        refused[error.code] += 1
        if sum(refused.values()) <= NAMED:
            say(f"left out: {name} ({CODES[error.code]})")
    missed = round(
        float(processes.mean(torch.tensor(float(sum(refused.values())))) * processes.world)
    )
    reasons = ", ".join(f"{code} {number:,}" for code, number in sorted(refused.items()))
    if missed >= count:
        raise data_error(
            f"{source}: found no face in {count:,} photos ({reasons})",
            "leave --align out if they are aligned crops already",
        )
    left = f"; {missed:,} left out" + (f" ({reasons})" if reasons else "") if missed else ""
    say(f"{count - missed:,} faces cut out of {count:,} photos{left}; in {destination}")
    return replace(
        config, data=replace(config.data, source=str(destination.absolute()), align=False)
    )
