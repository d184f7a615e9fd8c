"""Tensors of all processes in one folder, through torch.distributed.checkpoint, without a pickle.

torch's own file-system storage keeps its index as a pickle, which whoever reads it runs. Here the
index is JSON, ``index.json``, checked field by field; the tensors themselves lie in torch's
``.distcp`` files and are read with ``weights_only=True``. Nothing but tensors is stored.

A tensor is either the same in all processes (the first one writes it), or cut by rows: then each
process writes its own :class:`Rows`, and a run on another number of processes reads what it needs
from whichever files hold it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.filesystem import (
    FileSystemReader,
    FileSystemWriter,
    _StorageInfo,
)
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import (
    LoadItemType,
    LoadPlan,
    LoadPlanner,
    ReadItem,
    SavePlan,
    SavePlanner,
    TensorWriteData,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.storage import WriteResult

INDEX = "index.json"
VERSION = 1
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float32, torch.float64, torch.bfloat16, torch.float16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """This process's rows of a tensor that is cut over all processes.

    Args:
        tensor: rows ``start`` to ``start + len(tensor)``.
        start: of the first one in the whole.
        total: rows of the whole.
    """

    tensor: Tensor
    start: int
    total: int


Tensors = dict[str, "Tensor | Rows"]


class JsonWriter(FileSystemWriter):  # type: ignore[misc]  # torch ships no types for it
    """Writes torch's files, and the index as JSON, last of all."""

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Write the index: without it there is no checkpoint."""
        places = {
            (result.index.fqn, result.index.offset): result.storage_data
            for result in (one for part in results for one in part)
        }
        tensors = {}
        for name, stored in sorted(tensors_of(metadata).items()):
            chunks = []
            for chunk in stored.chunks:
                place = places[name, chunk.offsets]
                chunks.append(
                    {
                        "offsets": list(chunk.offsets),
                        "sizes": list(chunk.sizes),
                        "file": place.relative_path,
                        "at": place.offset,
                        "length": place.length,
                    }
                )
            dtype = str(stored.properties.dtype).removeprefix("torch.")
            tensors[name] = {"dtype": dtype, "size": list(stored.size), "chunks": chunks}
        text = json.dumps({"version": VERSION, "tensors": tensors}, indent=1)
        with open(Path(self.path, INDEX), "x", encoding="utf-8") as stream:
            stream.write(text)


class JsonReader(FileSystemReader):  # type: ignore[misc]  # torch ships no types for it
    """Reads what :class:`JsonWriter` wrote; ValueError says what is wrong with the index."""

    def read_metadata(self, *_: Any, **__: Any) -> Metadata:
        """The index as torch wants it."""
        return index_of(Path(self.path))


def tensors_of(metadata: Metadata) -> dict[str, TensorStorageMetadata]:
    """What an index says of each tensor; nothing else is ever stored."""
    return {
        name: stored
        for name, stored in metadata.state_dict_metadata.items()
        if isinstance(stored, TensorStorageMetadata)
    }


def index_of(folder: Path) -> Metadata:
    """Read and check the index of a folder of tensors.

    Raises:
        OSError: there is none.
        ValueError: it is no index, or points out of its folder.
    """
    found = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError(f"{INDEX} is of another version, or no index")
    if not isinstance(found.get("tensors"), dict):
        raise ValueError(f"{INDEX} lists no tensors")
    tensors, places = {}, {}
    for name, entry in found["tensors"].items():
        try:
            size = torch.Size(map(_count, entry["size"]))
            properties = TensorProperties(dtype=DTYPES[entry["dtype"]])
            chunks = []
            for one in entry["chunks"]:
                offsets = torch.Size(map(_count, one["offsets"]))
                chunks.append(ChunkStorageMetadata(offsets, torch.Size(map(_count, one["sizes"]))))
                file = one["file"]
                if not isinstance(file, str) or Path(file).name != file:
                    raise ValueError(f"file {file!r}")
                places[MetadataIndex(name, offsets)] = _StorageInfo(
                    file, _count(one["at"]), _count(one["length"])
                )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{INDEX}: tensor {name!r} is not described well: {error}") from error
        tensors[name] = TensorStorageMetadata(properties, size, chunks)
    return Metadata(dict(tensors), storage_data=places, storage_meta=StorageMeta())


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**60:
        raise ValueError(f"{value!r} is no count")
    return value


class RowsSavePlanner(SavePlanner):  # type: ignore[misc]  # torch ships no types for it
    """Each process writes its rows; the first one also what is the same in all."""

    def set_up_planner(
        self, state_dict: Tensors, storage_meta: Any = None, is_coordinator: bool = False
    ) -> None:
        """Remember what is to be written."""
        self.tensors, self.first = state_dict, is_coordinator

    def create_local_plan(self) -> SavePlan:
        """What this process writes."""
        items = []
        for name, value in self.tensors.items():
            if isinstance(value, Rows):
                if len(value.tensor):
                    whole = torch.Size((value.total, *value.tensor.shape[1:]))
                    start = (value.start, *(0 for _ in value.tensor.shape[1:]))
                    items.append(_write_item(name, value.tensor, torch.Size(start), whole))
            elif self.first:
                items.append(_write_item(name, value, torch.Size([0] * value.dim()), value.size()))
        return SavePlan(items)

    def create_global_plan(self, all_plans: list[SavePlan]) -> tuple[list[SavePlan], Metadata]:
        """All processes' plans, and the index without places."""
        tensors: dict[str, TensorStorageMetadata] = {}
        for item in (one for plan in all_plans for one in plan.items):
            data = item.tensor_data
            assert data is not None
            known = tensors.setdefault(
                item.index.fqn, TensorStorageMetadata(data.properties, data.size, [])
            )
            known.chunks.append(data.chunk)
        return all_plans, Metadata(dict(tensors))

    def finish_plan(self, new_plan: SavePlan) -> SavePlan:
        """Nothing changes."""
        return new_plan

    def resolve_data(self, write_item: WriteItem) -> Tensor:
        """The tensor of an item."""
        value = self.tensors[write_item.index.fqn]
        return (value.tensor if isinstance(value, Rows) else value).detach()


def _write_item(name: str, tensor: Tensor, start: torch.Size, whole: torch.Size) -> WriteItem:
    return WriteItem(
        MetadataIndex(name, start),
        WriteItemType.TENSOR,
        tensor_data=TensorWriteData(
            ChunkStorageMetadata(start, tensor.size()),
            TensorProperties(dtype=tensor.dtype),
            whole,
        ),
    )


class RowsLoadPlanner(LoadPlanner):  # type: ignore[misc]  # torch ships no types for it
    """Each process reads its rows out of the pieces they were stored in, in place."""

    def set_up_planner(
        self, state_dict: Tensors, metadata: Metadata | None = None, is_coordinator: bool = False
    ) -> None:
        """Remember what is to be filled."""
        assert metadata is not None
        self.tensors, self.metadata = state_dict, metadata

    def create_local_plan(self) -> LoadPlan:
        """What this process reads."""
        items = []
        stored = tensors_of(self.metadata)
        for name, value in self.tensors.items():
            for chunk in stored[name].chunks:
                items += _read_items(name, value, chunk)
        return LoadPlan(items)

    def create_global_plan(self, global_plan: list[LoadPlan]) -> list[LoadPlan]:
        """Nothing to agree on."""
        return global_plan

    def finish_plan(self, central_plan: LoadPlan) -> LoadPlan:
        """Nothing changes."""
        return central_plan

    def load_bytes(self, read_item: ReadItem, value: Any) -> None:
        """Never: only tensors are stored, and bytes would be unpickled."""
        raise ValueError(f"{read_item.dest_index.fqn} is no tensor")

    def resolve_tensor(self, read_item: ReadItem) -> Tensor:
        """The part of a tensor that an item fills."""
        value = self.tensors[read_item.dest_index.fqn]
        tensor = (value.tensor if isinstance(value, Rows) else value).detach()
        if not tensor.dim():
            return tensor
        return tensor.narrow(0, read_item.dest_offsets[0], read_item.lengths[0])

    def commit_tensor(self, read_item: ReadItem, tensor: Tensor) -> None:
        """It was filled in place."""


def _read_items(name: str, value: Tensor | Rows, chunk: ChunkStorageMetadata) -> list[ReadItem]:
    tensor = value.tensor if isinstance(value, Rows) else value
    others = tensor.dim() - 1
    begin = value.start if isinstance(value, Rows) else 0
    storage = MetadataIndex(name, chunk.offsets)
    if not tensor.dim():
        nowhere = torch.Size()
        return [
            ReadItem(
                LoadItemType.TENSOR, MetadataIndex(name, nowhere), nowhere, storage, nowhere,
                nowhere,
            )
        ]  # fmt: skip
    first = max(begin, chunk.offsets[0])
    last = min(begin + len(tensor), chunk.offsets[0] + chunk.sizes[0])
    if first >= last:
        return []
    rest = (0,) * others
    return [
        ReadItem(
            LoadItemType.TENSOR,
            MetadataIndex(name, torch.Size((begin, *rest))),
            torch.Size((first - begin, *rest)),
            storage,
            torch.Size((first - chunk.offsets[0], *rest)),
            torch.Size((last - first, *tensor.shape[1:])),
        )
    ]
