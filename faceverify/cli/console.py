"""What a command says and where: results to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from faceverify.errors import without_secrets
from faceverify.runtime.json_lines import json_line
from faceverify.runtime.standard_streams import print_message

Item = TypeVar("Item")


@dataclass(frozen=True)
class Console:
    """How a command was asked to speak.

    Attributes:
        as_json: results as JSON lines instead of text.
        quiet: no messages and no progress; errors still speak.
        verbose: messages about what is done, too.
    """

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False

    def result(self, value: dict[str, Any], text: str) -> None:
        """Print one result at once: as one line of JSON, or as the text."""
        if self.as_json:
            line = json_line({key: without_secrets_in(one) for key, one in value.items()})
        else:
            line = without_secrets(text)
        try:
            sys.stdout.write(line + "\n")
        except UnicodeEncodeError:  # the name of a file that is no text: its own bytes
            sys.stdout.flush()
            sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
        sys.stdout.flush()

    def message(self, text: str) -> None:
        """Say something that is no result."""
        if not self.quiet:
            print_message(without_secrets(text))

    def detail(self, text: str) -> None:
        """Say something that only ``--verbose`` wants to hear."""
        if self.verbose:
            print_message(without_secrets(text))

    def progress(
        self, items: Iterable[Item], label: str, total: int | None = None
    ) -> Iterator[Item]:
        """Pass the items on, with a progress bar on stderr where that is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield from items
            return
        from rich.console import Console as Terminal
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Terminal(stderr=True), transient=True) as bar:
            yield from bar.track(items, total=total, description=label)


def without_secrets_in(value: Any) -> Any:
    """A value; where it is text, such as the name of a photo, without passwords."""
    return without_secrets(value) if isinstance(value, str) else value
