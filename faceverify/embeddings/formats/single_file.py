"""Single embedding file, written atomically at the end of a run."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from faceverify.embeddings.embedding_set import EmbeddingSet, check_model, joined
from faceverify.embeddings.formats.jsonl import JsonLinesWriter
from faceverify.embeddings.formats.npz import NpzWriter
from faceverify.embeddings.formats.parquet import ParquetWriter, check_pyarrow
from faceverify.embeddings.formats.reading import read_embeddings
from faceverify.embeddings.formats.refused import Refusals
from faceverify.errors import FaceverifyError, OutputError
from faceverify.runtime.files import atomic_writer
from faceverify.runtime.name_set import PhotoSet

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

    After an error, or without new rows, the file is unchanged.

    Args:
        path: its suffix is one of :data:`WRITERS`.
        model_id: of all rows.

    Raises:
        EmbeddingFileError: the file exists and is damaged, foreign or of another model.
        OutputError: its folder is missing.
        UsageError: Parquet, and pyarrow is not installed.
    """

    def __init__(self, path: Path, model_id: str) -> None:
        if not path.parent.is_dir():  # before the work, not after it
            raise OutputError(f"{path}: no folder {path.parent}", cure="create it first")
        if path.suffix.lower() == ".parquet":
            check_pyarrow()
        self._path = path
        self._before = read_embeddings(path) if path.exists() else None
        self._seen = PhotoSet()
        if self._before is not None:
            check_model(str(path), self._before.model_id, model_id)
            self._seen.update(self._before.photos)
        self._pending: list[EmbeddingSet] = []
        self._rows = 0
        self._stack = ExitStack()
        self._writer: RowWriter | None = None
        self._refused = Refusals(path.with_suffix(".refused.jsonl"))

    def wants(self, photo: str) -> bool:
        """Whether a photo is new; it counts as seen from then on."""
        return self._seen.add(photo)

    def add(self, rows: EmbeddingSet) -> None:
        """Add all faces of a photo."""
        self._pending.append(rows)
        self._rows += len(rows)
        if self._rows >= ROW_GROUP:
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
        self._refused.finish(self._seen)

    def _flush(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            stream = self._stack.enter_context(atomic_writer(self._path))
            self._writer = WRITERS[self._path.suffix.lower()](stream)
            if self._before is not None:
                self._writer.write(self._before)
                self._before = None
        self._writer.write(joined(self._pending, [""] * len(self._pending)))
        self._pending, self._rows = [], 0
