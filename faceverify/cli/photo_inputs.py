"""The photos that a command is given: paths, folders, and ``-``, standard input.

Standard input is one photo, or a list of paths, one a line; its first bytes tell which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import typer

from faceverify.errors import NO_DECISION, UNUSABLE, FaceverifyError
from faceverify.images.inputs import PhotoInput

Result = TypeVar("Result")

Photos = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTOS",
        help="Photos, folders, URLs (s3://...), or - for standard input: a photo, or a list.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of a photo: a result or an error."""

    photo: PhotoInput
    result: Result | None
    error: FaceverifyError | None


def attempt(
    function: Callable[[PhotoInput], Result],
) -> Callable[[PhotoInput], Outcome[Result]]:
    """Wrap a function of a photo so that what is wrong with one never stops the others."""

    def tried(photo: PhotoInput) -> Outcome[Result]:
        if photo.error is not None:
            return Outcome(photo, None, photo.error)
        try:
            return Outcome(photo, function(photo), None)
        except FaceverifyError as error:
            return Outcome(photo, None, error)

    return tried


class Tally:
    """Counts what became of photos, and knows the exit status of it all.

    Attributes:
        done: photos with a result.
        skipped: photos whose result was there already.
        refused: photos without one, by the code of their error.
        others: files beside them that are known to be no photos.
    """

    def __init__(self) -> None:
        self.done = 0
        self.skipped = 0
        self.others = 0
        self.refused: dict[str, int] = {}
        self._unusable = False

    def pass_over(self, _path: Path) -> None:
        """Count a file that is known to be no photo."""
        self.others += 1

    def refuse(self, error: FaceverifyError) -> None:
        """Count a photo that gave no result."""
        self.refused[error.code] = self.refused.get(error.code, 0) + 1
        self._unusable |= error.exit_status != NO_DECISION

    @property
    def exit_status(self) -> int:
        """0 all gave a result; else 2 if any could not be read; else 3."""
        if not self.refused:
            return 0
        return UNUSABLE if self._unusable else NO_DECISION

    def as_dict(self) -> dict[str, int]:
        """Plain values, for JSON."""
        refused = sum(self.refused.values())
        photos = self.done + self.skipped + refused
        return {"photos": photos, "done": self.done, "skipped": self.skipped, "refused": refused}

    def __str__(self) -> str:
        """One line for people."""
        counts = self.as_dict()
        text = f"{counts['photos']:,} photo{'s' * (counts['photos'] != 1)}: {self.done:,} done"
        if self.skipped:
            text += f", {self.skipped:,} were there already"
        if self.refused:
            reasons = ", ".join(f"{code} {count:,}" for code, count in sorted(self.refused.items()))
            text += f", {counts['refused']:,} refused ({reasons})"
        if self.others:
            text += f"; {self.others:,} other file{'s' * (self.others != 1)}"
        return text
