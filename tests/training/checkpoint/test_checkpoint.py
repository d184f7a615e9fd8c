"""Checkpoints: whole or absent, exact, without a pickle, cut again by any number of processes."""

import io
import itertools
import pickle
import resource
import socket
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import distributed as dist
from torch import multiprocessing

from faceverify.errors import OutputError, TrainingError
from faceverify.training.checkpoint.checkpoint import (
    POSITION,
    Progress,
    best,
    checkpoints,
    latest,
    load_progress,
    load_tensors,
    mark_best,
    read_part,
    remove_old,
    save_checkpoint,
    stored_tensors,
)
from faceverify.training.checkpoint.storage import PART, Rows, write_part


def some_tensors() -> dict:
    torch.manual_seed(0)
    return {
        "backbone.weight": torch.randn(3, 4),
        "backbone.bias": torch.randn(3).to(torch.bfloat16),
        "loss.centres": Rows(torch.randn(5, 2), 0, 5),
        "optimiser.step": torch.tensor(3.0),
        "order": torch.arange(4),
        "nothing": torch.zeros(0, 3),
    }


def empty_like(tensors: dict) -> dict:
    return {
        name: Rows(torch.full_like(one.tensor, -1), one.start, one.total)
        if isinstance(one, Rows)
        else torch.full_like(one, -1)
        for name, one in tensors.items()
    }


def same(first, second) -> bool:
    if isinstance(first, Rows):
        first, second = first.tensor, second.tensor
    return first.dtype == second.dtype and torch.equal(first, second)


def test_all_comes_back_bit_for_bit(tmp_path):
    tensors, position = some_tensors(), Progress(7, 20, 1, 3, 896, 12.5)
    place = save_checkpoint(tmp_path / "checkpoints", position, tensors)
    found = empty_like(tensors)
    load_tensors(place, found)
    assert all(same(found[name], tensors[name]) for name in tensors)
    assert load_progress(place) == position
    weights = read_part(place, "backbone")
    assert sorted(weights) == ["bias", "weight"]
    assert same(weights["weight"], tensors["backbone.weight"])


CUTS = [(0, 5), (0, 1, 5), (0, 2, 4, 5), (0, 1, 2, 3, 4, 5)]


@pytest.mark.parametrize("read", CUTS)
@pytest.mark.parametrize("written", CUTS)
def test_rows_are_cut_again(tmp_path, written, read):
    tensors = some_tensors()
    whole = tensors["loss.centres"].tensor
    for rank, (start, end) in enumerate(itertools.pairwise(written)):
        part = {**tensors, "loss.centres": Rows(whole[start:end], start, 5)}
        write_part(tmp_path, part, rank=rank, world=len(written) - 1)
    for start, end in itertools.pairwise(read):
        found = empty_like({**tensors, "loss.centres": Rows(whole[start:end], start, 5)})
        load_tensors(tmp_path, found)
        assert same(found["loss.centres"].tensor, whole[start:end])
        assert all(same(found[name], tensors[name]) for name in tensors if name != "loss.centres")


def test_a_process_without_rows_of_its_own_writes_a_file_that_can_be_read(tmp_path):
    tensors = {name: one for name, one in some_tensors().items() if not isinstance(one, Rows)}
    for rank in range(3):
        write_part(tmp_path, tensors, rank=rank, world=3)
    found = empty_like(tensors)
    load_tensors(tmp_path, found)
    assert all(same(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    ("name", "read"), [(PART.format(0, 1), stored_tensors), (POSITION, load_progress)]
)
def test_a_pickle_in_place_of_any_file_does_not_run(tmp_path, name, read):
    place = save_checkpoint(tmp_path, Progress(1), some_tensors())
    assert sorted(path.name for path in place.iterdir()) == [PART.format(0, 1), POSITION]

    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    stream = io.BytesIO()
    torch.save(Bomb(), stream)
    for content in (pickle.dumps(Bomb()), stream.getvalue()):
        (place / name).write_bytes(content)
        with pytest.raises(TrainingError, match="no whole checkpoint"):
            read(place)
    assert not (tmp_path / "exploded").exists()


def refused(place) -> str:
    """The one line with which a damaged checkpoint is refused."""
    with pytest.raises(TrainingError, match="no whole checkpoint") as problem:
        stored_tensors(place)
    assert problem.value.code == "training-checkpoint"
    assert "\n" not in str(problem.value)
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        load_tensors(place, empty_like(some_tensors()))
    return str(problem.value)


@pytest.mark.parametrize("size", [0, 7, 100, 500, -1])
def test_a_file_cut_short_is_one_line(tmp_path, size):
    place = save_checkpoint(tmp_path, Progress(1), some_tensors())
    (data,) = place.glob("part-*")
    data.write_bytes(data.read_bytes()[:size])
    refused(place)


@pytest.mark.parametrize("content", [b"x" * 1000, b"{}", b"\x80\x04" * 500])
def test_a_file_of_another_kind_is_one_line(tmp_path, content):
    place = save_checkpoint(tmp_path, Progress(1), some_tensors())
    (data,) = place.glob("part-*")
    data.write_bytes(content)
    refused(place)


@pytest.mark.parametrize(
    "places",
    [
        {"loss.centres": "0 6"},
        {"loss.centres": "1 5"},
        {"loss.centres": "0"},
        {"loss.centres": "nought five"},
        {"order": "0 1"},
    ],
)
def test_rows_that_are_not_all_there_are_one_line(tmp_path, places):
    place = save_checkpoint(tmp_path, Progress(1), some_tensors())
    (path,) = place.glob("part-*")
    with safe_open(path, "pt") as part:
        tensors = {name: part.get_tensor(name) for name in part.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata=places)
    refused(place)


def test_parts_that_do_not_belong_together_are_one_line(tmp_path):
    tensors = some_tensors()
    whole = tensors["loss.centres"].tensor
    first = {**tensors, "loss.centres": Rows(whole[:2], 0, 5)}
    second = {"loss.centres": Rows(whole[2:], 2, 5)}
    write_part(tmp_path, first, rank=0, world=2)
    assert f"only {PART.format(0, 2)}" in refused(tmp_path)  # of another process, nothing
    write_part(tmp_path, {"loss.centres": Rows(whole[2:].half(), 2, 5)}, rank=1, world=2)
    assert "loss.centres is not all there" in refused(tmp_path)
    write_part(tmp_path, {"loss.centres": Rows(whole[2:, :1], 2, 5)}, rank=1, world=2)
    assert "loss.centres is not all there" in refused(tmp_path)
    write_part(tmp_path, second, rank=1, world=2)
    assert stored_tensors(tmp_path)["loss.centres"] == (torch.Size([5, 2]), torch.float32)
    (tmp_path / PART.format(0, 2)).unlink()
    assert f"only {PART.format(1, 2)}" in refused(tmp_path)


def test_a_checkpoint_of_another_format_is_one_line(tmp_path):
    (tmp_path / POSITION).write_text('{"step": 4}')
    (tmp_path / "index.json").write_text('{"version": 1, "tensors": {}}')
    (tmp_path / "__0_0.distcp").write_bytes(b"PK")
    assert "no part-*.safetensors in it" in refused(tmp_path)


def test_tensors_in_the_same_memory_or_with_gaps_come_back(tmp_path):
    weight = torch.randn(4, 6)
    laid_out = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    tensors = {"a": weight, "tied": weight, "turned": weight.T[1:3], "laid out": laid_out}
    place = save_checkpoint(tmp_path, Progress(1), tensors)
    found = empty_like(tensors)
    load_tensors(place, found)
    assert all(same(found[name], tensors[name]) for name in tensors)


def test_whoever_may_read_the_folder_may_read_the_tensors(tmp_path):
    place = save_checkpoint(tmp_path, Progress(1), some_tensors())
    modes = {path.stat().st_mode for path in place.iterdir()}
    (tmp_path / "plain").touch()
    assert modes == {(tmp_path / "plain").stat().st_mode}


def test_another_architecture_is_named(tmp_path):
    place = save_checkpoint(tmp_path, Progress(1), some_tensors())
    wanted = {"backbone.weight": torch.zeros(3, 5), "backbone.other": torch.zeros(1)}
    with pytest.raises(TrainingError) as refused:
        load_tensors(place, wanted)
    assert "of another backbone or loss: no backbone.other" in str(refused.value)
    assert "backbone.weight (3, 4) instead of (3, 5)" in str(refused.value)


def test_the_last_ones_and_the_best_stay(tmp_path):
    for step in range(1, 7):
        place = save_checkpoint(tmp_path, Progress(step), some_tensors())
        if step == 2:
            mark_best(tmp_path, place, 0.9)
        remove_old(tmp_path, keep=2)
    assert [path.name[-1] for path in checkpoints(tmp_path)] == ["2", "5", "6"]
    assert best(tmp_path) == (tmp_path / "step-00000002", 0.9)
    assert latest(tmp_path) == tmp_path / "step-00000006"


def test_half_a_checkpoint_is_none(tmp_path):
    whole = save_checkpoint(tmp_path, Progress(1), some_tensors())
    half = save_checkpoint(tmp_path, Progress(2), some_tensors())
    half.rename(tmp_path / ".step-00000002.part")  # as a kill -9 leaves it
    (tmp_path / "step-00000003").mkdir()
    assert latest(tmp_path) == whole
    remove_old(tmp_path, keep=1)
    assert not (tmp_path / ".step-00000002.part").exists()
    mark_best(tmp_path, tmp_path / "step-00000009", 1.0)
    assert best(tmp_path) is None


def test_a_disk_without_room_leaves_the_one_before(tmp_path):
    save_checkpoint(tmp_path, Progress(1), {"a": torch.zeros(10)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(OutputError) as refused:
            save_checkpoint(tmp_path, Progress(2), {"a": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = str(refused.value)
    assert "step-00000002: the checkpoint cannot be written (no room left)" in said
    assert "--resume" in said
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def one_of_two(rank: int, port: int, folder: Path) -> None:
    """A process of two, the second of which has no room on its disk."""
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    if rank == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    whole = torch.arange(20_000.0).reshape(2, 10_000)

    def save(step: int, numbers: int) -> None:
        rows = Rows(whole[rank : rank + 1, :numbers], rank, 2)
        save_checkpoint(folder, Progress(step), {"rows": rows, "alike": torch.ones(3)})

    save(1, 10)
    with pytest.raises(OutputError, match="step-00000002") as problem:
        save(2, 10_000)
    assert ("no room left" if rank == 1 else "another process says why") in str(problem.value)
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # no thread of ours runs yet
def test_where_one_process_cannot_write_none_has_a_checkpoint(tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    multiprocessing.start_processes(one_of_two, (port, tmp_path), 2, start_method="fork")
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    rows = torch.zeros(2, 10)
    load_tensors(latest(tmp_path), {"rows": rows})
    assert rows[1].tolist() == list(range(10_000, 10_010))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save_checkpoint(tmp_path / "file", Progress(1), some_tensors())


def test_names_and_shapes_are_told_without_reading(tmp_path):
    place = save_checkpoint(tmp_path, Progress(1), some_tensors())
    assert stored_tensors(place)["loss.centres"] == (torch.Size([5, 2]), torch.float32)
