"""Images that cannot be read: left out, counted and named once; too many stop and save the run."""

import shlex

import pytest
import torch
from generated_people import tiny_config, write_people
from launched_processes import become_process, free_port
from run_log import lines
from torch import multiprocessing

from faceverify.errors import FaceverifyError, ImageError
from faceverify.training.checkpoint.checkpoint import latest, load_progress, read_part
from faceverify.training.data.loading.left_out import LeftOut, in_place_of
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.writers.convert import convert
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model

BAD = ("person00/0.png", "person03/2.png")  # the first of the set, too


@pytest.fixture
def people(tmp_path):
    """48 images of 6 people, two of which are damaged."""
    folder = write_people(tmp_path / "people")
    (folder / BAD[0]).write_bytes(b"no image")
    whole = (folder / BAD[1]).read_bytes()
    (folder / BAD[1]).write_bytes(whole[: len(whole) // 2])
    return folder


def assert_same_run(run, other):
    """Losses and weights are alike bit for bit."""
    assert lines(run) == lines(other)
    first, second = (read_part(latest(one.checkpoints), "backbone") for one in (run, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def trained(people, folder, **changes):
    """A run's folder and what it said."""
    said = []
    train_model(tiny_config(people, **changes), RunFolder(folder), say=said.append)
    return RunFolder(folder), said


@pytest.mark.thorough(but=("none-3",))
@pytest.mark.parametrize(("cache", "workers"), [("none", 3), ("memory", 0)])
def test_a_run_goes_on_without_them(people, tmp_path, monkeypatch, cache, workers):
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path / "cache"))
    data = {"cache": cache, "workers": workers}
    runs = ("first", "second") if cache == "memory" else ("first",)  # its crops serve the second
    for again in runs:
        run, said = trained(people, tmp_path / again, data=data, budget={"epochs": 3})
        told = [line for line in said if line.startswith("left out: ")]
        assert len(told) == 2
        assert all(sum(bad in line for line in told) == 1 for bad in BAD)
        assert said.count("2 images could not be read and were left out") == 1
        assert len(lines(run)) == 9
    reference, _ = trained(
        people, tmp_path / "alone", data={"cache": "none", "workers": 1}, budget={"epochs": 3}
    )
    assert_same_run(run, reference)


def test_another_image_of_the_person_takes_the_place(people):
    faces = open_face_set(people)
    assert list(in_place_of(26, faces.labels))[:9] == [26, 27, 28, 29, 30, 31, 24, 25, 32]
    assert sorted(in_place_of(26, faces.labels)) == list(range(48))


@pytest.mark.thorough
def test_a_run_that_goes_on_is_the_run_that_never_stopped(people, tmp_path):
    parts = {"checkpoints": {"steps": 5}, "budget": {"steps": 8}}
    whole, _ = trained(people, tmp_path / "whole", **parts)
    parted, _ = trained(people, tmp_path / "parted", **parts)
    last = latest(parted.checkpoints)
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    train_model(parted.read_config(), parted, resume=True)
    assert_same_run(parted, whole)


@pytest.mark.thorough(but=("triplet",))
@pytest.mark.parametrize("loss", ["triplet", "arcface"])
def test_losses_that_want_the_people_of_the_batch(people, tmp_path, loss):
    batches = {"sampler": "identities", "images_per_identity": 4}
    for number in range(8):
        (people / "person05" / f"{number}.png").write_bytes(b"none of this person can be read")
    changes = {"loss": {"name": loss}, "batches": batches, "data": {"unreadable": 0.5}}
    run, said = trained(people, tmp_path / "run", **changes)
    assert len(lines(run)) == 6
    assert said.count("10 images could not be read and were left out") == 1


@pytest.mark.thorough
def test_too_many_stop_the_run_which_is_saved_and_can_go_on(people, tmp_path):
    run = RunFolder(tmp_path / "run")
    limit = {"workers": 1, "unreadable": 1 / 48}
    config = tiny_config(people, data=limit, budget={"epochs": 3}, seed=3)
    with pytest.raises(FaceverifyError, match=r"2 of 48 images cannot be read.*; the run is saved"):
        train_model(config, run)
    reached = load_progress(latest(run.checkpoints)).step
    assert 0 < reached < 9
    whole, _ = trained(people, tmp_path / "whole", budget={"epochs": 3}, seed=3)
    wider = tiny_config(people, budget={"epochs": 3}, seed=3)
    train_model(wider, run, resume=True)
    assert_same_run(run, whole)


def test_none_may_be_left_out_where_that_is_asked_for(people, tmp_path):
    config = tiny_config(people, data={"unreadable": 0.0})
    with pytest.raises(FaceverifyError, match=r"person0\d/\d\.png: .*saved at step \d+ of 6"):
        train_model(config, RunFolder(tmp_path / "run"))


def test_many_are_counted_and_not_all_named():
    said = []
    left_out = LeftOut(1000, 0.05, said.append)
    for index in [*range(20), *range(20)]:
        left_out.add(index, ImageError(f"{index}.jpg: empty"))
    assert len(said) == 11
    assert left_out.notes == ["20 images could not be read and were left out"]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["webdataset", "recordio", "stream"])
def test_shards_records_and_streams(tmp_path, kind):
    people = write_people(tmp_path / "people")
    stored = "webdataset" if kind == "stream" else kind
    convert(open_face_set(people), tmp_path / "set", stored, shard_size=12)
    for path in [*(tmp_path / "set").glob("*.tar"), *(tmp_path / "set").glob("*.rec")]:
        data = path.read_bytes()
        damaged = data.replace(b"\x89PNG\r\n\x1a\n", b"no image", 2 if kind == "recordio" else 1)
        path.write_bytes(damaged)
    source = tmp_path / "set"
    if kind == "stream":
        source = f"pipe:cat {shlex.quote(str(tmp_path / 'set'))}/{{000000..000003}}.tar"
    said = []
    changes = {"data": {"unreadable": 0.1}, "budget": {"epochs": 2}}
    train_model(tiny_config(source, **changes), run := RunFolder(tmp_path / "run"), say=said.append)
    bad = 2 if kind == "recordio" else 4
    assert sum(line.startswith("left out: ") for line in said) == bad
    assert len(lines(run)) == 6
    again = RunFolder(tmp_path / "again")
    train_model(tiny_config(source, **changes, seed=0), again)
    assert lines(again) == lines(run)


def test_a_shard_that_is_lost_on_the_way_saves_the_run(tmp_path):
    people = write_people(tmp_path / "people")
    convert(open_face_set(people), tmp_path / "set", "webdataset", shard_size=12)
    # the command fails once it has been started often enough: first image, then two epochs
    count = shlex.quote(str(tmp_path / "count"))
    shards = shlex.quote(str(tmp_path / "set"))
    source = (
        f"pipe:echo x >> {count}; test $(wc -l < {count}) -lt 8 && "
        f"cat {shards}/{{000000..000003}}.tar"
    )
    data = {"stream_images": 48, "stream_people": 6}
    run = RunFolder(tmp_path / "run")
    with pytest.raises(FaceverifyError, match=r"exit status 1.*saved at step \d of 30; go on from"):
        train_model(tiny_config(source, data=data, budget={"steps": 30}), run)
    assert load_progress(latest(run.checkpoints)).step > 0


def _one_of_two(rank, ports, people, folder):
    torch.set_num_threads(1)
    for limit, port in ports.items():
        become_process(rank, 2, port)
        config = tiny_config(people, data={"unreadable": limit}, budget={"epochs": 2})
        try:
            train_model(config, RunFolder(folder / str(limit)))
        except FaceverifyError as error:
            (folder / f"{limit} in {rank}").write_text(str(error))


@pytest.mark.slow
def test_two_processes_go_on_together_and_stop_together(people, tmp_path):
    ports = {0.1: free_port(), 0.0: free_port()}
    multiprocessing.spawn(_one_of_two, (ports, people, tmp_path), nprocs=2, join=True)
    assert not list(tmp_path.glob("0.1 in *"))
    assert len(lines(RunFolder(tmp_path / "0.1"))) == 6
    errors = [path.read_text() for path in sorted(tmp_path.glob("0.0 in *"))]
    assert len(errors) == 2
    assert all("saved at step" in error for error in errors)


def test_held_out_people_with_unreadable_images(people, tmp_path):
    (people / "person01" / "1.png").unlink()
    (people / "person01" / "1.png").symlink_to(tmp_path / "gone")
    changes = {"validation": {"times": 1, "held_out": 0.5}, "data": {"unreadable": 0.2}}
    run, _ = trained(people, tmp_path / "run", **changes)
    assert run.model.is_file()
