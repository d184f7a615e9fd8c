"""Reading of embedding files of any format, by content, and of folders of shards."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from faceverify.embeddings.embedding_set import EmbeddingSet, joined
from faceverify.embeddings.formats.jsonl import read_json_lines
from faceverify.embeddings.formats.npz import read_npz, read_npz_names
from faceverify.embeddings.formats.parquet import read_parquet, read_parquet_names
from faceverify.errors import EmbeddingFileError

SHARD = re.compile(r"shard-(\d{6,})\.(npz|parquet)")

READERS: dict[bytes, Callable[[BinaryIO, str], EmbeddingSet]] = {
    b"PK\x03\x04": read_npz,
    b"PAR1": read_parquet,
}


def read_embeddings(path: str | os.PathLike[str]) -> EmbeddingSet:
    """The embedding set in a file or folder of shards that ``faceverify embed --out`` wrote.

    Also the JSON lines that ``embed`` prints. Nothing in a file is executed.

    Raises:
        EmbeddingFileError: missing, damaged or foreign; rows that are NaN, zero or not of length 1;
            arrays that do not fit together; embeddings of several models.
        UsageError: a Parquet file, and pyarrow is not installed.
    """
    path = Path(path)
    if not path.is_dir():
        return read_file(path)
    shards = find_shards(path)
    if not shards:
        raise EmbeddingFileError(
            f"{path}: a folder without embeddings (no shard-000000.npz or .parquet)",
            cure="write it with `faceverify embed --out FOLDER`",
        )
    return joined([read_file(shard) for shard in shards], [str(shard) for shard in shards])


def read_file(path: Path) -> EmbeddingSet:
    """The embedding set in one file; errors as :func:`read_embeddings`."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(4)
            stream.seek(0)
            return READERS.get(start, read_json_lines)(stream, str(path))
    except FileNotFoundError:
        raise EmbeddingFileError(f"{path}: not found", cure="check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or error
        raise EmbeddingFileError(f"{path}: cannot be read ({reason})") from error


def read_names(shard: Path) -> tuple[object, list[str], list[object] | None]:
    """Model id, photos and origins of a shard, no embeddings; errors as :func:`read_file`."""
    read = read_npz_names if shard.suffix == ".npz" else read_parquet_names
    try:
        with open(shard, "rb") as stream:
            return read(stream, str(shard))
    except OSError as error:
        raise EmbeddingFileError(f"{shard}: cannot be read ({error.strerror})") from error


def find_shards(folder: Path) -> list[Path]:
    """Paths of the shards of a folder, by number; EmbeddingFileError if it is unreadable."""
    try:
        numbered = [(SHARD.fullmatch(name), name) for name in os.listdir(folder)]
    except OSError as error:
        raise EmbeddingFileError(f"{folder}: cannot be read ({error.strerror})") from error
    return [
        folder / name
        for match, name in sorted(
            ((m, n) for m, n in numbered if m), key=lambda item: (int(item[0][1]), item[1])
        )
    ]
