"""Folder of shards: embeddings of any number of photos, in files written atomically."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from faceverify.embeddings.embedding_set import EmbeddingSet, check_model, joined, without_photos
from faceverify.embeddings.formats.done_photos import DonePhotos
from faceverify.embeddings.formats.npz import write_npz
from faceverify.embeddings.formats.parquet import has_parquet, write_parquet
from faceverify.embeddings.formats.reading import SHARD, find_shards, read_file, read_names
from faceverify.embeddings.formats.refused import Refusals
from faceverify.errors import FaceverifyError, OutputError
from faceverify.runtime.files import atomic_writer

SHARD_SIZE = 10_000  # rows; 5 MB of 128 numbers each
REFUSED = "refused.jsonl"


class ShardFolder:
    """Writer of shards into a folder; holds one shard and 64 bytes for each photo in memory.

    A shard holds all faces of a photo or none, and is written atomically: an interrupted run is
    resumed behind the last shard. On Ctrl-C and errors, pending rows are written. Rows of photos
    that have changed since leave their shards before the new ones are written.

    Args:
        folder: created if missing.
        model_id: of all rows.
        shard_size: rows of a shard.
        way: in which photos are embedded; see ``done_photos.py``.

    Raises:
        EmbeddingFileError: a shard is damaged, or of another model.
        OutputError: the folder cannot be written, or another run is writing to it.
    """

    def __init__(
        self, folder: Path, model_id: str, shard_size: int = SHARD_SIZE, *, way: str = ""
    ) -> None:
        self._folder = folder
        self._shard_size = shard_size
        self._lock = locked(folder)
        self._done = DonePhotos(way)
        self._pending: list[EmbeddingSet] = []
        self._rows = 0
        self._next = 0
        for shard in find_shards(folder):
            found, photos, origins = read_names(shard)
            check_model(str(shard), found, model_id)
            if origins is not None and len(origins) != len(photos):
                origins = None
            self._done.update(photos, origins)
            match = SHARD.fullmatch(shard.name)
            self._next = int(match[1]) + 1 if match else self._next
        self._refused = Refusals(folder / REFUSED)

    def wants(self, photo: str) -> bool:
        """Whether a photo is new or has changed; it counts as done from then on."""
        return self._done.wants(photo)

    def add(self, rows: EmbeddingSet) -> None:
        """Add all faces of a photo."""
        self._pending.append(rows)
        self._rows += len(rows)
        if self._rows >= self._shard_size:
            self._flush()

    def refuse(self, photo: str, error: FaceverifyError) -> None:
        """Add a photo without an embedding."""
        self._refused.add(photo, error)

    def __enter__(self) -> ShardFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not isinstance(error, OutputError):  # on a full disk, this would fail again
                self._flush()
                self._refused.finish(self._done)
        finally:
            self._refused.discard()
            os.close(self._lock)

    def _flush(self) -> None:
        self._remove(self._done.take_outdated())
        if not self._pending:
            return
        rows = joined(self._pending, [""] * len(self._pending))
        kind, write = ("parquet", write_parquet) if has_parquet() else ("npz", write_npz)
        with atomic_writer(self._folder / f"shard-{self._next:06d}.{kind}") as stream:
            write(stream, rows)
        self._pending, self._rows = [], 0
        self._next += 1

    def _remove(self, photos: set[str]) -> None:
        """Remove the rows of photos that have changed; a shard without rows is deleted."""
        for shard in find_shards(self._folder) if photos else []:
            if photos.isdisjoint(read_names(shard)[1]):
                continue
            rows = without_photos(read_file(shard), photos)
            if rows is None:
                shard.unlink()
                continue
            with atomic_writer(shard) as stream:
                (write_parquet if shard.suffix == ".parquet" else write_npz)(stream, rows)


def locked(folder: Path) -> int:
    """Handle of a lock on a folder, which is created if missing; closing it releases the lock.

    Raises:
        OutputError: the folder cannot be created, or another run holds the lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.name != "posix":  # no locks on folders there
            return os.open(os.devnull, os.O_RDONLY)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made or opened ({error.strerror})") from error
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise OutputError(
            f"{folder}: another run is writing to it", cure="wait for it, or use another folder"
        ) from None
    except OSError:
        pass  # a file system without locks
    return handle
