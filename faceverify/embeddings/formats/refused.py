"""``refused.jsonl``: photos without an embedding, with their errors, beside the embeddings."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from faceverify.embeddings.formats.done_photos import DonePhotos
from faceverify.embeddings.formats.jsonl import parsed
from faceverify.errors import EmbeddingFileError, FaceverifyError, without_secrets
from faceverify.runtime.files import atomic_writer
from faceverify.runtime.json_lines import json_line


class Refusals:
    """Photos that a run refused, collected on disk and written atomically at its end.

    Args:
        path: of the file; entries of earlier runs are kept, except for photos processed again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fresh = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the run

    def add(self, photo: str, error: FaceverifyError) -> None:
        """Add a photo and its error."""
        line = json_line({"photo": without_secrets(photo), "error": error.as_dict()})
        self._fresh.write(line.encode() + b"\n")

    def finish(self, seen: DonePhotos) -> None:
        """Write the file, or remove it if no photo is refused.

        Args:
            seen: photos that have embeddings, or were processed in this run.
        """
        with self._fresh:
            self._fresh.seek(0)
            lines = (*self._earlier(seen), *self._fresh)
        if lines:
            with atomic_writer(self._path) as stream:
                stream.writelines(lines)
        else:
            self._path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave the file unchanged."""
        self._fresh.close()

    def _earlier(self, seen: DonePhotos) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as stream:
                for number, line in enumerate(stream, start=1):
                    photo = parsed(line, f"{self._path}:{number}").get("photo")
                    if isinstance(photo, str) and photo not in seen:
                        yield line
        except (OSError, EmbeddingFileError):
            return  # missing, or edited by hand: every refused photo is tried again anyway
