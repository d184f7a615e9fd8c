"""Output folders of commands."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from faceverify.errors import OutputError, UsageError
from faceverify.runtime.addresses import check_path


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises:
        OutputError: that fails.
        UsageError: its path looks like a URL.
    """
    check_path(str(folder), "a folder for results")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error


def check_apart(folder: Path, searched: Iterable[str], name: str) -> None:
    """Check that an output folder is not inside a folder that is searched for photos.

    Args:
        folder: for results; it may not exist.
        searched: paths of the photos.
        name: of the folder's argument on the command line.

    Raises:
        UsageError: the folder is inside one of them.
    """
    results = os.path.realpath(folder)
    for argument in searched:
        around = os.path.realpath(argument)
        if os.path.isdir(argument) and os.path.commonpath([results, around]) == around:
            raise UsageError(
                f"{name} {folder}: lies in {argument}, which is searched for photos",
                cure="choose a folder beside it",
            )
