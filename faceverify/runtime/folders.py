"""Folders that commands write many files into."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from faceverify.errors import OutputError, UsageError


def make_folder(folder: Path) -> None:
    """Make a folder and those around it; OutputError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error


def check_apart(folder: Path, searched: Iterable[str], name: str) -> None:
    """Check that a folder of results is in none that is searched for photos.

    Args:
        folder: where results go; it need not exist.
        searched: paths that photos come from.
        name: what the command line calls the folder.

    Raises:
        UsageError: results would be taken for photos, or lie among them.
    """
    results = os.path.realpath(folder)
    for argument in searched:
        around = os.path.realpath(argument)
        if os.path.isdir(argument) and os.path.commonpath([results, around]) == around:
            raise UsageError(
                f"{name} {folder}: lies in {argument}, which is searched for photos",
                cure="choose a folder beside it",
            )
