"""Checkpoints: whole or absent, exact, without a pickle, cut anew over processes."""

import io
import itertools
import json
import pickle
import resource
from pathlib import Path

import pytest
import torch

from faceverify.errors import OutputError, TrainingError
from faceverify.training.checkpoint import (
    Position,
    best,
    checkpoints,
    latest,
    load_position,
    load_tensors,
    mark_best,
    read_weights,
    remove_old,
    save_checkpoint,
    stored_tensors,
)
from faceverify.training.checkpoint_storage import Rows


def some_tensors() -> dict:
    torch.manual_seed(0)
    return {
        "backbone.weight": torch.randn(3, 4),
        "backbone.bias": torch.randn(3).to(torch.bfloat16),
        "head.centres": Rows(torch.randn(5, 2), 0, 5),
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
    tensors, position = some_tensors(), Position(7, 20, 1, 3, 896, 12.5)
    place = save_checkpoint(tmp_path / "checkpoints", position, tensors)
    found = empty_like(tensors)
    load_tensors(place, found)
    assert all(same(found[name], tensors[name]) for name in tensors)
    assert load_position(place) == position
    weights = read_weights(place, "backbone")
    assert sorted(weights) == ["bias", "weight"]
    assert same(weights["weight"], tensors["backbone.weight"])


@pytest.mark.parametrize("cuts", [(0, 5), (0, 1, 5), (0, 2, 4, 5), (0, 1, 2, 3, 4, 5)])
def test_rows_are_cut_anew(tmp_path, cuts):
    tensors = some_tensors()
    place = save_checkpoint(tmp_path, Position(1), tensors)
    for start, end in itertools.pairwise(cuts):
        part = {"head.centres": Rows(torch.zeros(end - start, 2), start, 5)}
        load_tensors(place, part)
        assert same(part["head.centres"].tensor, tensors["head.centres"].tensor[start:end])


def test_no_file_of_it_is_a_pickle_that_could_run(tmp_path):
    place = save_checkpoint(tmp_path, Position(1), some_tensors())
    assert sorted(path.name for path in place.iterdir()) == [
        "__0_0.distcp", "index.json", "position.json",
    ]  # fmt: skip
    for path in place.glob("*.json"):
        json.loads(path.read_text())

    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    index = json.loads((place / "index.json").read_text())
    chunk = index["tensors"]["order"]["chunks"][0]
    stream = io.BytesIO()
    torch.save(Bomb(), stream)
    (place / "bomb").write_bytes(stream.getvalue())
    chunk.update(file="bomb", at=0, length=len(stream.getvalue()))
    (place / "index.json").write_text(json.dumps(index))
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        load_tensors(place, {"order": torch.zeros(4, dtype=torch.int64)})
    (place / ".metadata").write_bytes(pickle.dumps(Bomb()))
    (place / "index.json").unlink()
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        load_tensors(place, {"order": torch.zeros(4, dtype=torch.int64)})
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda index: index.update(version=2),
        lambda index: index.update(tensors=[]),
        lambda index: index["tensors"]["order"].update(dtype="object"),
        lambda index: index["tensors"]["order"].update(size=[-4]),
        lambda index: index["tensors"]["order"].update(size=[5]),
        lambda index: index["tensors"]["order"]["chunks"][0].update(file="../../secret"),
        lambda index: index["tensors"]["order"]["chunks"][0].update(at="0"),
        lambda index: index["tensors"]["order"].update(chunks=[]),
    ],
)
def test_a_damaged_index_is_one_line(tmp_path, damage):
    place = save_checkpoint(tmp_path, Position(1), some_tensors())
    index = json.loads((place / "index.json").read_text())
    damage(index)
    (place / "index.json").write_text(json.dumps(index))
    with pytest.raises(TrainingError, match="no whole checkpoint") as refused:
        stored_tensors(place)  # before any file that it names is opened
    assert refused.value.code == "training-checkpoint"


def test_a_file_cut_short_is_one_line(tmp_path):
    place = save_checkpoint(tmp_path, Position(1), some_tensors())
    (data,) = place.glob("*.distcp")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        load_tensors(place, empty_like(some_tensors()))


def test_another_architecture_is_named(tmp_path):
    place = save_checkpoint(tmp_path, Position(1), some_tensors())
    wanted = {"backbone.weight": torch.zeros(3, 5), "backbone.other": torch.zeros(1)}
    with pytest.raises(TrainingError) as refused:
        load_tensors(place, wanted)
    assert "of another backbone or head: no backbone.other" in str(refused.value)
    assert "backbone.weight (3, 4) instead of (3, 5)" in str(refused.value)


def test_the_last_ones_and_the_best_stay(tmp_path):
    for step in range(1, 7):
        place = save_checkpoint(tmp_path, Position(step), some_tensors())
        if step == 2:
            mark_best(tmp_path, place, 0.9)
        remove_old(tmp_path, keep=2)
    assert [path.name[-1] for path in checkpoints(tmp_path)] == ["2", "5", "6"]
    assert best(tmp_path) == (tmp_path / "step-00000002", 0.9)
    assert latest(tmp_path) == tmp_path / "step-00000006"


def test_half_a_checkpoint_is_none(tmp_path):
    whole = save_checkpoint(tmp_path, Position(1), some_tensors())
    half = save_checkpoint(tmp_path, Position(2), some_tensors())
    half.rename(tmp_path / ".step-00000002.part")  # as a kill -9 leaves it
    (tmp_path / "step-00000003").mkdir()
    assert latest(tmp_path) == whole
    remove_old(tmp_path, keep=1)
    assert not (tmp_path / ".step-00000002.part").exists()
    mark_best(tmp_path, tmp_path / "step-00000009", 1.0)
    assert best(tmp_path) is None


def test_a_disk_without_room_leaves_the_one_before(tmp_path):
    save_checkpoint(tmp_path, Position(1), {"a": torch.zeros(10)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(OutputError) as refused:
            save_checkpoint(tmp_path, Position(2), {"a": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = str(refused.value)
    assert "step-00000002: the checkpoint cannot be written (no room left)" in said
    assert "--resume" in said
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save_checkpoint(tmp_path / "file", Position(1), some_tensors())


def test_names_and_shapes_are_told_without_reading(tmp_path):
    place = save_checkpoint(tmp_path, Position(1), some_tensors())
    assert stored_tensors(place)["head.centres"] == (torch.Size([5, 2]), torch.float32)
