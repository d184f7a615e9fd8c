"""Output of embeddings: a file or a folder of shards, by its name."""

from __future__ import annotations

import os
from pathlib import Path

from faceverify.embeddings.formats.shards import SHARD_SIZE, ShardFolder
from faceverify.embeddings.formats.single_file import WRITERS, SingleFile
from faceverify.errors import UsageError
from faceverify.runtime.addresses import check_path


def open_output(
    name: str, model_id: str, *, shard_size: int = SHARD_SIZE, way: str = ""
) -> ShardFolder | SingleFile:
    """A file or a folder of shards, opened to add embeddings of a model.

    Args:
        name: a file if it ends in .npz, .parquet or .jsonl; a folder if it is one, ends in a slash
            or has no suffix.
        model_id: of the embeddings.
        shard_size: rows of a shard.
        way: in which photos are embedded; see ``done_photos.py``.

    Raises:
        UsageError: another suffix, or a URL.
        EmbeddingFileError, OutputError: as :class:`ShardFolder` and :class:`SingleFile`.
    """
    check_path(name, "--out")
    path = Path(name)
    if not path.is_dir():
        if path.suffix.lower() in WRITERS:
            return SingleFile(path, model_id, way=way)
        if path.suffix and not name.endswith(os.sep):
            raise UsageError(
                f"--out {name}: unknown kind of file {path.suffix!r}",
                cure=f"use {', '.join(WRITERS)}, or end the name of a folder with {os.sep}",
            )
    return ShardFolder(path, model_id, shard_size, way=way)
