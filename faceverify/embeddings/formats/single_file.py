"""Single embedding file, written atomically at the end of a run."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from faceverify.embeddings.embedding_set import EmbeddingSet, check_model, joined, without_photos
from faceverify.embeddings.formats.done_photos import DonePhotos
from faceverify.embeddings.formats.jsonl import JsonLinesWriter
from faceverify.embeddings.formats.npz import NpzWriter
from faceverify.embeddings.formats.parquet import ParquetWriter, check_pyarrow
from faceverify.embeddings.formats.reading import read_embeddings
from faceverify.embeddings.formats.refused import Refusals
from faceverify.errors import FaceverifyError, OutputError
from faceverify.runtime.files import atomic_writer

ROW_GROUP = 10_000  # rows written at once


class RowWriter(Protocol):
    """Writer of embedding sets into a stream."""

    def __init__(self, stream: BinaryIO) -> None: ...

    def write(self, rows: EmbeddingSet) -> None:
        """Append a set."""

    def close(self) -> None:
        """Write the footer, where the format has one."""


WRITERS: dict[str, type[RowWriter]] = {
    ".npz": NpzWriter,
    ".parquet": ParquetWriter,
    ".jsonl": JsonLinesWriter,
}


class SingleFile:
    """Writer of rows into one file; rows that it holds are kept, and their photos skipped.

    Rows of photos that have changed since give way to new ones. After an error, or without new
    rows, the file is unchanged. New rows for a file that has some are held in memory.

    Args:
        path: its suffix is one of :data:`WRITERS`.
        model_id: of all rows.
        way: in which photos are embedded; see ``done_photos.py``.

    Raises:
        EmbeddingFileError: the file exists and is damaged, foreign or of another model.
        OutputError: its folder is missing.
        UsageError: Parquet, and pyarrow is not installed.
    """

    def __init__(self, path: Path, model_id: str, *, way: str = "") -> None:
        if not path.parent.is_dir():  # before the work, not after it
            raise OutputError(f"{path}: no folder {path.parent}", cure="create it first")
        if path.suffix.lower() == ".parquet":
            check_pyarrow()
        self._path = path
        self._before = read_embeddings(path) if path.exists() else None
        self._done = DonePhotos(way)
        if self._before is not None:
            check_model(str(path), self._before.model_id, model_id)
            self._done.update(self._before.photos, self._before.origins)
        self._pending: list[EmbeddingSet] = []
        self._rows = 0
        self._stack = ExitStack()
        self._writer: RowWriter | None = None
        self._refused = Refusals(path.with_suffix(".refused.jsonl"))

    def wants(self, photo: str) -> bool:
        """Whether a photo is new or has changed; it counts as done from then on."""
        return self._done.wants(photo)

    def add(self, rows: EmbeddingSet) -> None:
        """Add all faces of a photo."""
        self._pending.append(rows)
        self._rows += len(rows)
        if self._rows >= ROW_GROUP and self._before is None:
            self._flush()

    def refuse(self, photo: str, error: FaceverifyError) -> None:
        """Add a photo without an embedding."""
        self._refused.add(photo, error)

    def __enter__(self) -> SingleFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:  # an exception raised here leaves the file unchanged
            if error is not None:
                self._refused.discard()
                self._stack.__exit__(kind, error, trace)
                return
            self._flush()
            if self._writer is not None:
                self._writer.close()
        self._refused.finish(self._done)

    def _flush(self) -> None:
        outdated = self._done.take_outdated()
        if self._before is not None and outdated:
            self._before = without_photos(self._before, outdated)
            if self._before is None and not self._pending:
                self._path.unlink()
                return
        elif not self._pending:
            return
        if self._writer is None:
            stream = self._stack.enter_context(atomic_writer(self._path))
            self._writer = WRITERS[self._path.suffix.lower()](stream)
            if self._before is not None:
                origins = self._before.origins or [""] * len(self._before)
                self._writer.write(replace(self._before, origins=origins))
                self._before = None
        if self._pending:
            self._writer.write(joined(self._pending, [""] * len(self._pending)))
        self._pending, self._rows = [], 0
