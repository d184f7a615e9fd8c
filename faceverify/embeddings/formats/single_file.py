"""One file of embeddings: it appears whole when the run has ended well."""

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
    """Writes sets one after the other into a stream."""

    def __init__(self, stream: BinaryIO) -> None: ...

    def write(self, rows: EmbeddingSet) -> None:
        """Append a set."""

    def close(self) -> None:
        """Write what comes behind the last one."""


WRITERS: dict[str, type[RowWriter]] = {
    ".npz": NpzWriter,
    ".parquet": ParquetWriter,
    ".jsonl": JsonLinesWriter,
}


class SingleFile:
    """Adds rows to a file; those that it holds already stay, and their photos are not wanted again.

    When the run ends badly, or brings nothing new, the file stays as it was.

    Args:
        path: its suffix is one of :data:`WRITERS`.
        model_id: of all its rows.

    Raises:
        EmbeddingFileError: the file is there, and damaged, foreign or of another model.
        OutputError: its folder is missing.
        UsageError: Parquet, and pyarrow is not installed.
    """

    def __init__(self, path: Path, model_id: str) -> None:
        if not path.parent.is_dir():  # better said now than after a night's work
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
        """Tell whether a photo is neither there nor on its way; asked once for each."""
        return self._seen.add(photo)

    def add(self, rows: EmbeddingSet) -> None:
        """Add all faces of a photo."""
        self._pending.append(rows)
        self._rows += len(rows)
        if self._rows >= ROW_GROUP:
            self._flush()

    def refuse(self, photo: str, error: FaceverifyError) -> None:
        """Note that a photo gave no embedding."""
        self._refused.add(photo, error)

    def __enter__(self) -> SingleFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:  # an exception raised here leaves the file as it was
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
