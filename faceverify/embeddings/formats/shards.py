"""A folder of shards: embeddings of any number of photos, written in files that appear whole."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from faceverify.embeddings.embedding_set import EmbeddingSet, check_model, joined
from faceverify.embeddings.formats.npz import write_npz
from faceverify.embeddings.formats.parquet import has_parquet, write_parquet
from faceverify.embeddings.formats.reading import SHARD, find_shards, read_names
from faceverify.embeddings.formats.refused import Refusals
from faceverify.errors import FaceverifyError, OutputError
from faceverify.runtime.files import atomic_writer
from faceverify.runtime.name_set import PhotoSet

SHARD_SIZE = 10_000  # rows; 5 MB of 128 numbers each
REFUSED = "refused.jsonl"


class ShardFolder:
    """Adds shards to a folder; memory holds one of them, and 16 bytes for each photo there.

    A shard holds all of a photo's faces, or none, and appears whole: whatever ends a run, the next
    one goes on behind the last shard. Ctrl-C and errors still write what is there.

    Args:
        folder: made when missing.
        model_id: of all its rows.
        shard_size: a shard is written once it has so many rows.

    Raises:
        EmbeddingFileError: a shard is damaged, or of another model.
        OutputError: the folder cannot be written, or another run is writing to it.
    """

    def __init__(self, folder: Path, model_id: str, shard_size: int = SHARD_SIZE) -> None:
        self._folder = folder
        self._shard_size = shard_size
        self._lock = locked(folder)
        self._seen = PhotoSet()
        self._pending: list[EmbeddingSet] = []
        self._rows = 0
        self._next = 0
        for shard in find_shards(folder):
            found, photos = read_names(shard)
            check_model(str(shard), found, model_id)
            self._seen.update(photos)
            match = SHARD.fullmatch(shard.name)
            self._next = int(match[1]) + 1 if match else self._next
        self._refused = Refusals(folder / REFUSED)

    def wants(self, photo: str) -> bool:
        """Tell whether a photo is neither there nor on its way; asked once for each."""
        return self._seen.add(photo)

    def add(self, rows: EmbeddingSet) -> None:
        """Add all faces of a photo."""
        self._pending.append(rows)
        self._rows += len(rows)
        if self._rows >= self._shard_size:
            self._flush()

    def refuse(self, photo: str, error: FaceverifyError) -> None:
        """Note that a photo gave no embedding."""
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
            if not isinstance(error, OutputError):  # a full disk would only be met once more
                self._flush()
                self._refused.finish(self._seen)
        finally:
            self._refused.discard()
            os.close(self._lock)

    def _flush(self) -> None:
        if not self._pending:
            return
        rows = joined(self._pending, [""] * len(self._pending))
        kind, write = ("parquet", write_parquet) if has_parquet() else ("npz", write_npz)
        with atomic_writer(self._folder / f"shard-{self._next:06d}.{kind}") as stream:
            write(stream, rows)
        self._pending, self._rows = [], 0
        self._next += 1


def locked(folder: Path) -> int:
    """Make a folder and lock it against other runs; the lock ends with the handle returned.

    Raises:
        OutputError: it cannot be made, or another run holds the lock.
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
